"""A study's training programs, compiled for populations of one shape, with the data on the devices."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from distill_jax import backend, objective
from distill_jax.buckets import Buckets
from distill_jax.data.dataset import Dataset
from distill_jax.errors import InputError
from distill_jax.length import Length, dispatches
from distill_jax.models import build_for, in_float32, kind, pretrained
from distill_jax.optimizer import learning_rates, make_rule
from distill_jax.placement import BATCH, MEMBER, SEED, STUDENT, apart, make_mesh, over_devices, place
from distill_jax.population import Member, over_members, over_mesh
from distill_jax.predict import Predictor
from distill_jax.setting import Setting
from distill_jax.train_step import TrainState, make_dispatch, make_epoch_order, make_fixed, make_init

_FIXED_SHARE = 0.25  # of a device's memory, for what models' untrained parts make of the training set


@dataclasses.dataclass
class Timing:
    """Seconds, by what they were spent on; `training` excludes compilation, dumps and checkpoints' waits."""

    training: float = 0.0
    compilation: float = 0.0
    dumps: float = 0.0


class Trainer:
    """Compiled programs and data on the devices for populations of one shape.

    Args:
      setting: the study's.
      dataset: what is learned from.
      role: 'teacher' or 'student': which network is trained. Students are given their teachers.
      shape: seeds and students of each seed in a population, see `population.shape`.

    Raises:
      InputError: a batch that does not divide evenly over the devices.
    """

    def __init__(self, setting: Setting, dataset: Dataset, role: str, shape: tuple[int, int] = (1, 1)):
        self.setting, self.dataset, self.shape = setting, dataset, shape
        self.seeds, self.students = shape
        self.members = self.seeds * self.students
        self.length = Length.of(setting, len(dataset.train.label))
        precision = setting.train.precision
        self.dtype = jnp.dtype(precision)
        own = setting.teacher if role == "teacher" else setting.student
        self.model = build_for(dataset, own, precision, f"--{role}")
        # Of lower precision than float32 is what is trained, while it is trained; what is measured and taught is not.
        of_students = None if role == "teacher" else build_for(dataset, setting.teacher, precision, "--teacher")
        self.teacher = None if of_students is None else in_float32(of_students)
        self._read_pretrained = functools.partial(pretrained.read, own, self.model, f"--{role}")
        standard = backend.defaults(kind(own.name))
        self.mesh = mesh_of(own.name, shape)
        self.seeds_in_turn = standard.seeds_in_turn
        self.steps_per_dispatch = setting.run.steps_per_dispatch or standard.steps_per_dispatch
        self.rule = make_rule(setting.optimizer)
        self.by_member = NamedSharding(self.mesh, PartitionSpec(MEMBER))
        check_batch(setting.train.batch_size, self.mesh)
        examples = len(dataset.train.label)
        epochs = (self.steps_per_dispatch + self.length.steps_per_epoch - 2) // self.length.steps_per_epoch + 1
        init = make_init(self.model, self.rule, dataset.input_shape)
        self._init = jax.jit(over_members(init, (0, 0), self.members, MEMBER), out_shardings=self.by_member)
        self.buckets = _buckets(setting, dataset)
        in_order = make_epoch_order(examples, epochs, self.buckets.get("train"), setting.train.batch_size)
        order = over_members(in_order, (0, 0, None), self.seeds, SEED)
        self.epoch_order = jax.jit(order, out_shardings=NamedSharding(self.mesh, PartitionSpec(SEED)))
        self.predict = Predictor(
            in_float32(self.model),
            self.mesh,
            self.members,
            mean=dataset.mean,
            std=dataset.std,
            batch=max(standard.evaluation_batch // self.members, 1),
        )
        self.inputs = {s: place(self.mesh, getattr(dataset, s).x) for s in ("train", "test")}
        self._fixed = self._make_fixed()
        self.programs: dict[tuple[bool, int], Any] = {}
        self._compilation = 0.0  # seconds that no runner has been told of yet

    def initial_state(self, members: Sequence[Member]) -> TrainState:
        """The state before step 0, with a leading member axis."""
        roles = np.array([m.role for m in members], np.int32)
        seeds = np.array([m.seed for m in members], np.int32)
        state = self._init(place(self.mesh, roles, MEMBER), place(self.mesh, seeds, MEMBER))
        # Read here and not before: a state that a checkpoint has needs none of it.
        read = self._read_pretrained()
        of_all = jax.tree.map(lambda a: np.broadcast_to(a, (self.members, *a.shape)), read)
        return state.replace(params=state.params | place(self.mesh, of_all, MEMBER))

    def state_like(self) -> TrainState:
        """Shapes, dtypes and shardings of the state."""
        identity = jax.ShapeDtypeStruct((self.members,), jnp.int32)
        shapes = jax.eval_shape(self._init, identity, identity)
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=self.by_member), shapes)

    def _make_fixed(self) -> Any:
        """The jitted function (variables, x) -> [P, N, ...] of `fixed`; None where it is computed in every step."""
        if not hasattr(self.model, "fixed") or self.setting.data.augment != "none":
            return None
        of_one = make_fixed(self.model, mean=self.dataset.mean, std=self.dataset.std, dtype=self.dtype)
        jitted = jax.jit(over_mesh(of_one, (0, None), self.members, self.mesh), out_shardings=self.by_member)
        made = jax.eval_shape(jitted, self.state_like().variables, self.inputs["train"])
        on_a_device = made.size * made.dtype.itemsize / (self.mesh.size // self.mesh.shape[BATCH])
        return jitted if on_a_device <= _FIXED_SHARE * backend.memory_limit(self.setting.run.memory_gib) else None

    def fixed(self, state: TrainState) -> Any:
        """What the untrained part of each model makes of the training set, [P, N, ...], or abstract as `state` is.

        It is the same throughout a run. {} where it would take too much of the memory, or inputs are augmented: then it
        is computed in every step.
        """
        if self._fixed is None:
            return {}
        arguments = state.variables, self.inputs["train"]
        if all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state)):
            return self._fixed(*arguments)
        made = jax.eval_shape(self._fixed, *arguments)
        return jax.ShapeDtypeStruct(made.shape, made.dtype, sharding=self.by_member)

    def runner(self, members: Sequence[Member], teachers: Any, timing: Timing) -> "Runner":
        """What advances this population.

        Args:
          members: seed by seed, of this trainer's shape.
          teachers: host arrays with a leading axis of seeds: the teachers' variables, or where `cached_teacher`
            their logits on the training set, float32 [S, N, K]; None for teachers.
          timing: what compilation is added to.
        """
        return Runner(self, members, teachers, timing)

    def lowerable(self, taught: bool, steps: int) -> Any:
        """The jitted dispatch of so many steps, with the teacher in it or not."""
        whole = apart(self.mesh)
        seeds, students = self.shape
        if whole:
            seeds, students = seeds // self.mesh.shape[SEED], students // self.mesh.shape[STUDENT]
        dispatch = make_dispatch(
            self.model,
            self.rule,
            None if whole else self.mesh,
            mean=self.dataset.mean,
            std=self.dataset.std,
            augmentation=self.setting.data.augment,
            dtype=self.dtype,
            distillation_scale=self.setting.objective.distillation_scale,
            batch_size=self.setting.train.batch_size,
            steps_per_epoch=self.length.steps_per_epoch,
            steps=steps,
            students=students,
            teacher=("cached" if cached_teacher(self.setting) else self.teacher) if taught else None,
            buckets=self.buckets.get("train"),
        )
        in_turn = self.seeds_in_turn and (whole or self.mesh.size == 1)
        kept = self._fixed is not None
        axes = (0, 0, None, 0 if kept else None, 0, 0, None, 0, 0, 0, 0, 0)
        of_seeds = over_members(dispatch, axes, seeds, None if whole else SEED, in_turn)

        def population(state, taught, x, fixed, label, order, first_step, weight, rate, temperature, role, seed):
            by_seed = [
                jax.tree.map(lambda a: a.reshape(seeds, students, *a.shape[1:]), tree)
                for tree in (state, fixed, weight, rate, temperature)
            ]
            outcome = of_seeds(by_seed[0], taught, x, by_seed[1], label, order, first_step, *by_seed[2:], role, seed)
            moved, metrics = jax.tree.map(lambda a: a.reshape(seeds * students, *a.shape[2:]), outcome)
            return moved.replace(collections={**state.collections, **moved.collections}), metrics

        if whole:
            of_teacher = SEED if taught else None
            of_fixed = MEMBER if kept else None
            spread = (MEMBER, of_teacher, None, of_fixed, SEED, SEED, None, MEMBER, MEMBER, MEMBER, SEED, SEED)
            population = over_devices(population, self.mesh, spread, MEMBER)
        metrics = NamedSharding(self.mesh, PartitionSpec(MEMBER if whole else None))
        return jax.jit(population, donate_argnums=0, out_shardings=(self.by_member, metrics))

    def program(self, taught: bool, steps: int, args: tuple[Any, ...]) -> Any:
        """The same, compiled for these arguments' shapes once."""
        if (taught, steps) not in self.programs:
            started = time.monotonic()
            self.programs[taught, steps] = self.lowerable(taught, steps).lower(*args).compile()
            self._compilation += time.monotonic() - started
        return self.programs[taught, steps]

    def compilation(self) -> float:
        """Seconds of compilation since this was last asked."""
        seconds, self._compilation = self._compilation, 0.0
        return seconds


