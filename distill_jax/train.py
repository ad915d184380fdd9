"""Training of one population from its first step, or its newest checkpoint, to its last, with dumps on the way."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console

from distill_jax import backend, objective, processes
from distill_jax.checkpoint import Checkpoints
from distill_jax.data.dataset import Dataset
from distill_jax.dumps import dump_path, write_dumps
from distill_jax.errors import InputError, RunError
from distill_jax.interruption import Interrupted, Interruption
from distill_jax.models import build_model
from distill_jax.optimizer import learning_rate_schedule, make_optimizer
from distill_jax.placement import BATCH, MEMBER, make_mesh, place
from distill_jax.population import Member, over_members
from distill_jax.predict import Predictor
from distill_jax.progress import Bar, Scalars
from distill_jax.setting import Setting, run_digest
from distill_jax.train_step import TrainState, make_dispatch, make_epoch_order, make_init

_LOGGED_MOMENTS = 200  # scalars of a run are means over a two-hundredth of it


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a run is, in steps."""

    steps_per_epoch: int
    total_steps: int
    snapshot_steps: tuple[int, ...]

    @classmethod
    def of(cls, setting: Setting, examples: int) -> "Length":
        """The length of a run on so many training examples; a pass's incomplete last batch is dropped."""
        per_epoch = examples // setting.train.batch_size
        total = max(round(setting.train.epochs * per_epoch), 1)
        moments = {min(max(round(share * total), 1), total) for share in setting.train.snapshots}
        return cls(per_epoch, total, tuple(sorted(moments | {total})))


def dispatches(first: int, length: Length, most: int) -> Iterator[tuple[int, int]]:
    """(first step, steps) of each dispatch from `first` on: `most` steps, or one where a snapshot comes sooner.

    Only two sizes, so that only two programs are compiled. A run resumed where one of its dispatches ended makes
    the very calls the uninterrupted run would have made.
    """
    step = 0
    for stop in length.snapshot_steps:
        while step < stop:
            steps = most if step + most <= stop else 1
            if step >= first:
                yield step, steps
            elif step + steps > first:  # begun with another number of steps a dispatch
                steps = first - step
            step += steps


@dataclasses.dataclass
class Timing:
    """Seconds, by what they were spent on; `training` excludes compilation, dumps and checkpoints' waits."""

    training: float = 0.0
    compilation: float = 0.0
    dumps: float = 0.0


