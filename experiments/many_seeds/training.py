"""Models of one seed, trained by the library's own step within a traced function, with a record of every step."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from distill_jax.training.inputs import PerMember, PerSeed, Shared
from distill_jax.training.objective import Objective
from distill_jax.training.step import StepBlock, TrainState, make_epoch_order, make_init

ONE_HOT_OR_KD = Objective(("one_hot", "kd"))


@dataclasses.dataclass(frozen=True)
class Training:
    """How the models of a seed are trained.

    Attributes:
      model: `model.apply({'params': params}, x, train=False)` -> logits.
      rule: see `optimizer.make_rule`.
      examples: training points, N.
      batch_size: examples a step; the last incomplete batch of a pass is dropped.
      epochs: passes over the training points.
      learning_rate: constant; may be traced.
      temperature: T of the distillation loss.
      objective: of two losses, one by the labels and one by the teacher.
    """

    model: nn.Module
    rule: optax.GradientTransformation
    examples: int
    batch_size: int
    epochs: int
    learning_rate: float | jax.Array
    temperature: float
    objective: Objective = ONE_HOT_OR_KD

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in a pass."""
        return self.examples // self.batch_size

    @property
    def steps(self) -> int:
        """Updates of each model."""
        return self.epochs * self.steps_per_epoch

    def start(self, role: int, seed: jax.Array, models: int, input_shape: tuple[int, ...]) -> TrainState:
        """The state before the first step of so many models V of one role, leaves [V, ...], all alike."""
        inputs = jax.ShapeDtypeStruct((2, *input_shape), jnp.float32)
        first = make_init(self.model, self.rule, inputs)(jnp.int32(role), seed)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (models, *leaf.shape)), first)

    def run(
        self,
        role: int,
        seed: jax.Array,
        state: TrainState,
        x: jax.Array,
        label: jax.Array,
        weights: list[float],
        taught: jax.Array | None,
        record: Callable[[jax.Array, Any], Any],
    ) -> tuple[TrainState, Any]:
        """Trains the models of a role to the end.

        Args:
          role: of the models.
          seed: int32 scalar.
          state: of `start`.
          x: training points as the model takes them, float32 [N, ...].
          label: int32 [N].
          weights: distillation weight of each model, [V].
          taught: the teacher's logits [N, K]; None where all weights are 0.
          record: from the number of steps taken and the parameters [V, ...] to what is to be kept.

        Returns:
          The last state, and the records before the first step and after each, with a leading axis [steps + 1].
        """
        models, role, per_epoch = len(weights), jnp.int32(role), self.steps_per_epoch
        block = StepBlock(
            self.model,
            self.rule,
            None,
            mean=jnp.zeros(()),
            std=jnp.ones(()),
            augmentation="none",
            dtype=jnp.float32,
            objective=self.objective,
            batch_size=self.batch_size,
            steps_per_epoch=per_epoch,
            steps=1,
            students=models,
            teacher="cached" if any(weights) else None,
        )
        distillation_weights = jnp.broadcast_to(jnp.array(weights, jnp.float32)[:, None], (models, self.steps))
        _, by_teacher = self.objective.names
        rate = jnp.full((models, self.steps), self.learning_rate, jnp.float32)
        settings = {"temperature": jnp.full(models, self.temperature, jnp.float32)}
        order = make_epoch_order(self.examples, self.epochs)(role, seed, jnp.int32(0))

        def step(state: TrainState, now: jax.Array) -> tuple[TrainState, Any]:
            row = jax.lax.dynamic_slice_in_dim(order, now // per_epoch, 1)
            per_seed = PerSeed({} if taught is None else taught, label, row, role, seed)
            state, _ = block(
                state, PerMember({by_teacher: distillation_weights}, rate, settings, {}), per_seed, Shared(x, now)
            )
            return state, record(now + 1, state.params)

        last, path = jax.lax.scan(step, state, jnp.arange(self.steps, dtype=jnp.int32))
        before = record(jnp.int32(0), state.params)
        return last, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), before, path)
