"""The functions by which a study's populations of one shape are trained and evaluated, ready to be compiled.

They ask no device anything, so that they can be compiled for devices that are not there.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from distill_jax import students
from distill_jax.data import augment
from distill_jax.data.dataset import Dataset
from distill_jax.errors import InputError
from distill_jax.machine import backend
from distill_jax.machine.backend import PackingKind
from distill_jax.machine.placement import (
    BATCH,
    MEMBER,
    SEED,
    STUDENT,
    Axes,
    make_mesh,
    over_devices,
    row_length,
    whole_models_per_device,
)
from distill_jax.models import build_for, first_positions, kind
from distill_jax.models.evaluation import evaluation, rounded_kernels, teaching
from distill_jax.models.outputs import Outputs, chosen_layers, outputs
from distill_jax.own_code import is_own
from distill_jax.setting import ModelSetting, Setting, TrainSetting
from distill_jax.training import outcomes
from distill_jax.training.buckets import Buckets
from distill_jax.training.inputs import MAPPED, SPREAD, PerMember, PerSeed, Shared
from distill_jax.training.objective import Objective
from distill_jax.training.optimizer import make_rule
from distill_jax.training.population import over_members, over_mesh
from distill_jax.training.predict import Predictor
from distill_jax.training.schedule import Schedule
from distill_jax.training.shards import JittedShards
from distill_jax.training.step import CHANGING, StepBlock, TrainState, make_epoch_order, make_frozen_features, make_init
from distill_jax.training.streaming import batches_like, is_streamed, steps_that_fit
from distill_jax.training.teacher_source import teacher_mean_std, teacher_source

_FROZEN_FEATURES_SHARE = 0.25  # of a device's memory, for the frozen features of the training set


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices that programs are compiled for, where they are not all of this process's own.

    Attributes:
      devices: of `jax.experimental.topologies`, or some of `jax.devices()`.
      platform: 'tpu', 'cuda' or 'cpu'.
      memory: bytes of each device.
    """

    devices: Sequence[Any]
    platform: str
    memory: float


