"""Which models a study has, which of them are finished, and which of the others train together."""

import itertools
from collections.abc import Sequence

import jax

from distill_jax.dumps import find_dumps
from distill_jax.machine import backend, processes
from distill_jax.models import kind
from distill_jax.setting import Setting
from distill_jax.study import sweep, workdir
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
        seeds = range(self._setting.run.seeds)
        if role == "teacher":
            return [Member("teacher", seed) for seed in seeds]
        return [m for seed in seeds for m in sweep.students(self._setting, self._schedule.total_steps, seed)]

    def _requested(self, role: str) -> int:
        """Most members of a population, as asked for or by default."""
        network = getattr(self._setting, role).name
        return self._setting.run.population or backend.defaults(kind(network)).population

    def limit(self, role: str) -> int:
        """The same, or fewer where it has been found that they would not fit in memory."""
        run = self._setting.run
        limit = backend.memory_limit(run.memory_gib)
        return int(processes.from_first(workdir.fitting(run.workdir, role, self._requested(role), limit)))

    def split(self, role: str, members: Sequence[Member]) -> list[list[Member]]:
        """Populations of these members."""
        shared = backend.defaults(kind(getattr(self._setting, role).name)).batch_is_shared
        shared |= self._setting.train.batch_shards is not None  # else populations would depend on the devices
        return population.split(members, self.limit(role), 1 if shared else jax.local_device_count())

    def finished(self) -> dict[Member, RunFolder]:
        """The members whose dumps and last checkpoint are all on disk."""
        total = self._schedule.total_steps
        folders = {}
        there = find_dumps(self._setting.run.workdir)
        places = list(itertools.product(self._schedule.snapshot_steps, ("train", "test")))
        for folder in workdir.populations(self._setting.run.workdir):
            has_dumps = all((m.name, m.seed, *place) in there for m in folder.members for place in places)
            if folder.is_finished and folder.checkpoint(total) and has_dumps:
                folders |= dict.fromkeys(folder.members, folder)
        return folders

    def remaining(self, role: str) -> list[list[Member]]:
        """The members still to be trained, as populations: those that were begun as they are, then the others."""
        members, finished = self.members(role), self.finished()
        unfinished, size_limit = [m for m in members if m not in finished], self.limit(role)
        portions: list[list[Member]] = []
        for begun in workdir.populations(self._setting.run.workdir):
            free = set(unfinished) - {m for portion in portions for m in portion}
            if begun.checkpoint() and len(begun.members) <= size_limit and free.issuperset(begun.members):
                portions.append(list(begun.members))
        # Of the others those populations that an undisturbed study would have, so that it is equal to it to the bit.
        free = set(unfinished) - {m for portion in portions for m in portion}
        portions += [portion for portion in self.split(role, members) if free.issuperset(portion)]
        rest = [m for m in unfinished if not any(m in portion for portion in portions)]
        portions += self.split(role, rest)
        # The first process has seen the folder as it is: each member's portion, and its place there as a checkpoint
        # has it; -1 is a member that is finished.
        position = {m: (number, rank) for number, portion in enumerate(portions) for rank, m in enumerate(portion)}
        positions = processes.from_first([position.get(m, (-1, -1)) for m in members])
        placed = sorted((number, rank, i) for i, (number, rank) in enumerate(positions.tolist()) if number >= 0)
        return [[members[i] for *_, i in group] for _, group in itertools.groupby(placed, lambda p: p[0])]

    def remember(self, role: str, fitting: int) -> None:
        """Notes that no more than so many fit in memory at once."""
        run = self._setting.run
        if processes.is_first():
            limit = backend.memory_limit(run.memory_gib)
            workdir.remember_fitting(run.workdir, role, self._requested(role), limit, fitting)
        processes.barrier("fitting-remembered")
