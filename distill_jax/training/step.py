"""The compiled training step: a pure function of (state, data, seed, step), many of them in one block."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from distill_jax.data.augment import Kind as Augmentation
from distill_jax.data.augment import draw, moved, normalise
from distill_jax.machine.backend import PackingKind
from distill_jax.machine.placement import BATCH, STUDENT
from distill_jax.models.outputs import Outputs, outputs
from distill_jax.randomness import Purpose, model_key
from distill_jax.training.buckets import Buckets
from distill_jax.training.inputs import PerMember, PerSeed, Shared
from distill_jax.training.objective import PARAMS, Objective
from distill_jax.training.packing import StatePacking
from distill_jax.training.population import over_members

CHANGING = "batch_stats"  # the one collection that a step changes


@flax.struct.dataclass
class TrainState:
    """All that training changes.

    >>> TrainState({"head": 1, "losses": 2}, collections={"batch_stats": 3}, opt_state=()).variables
    {'params': {'head': 1}, 'batch_stats': 3}

    Attributes:
      params: trained variables, float32; beside the model's, those of losses that have some, as `objective.PARAMS`.
      collections: the model's other variables (batch statistics, fixed random features).
      opt_state: the optimizer's.
    """

    params: Any
    collections: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The model's variables, as `model.apply` takes them."""
        return {"params": _without_losses(self.params), **self.collections}


def _accuracy(logits: jax.Array, label: jax.Array) -> jax.Array:
    return jnp.mean(jnp.argmax(logits, axis=-1) == label)


def _apart(state: TrainState) -> tuple[dict[str, Any], TrainState]:
    """The collections that do not change, and the state without them."""
    constants = {name: c for name, c in state.collections.items() if name != CHANGING}
    changing = {name: c for name, c in state.collections.items() if name == CHANGING}
    return constants, dataclasses.replace(state, collections=changing)


def _without_losses(params: Any) -> Any:
    return {name: value for name, value in params.items() if name != PARAMS}


@flax.struct.dataclass
class _StudentInputs:
    """Inputs of each student alone in a step: variables that do not change, settings, its frozen features."""

    constants: Any
    weights: Any
    rate: jax.Array
    settings: Any
    features: jax.Array | None


@flax.struct.dataclass
class _Batch:
    """Inputs that the students of a seed share in a step."""

    x: jax.Array | None  # where students have no features of their own
    label: jax.Array
    teacher: Outputs | None
    dropout: jax.Array
    bucket: jax.Array | None


@dataclasses.dataclass(frozen=True)
class _BlockInputs:
    """Inputs of a block of steps beside the state.

    Attributes:
      own, of_seed, shared: its arguments.
      constants: the state's collections that do not change.
      buckets: of each epoch and step the length of its texts, int32 [epochs, steps]; None where all have one.
      first_epoch: of the block.
    """

    own: PerMember
    of_seed: PerSeed
    shared: Shared
    constants: Any
    buckets: jax.Array | None
    first_epoch: jax.Array

    def of_students(self, step: jax.Array, features: jax.Array | None) -> _StudentInputs:
        """The students' own inputs in a step; with their frozen features of its batch."""
        weights = {name: table[:, step] for name, table in self.own.weights.items()}
        return _StudentInputs(self.constants, weights, self.own.rate[:, step], self.own.settings, features)


def make_init(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    inputs: jax.ShapeDtypeStruct,
    of_losses: Callable[[jax.Array], dict[str, Any]] | None = None,
) -> Callable[[jax.Array, jax.Array], TrainState]:
    """The function (role, seed) -> the state before step 0.

    >>> init = make_init(MLP(2, hidden=()), optax.sgd(0.1), jax.ShapeDtypeStruct((1, 3), "float32"))
    >>> jax.tree.map(jnp.shape, jax.eval_shape(init, 1, 0).params)
    {'head': {'bias': (2,), 'weight': (2, 3)}}

    Args:
      inputs: shape and type of a batch, on which initial values do not depend.
      of_losses: from a key to the parameters of losses that have some, see `objective.Objective.init`.
    """

    def init(role: jax.Array, seed: jax.Array) -> TrainState:
        zeros = jnp.zeros(inputs.shape, inputs.dtype)
        variables = dict(model.init(model_key(role, seed, Purpose.INIT), zeros, train=False))
        params = variables.pop("params")
        loss_params = {} if of_losses is None else of_losses(model_key(role, seed, Purpose.LOSSES))
        params |= {PARAMS: loss_params} if loss_params else {}
        return TrainState(params, variables, optimizer.init(params))

    return init


