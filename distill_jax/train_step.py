"""The compiled training step: a pure function of (state, data, seed, step), many of them in one dispatch."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from distill_jax.data.augment import augment, normalise
from distill_jax.objective import cross_entropy
from distill_jax.placement import BATCH, STUDENT
from distill_jax.population import over_members

_INIT, _ORDER, _AUGMENT, _DROPOUT = range(4)  # one stream of random numbers for each purpose
_CHANGING = "batch_stats"  # the one collection that a step changes


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


def make_fixed(model: nn.Module, *, mean: jax.Array, std: jax.Array, dtype: Any) -> Callable[..., jax.Array]:
    """The function (variables, x [N, ...] raw) -> [N, ...], what the part of a model that is not trained makes of x."""

    def fixed(variables: Any, x: jax.Array) -> jax.Array:
        return model.apply(variables, normalise(x, mean, std, dtype), method="fixed")

    return fixed


def make_dispatch(
    model: nn.Module,
    rule: optax.GradientTransformation,
    mesh: Mesh | None,
    *,
    mean: jax.Array,
    std: jax.Array,
    augmentation: str,
    dtype: Any,
    distillation_scale: str,
    batch_size: int,
    steps_per_epoch: int,
    steps: int,
    students: int = 1,
    teacher: nn.Module | Literal["cached"] | None = None,
    objective: Callable[..., jax.Array] = cross_entropy,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """Several training steps of the students of one seed as one function.

    What they share, batches and their teacher's logits, is computed once a step.

    Args:
      model: the network to train, `model.apply(variables, x, train)` -> float32 logits [B, K]. Where it has a
        method `fixed`, a part of it that is not trained, what that part makes of the split may be given.
      rule: the update rule without its learning rate, see `optimizer.make_rule`.
      mesh: the batch is split over its 'batch' axis; None where it is not split.
      mean, std: of the inputs, by channel or feature, in raw units.
      augmentation: 'none', 'crop' or 'crop-flip'.
      dtype: of the normalised inputs.
      distillation_scale: see `objective.cross_entropy`.
      steps: how many.
      students: how many, V.
      teacher: evaluated on the very batch the students see; 'cached' where its logits are given instead; None
        where the distillation weight is 0 throughout.
      objective: the loss of a batch, called as `objective.cross_entropy` is.

    Returns:
      The function
        (state, taught, x, fixed, label, order, first_step, weight, rate, temperature, role, seed)
        -> (state, {'loss': float32 [V, steps], 'accuracy': float32 [V, steps]})
      with state's leaves [V, ...], of collections in what is returned only those that change; taught the
      teacher's variables, or its logits float32 [N, K]; x [N, ...] raw and label int32 [N] the whole training
      split; fixed what `make_fixed` made of it for each student, [V, N, ...], or {} where that is computed in every
      step; order int32 [E, N] the permutations of the epochs from that of `first_step` (int32 scalar) on; weight
      and rate float32 [V, total steps] the distillation weight and the learning rate at every step of the run;
      temperature float32 [V]. Accuracy is on the augmented batch before its update.
    """

    def on_devices(batch: jax.Array) -> jax.Array:
        if mesh is None:
            return batch
        return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(BATCH)))

    def update(of_what, state, constants, batch, target, teacher_logits, key, weight, rate, temperature):
        def loss_of(params):
            variables = {"params": params, **state.collections, **constants}
            logits, updated = model.apply(
                variables, batch, train=True, mutable=[_CHANGING], rngs={"dropout": key}, **of_what
            )
            loss = objective(logits, target, teacher_logits, weight, temperature, distillation_scale)
            return loss, (logits, updated)

        (loss, (logits, updated)), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        direction, opt_state = rule.update(grads, state.opt_state, state.params)
        state = TrainState(
            params=jax.tree.map(lambda p, d: p - rate * d, state.params, direction),
            collections=dict(updated),
            opt_state=opt_state,
        )
        return state, {"loss": loss, "accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == target)}

    def update_all(of_fixed, *args):
        one = functools.partial(update, {"of_fixed": True} if of_fixed else {})
        return over_members(one, (0, 0, 0 if of_fixed else None, None, None, None, 0, 0, 0), students, STUDENT)(*args)

    def dispatch(state, taught, x, fixed, label, order, first_step, weight, rate, temperature, role, seed):
        first_epoch = first_step // steps_per_epoch
        of_fixed = not isinstance(fixed, dict)
        # What does not change stays out of the loop, which would carry it from step to step.
        constants = {name: c for name, c in state.collections.items() if name != _CHANGING}
        state = state.replace(collections={n: c for n, c in state.collections.items() if n == _CHANGING})

        def one_step(state: TrainState, step: jax.Array):
            row = order[step // steps_per_epoch - first_epoch]
            start = step % steps_per_epoch * batch_size
            chosen = on_devices(jax.lax.dynamic_slice(row, (start,), (batch_size,)))
            batch = augment(jax.random.fold_in(_key(role, seed, _AUGMENT), step), x[chosen], augmentation)
            batch = on_devices(normalise(batch, mean, std, dtype))
            seen = fixed[:, chosen] if of_fixed else batch
            teacher_logits = None
            if teacher == "cached":
                teacher_logits = taught[chosen]
            elif teacher is not None:
                teacher_logits = teacher.apply(taught, batch, train=False)
            dropped = jax.random.fold_in(_key(role, seed, _DROPOUT), step)  # the same of all students of a seed
            now = dropped, weight[:, step], rate[:, step], temperature
            return update_all(of_fixed, state, constants, seen, on_devices(label[chosen]), teacher_logits, *now)

        if steps == 1:  # no loop: on a CPU a convolution's gradient inside one is tens of times slower
            state, metrics = one_step(state, first_step)
            return state, jax.tree.map(lambda m: m[:, None], metrics)
        state, metrics = jax.lax.scan(one_step, state, first_step + jnp.arange(steps, dtype=jnp.int32))
        return state, jax.tree.map(lambda m: m.swapaxes(0, 1), metrics)

    return dispatch