class Programs:
    """The functions for populations of one shape.

    Args:
      setting: the study's.
      dataset: for training; of its arrays only shapes and types matter here, and how long texts are.
      role: 'teacher' or 'student': which network is trained. Students are given their teachers.
      shape: seeds and students of each seed in a population, see `population.shape`.
      target: the devices; None for this process's.

    Attributes:
      teach: of students, their teacher's evaluation, (variables, x) -> `Outputs`; None of one whose logits are given.
      kinds: of the students, by name.
      objective: the losses of these.

    Raises:
      InputError: a batch that does not divide evenly over the devices, or a layer that is not there.
    """

    def __init__(
        self,
        setting: Setting,
        dataset: Dataset,
        role: str,
        shape: tuple[int, int] = (1, 1),
        target: Target | None = None,
    ):
        self.setting, self.dataset, self.shape = setting, dataset, shape
        self.seeds, self.students = shape
        self.members = self.seeds * self.students
        self.schedule = Schedule.of(setting, len(dataset.train.label))
        precision = setting.train.precision
        self.dtype = jnp.dtype(precision)
        network = setting.teacher if role == "teacher" else setting.student
        self.model = build_for(dataset, network, precision, f"--{role}", setting.train.norm_examples)
        # A precision below float32 is for the network in training, and for its teacher there where that is asked for;
        # never for measurement.
        teacher_is_evaluated = role == "student" and not setting.given.logits
        teacher = build_for(dataset, setting.teacher, precision, "teacher") if teacher_is_evaluated else None
        platform = jax.default_backend() if target is None else target.platform
        self._teacher, self._platform, self._distils = teacher, platform, role == "student"
        self.kinds = students.table(setting.students if role == "student" else (students.CONTROL,))
        self.objective = Objective.of(list(self.kinds.values()), setting.objective)
        networks = {"teacher": teacher, "student": self.model}
        self._layers = feature_layers(setting, self.objective, networks, self._inputs)
        teacher_precision = setting.objective.teacher_precision
        self.teach = (
            None if teacher is None else teaching(teacher, platform, teacher_precision, self._layers["teacher"])
        )
        self._suit_machine(network, target)
        self.rule = make_rule(setting.optimizer)
        self.by_member = NamedSharding(self.mesh, PartitionSpec(MEMBER))
        check_batch(setting.train, self.mesh)
        examples = len(dataset.train.label)
        epochs = (self.steps_per_dispatch + self.schedule.steps_per_epoch - 2) // self.schedule.steps_per_epoch + 1
        init_one = make_init(self.model, self.rule, self._inputs, self._losses_init())
        init = over_members(init_one, (0, 0), self.members, MEMBER)
        self._init, self._init_alone = jax.jit(init, out_shardings=self.by_member), jax.jit(init)
        self.buckets = _buckets(setting, dataset)
        order_one = make_epoch_order(examples, epochs, self.buckets.get("train"), setting.train.batch_size)
        order = over_members(order_one, (0, 0, None), self.seeds, SEED)
        self.epoch_order = jax.jit(order, out_shardings=NamedSharding(self.mesh, PartitionSpec(SEED)))
        self.predict = Predictor(
            evaluation(self.model, platform),
            self.mesh,
            self.members,
            mean=dataset.mean,
            std=dataset.std,
            input_shape=dataset.input_shape,
            batch=_defaults(network.name, target).examples_at_once(dataset.input_shape, self.members),
            shards=self._shards,
        )
        self._frozen_features = self._make_frozen_features()

    def _suit_machine(self, network: ModelSetting, target: Target | None) -> None:
        """Chooses what depends on the devices: who is where, what is done in turn, and how much at once."""
        batch_size, run, defaults = self.setting.train.batch_size, self.setting.run, _defaults(network.name, target)
        shards = self.setting.train.batch_shards
        self.mesh = mesh_of(network.name, self.shape, self.setting.train, target)
        positions = batch_size // (shards or 1) * first_positions(network, self.dataset.input_shape)
        self._students_in_turn = positions >= defaults.in_turn_from
        self.seeds_in_turn = defaults.seeds_in_turn or self._students_in_turn
        self.packed: PackingKind = defaults.packed
        self._shards = shards
        devices_by_teacher = self.mesh.shape[STUDENT]
        evenly_divided = batch_size % devices_by_teacher == 0
        self._sharing = devices_by_teacher if defaults.teacher_is_shared and evenly_divided else 1
        self._memory = backend.memory_limit(run.memory_gib) if target is None else target.memory
        self.steps_per_dispatch = run.steps_per_dispatch or defaults.steps_per_dispatch
        self.streamed = is_streamed(run.streaming, self.dataset, self._memory)
        if self.streamed:
            over = 1 if shards else self.mesh.shape[SEED] * self.mesh.shape[BATCH]
            step_bytes = self.dataset.train.x[:1].nbytes * self.seeds * batch_size / over
            self.steps_per_dispatch = min(self.steps_per_dispatch, steps_that_fit(step_bytes, self._memory))

    def _losses_init(self) -> Callable[[jax.Array], dict[str, Any]] | None:
        """From a key to the parameters of the losses that have some."""
        if not self.objective.features:
            return None
        networks = {"teacher": self._teacher, "student": self.model}

        def evaluated(network: Any, layers: dict[str, str], x: jax.Array) -> Outputs:
            variables = network.init(jax.random.key(0), x, train=False)
            return outputs(network, variables, x, layers, train=False)[0]

        shapes = {
            role: jax.eval_shape(functools.partial(evaluated, network, self._layers[role]), self._inputs)
            for role, network in networks.items()
        }
        return lambda key: self.objective.init(key, shapes["student"], shapes["teacher"])

    @property
    def _inputs(self) -> jax.ShapeDtypeStruct:
        return inputs_of(self.dataset)

    def state_like(self) -> TrainState:
        """Shapes, dtypes and shardings of the state."""
        identity = jax.ShapeDtypeStruct((self.members,), jnp.int32)
        shapes = jax.eval_shape(self._init, identity, identity)
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=self.by_member), shapes)

    def inputs_like(self, split: str) -> jax.ShapeDtypeStruct:
        """Shape, dtype and sharding of a split's inputs on the devices, flat [N, values].

        A TPU would have images in another layout than their batches are gathered from, and copy all at every call.
        """
        x = getattr(self.dataset, split).x
        return self._like((len(x), math.prod(x.shape[1:])), x.dtype)

    def _make_frozen_features(self) -> Any:
        """The jitted (variables, x) -> [P, N, ...] of `frozen_features`; None where it is computed in every step."""
        if not hasattr(self.model, "frozen_features") or self.setting.data.augment != "none" or self.streamed:
            return None
        if self.setting.train.batch_shards is not None:  # whether they fit would depend on the machine
            return None
        data = self.dataset
        input_options = {"mean": data.mean, "std": data.std, "input_shape": data.input_shape}
        features_of_one = make_frozen_features(self.model, dtype=self.dtype, **input_options)
        jitted = jax.jit(over_mesh(features_of_one, (0, None), self.members, self.mesh), out_shardings=self.by_member)
        features = jax.eval_shape(jitted, self.state_like().variables, self.inputs_like("train"))
        bytes_by_device = features.size * features.dtype.itemsize / (self.mesh.size // self.mesh.shape[BATCH])
        return jitted if bytes_by_device <= _FROZEN_FEATURES_SHARE * self._memory else None

    def frozen_features_like(self) -> Any:
        """Shape, dtype and sharding of `Trainer.frozen_features`: {} where it is computed in every step."""
        if self._frozen_features is None:
            return {}
        features = jax.eval_shape(self._frozen_features, self.state_like().variables, self.inputs_like("train"))
        return jax.ShapeDtypeStruct(features.shape, features.dtype, sharding=self.by_member)

    def teachers_like(self) -> Any:
        """Shapes, dtypes and shardings of the teachers' logits, or variables, that students are given."""
        source, examples, classes = (
            teacher_source(self.setting),
            len(self.dataset.train.label),
            self.dataset.num_classes,
        )
        row = row_length(classes, self._platform)
        if source == "logits":
            return self._like((self.seeds, examples, row), jnp.float32, SEED)
        if source == "outcomes":
            ways = augment.outcomes(self.setting.data.augment, self.dataset.input_shape)
            return self._like((self.seeds, examples * ways, row), outcomes.DTYPE, SEED)
        assert self._teacher is not None
        init = make_init(self._teacher, self.rule, self._inputs)
        shapes = jax.eval_shape(init, *[jax.ShapeDtypeStruct((), jnp.int32)] * 2).variables
        return jax.tree.map(lambda leaf: self._like((self.seeds, *leaf.shape), leaf.dtype, SEED), shapes)

    def arguments_like(self, with_teacher: bool, steps: int) -> tuple[Any, ...]:
        """Shapes, dtypes and shardings of the arguments of `jitted_steps(with_teacher, steps)`."""
        seeds, members, total = self.seeds, self.members, self.schedule.total_steps
        number = self._like((), jnp.int32)
        seed_numbers = self._like((seeds,), jnp.int32, SEED)
        order = jax.eval_shape(self.epoch_order, seed_numbers, seed_numbers, number)
        table = self._like((members, total), jnp.float32, MEMBER)
        weights = dict.fromkeys(self.objective.names[1:], table)
        values = self.objective.settings(self.setting.objective)
        settings = dict.fromkeys(values, self._like((members,), jnp.float32, MEMBER))
        return (
            self.state_like(),
            PerMember(weights, table, settings, self.frozen_features_like()),
            PerSeed(
                teacher_inputs=self.teachers_like() if with_teacher else {},
                label=self._like((seeds, len(self.dataset.train.label)), jnp.int32, SEED),
                order=self._like(order.shape, order.dtype, SEED),
                role=seed_numbers,
                seed=seed_numbers,
                batches=self._batches_like(steps) if self.streamed else {},
            ),
            Shared({} if self.streamed else self.inputs_like("train"), number),
        )

    def _batches_like(self, steps: int) -> jax.ShapeDtypeStruct:
        batch_size, values = self.setting.train.batch_size, math.prod(self.dataset.input_shape)
        return batches_like((self.seeds, steps, batch_size, values), self.dataset.train.x.dtype, self.mesh)

    def _block(self, with_teacher: bool, steps: int) -> StepBlock:
        """So many steps of the students of a seed, with the teacher in them or not."""
        whole_models = whole_models_per_device(self.mesh)
        return StepBlock(
            self.model,
            self.rule,
            None if whole_models or self._shards is not None else self.mesh,
            mean=self.dataset.mean,
            std=self.dataset.std,
            augmentation=self.setting.data.augment,
            dtype=self.dtype,
            objective=self.objective,
            layers=self._layers["student"],
            batch_size=self.setting.train.batch_size,
            steps_per_epoch=self.schedule.steps_per_epoch,
            steps=steps,
            classes=self.dataset.num_classes,
            input_shape=self.dataset.input_shape,
            students=self.students // self.mesh.shape[STUDENT] if whole_models else self.students,
            in_turn=self._students_in_turn and self._members_unshared,
            sharing=self._sharing if whole_models else 1,
            teacher=(self.teach if teacher_source(self.setting) == "variables" else "cached") if with_teacher else None,
            teacher_mean_std=teacher_mean_std(self.setting, self.dataset),
            buckets=self.buckets.get("train"),
            packed=self.packed,
            shards=self._shards,
        )

    @property
    def _members_unshared(self) -> bool:
        """Whether no device shares a member with another in a program."""
        return whole_models_per_device(self.mesh) or self.mesh.size == 1 or self._shards is not None

    def jitted_shards(self, with_teacher: bool, steps: int) -> JittedShards:
        """The programs of a step where batches are in shards, of calls of so many steps."""
        assert self._shards is not None
        block, in_turn = self._block(with_teacher, steps), self.seeds_in_turn and self._members_unshared
        of_seeds = over_members(block.of_shard, (*MAPPED, None, None), self.seeds, None, in_turn)
        moved_of_seeds = over_members(block.moved, (0, 0, 0, None), self.seeds, None, in_turn)

        def by_seed(tree: Any) -> Any:
            return jax.tree.map(lambda a: a.reshape(self.seeds, self.students, *a.shape[1:]), tree)

        def by_member(tree: Any) -> Any:
            return jax.tree.map(lambda a: a.reshape(self.members, *a.shape[2:]), tree)

        def of_shard(state: TrainState, per_member: PerMember, *others: Any) -> Any:
            return by_member(of_seeds(by_seed(state), by_seed(per_member), *others))

        def moved(state: TrainState, per_member: PerMember, means: Any, step: jax.Array) -> Any:
            return by_member(moved_of_seeds(by_seed(state), by_seed(per_member), by_seed(means), step))

        return JittedShards(of_shard, moved, self.arguments_like(with_teacher, steps), self._shards, self.mesh)

    def jitted_steps(self, with_teacher: bool, steps: int) -> Any:
        """The jitted block of so many steps, with the teacher in it or not."""
        whole_models = whole_models_per_device(self.mesh)
        block, in_turn = self._block(with_teacher, steps), self.seeds_in_turn and self._members_unshared
        seeds, students_per_seed = self.seeds // self.mesh.shape[SEED] if whole_models else self.seeds, block.students
        steps_of_seeds = over_members(block, MAPPED, seeds, None if whole_models else SEED, in_turn)
        low_precision = self.setting.objective.teacher_precision == "bfloat16"
        rounded = with_teacher and low_precision and not is_own(self.setting.teacher.name)

        def population(
            state: TrainState, per_member: PerMember, per_seed: PerSeed, shared: Shared
        ) -> tuple[TrainState, Any]:
            def by_seed(tree: Any) -> Any:
                return jax.tree.map(lambda a: a.reshape(seeds, students_per_seed, *a.shape[1:]), tree)

            if rounded:
                per_seed = dataclasses.replace(per_seed, teacher_inputs=rounded_kernels(per_seed.teacher_inputs))
            result = steps_of_seeds(by_seed(state), by_seed(per_member), per_seed, shared)
            after, metrics = jax.tree.map(lambda a: a.reshape(seeds * students_per_seed, *a.shape[2:]), result)
            return dataclasses.replace(after, collections={**state.collections, **after.collections}), metrics

        if whole_models:
            population = over_devices(population, self.mesh, SPREAD, MEMBER)
        metrics = NamedSharding(self.mesh, PartitionSpec(MEMBER if whole_models else None))
        return jax.jit(population, donate_argnums=0, out_shardings=(self.by_member, metrics))

    def trace_evaluation(self, split: str) -> Any:
        """The evaluation of a batch of a split, of whole length, traced."""
        x = self.inputs_like(split)
        rows, variables = self.predict.batch(x.shape[0]), self.state_like().variables
        if self.streamed:
            arguments = variables, self._like((rows, x.shape[1]), x.dtype, BATCH), None
        else:
            arguments = variables, x, self._like((rows,), jnp.int32, BATCH)
        if self._shards is not None:  # one program of one device evaluates a block
            one = SingleDeviceSharding(self.mesh.devices.ravel()[0])
            arguments = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one), arguments)
        return self.predict.compiled(None, gathers=not self.streamed).trace(*arguments)

    def evaluation_memory(self, split: str) -> float:
        """Bytes of each device that the evaluation of a batch of a split takes, with what stays there beside it.

        Infinite where the compiler itself finds no room.
        """
        state, other = self.state_like(), "test" if split == "train" else "train"
        resident = [] if self.streamed else [self.inputs_like(other)]
        resident += jax.tree.leaves((state.opt_state, self.teachers_like() if self._distils else ()))
        beside = sum(math.prod(a.sharding.shard_shape(a.shape)) * a.dtype.itemsize for a in resident)
        try:
            return program_memory(self.trace_evaluation(split).lower().compile()) + beside
        except jax.errors.JaxRuntimeError as error:
            if backend.is_out_of_memory(error):
                return math.inf
            raise

    def _like(self, shape: tuple[int, ...], dtype: Any, *axes: Axes) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(self.mesh, PartitionSpec(*axes)))