def make_epoch_order(
    examples: int, epochs: int, buckets: Buckets | None = None, batch_size: int = 1
) -> Callable[..., jax.Array]:
    """The function (role, seed, first_epoch) -> int32 [epochs, examples], a permutation for each epoch.

    With buckets it is [epochs, examples less those that fill no batch], and every batch is of texts of like length.

    >>> order = jax.jit(make_epoch_order(examples=5, epochs=2))(role=1, seed=0, first_epoch=0)
    >>> [sorted(epoch) for epoch in order.tolist()]
    [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    """

    def order(role: jax.Array, seed: jax.Array, first_epoch: jax.Array) -> jax.Array:
        def order_of_epoch(epoch: jax.Array) -> jax.Array:
            key = jax.random.fold_in(model_key(role, seed, Purpose.ORDER), epoch)
            shuffled = jax.random.permutation(key, examples).astype(jnp.int32)
            return shuffled if buckets is None else buckets.order(shuffled, epoch, batch_size)

        # A loop keeps one sort of `examples` in the program, however many epochs a dispatch touches.
        return jax.lax.map(order_of_epoch, first_epoch + jnp.arange(epochs))

    return order


def make_frozen_features(
    model: nn.Module, *, mean: ArrayLike | None, std: ArrayLike | None, dtype: Any, input_shape: tuple[int, ...]
) -> Callable[..., jax.Array]:
    """The function (variables, x [N, ...] raw) -> [N, ...], the features of x by the untrained part of a model.

    x may be flat; `input_shape` is that of one example.

    >>> from distill_jax.models import RandomFeatures
    >>> of = make_frozen_features(RandomFeatures(2, features=2), mean=1.0, std=2.0, dtype=jnp.float32, input_shape=(1,))
    >>> of({"constants": {"kernel": jnp.array([[1.0, -1.0]])}}, jnp.array([[7.0], [-3.0]])).round().tolist()
    [[3.0, 0.0], [0.0, 2.0]]
    """

    def frozen_features(variables: Any, x: jax.Array) -> Any:
        return model.apply(
            variables, normalise(x.reshape(-1, *input_shape), mean, std, dtype), method="frozen_features"
        )

    return frozen_features


