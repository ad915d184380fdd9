"""A whole study: teachers, then their students, population by population; what is finished is not done again."""

import collections
import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from distill_jax import class_names, limits, saved_setting
from distill_jax.data.sources.tokens import save_tokenizer
from distill_jax.dumps import dump_attributes, dump_exists, dump_path, find_dumps
from distill_jax.errors import InputError
from distill_jax.export import inputs
from distill_jax.fields import leaves
from distill_jax.identity import digest, identity
from distill_jax.machine import backend, processes
from distill_jax.machine.environment import commit
from distill_jax.models import huggingface
from distill_jax.models.roberta import Roberta
from distill_jax.own_code import code
from distill_jax.paths import resolved
from distill_jax.setting import Setting
from distill_jax.students import MODELS, TEACHER
from distill_jax.study import parts, splitting, sweep, workdir
from distill_jax.study.given_teacher import GivenTeacher, Source, write
from distill_jax.study.given_weights import TeacherOfWeights
from distill_jax.study.portions import Portions
from distill_jax.study.prepared import idle_devices, prepare
from distill_jax.study.teachers import Teachers
from distill_jax.study.workdir import RunFolder
from distill_jax.training.loop import train
from distill_jax.training.objective import switch_step
from distill_jax.training.population import Member, seeds, shape
from distill_jax.training.profiling import Profile
from distill_jax.training.progress import StudyProgress, say
from distill_jax.training.run_digest import run_digest
from distill_jax.training.trainer import Timing, Trainer