class Trainer:
    """Compiled programs and data on the devices for populations of one size.

    Args:
      setting: the study's.
      dataset: what is learned from.
      role: 'teacher' or 'student': which network is trained. Students are given their teachers' variables.
      members: size of the populations.
    """

    def __init__(self, setting: Setting, dataset: Dataset, role: str, members: int):
        self.setting, self.dataset, self.members = setting, dataset, members
        self.length = Length.of(setting, len(dataset.train.label))
        self.mesh = make_mesh(members)
        precision = setting.train.precision
        self._dtype = jnp.dtype(precision)
        build = [dataset.num_classes, dataset.input_shape, precision]
        self.teacher = None if role == "teacher" else build_model(setting.teacher, *build, option="--teacher")
        own = setting.teacher if role == "teacher" else setting.student
        self.model = build_model(own, *build, option=f"--{role}")
        standard = backend.defaults(convolutional(own.name))
        self.steps_per_dispatch = setting.run.steps_per_dispatch or standard.steps_per_dispatch
        optimizer_length = (self.length.total_steps, self.length.steps_per_epoch)
        self.optimizer = make_optimizer(setting.optimizer, *optimizer_length)
        self.learning_rate = learning_rate_schedule(setting.optimizer, *optimizer_length)
        self.by_member = NamedSharding(self.mesh, PartitionSpec(MEMBER))
        check_batch(setting.train.batch_size, members)
        examples = len(dataset.train.label)
        epochs = (self.steps_per_dispatch + self.length.steps_per_epoch - 2) // self.length.steps_per_epoch + 1
        init = make_init(self.model, self.optimizer, dataset.input_shape)
        self._init = jax.jit(over_members(init, (0, 0), members), out_shardings=self.by_member)
        order = over_members(make_epoch_order(examples, epochs), (0, 0, None), members)
        self._order = jax.jit(order, out_shardings=self.by_member)
        self.predict = Predictor(
            self.model,
            self.mesh,
            members,
            mean=dataset.mean,
            std=dataset.std,
            dtype=self._dtype,
            batch=standard.evaluation_batch,
        )
        self._x = {s: place(self.mesh, getattr(dataset, s).x) for s in ("train", "test")}
        self._label = place(self.mesh, dataset.train.label)
        self._programs: dict[tuple[bool, int], Any] = {}

    def initial_state(self, members: Sequence[Member]) -> TrainState:
        """The state before step 0, with a leading member axis."""
        return self._init(*self._identities(members))

    def state_like(self) -> TrainState:
        """Shapes, dtypes and shardings of the state."""
        identity = jax.ShapeDtypeStruct((self.members,), jnp.int32)
        shapes = jax.eval_shape(self._init, identity, identity)
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=self.by_member), shapes)

    def _identities(self, members: Sequence[Member]) -> tuple[jax.Array, jax.Array]:
        roles = np.array([m.role for m in members], np.int32)
        seeds = np.array([m.seed for m in members], np.int32)
        return place(self.mesh, roles, MEMBER), place(self.mesh, seeds, MEMBER)

    def runner(self, members: Sequence[Member], teachers: Any, timing: Timing) -> "_Runner":
        """What advances this population, whose teachers' variables have a leading member axis too."""
        return _Runner(self, members, teachers, timing)

    def lowerable(self, taught: bool, steps: int) -> Any:
        """The jitted dispatch of so many steps, with the teacher in it or not."""
        dispatch = make_dispatch(
            self.model,
            self.optimizer,
            self.mesh,
            mean=self.dataset.mean,
            std=self.dataset.std,
            augmentation=self.setting.data.augment,
            dtype=self._dtype,
            distillation_scale=self.setting.objective.distillation_scale,
            batch_size=self.setting.train.batch_size,
            steps_per_epoch=self.length.steps_per_epoch,
            steps=steps,
            teacher=self.teacher if taught else None,
        )
        mapped = over_members(dispatch, (0, 0, None, None, 0, None, 0, 0, 0, 0), self.members)
        replicated = NamedSharding(self.mesh, PartitionSpec())
        return jax.jit(mapped, donate_argnums=0, out_shardings=(self.by_member, replicated))

    def program(self, taught: bool, steps: int, args: tuple[Any, ...], timing: Timing) -> Any:
        """The same, compiled for these arguments' shapes once."""
        if (taught, steps) not in self._programs:
            started = time.monotonic()
            self._programs[taught, steps] = self.lowerable(taught, steps).lower(*args).compile()
            timing.compilation += time.monotonic() - started
        return self._programs[taught, steps]


class _Runner:
    """Advances one population by dispatches."""

    def __init__(self, trainer: Trainer, members: Sequence[Member], teachers: Any, timing: Timing):
        self._trainer, self._timing = trainer, timing
        setting, total = trainer.setting, trainer.length.total_steps
        self.weights = np.stack([objective.weights(m.model, setting.objective, total) for m in members])
        self._identities = trainer._identities(members)
        temperature = np.full(len(members), setting.objective.temperature, np.float32)
        self._temperature = place(trainer.mesh, temperature, MEMBER)
        self._teachers = None if teachers is None else place(trainer.mesh, teachers, MEMBER)
        self._order: tuple[int, Any] = (-1, None)

    def arguments(self, state: TrainState, first: int, steps: int) -> tuple[Any, ...]:
        """The dispatch's arguments; those of the teacher are {} where its weight is 0 for all members."""
        trainer = self._trainer
        epoch = first // trainer.length.steps_per_epoch
        if self._order[0] != epoch:
            self._order = epoch, trainer._order(*self._identities, jnp.int32(epoch))
        weight = self.weights[:, first : first + steps]
        return (
            state,
            self._teachers if np.any(weight > 0) else {},
            trainer._x["train"],
            trainer._label,
            self._order[1],
            jnp.int32(first),
            place(trainer.mesh, weight, MEMBER),
            self._temperature,
            *self._identities,
        )

    def __call__(self, state: TrainState, first: int, steps: int) -> tuple[TrainState, dict[str, jax.Array]]:
        """The state `steps` later, and metrics [P, steps], neither of which has been waited for."""
        args = self.arguments(state, first, steps)
        return self._trainer.program(bool(args[1]), steps, args, self._timing)(*args)