def inputs_of(dataset: Dataset) -> jax.ShapeDtypeStruct:
    """A batch as networks are given it when they are drawn; tokens are whole numbers."""
    dtype = jnp.float32 if dataset.vocabulary is None else jnp.int32
    return jax.ShapeDtypeStruct((2, *dataset.input_shape), dtype)


def feature_layers(
    setting: Setting, objective: Objective, networks: Mapping[str, Any], inputs: jax.ShapeDtypeStruct
) -> dict[str, dict[str, str]]:
    """The layers whose outputs the losses see, of 'teacher' and 'student', by the names of features.

    Raises:
      InputError: a layer that is named is not there.
    """
    if not objective.features:
        return {"teacher": {}, "student": {}}
    named = {role: getattr(setting.objective, f"{role}_features") for role in networks}
    return {
        role: chosen_layers(network, inputs, named[role], f"--{role}-features") for role, network in networks.items()
    }


def check_statistics(train: TrainSetting, networks: Mapping[str, Any], inputs: jax.ShapeDtypeStruct) -> None:
    """Checks that batch normalisation takes no statistics over several shards of a batch.

    Raises:
      InputError: it would.
    """
    if train.batch_shards is None or train.norm_examples is not None:
        return
    for role, network in networks.items():
        init = functools.partial(network.init, train=False)
        if CHANGING in jax.eval_shape(init, jax.random.key(0), inputs):
            examples = train.batch_size // train.batch_shards
            raise InputError(
                "train.norm_examples",
                None,
                f"must be a divisor of {examples}, the examples in each of `train.batch_shards` {train.batch_shards}, "
                f"since the {role} has batch normalisation",
            )


