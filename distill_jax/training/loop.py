"""Training of one population from its first step, or its newest checkpoint, to its last, with dumps on the way."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.dumps import DumpWriter, dump_exists, dump_path, remove_dumps
from distill_jax.errors import Interrupted
from distill_jax.identity import digest
from distill_jax.machine import processes
from distill_jax.machine.checkpoint import Checkpoints
from distill_jax.machine.interruption import Interruption
from distill_jax.training.meter import Meter
from distill_jax.training.origin import Origin, restored
from distill_jax.training.population import Member
from distill_jax.training.profiling import Profile
from distill_jax.training.progress import Scalars, StudyProgress, say
from distill_jax.training.schedule import dispatches
from distill_jax.training.step import TrainState
from distill_jax.training.trackers import Trackers
from distill_jax.training.trainer import Runner, Timing, Trainer


class Snapshots:
    """A population's dumps at some steps: which are there, and how they are made.

    Args:
      trainer: of the population.
      members: who is trained.
      digests: of each member's run; see `run_digest`.

    Attributes:
      timing: of the training, which is told the seconds that they take.
    """

    def __init__(self, trainer: Trainer, members: Sequence[Member], digests: Sequence[str]):
        self.trainer, self.members, self.digests = trainer, members, digests
        self.timing = Timing()

    def paths(self, step: int, split: str) -> list[Path]:
        """Where each member's dump is."""
        workdir = self.trainer.setting.run.workdir
        return [dump_path(workdir, m.name, m.seed, step, split) for m in self.members]

    def missing(self, step: int) -> dict[str, np.ndarray]:
        """Of each split that lacks dumps whether each member does, bool [members]."""

        def missing() -> dict[str, np.ndarray]:
            paths = {split: self.paths(step, split) for split in self.trainer.inputs}
            return {split: np.array([not dump_exists(path) for path in of_split]) for split, of_split in paths.items()}

        return {split: flags for split, flags in processes.seen_by_first(missing).items() if flags.any()}

    def remove_after(self, step: int) -> None:
        """Removes those of later steps."""
        if processes.is_first():
            steps, splits = [s for s in self.trainer.schedule.snapshot_steps if s > step], self.trainer.inputs
            remove_dumps([path for step in steps for split in splits for path in self.paths(step, split)])
        processes.barrier("dumps-removed")

    def write(self, writer: DumpWriter, state: TrainState, step: int) -> None:
        """Makes those that are missing at a step; a thread writes them."""
        started = time.monotonic()
        for split, missing in self.missing(step).items():
            self._write(writer, state, step, split, missing)
        self.timing.dumps += time.monotonic() - started

    def _write(self, writer: DumpWriter, state: TrainState, step: int, split: str, missing: np.ndarray) -> None:
        trainer = self.trainer
        data = getattr(trainer.dataset, split)
        logits, first_row = trainer.predict(state.variables, trainer.inputs[split], trainer.buckets.get(split))
        items, labels = [], []
        rows = zip(self.members, self.paths(step, split), logits, self.digests, missing, strict=True)
        for member, path, member_logits, member_digest, is_missing in rows:
            if is_missing:
                items.append((path, member_logits, {"setting": member_digest}))
                labels.append(trainer.dataset.label(split, member.seed))
        room = trainer.setting.run.seeds_to_train, trainer.schedule.snapshot_steps
        writer(items, np.stack(labels), data.true_label, data.id, first_row, room)


def train(
    trainer: Trainer,
    members: Sequence[Member],
    teachers: Any,
    *,
    folder: Path,
    shared: bool,
    digests: Sequence[str],
    name: str,
    progress: StudyProgress,
    profile: Profile,
    origin: Origin | None = None,
) -> Timing:
    """Trains a population to its end and dumps its snapshots; resumes a training begun in `folder`, or in another.

    Args:
      trainer: for populations of this shape.
      members: who is trained.
      teachers: as `Trainer.runner` takes them.
      folder: of this population, for checkpoints.
      shared: whether all processes share it and that of the dumps, see `write_dumps`.
      digests: of each member's run; see `run_digest`.
      name: what to call it while it works.
      progress: of the study.
      profile: traces some of its steps.
      origin: where the members have got further than in `folder`, if anywhere.

    Returns:
      The time it took. The last checkpoint has the trained models.

    Raises:
      RunError: the loss is not finite.
      InputError: a checkpoint or the disk is in a state the user must mend.
      Interrupted: asked to stop; a checkpoint was written.
    """
    run, schedule = trainer.setting.run, trainer.schedule
    snapshots = Snapshots(trainer, members, digests)
    checkpoints = Checkpoints(folder / "checkpoints", run.keep_checkpoints, digest(digests))
    with checkpoints, DumpWriter(shared) as writer, Interruption() as interruption:
        state, first = _beginning(snapshots, checkpoints, writer, origin)
        timing = snapshots.timing
        runner = trainer.runner(members, teachers, timing)
        with contextlib.ExitStack() as open_files:
            open_files.enter_context(contextlib.closing(runner))
            bar = progress.begin(name, members, schedule.total_steps, first)
            scalars = _scalars(trainer, members, folder, first, progress)
            if scalars is not None:
                open_files.enter_context(contextlib.closing(scalars))
            meter = Meter(trainer, runner, members, scalars, bar, timing=timing, first=first)
            profile.choose(dispatches(first, schedule, trainer.steps_per_dispatch), schedule.total_steps)
            open_files.enter_context(contextlib.closing(profile))
            session = _Session(runner, meter, snapshots, checkpoints, writer, profile)
            end = session.advance(state, first, interruption)
            bar.close()  # one that fails is not counted as done: it may go on in parts
            checkpoints.wait()
            stop = interruption.requested()
            if stop:
                raise Interrupted(
                    stop,
                    f"stopped {name} after step {end} of {schedule.total_steps}, saved; the same command goes on",
                )
    return timing


