"""The layers that the networks share, with the choices of precision and initialisation in one place.

Precision. `dtype` is that of activations, convolutions and matrix products; parameters, batch statistics,
the mean over positions and the logits are float32 whatever it is. Where `dtype` is float32, products are
computed in float32 (Precision.HIGHEST): by default a GPU would round their factors to TF32 and a TPU to
bfloat16. Logits are always computed so: in bfloat16 a logit near 10 would be a multiple of 1/16, and this
project measures deviations of logits. `evaluation` asks for less than HIGHEST where it is near enough.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.normalisation import Activation, BatchNorm

THREE_PASSES = "BF16_BF16_F32_X3"  # JAX's name, for `jax.default_matmul_precision`


def product_precision(dtype: Any) -> jax.lax.Precision | None:
    """The precision in which products of factors of `dtype` are to be computed.

    Float32's is exact unless three passes are asked for by name: what JAX has by default never makes it less.

    >>> product_precision("float32").name, product_precision("bfloat16")
    ('HIGHEST', None)
    """
    if jnp.dtype(dtype) != jnp.float32:
        return None
    default_precision = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return jax.lax.Precision.HIGH if default_precision == THREE_PASSES else jax.lax.Precision.HIGHEST


def conv(
    features: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
    dtype: Any = jnp.float32,
    name: str,
) -> nn.Conv:
    """A square convolution, by default without bias, `features` out, padded by kernel // 2 on every side.

    Padding is symmetric also where the stride is 2 ('SAME' would pad the right and bottom only), as in He's
    code. `groups` is 1 or, for a depthwise convolution, the number of channels.

    Initialisation is He et al. 2015's normal distribution with variance 2 / fan-out, which is what He's own
    code for the pre-activation networks uses: it keeps the variance of the gradient on its way back, and
    batch normalisation takes care of the variance on the way forward. A depthwise kernel has fan-in =
    fan-out = kernel^2, which from the shape (k, k, 1, C) is computed as "fan_in".

    >>> layer = conv(8, kernel=3, stride=2, name="stem")
    >>> jax.eval_shape(lambda x: layer.init_with_output(jax.random.key(0), x)[0], jnp.zeros((1, 32, 32, 3))).shape
    (1, 16, 16, 8)
    """
    convolution = depthwise if groups > 1 else pointwise if kernel == 1 else jax.lax.conv_general_dilated
    return nn.Conv(
        features,
        (kernel, kernel),
        stride,
        padding=kernel // 2,
        feature_group_count=groups,
        use_bias=bias,
        dtype=dtype,
        precision=product_precision(dtype),
        conv_general_dilated=convolution,
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_out" if groups == 1 else "fan_in", "normal"),
        name=name,
    )


def _on_cpus(f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`jax.lax.conv_general_dilated`, but on a CPU `f` with the same arguments."""

    @functools.wraps(f)
    def convolution(x: jax.Array, kernel: jax.Array, window_strides: Any, padding: Any, **others: Any) -> jax.Array:
        options = {"window_strides": window_strides, "padding": padding, **others}
        ours, default = (functools.partial(g, **options) for g in (f, jax.lax.conv_general_dilated))
        return jax.lax.platform_dependent(x, kernel, cpu=ours, default=default)

    return convolution


@_on_cpus
def depthwise(
    x: jax.Array, kernel: jax.Array, window_strides: Sequence[int], padding: Sequence[tuple[int, int]], **_: Any
) -> jax.Array:
    """A convolution in which every channel is a group of its own, as a sum of products.

    There is one for each position of the kernel, and the sum is in float32 whatever the type. XLA's takes 4 to 40 times
    as long on a CPU.

    >>> options = {"padding": ((1, 1), (1, 1)), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    >>> convolve = jax.jit(functools.partial(depthwise, window_strides=(1, 1), **options))
    >>> convolve(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]

    Args:
      x: [B, H, W, C].
      kernel: [k, k, 1, C].
      window_strides, padding: of the two directions, as `jax.lax.conv_general_dilated` takes them.
      **_: its other arguments, for which there is one choice here: dimension_numbers NHWC, HWIO, NHWC.
    """
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0))).astype(jnp.float32)
    height, width = ((n - k) // s for n, k, s in zip(padded.shape[1:3], kernel.shape[:2], window_strides, strict=True))
    total = jnp.zeros((), jnp.float32)
    for row, column in itertools.product(*map(range, kernel.shape[:2])):
        rows = slice(row, row + height * window_strides[0] + 1, window_strides[0])
        columns = slice(column, column + width * window_strides[1] + 1, window_strides[1])
        total += padded[:, rows, columns] * kernel[row, column, 0].astype(jnp.float32)
    return total.astype(x.dtype)


@_on_cpus
def pointwise(
    x: jax.Array, kernel: jax.Array, window_strides: Sequence[int], precision: Any = None, **_: Any
) -> jax.Array:
    """A convolution with a 1x1 kernel and no padding, as the matrix product that it is.

    XLA's takes 1.3 to 3 times as long on a CPU.

    >>> options = {"padding": ((0, 0), (0, 0)), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    >>> x, kernel = jnp.array([[[[1.0, 2.0], [3.0, 4.0]]]]), jnp.array([[[[1.0], [10.0]]]])
    >>> pointwise(x, kernel, (1, 1), **options).tolist()
    [[[[21.0], [43.0]]]]

    Args:
      x: [B, H, W, C].
      kernel: [1, 1, C, C'].
      window_strides: of the two directions.
      precision: of the product.
      **_: other arguments of `jax.lax.conv_general_dilated`, for which there is one choice here: no padding, and
        dimension_numbers NHWC, HWIO, NHWC.
    """
    return jnp.matmul(x[:, :: window_strides[0], :: window_strides[1]], kernel[0, 0], precision=precision)


def batch_norm(
    train: bool, examples: int | None, *, activation: Activation = "none", dtype: Any = jnp.float32, name: str
) -> BatchNorm:
    """Batch normalisation and activation, momentum 0.9 and epsilon 1e-5, with float32 statistics.

    They are of the whole batch, or of each so many `examples` of it. Under jit the batch is the global one, however it
    is sharded: statistics do not depend on the number of devices. Running variances are of the biased estimate
    (PyTorch's are of the unbiased one).

    >>> layer = batch_norm(True, None, activation="relu", name="norm")
    >>> layer.momentum, layer.epsilon, layer.use_running_average
    (0.9, 1e-05, False)
    """
    return BatchNorm(not train, activation, dtype, examples=examples, name=name)


def head(num_classes: int, use_bias: bool = True) -> nn.Dense:
    """The last layer: float32 logits, weights of variance 1 / fan-in (LeCun) and zero bias, or none.

    >>> jax.eval_shape(head(10).init_with_output, jax.random.key(0), jnp.zeros((2, 4), jnp.bfloat16))[0].dtype.name
    'float32'
    """
    return nn.Dense(num_classes, use_bias, jnp.float32, precision=product_precision(jnp.float32), name="head")


def mean_over_positions(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> float32 [B, C].

    >>> mean_over_positions(jnp.array([[[[0.0, 10.0]], [[2.0, 30.0]]]])).tolist()
    [[1.0, 20.0]]
    """
    return x.astype(jnp.float32).mean(axis=(1, 2))