def _buckets(setting: Setting, dataset: Dataset) -> dict[str, Buckets]:
    """Those of each split; empty where inputs are no texts, or all are to be of one length."""
    most = setting.train.length_buckets
    if dataset.vocabulary is None or most == 1:
        return {}
    return {s: Buckets.of(getattr(dataset, s).x, dataset.vocabulary.pad, most) for s in ("train", "test")}


def mesh_of(network: str, shape: tuple[int, int], train: TrainSetting, target: Target | None = None) -> Mesh:
    """The devices for a population of a network of that name, see `population.shape`.

    Where batches are in shards, members are not spread over them: what one computes for a member alone differs by
    rounding from what it computes for several.
    """
    devices, shared = None if target is None else target.devices, _defaults(network, target).batch_is_shared
    extent = shape if train.batch_shards is None else (1, 1)
    return make_mesh(*extent, shared, devices, train.batch_shards or train.batch_size)


def _defaults(network: str, target: Target | None) -> backend.Defaults:
    return backend.defaults(kind(network), None if target is None else target.platform)


def check_batch(train: TrainSetting, mesh: Mesh) -> None:
    """Checks that a batch, or its shards, divide evenly.

    Raises:
      InputError: they do not.
    """
    batch_size, shards, sharing = train.batch_size, train.batch_shards, mesh.shape[BATCH]
    if shards is not None and shards % sharing:
        raise InputError(
            "train.batch_shards", shards, f"must be a multiple of {sharing}, the number of devices that share a batch"
        )
    if batch_size % sharing:
        raise InputError(
            "train.batch_size", batch_size, f"must be a multiple of {sharing}, the number of devices that share a batch"
        )


def program_memory(compiled: Any) -> int:
    """Bytes of a device that a compiled program takes: arguments, results and temporary values at once."""
    analysis = compiled.memory_analysis()
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return held + analysis.temp_size_in_bytes
