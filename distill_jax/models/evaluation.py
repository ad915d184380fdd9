"""Networks as they teach and are measured: all of it in float32, unless a teacher's precision is asked for."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.layers import THREE_PASSES
from distill_jax.models.outputs import Outputs, outputs
from distill_jax.models.roberta import Roberta


def in_float32(model: nn.Module) -> nn.Module:
    """The same network on the same variables with all of it computed in float32; one without `dtype` is so already."""
    nnx_arguments = getattr(model, "kwargs", None)  # of a network of NNX, as `own.build_own` has it
    if nnx_arguments is not None:
        return model.clone(kwargs={**nnx_arguments, "dtype": jnp.float32}) if "dtype" in nnx_arguments else model
    if not hasattr(model, "dtype"):
        return model
    if isinstance(model, Roberta):
        return model.clone(dtype=jnp.float32, attention="xla")  # cuDNN's is for bfloat16
    return model.clone(dtype=jnp.float32)


def evaluation(model: nn.Module, platform: str, precision: str = "float32") -> Callable[[Any, jax.Array], jax.Array]:
    """The function (variables, x) -> float32 logits [B, K] of a network as teachers and dumps have it.

    Args:
      model: the network, of any precision.
      precision: 'float32', or 'bfloat16', which the model must be of: then it is evaluated as it is.
      platform: for which it is compiled. A TPU makes a product of float32 factors of six passes of its bfloat16
        units; of these three are taken here, half the cost, which move logits by 0.003% of their spread
        (docs/paper-gaps.md, "precision").
    """
    teach = teaching(model, platform, precision)
    return lambda variables, x: teach(variables, x).logits


def teaching(
    model: nn.Module, platform: str, precision: str = "float32", layers: Mapping[str, str] | None = None
) -> Callable[[Any, jax.Array], Outputs]:
    """The function (variables, x) -> `Outputs` of a network, as `evaluation` has its logits.

    Args:
      layers: of its features by name, see `outputs.outputs`.
    """
    low_precision = precision == "bfloat16"
    network, matmul_precision = (
        (model, None) if low_precision else (in_float32(model), THREE_PASSES if platform == "tpu" else "highest")
    )

    def teach(variables: Any, x: jax.Array) -> Outputs:
        with contextlib.nullcontext() if matmul_precision is None else jax.default_matmul_precision(matmul_precision):
            return outputs(network, variables, x, layers or {}, train=False)[0]

    return teach


def rounded_kernels(variables: Any) -> Any:
    """The variables of a bfloat16 network, of one or with leading axes, whose kernels are rounded beforehand.

    The network rounds them itself wherever it is evaluated: its outputs are the same to the bit, and a loop of many
    evaluations has 57 operations less in each, of a ResNet-56.
    """

    def rounded(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        names = [getattr(part, "key", None) for part in path]
        # Those of a head, of one layer or of two, are used in float32.
        of_head = any(str(name).startswith("head") for name in names)
        is_layer_kernel = len(names) > 2 and names[-1] == "kernel" and not of_head
        return leaf.astype(jnp.bfloat16) if is_layer_kernel else leaf

    return jax.tree_util.tree_map_with_path(rounded, variables)