class Runner:
    """Advances one population by dispatches.

    Attributes:
      weights, rates: float32 [P, total steps], each member's distillation weight and learning rate at every step.
    """

    def __init__(self, trainer: Trainer, members: Sequence[Member], teachers: Any, timing: Timing):
        self._trainer, self._timing = trainer, timing
        timing.compilation += trainer.compilation()
        length, mesh = trainer.length, trainer.mesh
        settings = [m.applied(trainer.setting) for m in members]
        total = length.total_steps
        of_each = zip(members, settings, strict=True)
        self.weights = np.stack([objective.weights(m.model, s.objective, total) for m, s in of_each])
        self.rates = np.stack([learning_rates(s.optimizer, total, length.steps_per_epoch) for s in settings])
        temperatures = np.array([s.objective.temperature for s in settings], np.float32)
        self._by_member = place(mesh, (self.weights, self.rates, temperatures), MEMBER)
        firsts = members[:: trainer.students]  # one of each seed
        roles, seeds = np.array([m.role for m in firsts], np.int32), np.array([m.seed for m in firsts], np.int32)
        labels = np.stack([trainer.dataset.training_label(m.seed) for m in firsts])
        self._label, *self._identity = place(mesh, (labels, roles, seeds), SEED)
        self._teachers = None if teachers is None else place(mesh, teachers, SEED)
        self._order: tuple[int, Any] = (-1, None)
        self._fixed: Any = None

    def arguments(self, state: TrainState, first: int, steps: int) -> tuple[Any, ...]:
        """The dispatch's arguments; that of the teacher is {} where its weight is 0 for all members."""
        trainer = self._trainer
        epoch = first // trainer.length.steps_per_epoch
        if self._order[0] != epoch:
            self._order = epoch, trainer.epoch_order(*self._identity, jnp.int32(epoch))
        return (
            state,
            self._teachers if self._taught(first, steps) else {},
            trainer.inputs["train"],
            self._fixed if self._fixed is not None else trainer.fixed(state),
            self._label,
            self._order[1],
            jnp.int32(first),
            *self._by_member,
            *self._identity,
        )

    def __call__(self, state: TrainState, first: int, steps: int) -> tuple[TrainState, dict[str, jax.Array]]:
        """The state `steps` later, and metrics [P, steps], neither of which has been waited for."""
        if self._fixed is None:
            self._fixed = self._trainer.fixed(state)
        args = self.arguments(state, first, steps)
        program = self._program(steps, args)
        self._timing.compilation += self._trainer.compilation()
        return program(*args)

    def memory(self) -> int:
        """Bytes of each device that training takes: of its largest program, with arguments and results."""
        trainer = self._trainer
        calls = list(dispatches(0, trainer.length, trainer.steps_per_dispatch))
        # The longest call, and of these one with the teacher in it.
        first, steps = max(calls, key=lambda call: (call[1], self._taught(*call)))
        found = self._program(steps, self.arguments(trainer.state_like(), first, steps)).memory_analysis()
        kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
        return kept + found.temp_size_in_bytes

    def _taught(self, first: int, steps: int) -> bool:
        return bool(np.any(self.weights[:, first : first + steps] > 0))

    def _program(self, steps: int, args: tuple[Any, ...]) -> Any:
        return self._trainer.program(args[1] is self._teachers, steps, args)


def _buckets(setting: Setting, dataset: Dataset) -> dict[str, Buckets]:
    """Those of each split; empty where inputs are no texts, or all are to be of one length."""
    most = setting.train.length_buckets
    if dataset.vocabulary is None or most == 1:
        return {}
    return {s: Buckets.of(getattr(dataset, s).x, dataset.vocabulary.pad, most) for s in ("train", "test")}


def cached_teacher(setting: Setting) -> bool:
    """Whether students are given their teachers' logits on the training set, and not their variables."""
    asked = setting.run.teacher_logits
    return setting.data.augment == "none" if asked == "auto" else asked == "cached"


def mesh_of(network: str, shape: tuple[int, int]) -> Mesh:
    """The devices for a population of a network of that name, see `population.shape`."""
    return make_mesh(*shape, backend.defaults(kind(network)).batch_is_shared)


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Checks that a batch divides evenly.

    Raises:
      InputError: it does not.
    """
    sharing = mesh.shape[BATCH]
    if batch_size % sharing:
        raise InputError(
            f"--batch-size {batch_size}: must be a multiple of {sharing}, the number of devices that share a batch"
        )
