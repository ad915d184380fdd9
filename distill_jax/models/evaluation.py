"""Networks as they teach and are measured: all of it in float32, whatever they are trained in."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.layers import THREE_PASSES
from distill_jax.models.roberta import Roberta


def in_float32(model: nn.Module) -> nn.Module:
    """The same network on the same variables with all of it computed in float32."""
    if isinstance(model, Roberta):
        return model.clone(dtype=jnp.float32, attention="xla")  # cuDNN's is for bfloat16
    return model.clone(dtype=jnp.float32)


def evaluation(model: nn.Module, platform: str) -> Callable[[Any, jax.Array], jax.Array]:
    """The function (variables, x) -> float32 logits [B, K] of a network as teachers and dumps have it.

    Args:
      model: the network, of any precision.
      platform: for which it is compiled. A TPU makes a product of float32 factors of six passes of its bfloat16
        units; of these three are taken here, half the cost, which move logits by 0.003% of their spread
        (BUILD_NOTES.md, "precision").
    """
    exact = in_float32(model)

    def evaluate(variables: Any, x: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(THREE_PASSES if platform == "tpu" else "highest"):
            return exact.apply(variables, x, train=False)

    return evaluate