def convolutional(name: str) -> bool:
    """Whether the named network has convolutions."""
    return name in ("resnet-cifar", "resnet18", "resnet50", "mobilenet-v2")


def check_batch(batch_size: int, members: int) -> None:
    """Checks that a batch divides evenly.

    Raises:
      InputError: it does not.
    """
    sharing = make_mesh(members).shape[BATCH]
    if batch_size % sharing:
        raise InputError(
            f"--batch-size {batch_size}: must be a multiple of {sharing}, the number of devices that share a batch"
        )


def train(
    trainer: Trainer,
    members: Sequence[Member],
    teachers: Any,
    folder: Path,
    name: str,
    console: Console,
) -> Timing:
    """Trains a population to its end and dumps its snapshots; resumes what it finds begun in `folder`.

    Args:
      trainer: for populations of this size.
      members: who is trained.
      teachers: host arrays, variables of each member's teacher with a leading member axis; None for teachers.
      folder: of this population, for checkpoints.
      name: what to call it while it works.
      console: for progress.

    Returns:
      The time it took. The last checkpoint has the trained models.

    Raises:
      RunError: the loss is not finite.
      InputError: a checkpoint or the disk is in a state the user must mend.
      Interrupted: asked to stop; a checkpoint was written.
    """
    setting, length = trainer.setting, trainer.length
    run, workdir = setting.run, setting.run.workdir
    timing = Timing()
    digests = [run_digest(setting, m.model, m.seed, trainer.dataset.fingerprint) for m in members]

    def missing(step: int) -> list[str]:
        paths = {s: [dump_path(workdir, m.model, m.seed, step, s) for m in members] for s in trainer._x}
        return [s for s, of_members in paths.items() if not all(p.exists() for p in of_members)]

    def dump(state: TrainState, step: int) -> None:
        started = time.monotonic()
        for split_name in missing(step):
            split = getattr(trainer.dataset, split_name)
            logits, first_row = trainer.predict(state.variables, trainer._x[split_name])
            items = []
            for member, of_member, digest in zip(members, logits, digests, strict=True):
                path = dump_path(workdir, member.model, member.seed, step, split_name)
                attributes = {
                    "model": member.model,
                    "seed": member.seed,
                    "step": step,
                    "split": split_name,
                    "num_classes": trainer.dataset.num_classes,
                    "setting": digest,
                }
                if not path.exists():
                    items.append((path, of_member, attributes))
            write_dumps(items, split.label, split.true_label, split.id, first_row)
        timing.dumps += time.monotonic() - started

    checkpoints = Checkpoints(folder / "checkpoints", run.keep_checkpoints)
    with checkpoints, Interruption() as interruption:
        # A dump that is lost can be made again only from a checkpoint at or before its step.
        lost = next((s for s in length.snapshot_steps if missing(s)), length.total_steps)
        usable = [s for s in checkpoints.steps() if s <= lost]
        if usable:
            checkpoints.delete_after(usable[-1])
            restored = checkpoints.restore(usable[-1], trainer.state_like())
            state, first, timing.training = restored.state, restored.step, restored.seconds
            if first in length.snapshot_steps:
                dump(state, first)
        else:
            checkpoints.delete_after(-1)
            state, first = trainer.initial_state(members), 0
        runner = trainer.runner(members, teachers, timing)
        scalars = bar = None
        if processes.is_first():
            board = workdir / "tensorboard" if run.tensorboard else None
            scalars = Scalars(folder / "scalars.jsonl", members, first, board)
        bar = Bar(console, name, length.total_steps, first)
        try:
            meter = _Meter(trainer, runner, members, scalars, bar, timing, first)
            next_checkpoint = None
            for start, steps in dispatches(first, length, trainer.steps_per_dispatch):
                state, metrics = runner(state, start, steps)
                meter.add(start, metrics)
                end = start + steps
                stop = interruption.requested(end)
                last = end == length.total_steps
                if next_checkpoint is None and start > first:
                    next_checkpoint = _next_checkpoint(end, meter.seconds_a_step(), run.checkpoint_seconds)
                due = next_checkpoint is not None and end >= next_checkpoint
                if end in length.snapshot_steps:
                    meter.drain()
                    dump(state, end)
                    meter.restart()
                if stop or last or due or run.checkpoint_seconds == 0:
                    meter.drain()
                    checkpoints.save(end, state, timing.training)
                    next_checkpoint = _next_checkpoint(end, meter.seconds_a_step(), run.checkpoint_seconds)
                    meter.restart()
                if stop and not last:
                    checkpoints.wait()
                    raise Interrupted(
                        stop,
                        f"stopped {name} after step {end} of {length.total_steps}, saved; the same command goes on",
                    )
            checkpoints.wait()
        finally:
            bar.close()
            if scalars is not None:
                scalars.close()
    return timing