@dataclasses.dataclass(frozen=True, eq=False)
class StepBlock:
    """Several training steps of the students of one seed as one function.

    What they share, batches and their teacher's logits, is computed once a step. It is called with (state, own:
    PerMember, of_seed: PerSeed, shared: Shared) of one seed: state has leaves [V, ...], of_seed has no axis of seeds.

    Attributes:
      model: the network to train, `model.apply(variables, x, train)` -> float32 logits [B, K]. Where it has a
        method `frozen_features`, for a part of it that is not trained, the split's features by it may be given.
      rule: the update rule without its learning rate, see `optimizer.make_rule`.
      mesh: the batch is split over its 'batch' axis; None where it is not split.
      mean, std: of the inputs, by channel or feature, in raw units.
      augmentation: 'none', 'crop' or 'crop-flip'.
      dtype: of the students' normalised inputs; a teacher's are float32.
      objective: the losses.
      steps: how many.
      classes: K, of the teacher's logits that are given; None for all that these have.
      input_shape: of one example, where x is flat or streamed; None where it has that shape.
      students: how many, V.
      in_turn: whether they take a step one after another, see `backend.Defaults`.
      sharing: devices of the mesh's 'student' axis, over which this function is mapped, that have students of the same
        seed: each evaluates the teacher on a part of the batch, and all are given all of it.
      teacher: evaluated on the very batch the students see, a function of `evaluation.teaching`; 'cached' where its
        logits are given instead, or those of all outcomes; None where no loss that needs a teacher has a weight.
      teacher_mean_std: by which its inputs are normalised; None where by `mean` and `std`.
      layers: of the students' features by name, where a loss compares them.
      buckets: of texts, whose batches are cut to their lengths; the order must be of the same buckets.
      packed: which arrays of the state are one within a call, see `packing`.
      shards: in which a batch is computed, by `of_shard` and `moved`; None for all of a batch at once.
    """

    model: nn.Module
    rule: optax.GradientTransformation
    mesh: Mesh | None
    _: dataclasses.KW_ONLY
    mean: ArrayLike | None
    std: ArrayLike | None
    augmentation: Augmentation
    dtype: Any
    objective: Objective
    batch_size: int
    steps_per_epoch: int
    steps: int
    classes: int | None = None
    input_shape: tuple[int, ...] | None = None
    students: int = 1
    in_turn: bool = False
    sharing: int = 1
    teacher: Callable[[Any, jax.Array], Outputs] | Literal["cached"] | None = None
    teacher_mean_std: tuple[ArrayLike | None, ArrayLike | None] | None = None
    layers: Mapping[str, str] | None = None
    buckets: Buckets | None = None
    packed: PackingKind = "none"
    shards: int | None = None

    def __call__(
        self, state: TrainState, own: PerMember, of_seed: PerSeed, shared: Shared
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """The state after these steps, and {'loss': float32 [V, steps], 'accuracy': float32 [V, steps]}.

        Of its collections the state has those only that change. Accuracy is on the augmented batch before its update.
        """
        constants, state = _apart(state)  # which the loop would carry from step to step
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), state)
        packing = StatePacking(self.packed if self.steps > 1 else "none", shapes)
        state = jax.vmap(packing.pack)(state)
        step = functools.partial(self._step, self._inputs(own, of_seed, shared, constants), packing)
        if self.steps == 1:  # no loop: on a CPU a convolution's gradient inside one is tens of times slower
            state, metrics = step(state, shared.first_step)
            return state, jax.tree.map(lambda m: m[:, None], metrics)
        state, metrics = jax.lax.scan(step, state, shared.first_step + jnp.arange(self.steps, dtype=jnp.int32))
        return jax.vmap(packing.unpack)(state), jax.tree.map(lambda m: m.swapaxes(0, 1), metrics)

    def _step(
        self, block: _BlockInputs, packing: StatePacking, state: TrainState, step: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One step of all students of the seed."""
        batch, features = self._batch(block, step)
        update_students = self._over_students(functools.partial(self._update, packing), (0, 0, None))
        return update_students(state, block.of_students(step, features), batch)

    def of_shard(
        self,
        state: TrainState,
        own: PerMember,
        of_seed: PerSeed,
        shared: Shared,
        step: jax.Array,
        shard: jax.Array,
    ) -> Any:
        """What a step has the means of over shards: each student's gradient, changed collections, loss and accuracy.

        Args:
          state: of the students, [V, ...], without the optimizer's.
          own, of_seed, shared: as of a call; of batches that are streamed the shard's alone, [1, B / shards, ...].
          step, shard: their numbers.
        """
        constants, state = _apart(state)
        packing, block = StatePacking("none", state), self._inputs(own, of_seed, shared, constants)
        batch, features = self._batch(block, step, shard)

        def of_student(state: TrainState, inputs: _StudentInputs, batch: _Batch) -> Any:
            (loss, (logits, updated)), grads = self._gradient(packing, state, inputs, batch)
            return grads, dict(updated), {"loss": loss, "accuracy": _accuracy(logits, batch.label)}

        return self._over_students(of_student, (0, 0, None))(state, block.of_students(step, features), batch)

    def moved(
        self, state: TrainState, own: PerMember, means: Any, step: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """The students' state after a step by the means of `of_shard`, and their loss and accuracy, [V]."""
        grads, updated, metrics = means
        params, opt_state = self._over_students(self._moved, (0, 0, 0))(state, own.rate[:, step], grads)
        return TrainState(params, {**state.collections, **updated}, opt_state), metrics

    def _inputs(self, own: PerMember, of_seed: PerSeed, shared: Shared, constants: Any) -> _BlockInputs:
        """What the steps of a call are given beside the state that they change."""
        first_epoch = shared.first_step // self.steps_per_epoch
        buckets, epochs = self.buckets, first_epoch + jnp.arange(len(of_seed.order))
        # Of no seed: mapped over seeds it stays one choice, of which one branch is run, and not all of them.
        of_steps = None if buckets is None else jax.lax.map(lambda e: buckets.steps(e, batch=self.batch_size), epochs)
        return _BlockInputs(own, of_seed, shared, constants, of_steps, first_epoch)

    def _over_students(self, f: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
        return over_members(f, in_axes, self.students, STUDENT, self.in_turn)

    def _batch(
        self, block: _BlockInputs, step: jax.Array, shard: jax.Array | None = None
    ) -> tuple[_Batch, jax.Array | None]:
        """Inputs that the students share in a step, and their frozen features of the batch where they have some.

        Of the whole batch, or of a shard of that number.
        """
        per_seed, frozen_features = block.of_seed, block.own.frozen_features
        epoch, within = step // self.steps_per_epoch - block.first_epoch, step % self.steps_per_epoch
        row = per_seed.order[epoch]
        bucket = None if block.buckets is None else block.buckets[epoch, within]
        with jax.named_scope("batch"):
            of_batch = self._on_devices(jax.lax.dynamic_slice(row, (within * self.batch_size,), (self.batch_size,)))
            chosen = self._part(of_batch, shard)
            raw = self._raw(block, chosen, step, shard)
            label = self._on_devices(per_seed.label[chosen])
        with jax.named_scope("augmentation"):
            key = jax.random.fold_in(model_key(per_seed.role, per_seed.seed, Purpose.AUGMENT), step)
            outcome = self._part(draw(key, self.batch_size, self.augmentation, raw.shape[1:]), shard)
            augmented = moved(raw, outcome, self.augmentation)
            inputs, features = None, None
            if isinstance(frozen_features, dict):  # there are none
                inputs = self._on_devices(normalise(augmented, self.mean, self.std, self.dtype))
            else:
                features = frozen_features[:, chosen]
        with jax.named_scope("teacher"):
            teacher = self._teacher_outputs(per_seed, chosen, outcome, augmented, bucket)
        # The same of all students of a seed.
        dropout = jax.random.fold_in(model_key(per_seed.role, per_seed.seed, Purpose.DROPOUT), step)
        if shard is not None:
            dropout = jax.random.fold_in(dropout, shard)
        return _Batch(inputs, label, teacher, dropout, bucket), features

    def _part(self, of_batch: jax.Array, shard: jax.Array | None) -> jax.Array:
        """A shard's part of what a batch has for each of its examples."""
        if self.shards is None:
            return of_batch
        assert shard is not None
        size = self.batch_size // self.shards
        return jax.lax.dynamic_slice_in_dim(of_batch, shard * size, size)

    def _raw(self, block: _BlockInputs, chosen: jax.Array, step: jax.Array, shard: jax.Array | None) -> jax.Array:
        """The inputs of a step's examples as the data set has them, [B, ...]."""
        x, batches = block.shared.x, block.of_seed.batches
        if isinstance(batches, dict):  # they are not streamed
            shape = x.shape[1:] if self.input_shape is None else self.input_shape
            return x[chosen].reshape(len(chosen), *shape)
        assert self.input_shape is not None
        number = step - block.shared.first_step if shard is None else 0
        return self._on_devices(batches[number]).reshape(len(chosen), *self.input_shape)

    def _teacher_outputs(
        self, per_seed: PerSeed, chosen: jax.Array, outcome: Any, augmented: jax.Array, bucket: jax.Array | None
    ) -> Outputs | None:
        """The teacher's on a batch: of the examples `chosen`, which are `augmented` by `outcome`."""
        if self.teacher == "cached":
            ways = len(per_seed.teacher_inputs) // len(per_seed.label)
            row = chosen if ways == 1 else chosen * ways + outcome
            return Outputs(per_seed.teacher_inputs[row][:, : self.classes].astype(jnp.float32))
        if self.teacher is None:
            return None
        part = augmented
        if self.sharing > 1:
            size = self.batch_size // self.sharing
            part = jax.lax.dynamic_slice_in_dim(augmented, jax.lax.axis_index(STUDENT) * size, size)
        mean, std = self.teacher_mean_std or (self.mean, self.std)
        exact = self._on_devices(normalise(part, mean, std, jnp.float32))
        teacher_outputs = self._cut(functools.partial(self.teacher, per_seed.teacher_inputs), exact, bucket)
        return teacher_outputs if self.sharing == 1 else jax.lax.all_gather(teacher_outputs, STUDENT, tiled=True)

    def _update(
        self, packing: StatePacking, state: TrainState, inputs: _StudentInputs, batch: _Batch
    ) -> tuple[TrainState, Any]:
        """One student's step on a batch."""
        (loss, (logits, updated)), grads = self._gradient(packing, state, inputs, batch)
        with jax.named_scope("optimizer"):
            params, opt_state = self._moved(state, inputs.rate, packing.params.pack(grads))
            collections = packing.collections.pack(dict(updated))
        metrics = {"loss": loss, "accuracy": _accuracy(logits, batch.label)}
        return TrainState(params, collections, opt_state), metrics

    def _moved(self, state: TrainState, rate: jax.Array, grads: Any) -> tuple[Any, Any]:
        """One student's parameters and the optimizer's state after a step by its gradient, all packed."""
        direction, opt_state = self.rule.update(grads, state.opt_state, state.params)
        return jax.tree.map(lambda p, d: p - rate * d, state.params, direction), opt_state

    def _gradient(
        self, packing: StatePacking, state: TrainState, inputs: _StudentInputs, batch: _Batch
    ) -> tuple[tuple[jax.Array, tuple[jax.Array, Any]], Any]:
        """One student's loss, its logits and changed collections, and its gradient."""
        apply_options: dict[str, Any] = {} if inputs.features is None else {"of_frozen_features": True}

        def loss_of(params: Any, x: jax.Array) -> tuple[jax.Array, Any]:
            variables = {"params": _without_losses(params), **packing.collections.unpack(state.collections)}
            layers, rngs = self.layers or {}, {"dropout": batch.dropout}
            student, updated = outputs(
                self.model,
                variables | inputs.constants,
                x,
                layers,
                train=True,
                mutable=[CHANGING],
                rngs=rngs,
                **apply_options,
            )
            loss_params = params.get(PARAMS, {})
            loss = self.objective(student, batch.teacher, batch.label, inputs.weights, inputs.settings, loss_params)
            return loss, (student.logits, updated)

        gradient = functools.partial(jax.value_and_grad(loss_of, has_aux=True), packing.params.unpack(state.params))
        x = batch.x if inputs.features is None else inputs.features
        assert x is not None
        return self._cut(gradient, x, batch.bucket)

    def _on_devices(self, batch: jax.Array) -> jax.Array:
        """A batch split over the devices that share it."""
        if self.mesh is None:
            return batch
        return jax.lax.with_sharding_constraint(batch, NamedSharding(self.mesh, PartitionSpec(BATCH)))

    def _cut(self, f: Callable[[jax.Array], Any], batch: jax.Array, bucket: jax.Array | None) -> Any:
        """`f` applied to a batch, cut to the length of its texts."""
        return f(batch) if self.buckets is None else self.buckets.cut(f, batch, bucket)