class Study:
    """A study in its work directory.

    Args:
      setting: what to study.
      console: for what a person should see.
      arrays: data that are there already, see `data.load_dataset`.
      teacher: one that is there already, beside those that the setting names: see `given_teacher`.

    Raises:
      InputError: the setting, the data or the work directory is not right; nothing was written then.
    """

    def __init__(
        self,
        setting: Setting,
        console: Console,
        *,
        arrays: Mapping[str, Any] | None = None,
        teacher: Source | None = None,
    ):
        if arrays is not None:
            setting = dataclasses.replace(setting, data=dataclasses.replace(setting.data, dataset="arrays"))
        sources: list[Source] = [*setting.given.logits, *([] if teacher is None else [teacher])]
        if teacher is not None:
            given = dataclasses.replace(setting.given, logits=(*setting.given.logits, "arrays"))
            setting = dataclasses.replace(setting, given=given)
        self.setting, self._console = resolved(setting), console
        processes.require_same(_of_all_processes(self.setting))
        prepared = processes.together(lambda: prepare(self.setting, console, arrays, sources))
        self.dataset, self.schedule = prepared.dataset, prepared.schedule
        self._networks, self._given = prepared.networks, prepared.given
        self.portions = Portions(self.setting, self.schedule)
        for note in dict.fromkeys(self._idle_devices()):
            say(console, note)
        self.switch_step = switch_step(self.setting.objective, self.schedule.total_steps)
        self.identity = identity(self.setting) | {"fingerprint": self.dataset.fingerprint}
        if self._given is not None:
            self.identity["teacher"] = dict(self._given.identity)
        processes.require_same({"the study's " + name: digest(value) for name, value in self.identity.items()})
        processes.by_first(self._claim)
        self._shared = workdir.is_shared(self.setting.run.workdir)
        if not self._shared:
            say(console, "the processes share no work folder: the first alone writes and reads it")

    def _idle_devices(self) -> Iterator[str]:
        """Of each population which devices it leaves idle, where it does, by what the first process knows."""
        for role in self._networks:
            for population in self.portions.split(role, self.portions.members(role)):
                note = idle_devices(getattr(self.setting, role).name, shape(population), self.setting.train)
                if note is not None:
                    yield note

    def _claim(self) -> None:
        """Makes the work directory this study's, or sees that it and the dumps in it are."""
        folder = self.setting.run.workdir
        workdir.check_plain(folder)
        if workdir.is_claimed(folder):  # which says what is another there
            workdir.claim(folder, self.identity)
        self._check_dumps(folder)
        parts.check_whole(self.setting.run, self.identity)
        workdir.claim(folder, self.identity)

    def _check_dumps(self, folder: Path) -> None:
        """Checks that what a work directory has of this study's models is this study's."""
        dumps = find_dumps(folder)
        for member in [*self.portions.members("teacher"), *self.portions.members("student")]:
            member_digest = self._digest(member)
            for step, part in itertools.product(self.schedule.snapshot_steps, ("train", "test")):
                path = dumps.get((member.name, member.seed, step, part))
                if path is not None and dump_attributes(path).get("setting") != member_digest:
                    detail = (
                        "" if member.model in MODELS else " (of other settings of its loss, other features or code)"
                    )
                    raise InputError(
                        "run.workdir", folder, f"holds another study's dumps ({path}){detail}; choose another folder"
                    )

    def train(self) -> None:
        """Trains what is not yet trained.

        Raises:
          RunError, InputError, Interrupted: as `train.train`; or another process is at work in the work directory.
        """
        precision = "highest" if self.setting.train.precision == "float32" else "default"
        run = self.setting.run
        lock = processes.by_first(lambda: parts.lock(run, self.identity))
        with lock or contextlib.nullcontext(), jax.default_matmul_precision(precision):
            if run.part is None:
                room, tell = (run.seeds_to_train, self.schedule.snapshot_steps), functools.partial(say, self._console)
                named = run.workdir, self.identity, self._check_dumps, room
                parts.take_in(*named, shared=self._shared, say=tell)
            elif processes.seen_by_first(self._is_taken_in):
                say(self._console, f"part {run.part} was taken in already")
                return
            if processes.is_first():
                self._describe()
            profile = self._profile()
            if self._given is not None:
                self._write_given(self._given)
            with StudyProgress(self._console) as progress:
                for role in self._networks:
                    progress.plan(role, map(len, self.portions.remaining(role)))
                for role in self._networks:
                    self._train(role, progress, profile)
            profile.end()
            if processes.is_first():
                splitting.remove_superseded(run.workdir, self.portions.finished())
        if run.part is not None:
            say(self._console, f"part {run.part} is trained, and taken in by the command of the whole study")

    def _is_taken_in(self) -> bool:
        """Whether the study has all models of this part."""
        wanted = [m for role in self._networks for m in self.portions.members(role)]
        return parts.taken(self.setting.run.workdir).issuperset(wanted)

    def _profile(self) -> Profile:
        """What traces some steps of the first training, if that is asked for."""
        run = self.setting.run
        members = [m for role in self._networks for m in self.portions.members(role)]
        if run.profile and processes.seen_by_first(lambda: self.portions.finished().keys() >= set(members)):
            raise InputError(
                "run.profile", True, f"must be left out, since nothing is left to train in `run.workdir` {run.workdir}"
            )
        folder = run.workdir / "profile" if run.profile and processes.is_first() else None
        return Profile(folder, functools.partial(say, self._console))

    def _write_given(self, teacher: GivenTeacher) -> None:
        """Writes a given teacher's dumps that are not there."""
        digests = {m.seed: self._digest(m) for m in self.portions.members(TEACHER)}
        last, shared = self.schedule.total_steps, self._shared
        written = write(teacher, self.dataset, self.setting.run.workdir, last, digests, shared=shared)
        if written and isinstance(teacher, TeacherOfWeights) and processes.is_first():
            for line in teacher.judged(self.dataset, "do its classes have the numbers of the data's?"):
                say(self._console, line)

    def _digest(self, member: Member) -> str:
        """A digest of everything that determines a member: `run_digest`, with the given teacher's name."""
        teacher_digest = None if self._given is None else self._given.digest(member.seed)
        return run_digest(
            member.applied(self.setting), member.model, member.seed, self.dataset.fingerprint, teacher_digest
        )

    def _describe(self) -> None:
        """Writes the setting, what classes are called, and what is to be known of networks that are taken away."""
        folder, names = self.setting.run.workdir, self.dataset.names
        saved_setting.save(self.setting, folder / workdir.SAVED)
        own = {role: code([getattr(self.setting, role).name]) for role in self._networks}
        inputs.Inputs.of(self.dataset).save(workdir.inputs_file(folder), own)
        if (called := self.dataset.called) is not None:
            class_names.write(folder, called)
        for role, model in self._networks.items():
            if isinstance(model, Roberta):
                huggingface.write_config(workdir.network_folder(folder, role), model, names)
        if self.dataset.vocabulary is not None:
            save_tokenizer(self.setting.data, workdir.tokenizer_folder(folder))

    @property
    def students(self) -> list[Member]:
        """The students of seed 0, those of the sweep included."""
        return sweep.students(self.setting, self.schedule.total_steps)

    def _train(self, role: str, progress: StudyProgress, profile: Profile) -> None:
        portions, size_limit = self.portions.remaining(role), self.portions.limit(role)
        remaining, total = sum(map(len, portions)), len(self.portions.members(role))
        if remaining > size_limit > 1:
            say(
                self._console,
                f"{remaining} {role}s are more than a population of {size_limit}: they are trained in portions",
            )
        teachers = None
        if role == "student":
            finished = processes.seen_by_first(self.portions.finished)
            arguments = self.setting, self.dataset, self.schedule.total_steps, finished, self._console
            variables = self._given.variables if isinstance(self._given, TeacherOfWeights) else None
            teachers = Teachers(*arguments, variables).given([m.seed for portion in portions for m in portion])
        trainers: dict[tuple[int, int], Trainer] = {}
        done = 0
        self._say_splits(role)
        while portions:
            progress.plan(role, map(len, portions))
            portion = portions.pop(0)
            number = f" ({done + 1} of {done + 1 + len(portions)})" if done + len(portions) > 0 else ""
            fitting, error = len(portion), None
            try:
                fitting = self._train_portion(role, portion, number, teachers, trainers, (progress, profile))
            except jax.errors.JaxRuntimeError as raised:
                error = splitting.shortage(raised, portion)
            if error is not None:
                fitting = len(portion) // 2
                say(self._console, f"{_name(portion)}: {error}: {fitting} at once are tried instead")
            if fitting < len(portion):
                trainers.clear()
                self.portions.remember(role, fitting)
                self._say_splits(role)
                portions = self.portions.remaining(role)
                continue
            done += 1
        if processes.is_first() and remaining < total:
            say(self._console, f"{total - remaining} of {total} {role}s were there already")

    def _say_splits(self, role: str) -> None:
        """Says which populations do not go on as they were begun."""
        begun, most = self.portions.begun(role), self.portions.limit(role)
        for population in begun if processes.is_first() else ():
            if population.is_split:
                say(self._console, splitting.said(population, _name, self.portions.members(role), most))

    def _train_portion(
        self,
        role: str,
        portion: list[Member],
        number: str,
        teachers: Callable[[int], Any] | None,
        trainers: dict[tuple[int, int], Trainer],
        watched: tuple[StudyProgress, Profile],
    ) -> int:
        """Trains a population, where it fits; gives how many members do."""
        extent, progress, profile = shape(portion), *watched
        if extent not in trainers:
            trainers[extent] = Trainer(self.setting, self.dataset, role, extent)
        trainer = trainers[extent]
        population = RunFolder.of(self.setting.run.workdir, portion)
        if len(portion) > 1 and not processes.seen_by_first(lambda: population.checkpoint(self.schedule.total_steps)):
            fitting = self._fitting(trainer, portion)
            if fitting < len(portion):
                return fitting
        self._fit_evaluation(trainer, portion)
        origin = splitting.origin(self.setting.run.workdir, portion, self._digest)
        if processes.is_first():
            if origin is not None:
                splitting.carry_over(origin, population)
            self._begin(population, _name(portion))
        teacher_outputs = None if teachers is None else [teachers(seed) for seed in seeds(portion)]
        stacked_outputs = None if teacher_outputs is None else jax.tree.map(lambda *a: np.stack(a), *teacher_outputs)
        timing = train(
            trainer,
            portion,
            stacked_outputs,
            folder=population.folder,
            shared=self._shared,
            digests=[self._digest(member) for member in portion],
            name=_name(portion) + number,
            progress=progress,
            profile=profile,
            origin=origin,
        )
        if processes.is_first():
            self._finish(population, _name(portion) + number, timing, len(portion))
        processes.barrier("finished")
        return len(portion)

    def _begin(self, population: RunFolder, name: str) -> None:
        """Notes in a population's folder by which code it is trained."""
        if (message := self._lost(population)) is not None:
            say(self._console, f"{name}: {message}")
        last_commits, current_commit = population.commits()[-1:], commit()
        population.begin(current_commit, [self._digest(member) for member in population.members])
        if last_commits not in ([], [current_commit]):
            begun = f"begun by code of commit {last_commits[0]}, goes on with {current_commit}"
            say(self._console, f"{name}: {begun}")

    def _finish(self, population: RunFolder, name: str, timing: Timing, models: int) -> None:
        """Notes in a population's folder that it is trained, and how long that took."""
        examples = self.schedule.total_steps * self.setting.train.batch_size * models
        seconds = {f"{kind}_seconds": spent for kind, spent in dataclasses.asdict(timing).items()}
        population.finish(seconds | {"training_examples": examples})
        speed = examples / max(timing.training, 1e-9)
        say(
            self._console,
            f"{name}: {self.schedule.total_steps} steps in {timing.training:.1f} s, {speed:,.0f} examples/s "
            f"(compilation {timing.compilation:.1f} s, dumps {timing.dumps:.1f} s)",
        )

    def _lost(self, population: RunFolder) -> str | None:
        """A message where parts of a training are there without others, which are made again; else None."""
        if population.is_finished:
            return "was finished, but dumps or checkpoints of it are gone; they are made again"
        folder, step = self.setting.run.workdir, self.schedule.snapshot_steps[0]
        dumps = [dump_path(folder, m.name, m.seed, step, "test") for m in population.members]
        if not population.checkpoint() and any(dump_exists(path) for path in dumps):
            return "has dumps, but not the training they are of, which is done again"
        return None

    def _fitting(self, trainer: Trainer, portion: Sequence[Member]) -> int:
        """How many members to train at once: all of the portion, or fewer where they would not fit in memory."""
        limit, host = backend.memory_limit(self.setting.run.memory_gib), limits.host_memory()
        need, logits = trainer.runner(portion, None, Timing()).memory(), self._logits_bytes(len(portion))
        if jax.default_backend() == "cpu":  # whose devices have the host's memory
            need, logits = need + logits / jax.local_device_count(), 0
        share = min(limit / need, host / max(logits, 1))
        fitting = len(portion) if share >= 1 else max(min(int(len(portion) * share), len(portion) - 1), 1)
        fitting = int(processes.from_first([fitting])[0])
        if fitting < len(portion):
            shortage = f"{need / 2**30:.2g} GiB of a device's {limit / 2**30:.2g}"
            if limit >= need:
                shortage = f"{logits / 2**30:.2g} GiB of this machine's {host / 2**30:.2g} for their logits"
            say(self._console, f"{_name(portion)}, need {shortage}: {fitting} at once are tried instead")
        return fitting

    def _fit_evaluation(self, trainer: Trainer, portion: Sequence[Member]) -> None:
        """Sees to it that dumps can be made; on CPUs, whose memory is large for what they do, only if asked to."""
        if jax.default_backend() == "cpu" and self.setting.run.memory_gib is None:
            return
        before, size = trainer.fit_evaluation(backend.memory_limit(self.setting.run.memory_gib))
        if size < before and processes.is_first():
            say(self._console, f"{_name(portion)}: {size} examples are evaluated at once, since {before} do not fit")

    def _logits_bytes(self, members: int) -> float:
        """Of this process's memory for a dump's logits: while they are put together, and while they are written."""
        rows = len(self.dataset.train.label) + len(self.dataset.test.label)
        return 2 * 4 * members * rows * self.dataset.num_classes / jax.process_count()

    def commits(self) -> list[str | None]:
        """The commits of the code that trained its populations, each once; None is one outside a git checkout."""
        populations = dict.fromkeys(self.portions.finished().values())
        return list(dict.fromkeys(commit for population in populations for commit in population.commits()))

    def facts(self) -> dict[str, Any]:
        """Seconds of every kind that teachers and students took, over all calls that worked on them."""
        sums: dict[str, dict[str, float]] = {"teacher": {}, "student": {}}
        # A population has gone on in parts where it was split: each member's share is where it was finished.
        for population, members in collections.Counter(self.portions.finished().values()).items():
            role_sums = sums["teacher" if population.members[0].model == "teacher" else "student"]
            for name, value in population.facts().items():
                share = value if members == len(population.members) else value * members / len(population.members)
                role_sums[name] = role_sums.get(name, 0) + share
        for role_sums in filter(None, sums.values()):
            role_sums["examples_per_second"] = role_sums["training_examples"] / max(role_sums["training_seconds"], 1e-9)
        total = sum(v for role_sums in sums.values() for name, v in role_sums.items() if name.endswith("_seconds"))
        return sums | {"total_seconds": total}


def _name(members: Sequence[Member]) -> str:
    models = list(dict.fromkeys(m.name for m in members))
    numbers = sorted({m.seed for m in members})
    plural = "teachers" if models == ["teacher"] else "students"
    models_text = f"{len(members)} {plural}" if len(members) > 1 else models[0]
    return f"{models_text}, " + (f"seed {numbers[0]}" if len(numbers) == 1 else f"seeds {numbers[0]}-{numbers[-1]}")


def _of_all_processes(setting: Setting) -> dict[str, str]:
    """Values that must be the same in all processes, by name; paths may differ, their content is compared by itself."""
    places = ("run.coordinator", "run.process_id", "data.dataset")
    values = {field: repr(v) for field, v in leaves(setting) if field not in places and not isinstance(v, Path)}
    if jax.process_count() > 1:
        code_names = [setting.optimizer.optimizer, setting.teacher.name, setting.student.name, *setting.students]
        values["code of one's own"] = code(code_names)
    return values | {"the commit of the code": str(commit()), "the version of JAX": jax.__version__}
