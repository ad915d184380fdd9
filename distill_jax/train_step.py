"""The compiled training step: a pure function of (state, data, seed, step), many of them in one dispatch."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from distill_jax.data.augment import augment, normalise
from distill_jax.objective import cross_entropy
from distill_jax.placement import BATCH

_INIT, _ORDER, _AUGMENT = range(3)  # one stream of random numbers for each purpose


@flax.struct.dataclass
class TrainState:
    """All that training changes.

    Attributes:
      params: trained variables, float32.
      collections: the model's other variables (batch statistics, fixed random features).
      opt_state: the optimizer's.
    """

    params: Any
    collections: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The model's variables, as `model.apply` takes them."""
        return {"params": self.params, **self.collections}


def _key(role: jax.Array, seed: jax.Array, purpose: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), role), purpose)


def make_init(
    model: nn.Module, optimizer: optax.GradientTransformation, input_shape: tuple[int, ...]
) -> Callable[[jax.Array, jax.Array], TrainState]:
    """The function (role, seed) -> the state before step 0."""

    def init(role: jax.Array, seed: jax.Array) -> TrainState:
        inputs = jnp.zeros((2, *input_shape), jnp.float32)
        variables = dict(model.init(_key(role, seed, _INIT), inputs, train=False))
        params = variables.pop("params")
        return TrainState(params, variables, optimizer.init(params))

    return init


def make_epoch_order(examples: int, epochs: int) -> Callable[..., jax.Array]:
    """The function (role, seed, first_epoch) -> int32 [epochs, examples], a permutation for each epoch."""

    def order(role: jax.Array, seed: jax.Array, first_epoch: jax.Array) -> jax.Array:
        def one(epoch: jax.Array) -> jax.Array:
            key = jax.random.fold_in(_key(role, seed, _ORDER), epoch)
            return jax.random.permutation(key, examples).astype(jnp.int32)

        # A loop keeps one sort of `examples` in the program, however many epochs a dispatch touches.
        return jax.lax.map(one, first_epoch + jnp.arange(epochs))

    return order


def make_dispatch(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    mean: jax.Array,
    std: jax.Array,
    augmentation: str,
    dtype: Any,
    distillation_scale: str,
    batch_size: int,
    steps_per_epoch: int,
    steps: int,
    teacher: nn.Module | None = None,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """Several training steps of one model as one function.

    Args:
      model: the network to train, `model.apply(variables, x, train)` -> float32 logits [B, K].
      mesh: the batch is split over its 'batch' axis.
      mean, std: of the inputs, by channel or feature, in raw units.
      augmentation: 'none', 'crop' or 'crop-flip'.
      dtype: of the normalised inputs.
      distillation_scale: see `objective.cross_entropy`.
      steps: how many.
      teacher: evaluated on the very batch the student sees; None where the distillation weight is 0 throughout.

    Returns:
      The function
        (state, teacher_variables, x, label, order, first_step, weight, temperature, role, seed)
        -> (state, {'loss': float32 [steps], 'accuracy': float32 [steps]})
      with x [N, ...] raw and label int32 [N] the whole training split, order int32 [E, N] the permutations of
      the epochs from that of `first_step` (int32 scalar) on, and weight float32 [steps] the distillation weight.
      Accuracy is on the augmented batch before its update.
    """

    def on_devices(batch: jax.Array) -> jax.Array:
        return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(BATCH)))

    def dispatch(state, teacher_variables, x, label, order, first_step, weight, temperature, role, seed):
        first_epoch = first_step // steps_per_epoch

        def one_step(state: TrainState, inputs: tuple[jax.Array, jax.Array]):
            offset, w = inputs
            step = first_step + offset
            row = order[step // steps_per_epoch - first_epoch]
            start = step % steps_per_epoch * batch_size
            chosen = on_devices(jax.lax.dynamic_slice(row, (start,), (batch_size,)))
            batch = augment(jax.random.fold_in(_key(role, seed, _AUGMENT), step), x[chosen], augmentation)
            batch = on_devices(normalise(batch, mean, std, dtype))
            target = on_devices(label[chosen])
            teacher_logits = None if teacher is None else teacher.apply(teacher_variables, batch, train=False)

            def loss_of(params):
                logits, updated = model.apply(
                    {"params": params, **state.collections}, batch, train=True, mutable=["batch_stats"]
                )
                loss = cross_entropy(logits, target, teacher_logits, w, temperature, distillation_scale)
                return loss, (logits, updated)

            (loss, (logits, updated)), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            state = TrainState(
                params=optax.apply_updates(state.params, updates),
                collections={**state.collections, **updated},
                opt_state=opt_state,
            )
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == target)
            return state, {"loss": loss, "accuracy": accuracy}

        if steps == 1:  # no loop: on a CPU a convolution's gradient inside one is tens of times slower
            state, metrics = one_step(state, (jnp.int32(0), weight[0]))
            return state, jax.tree.map(lambda m: m[None], metrics)
        return jax.lax.scan(one_step, state, (jnp.arange(steps, dtype=jnp.int32), weight))

    return dispatch