def _next_checkpoint(step: int, seconds_a_step: float, interval: float) -> int:
    """The step of the next checkpoint; agreed on by all processes, whose clocks differ."""
    return step + processes.from_first(max(round(interval / max(seconds_a_step, 1e-6)), 1))


class _Meter:
    """Fetches metrics one dispatch late, so that the devices never wait for the host; checks and reports them."""

    def __init__(
        self,
        trainer: Trainer,
        runner: _Runner,
        members: Sequence[Member],
        scalars: Scalars | None,
        bar: Bar,
        timing: Timing,
        first: int,
    ):
        self._trainer, self._runner, self._members = trainer, runner, members
        self._scalars, self._bar, self._timing = scalars, bar, timing
        self._waiting: list[tuple[int, dict[str, jax.Array]]] = []
        self._begun, self._step = first, first
        self._losses: list[np.ndarray] = []
        self._accuracies: list[np.ndarray] = []
        self._seconds_before = timing.training
        self._logged_step, self._logged_seconds = first, timing.training
        self._every = max(trainer.length.total_steps // _LOGGED_MOMENTS, 1)
        self._compiled = timing.compilation
        self.restart()

    def restart(self) -> None:
        """Starts the clock again after work that is not training."""
        self._clock = time.monotonic()
        self._compiled = self._timing.compilation

    def add(self, start: int, metrics: dict[str, jax.Array]) -> None:
        """Takes a dispatch's metrics and looks at those of the one before."""
        self._waiting.append((start, metrics))
        if len(self._waiting) > 1:
            self._fetch()

    def drain(self) -> None:
        """Looks at all metrics and stops the clock."""
        while self._waiting:
            self._fetch()

    def seconds_a_step(self) -> float:
        """Mean so far of this session."""
        return (self._timing.training - self._seconds_before) / max(self._step - self._begun, 1)

    def _fetch(self) -> None:
        start, metrics = self._waiting.pop(0)
        loss, accuracy = np.asarray(metrics["loss"]), np.asarray(metrics["accuracy"])  # [P, steps]
        now = time.monotonic()
        compiled = self._timing.compilation - self._compiled
        self._timing.training += max(now - self._clock - compiled, 0.0)
        self.restart()
        bad = np.argwhere(~np.isfinite(loss))
        if len(bad):
            member, step = self._members[bad[0][0]], start + int(bad[0][1])
            raise RunError(
                f"the loss of {member.model}, seed {member.seed}, is {loss[tuple(bad[0])]} at step {step}; try a lower "
                f"--learning-rate than {self._trainer.setting.optimizer.learning_rate} (earlier checkpoints are kept)"
            )
        self._losses.append(loss)
        self._accuracies.append(accuracy)
        self._step = start + loss.shape[1]
        if self._step - self._logged_step >= self._every or self._step == self._trainer.length.total_steps:
            self._log()

    def _log(self) -> None:
        step, trainer = self._step, self._trainer
        loss = np.concatenate(self._losses, axis=1).mean(axis=1)
        accuracy = np.concatenate(self._accuracies, axis=1).mean(axis=1)
        seconds = self._timing.training - self._logged_seconds
        examples = (step - self._logged_step) * trainer.setting.train.batch_size * len(self._members)
        speed = examples / max(seconds, 1e-9)
        rate = float(trainer.learning_rate(step - 1))
        if self._scalars is not None:
            self._scalars.write(
                step,
                {"learning_rate": rate, "examples_per_s": speed},
                {
                    "loss": loss,
                    "accuracy": accuracy,
                    "distillation_weight": self._runner.weights[:, step - 1],
                },
            )
        text = f"loss {loss.mean():.3f}, accuracy {accuracy.mean():.3f}, {speed:,.0f} examples/s"
        self._bar.update(step, text)
        self._losses, self._accuracies = [], []
        self._logged_step, self._logged_seconds = step, self._timing.training
