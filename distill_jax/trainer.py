"""A study's training programs, compiled for populations of one size, with the data on the devices."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from distill_jax import backend, objective
from distill_jax.data.dataset import Dataset
from distill_jax.errors import InputError
from distill_jax.length import Length
from distill_jax.models import CONVOLUTIONAL, build_model
from distill_jax.optimizer import learning_rate_schedule, make_optimizer
from distill_jax.placement import BATCH, MEMBER, make_mesh, place
from distill_jax.population import Member, over_members
from distill_jax.predict import Predictor
from distill_jax.setting import Setting
from distill_jax.train_step import TrainState, make_dispatch, make_epoch_order, make_init


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
        self.dtype = jnp.dtype(precision)
        build = [dataset.num_classes, dataset.input_shape, precision]
        self.teacher = None if role == "teacher" else build_model(setting.teacher, *build, option="--teacher")
        own = setting.teacher if role == "teacher" else setting.student
        self.model = build_model(own, *build, option=f"--{role}")
        standard = backend.defaults(own.name in CONVOLUTIONAL)
        self.steps_per_dispatch = setting.run.steps_per_dispatch or standard.steps_per_dispatch
        optimizer_length = (self.length.total_steps, self.length.steps_per_epoch)
        self.optimizer = make_optimizer(setting.optimizer, *optimizer_length)
        # As a table, since a schedule called on the host for every line of the log would cost as much as a step.
        rates = learning_rate_schedule(setting.optimizer, *optimizer_length)(jnp.arange(self.length.total_steps))
        self.learning_rates = np.broadcast_to(np.asarray(rates), self.length.total_steps)
        self.by_member = NamedSharding(self.mesh, PartitionSpec(MEMBER))
        check_batch(setting.train.batch_size, members)
        examples = len(dataset.train.label)
        epochs = (self.steps_per_dispatch + self.length.steps_per_epoch - 2) // self.length.steps_per_epoch + 1
        init = make_init(self.model, self.optimizer, dataset.input_shape)
        self._init = jax.jit(over_members(init, (0, 0), members), out_shardings=self.by_member)
        order = over_members(make_epoch_order(examples, epochs), (0, 0, None), members)
        self.epoch_order = jax.jit(order, out_shardings=self.by_member)
        self.predict = Predictor(
            self.model,
            self.mesh,
            members,
            mean=dataset.mean,
            std=dataset.std,
            dtype=self.dtype,
            batch=max(standard.evaluation_batch // members, 1),
        )
        self.inputs = {s: place(self.mesh, getattr(dataset, s).x) for s in ("train", "test")}
        self.label = place(self.mesh, dataset.train.label)
        self.programs: dict[tuple[bool, int], Any] = {}

    def initial_state(self, members: Sequence[Member]) -> TrainState:
        """The state before step 0, with a leading member axis."""
        return self._init(*self.identities(members))

    def state_like(self) -> TrainState:
        """Shapes, dtypes and shardings of the state."""
        identity = jax.ShapeDtypeStruct((self.members,), jnp.int32)
        shapes = jax.eval_shape(self._init, identity, identity)
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=self.by_member), shapes)

    def identities(self, members: Sequence[Member]) -> tuple[jax.Array, jax.Array]:
        """Roles and seeds, int32 [P] each, on the devices."""
        roles = np.array([m.role for m in members], np.int32)
        seeds = np.array([m.seed for m in members], np.int32)
        return place(self.mesh, roles, MEMBER), place(self.mesh, seeds, MEMBER)

    def runner(self, members: Sequence[Member], teachers: Any, timing: Timing) -> "Runner":
        """What advances this population, whose teachers' variables have a leading member axis too."""
        return Runner(self, members, teachers, timing)

    def lowerable(self, taught: bool, steps: int) -> Any:
        """The jitted dispatch of so many steps, with the teacher in it or not."""
        dispatch = make_dispatch(
            self.model,
            self.optimizer,
            self.mesh,
            mean=self.dataset.mean,
            std=self.dataset.std,
            augmentation=self.setting.data.augment,
            dtype=self.dtype,
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
        if (taught, steps) not in self.programs:
            started = time.monotonic()
            self.programs[taught, steps] = self.lowerable(taught, steps).lower(*args).compile()
            timing.compilation += time.monotonic() - started
        return self.programs[taught, steps]


class Runner:
    """Advances one population by dispatches."""

    def __init__(self, trainer: Trainer, members: Sequence[Member], teachers: Any, timing: Timing):
        self._trainer, self._timing = trainer, timing
        setting, total = trainer.setting, trainer.length.total_steps
        self.weights = np.stack([objective.weights(m.model, setting.objective, total) for m in members])
        self._identities = trainer.identities(members)
        temperature = np.full(len(members), setting.objective.temperature, np.float32)
        self._temperature = place(trainer.mesh, temperature, MEMBER)
        self._teachers = None if teachers is None else place(trainer.mesh, teachers, MEMBER)
        self._order: tuple[int, Any] = (-1, None)

    def arguments(self, state: TrainState, first: int, steps: int) -> tuple[Any, ...]:
        """The dispatch's arguments; those of the teacher are {} where its weight is 0 for all members."""
        trainer = self._trainer
        epoch = first // trainer.length.steps_per_epoch
        if self._order[0] != epoch:
            self._order = epoch, trainer.epoch_order(*self._identities, jnp.int32(epoch))
        weight = self.weights[:, first : first + steps]
        return (
            state,
            self._teachers if np.any(weight > 0) else {},
            trainer.inputs["train"],
            trainer.label,
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
