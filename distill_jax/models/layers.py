"""The layers that the networks share, with the choices of precision and initialisation in one place.

Precision. `dtype` is that of activations, convolutions and matrix products; parameters, batch statistics,
the mean over positions and the logits are float32 whatever it is. Where `dtype` is float32, products are
computed in float32 (Precision.HIGHEST): by default a GPU would round their factors to TF32 and a TPU to
bfloat16. Logits are always computed so: in bfloat16 a logit near 10 would be a multiple of 1/16, and this
project measures deviations of logits.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


def product_precision(dtype: Any) -> jax.lax.Precision | None:
    """The precision in which products of factors of `dtype` are to be computed."""
    return jax.lax.Precision.HIGHEST if jnp.dtype(dtype) == jnp.float32 else None


def conv(
    features: int, kernel: int, stride: int = 1, *, groups: int = 1, dtype: Any = jnp.float32, name: str
) -> nn.Conv:
    """A square convolution without bias, `features` out, padded by kernel // 2 on every side.

    Padding is symmetric also where the stride is 2 ('SAME' would pad the right and bottom only), as in He's
    code. `groups` is 1 or, for a depthwise convolution, the number of channels.

    Initialisation is He et al. 2015's normal distribution with variance 2 / fan-out, which is what He's own
    code for the pre-activation networks uses: it keeps the variance of the gradient on its way back, and
    batch normalisation takes care of the variance on the way forward. A depthwise kernel has fan-in =
    fan-out = kernel^2, which from the shape (k, k, 1, C) is computed as "fan_in".
    """
    return nn.Conv(
        features,
        (kernel, kernel),
        stride,
        padding=kernel // 2,
        feature_group_count=groups,
        use_bias=False,
        dtype=dtype,
        precision=product_precision(dtype),
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_out" if groups == 1 else "fan_in", "normal"),
        name=name,
    )


def batch_norm(train: bool, *, dtype: Any = jnp.float32, name: str) -> nn.BatchNorm:
    """Batch normalisation, momentum 0.9 and epsilon 1e-5, with float32 statistics over the whole batch.

    Under jit the batch is the global one, however it is sharded: statistics do not depend on the number of
    devices. Running variances are of the biased estimate (PyTorch's are of the unbiased one).
    """
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)


def head(num_classes: int, use_bias: bool = True) -> nn.Dense:
    """The last layer: float32 logits, weights of variance 1 / fan-in (LeCun) and zero bias, or none."""
    return nn.Dense(num_classes, use_bias, jnp.float32, precision=jax.lax.Precision.HIGHEST, name="head")


def mean_over_positions(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> float32 [B, C]."""
    return x.astype(jnp.float32).mean(axis=(1, 2))
