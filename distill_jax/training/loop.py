"""Training of one population from its first step, or its newest checkpoint, to its last, with dumps on the way."""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from distill_jax.dumps import DumpWriter, dump_path
from distill_jax.identity import digest
from distill_jax.machine import processes
from distill_jax.machine.checkpoint import Checkpoints
from distill_jax.machine.interruption import Interrupted, Interruption
from distill_jax.training.meter import Meter
from distill_jax.training.population import Member
from distill_jax.training.progress import Bar, Scalars
from distill_jax.training.schedule import dispatches
from distill_jax.training.step import TrainState
from distill_jax.training.trainer import Timing, Trainer


def train(
    trainer: Trainer,
    members: Sequence[Member],
    teachers: Any,
    *,
    folder: Path,
    digests: Sequence[str],
    name: str,
    console: Console,
) -> Timing:
    """Trains a population to its end and dumps its snapshots; resumes what it finds begun in `folder`.

    Args:
      trainer: for populations of this shape.
      members: who is trained.
      teachers: what `Trainer.runner` takes.
      folder: of this population, for checkpoints.
      digests: of each member, what makes it what it is; see `run_digest`.
      name: what to call it while it works.
      console: for progress.

    Returns:
      The time it took. The last checkpoint has the trained models.

    Raises:
      RunError: the loss is not finite.
      InputError: a checkpoint or the disk is in a state the user must mend.
      Interrupted: asked to stop; a checkpoint was written.
    """
    setting, schedule = trainer.setting, trainer.schedule
    run, workdir = setting.run, setting.run.workdir
    timing = Timing()

    def paths(step: int, split: str) -> list[Path]:
        return [dump_path(workdir, m.name, m.seed, step, split) for m in members]

    def missing(step: int) -> dict[str, np.ndarray]:
        # As the first process sees it: the others' view of a shared folder may be older.
        absent = {s: processes.from_first([not p.exists() for p in paths(step, s)]) for s in trainer.inputs}
        return {s: of_members for s, of_members in absent.items() if of_members.any()}

    def dump(state: TrainState, step: int) -> None:
        started = time.monotonic()
        for split_name, absent in missing(step).items():
            split = getattr(trainer.dataset, split_name)
            logits, first_row = trainer.predict(
                state.variables, trainer.inputs[split_name], trainer.buckets.get(split_name)
            )
            items, labels = [], []
            of_each = zip(members, paths(step, split_name), logits, digests, absent, strict=True)
            for member, path, of_member, its_digest, is_absent in of_each:
                attributes = {
                    "model": member.name,
                    "seed": member.seed,
                    "step": step,
                    "split": split_name,
                    "num_classes": trainer.dataset.num_classes,
                    "setting": its_digest,
                }
                if is_absent:
                    items.append((path, of_member, attributes))
                    labels.append(trainer.dataset.label(split_name, member.seed))
            writer(items, np.stack(labels), split.true_label, split.id, first_row)
        timing.dumps += time.monotonic() - started

    def save(state: TrainState, step: int) -> None:
        started = time.monotonic()
        writer.wait()  # what a checkpoint is later than is on disk
        timing.dumps += time.monotonic() - started
        checkpoints.save(step, state, dataclasses.asdict(timing))

    checkpoints = Checkpoints(folder / "checkpoints", run.keep_checkpoints, digest(digests))
    with checkpoints, DumpWriter() as writer, Interruption() as interruption:
        # A dump that is lost can be made again only from a checkpoint at or before its step.
        lost = next((s for s in schedule.snapshot_steps if missing(s)), schedule.total_steps)
        usable = [s for s in checkpoints.steps() if s <= lost]
        if usable:
            checkpoints.delete_after(usable[-1])
            restored = checkpoints.restore(usable[-1], trainer.state_like())
            state, first, timing = restored.state, restored.step, Timing(**restored.seconds)
            if first in schedule.snapshot_steps:
                dump(state, first)
        else:
            checkpoints.delete_after(-1)
            # Dumps that are there are another training's: equal to this one's to rounding, but not to the bit.
            if processes.is_first():
                for path in [p for step in schedule.snapshot_steps for s in trainer.inputs for p in paths(step, s)]:
                    shutil.rmtree(path, ignore_errors=True)
            processes.barrier("dumps-removed")
            state, first = trainer.initial_state(members), 0
        runner = trainer.runner(members, teachers, timing)
        scalars = bar = None
        if processes.is_first():
            board = workdir / "tensorboard" if run.tensorboard else None
            scalars = Scalars(folder / "scalars.jsonl", members, first, board)
        bar = Bar(console, name, schedule.total_steps, first)
        try:
            meter = Meter(trainer, runner, members, scalars, bar, timing=timing, first=first)
            next_checkpoint, end = None, first
            for start, steps in dispatches(first, schedule, trainer.steps_per_dispatch):
                state, metrics = runner(state, start, steps)
                meter.add(start, metrics)
                end = start + steps
                stop = interruption.requested()
                last = end == schedule.total_steps
                if next_checkpoint is None and start > first:
                    next_checkpoint = _next_checkpoint(end, meter.seconds_a_step(), run.checkpoint_seconds)
                due = next_checkpoint is not None and end >= next_checkpoint
                if end in schedule.snapshot_steps:
                    meter.drain()
                    dump(state, end)
                    meter.restart()
                if stop or last or due or run.checkpoint_seconds == 0:
                    meter.drain()
                    save(state, end)
                    next_checkpoint = _next_checkpoint(end, meter.seconds_a_step(), run.checkpoint_seconds)
                    meter.restart()
                if stop:
                    break
            checkpoints.wait()
            stop = interruption.requested()
            if stop:
                raise Interrupted(
                    stop,
                    f"stopped {name} after step {end} of {schedule.total_steps}, saved; the same command goes on",
                )
        finally:
            bar.close()
            if scalars is not None:
                scalars.close()
    return timing


def _next_checkpoint(step: int, seconds_a_step: float, interval: float) -> int:
    """The step of the next checkpoint; agreed on by all processes, whose clocks differ."""
    steps = round(interval / max(seconds_a_step, 1e-6))
    return step + int(processes.from_first(min(max(steps, 1), 2**30)))
