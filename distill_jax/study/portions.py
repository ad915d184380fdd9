"""Which models a study has, which of them are finished, and which of the others train together."""

import functools
import itertools
from collections.abc import Sequence

import jax

from distill_jax.dumps import find_dumps
from distill_jax.machine import backend, processes
from distill_jax.models import kind
from distill_jax.setting import Setting
from distill_jax.study import splitting, sweep, workdir
from distill_jax.study.splitting import Begun
from distill_jax.study.workdir import RunFolder
from distill_jax.training import population
from distill_jax.training.population import Member
from distill_jax.training.schedule import Schedule


class Portions:
    """The models of a study, in populations.

    Args:
      setting: of the study, with its work directory.
      schedule: of each model's training.
    """

    def __init__(self, setting: Setting, schedule: Schedule):
        self._setting, self._schedule = setting, schedule

    def members(self, role: str) -> list[Member]:
        """All models of a role, seed by seed, so that a study stopped early has whole comparisons."""
        seeds = self._setting.run.seeds_to_train
        if role == "teacher":
            return [Member("teacher", seed) for seed in seeds]
        return [m for seed in seeds for m in sweep.students(self._setting, self._schedule.total_steps, seed)]

    def _requested(self, role: str) -> int:
        """Most members of a population, as asked for or by default."""
        network = getattr(self._setting, role).name
        return self._setting.run.population or backend.defaults(kind(network)).population

    def limit(self, role: str) -> int:
        """The same, or fewer where it has been found that they would not fit in memory."""
        return processes.seen_by_first(lambda: self._limit(role))

    def _limit(self, role: str) -> int:
        run = self._setting.run
        limit, devices = backend.memory_limit(run.memory_gib), jax.device_count()
        return workdir.fitting(run.workdir, role, self._requested(role), limit, devices)

    def split(self, role: str, members: Sequence[Member]) -> list[list[Member]]:
        """Populations of these members."""
        return processes.seen_by_first(lambda: self._split(role, members))

    def _split(self, role: str, members: Sequence[Member]) -> list[list[Member]]:
        shared = backend.defaults(kind(getattr(self._setting, role).name)).batch_is_shared
        shared |= self._setting.train.batch_shards is not None  # else populations would depend on the devices
        devices, limit = 1 if shared else jax.local_device_count(), self._limit(role)
        size = self._setting.run.part_seeds or self._setting.run.seeds
        of_parts = (list(part) for _, part in itertools.groupby(members, lambda m: m.seed // size))
        return [portion for part in of_parts for portion in population.split(part, limit, devices)]

    def finished(self) -> dict[Member, RunFolder]:
        """The members whose dumps and last checkpoint are all on disk; asked of the first process alone."""
        total = self._schedule.total_steps
        folders = {}
        there = find_dumps(self._setting.run.workdir)
        places = list(itertools.product(self._schedule.snapshot_steps, ("train", "test")))
        for folder in workdir.populations(self._setting.run.workdir):
            has_dumps = all((m.name, m.seed, *place) in there for m in folder.members for place in places)
            if folder.is_finished and folder.checkpoint(total) and has_dumps:
                folders |= dict.fromkeys(folder.members, folder)
        return folders

    def begun(self, role: str) -> list[Begun]:
        """The populations that were begun, and how their members go on."""
        return processes.seen_by_first(lambda: self._begun(role, self._unfinished(role)))

    def _unfinished(self, role: str) -> list[Member]:
        finished = self.finished()
        return [m for m in self.members(role) if m not in finished]

    def _begun(self, role: str, unfinished: Sequence[Member]) -> list[Begun]:
        folders = workdir.populations(self._setting.run.workdir)
        return splitting.begun(folders, unfinished, self._limit(role), functools.partial(self._split, role))

    def remaining(self, role: str) -> list[list[Member]]:
        """The members still to be trained, as populations: those that were begun go on, then come the others."""
        return processes.seen_by_first(lambda: self._remaining(role))

    def _remaining(self, role: str) -> list[list[Member]]:
        members, unfinished = self.members(role), self._unfinished(role)
        portions = [list(portion) for begun in self._begun(role, unfinished) for portion in begun.portions]
        # Of the others those populations that an undisturbed study would have, so that it is equal to it to the bit.
        free = set(unfinished) - {m for portion in portions for m in portion}
        portions += [portion for portion in self._split(role, members) if free.issuperset(portion)]
        rest = [m for m in unfinished if not any(m in portion for portion in portions)]
        portions += self._split(role, rest)
        return portions

    def remember(self, role: str, fitting: int) -> None:
        """Notes that no more than so many fit in memory at once."""
        run = self._setting.run
        if processes.is_first():
            limit = backend.memory_limit(run.memory_gib)
            most, devices = self._requested(role), jax.device_count()
            workdir.remember_fitting(run.workdir, role, most, limit, devices, fitting)
        processes.barrier("fitting-remembered")