@dataclasses.dataclass(frozen=True)
class _Session:
    """What a training is advanced by in one process, and what is kept of it on the way."""

    runner: Runner
    meter: Meter
    snapshots: Snapshots
    checkpoints: Checkpoints
    writer: DumpWriter
    profile: Profile

    def advance(self, state: TrainState, first: int, interruption: Interruption) -> int:
        """Trains from a step on, to the end or until it is asked to stop; the step that is reached, and saved."""
        trainer = self.snapshots.trainer
        schedule, interval = trainer.schedule, trainer.setting.run.checkpoint_seconds
        next_checkpoint, end = None, first
        for start, steps in dispatches(first, schedule, trainer.steps_per_dispatch):
            self.profile.before(start, state)
            state, metrics = self.runner(state, start, steps)
            self.meter.add(start, metrics)
            end = start + steps
            self.profile.after(end, state)
            stop = interruption.requested()
            last = end == schedule.total_steps
            if next_checkpoint is None and start > first:
                next_checkpoint = _next_checkpoint(end, self.meter.seconds_a_step(), interval)
            due = next_checkpoint is not None and end >= next_checkpoint
            if end in schedule.snapshot_steps:
                self.meter.drain()
                self.snapshots.write(self.writer, state, end)
                self.meter.restart()
            if stop or last or due or interval == 0:
                self.meter.drain()
                _save(self.checkpoints, self.writer, state, end, self.snapshots.timing)
                next_checkpoint = _next_checkpoint(end, self.meter.seconds_a_step(), interval)
                self.meter.restart()
            if stop:
                break
        return end


def _scalars(
    trainer: Trainer, members: Sequence[Member], folder: Path, first: int, progress: StudyProgress
) -> Scalars | None:
    """The training's curves, which the first process writes, with all who are told of them."""
    if not processes.is_first():
        return None
    total, tell = trainer.schedule.total_steps, functools.partial(say, progress.console)
    told = Trackers(trainer.setting, members, folder, first_step=first, total_steps=total, say=tell)
    return Scalars(folder / "scalars.jsonl", members, first, told)


def _beginning(
    snapshots: Snapshots, checkpoints: Checkpoints, writer: DumpWriter, origin: Origin | None
) -> tuple[TrainState, int]:
    """The state to begin from and its step: the newest checkpoint's that serves, with its seconds, or a new one."""
    trainer, members = snapshots.trainer, snapshots.members
    schedule = trainer.schedule
    # A dump that is lost can be made again only from a checkpoint at or before its step.
    first_missing = next((step for step in schedule.snapshot_steps if snapshots.missing(step)), schedule.total_steps)
    others = () if origin is None else origin.steps
    usable = max((step for step in (*checkpoints.steps(), *others) if step <= first_missing), default=None)
    if usable is None:
        checkpoints.delete_after(-1)
        # Dumps that are there are another training's: equal to this one's to rounding, but not to the bit.
        snapshots.remove_after(0)
        return trainer.initial_state(members), 0
    if origin is not None and usable in others:
        found = origin.restore(usable, trainer, members)
        checkpoints.delete_after(usable - 1)
        checkpoints.save(usable, found.state, found.seconds)
        snapshots.remove_after(usable)  # for the same reason
    else:
        checkpoints.delete_after(usable)
        found = restored(checkpoints, usable, trainer, members)
    snapshots.timing = Timing(**found.seconds)
    if found.step in schedule.snapshot_steps:
        snapshots.write(writer, found.state, found.step)
    return found.state, found.step


def _save(checkpoints: Checkpoints, writer: DumpWriter, state: TrainState, step: int, timing: Timing) -> None:
    started = time.monotonic()
    writer.wait()  # dumps that a checkpoint is later than are on disk
    timing.dumps += time.monotonic() - started
    checkpoints.save(step, state, dataclasses.asdict(timing))


def _next_checkpoint(step: int, seconds_a_step: float, interval: float) -> int:
    """The step of the next checkpoint; agreed on by all processes, whose clocks differ."""
    steps = round(interval / max(seconds_a_step, 1e-6))
    return step + int(processes.from_first(min(max(steps, 1), 2**30)))
