"""Augmentation and normalisation of a batch, within the compiled training step."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from distill_jax.data.arrays import margin

Kind = Literal["none", "crop", "crop-flip"]


def normalise(x: jax.Array, mean: ArrayLike | None, std: ArrayLike | None, dtype: Any = jnp.float32) -> jax.Array:
    """(x - mean) / std, computed in float32 and rounded to `dtype` at the end; x itself where there is no mean.

    >>> normalise(jnp.array([[0, 255]], jnp.uint8), 127.5, 127.5).tolist()
    [[-1.0, 1.0]]

    Args:
      x: raw inputs [..., C], uint8 or float.
      mean, std: [C] or anything that broadcasts with x, in the units of x; None for tokens, which are names.
      dtype: of the result.
    """
    if mean is None:
        return x
    mean, std = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)
    return ((x.astype(jnp.float32) - mean) / std).astype(dtype)


def outcomes(kind: Kind, input_shape: tuple[int, ...]) -> int:
    """In how many ways an image [H, W, C] may be augmented, all equally likely: 162 for 32x32, cropped and mirrored.

    >>> [outcomes(kind, (32, 32, 3)) for kind in ("none", "crop", "crop-flip")]
    [1, 81, 162]

    Raises:
      ValueError: there is no such augmentation.
    """
    if kind == "none":
        return 1
    if kind not in ("crop", "crop-flip"):
        raise ValueError(f"unknown augmentation {kind!r}")
    height, width, _ = input_shape
    return (2 * margin(height) + 1) * (2 * margin(width) + 1) * (2 if kind == "crop-flip" else 1)


def draw(key: jax.Array, examples: int, kind: Kind, input_shape: tuple[int, ...]) -> jax.Array:
    """One of the `outcomes` for each example, int32 [B].

    It depends on the key and on the example's place in the batch only, and not on how the batch is sharded.

    The remainder of 32 random bits: of 162 outcomes some are likelier than others by 4e-8 of their chance.

    >>> drawn = jax.jit(draw, static_argnums=(1, 2, 3))(jax.random.key(0), 1000, "crop", (8, 8, 1))
    >>> sorted(set(drawn.tolist()))
    [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """
    bits = jax.random.bits(key, (examples,))
    return (bits % jnp.uint32(outcomes(kind, input_shape))).astype(jnp.int32)


def moved(x_raw: jax.Array, outcome: jax.Array, kind: Kind) -> jax.Array:
    """Images cropped out of themselves padded with zeros, and mirrored or not, as their outcomes have it.

    Padding is H // 8 rows and W // 8 columns on each side (He et al. 2015, section 4.2: 4 pixels for 32x32),
    and it is the raw image that is padded, with its 0, before normalisation: as torchvision's and
    TensorFlow's CIFAR pipelines do; it is the background of digits, where the mean colour would make a grey
    frame; and the images are moved as uint8, a quarter of the bytes.

    On TPUs by selection among all shifts, elsewhere by gathers; the two give the same numbers. Sharding a batch over
    its examples causes no communication.

    >>> images = np.array([[range(1, 9)]] * 2)[..., None]  # two of 1x8 pixels
    >>> jax.jit(moved, static_argnums=2)(images, jnp.array([0, 3]), "crop-flip")[:, 0, :, 0].tolist()
    [[0, 1, 2, 3, 4, 5, 6, 7], [8, 7, 6, 5, 4, 3, 2, 1]]

    Args:
      x_raw: [B, H, W, C], uint8 or float; anything where `kind` is 'none'.
      outcome: of each example, int32 [B], see `draw`.
      kind: 'none', 'crop' or 'crop-flip'.

    Returns:
      [B, H, W, C] of the type of x_raw.
    """
    if kind == "none":
        return x_raw
    mirrored = outcome % 2 == 1 if kind == "crop-flip" else jnp.zeros(outcome.shape, bool)
    shift = outcome // 2 if kind == "crop-flip" else outcome
    columns = 2 * margin(x_raw.shape[2]) + 1
    top, side = shift // columns, shift % columns
    return jax.lax.platform_dependent(x_raw, top, side, mirrored, tpu=_selected, default=_gathered)


def _gathered(x: jax.Array, top: jax.Array, side: jax.Array, mirrored: jax.Array) -> jax.Array:
    """Two gathers, of whole rows and then of columns, with the mirroring folded in.

    Measured against a mapped dynamic_slice, one gather over both axes, one-hot products and selection among all shifts:
    on a CPU the first two take between 0.7 and 3 times as long, the others up to 25 times.
    """
    _, height, width, _ = x.shape
    up, left = margin(height), margin(width)
    columns = jnp.where(mirrored[:, None], jnp.arange(width)[::-1], jnp.arange(width))
    padded = jnp.pad(x, ((0, 0), (up, up), (left, left), (0, 0)))
    padded = jnp.take_along_axis(padded, (top[:, None] + jnp.arange(height))[:, :, None, None], axis=1)
    return jnp.take_along_axis(padded, (side[:, None] + columns)[:, None, :, None], axis=2)


def _selected(x: jax.Array, top: jax.Array, side: jax.Array, mirrored: jax.Array) -> jax.Array:
    """Selection among all shifts of rows, then of columns, then among an image and its mirror image.

    A TPU's gathers are slow, and of an axis of 3 channels it would use 3 places in 32: here a row is one axis, [W C].
    By the compiler's cycles for a v5e, 32x32 and a batch of 128: 41,000 against 237,000 by gathers, 111,000 with
    channels apart, 190,000 by shifts of 1, 2, 4 and 8, and 143,000 by one-hot products.
    """
    batch, height, width, channels = x.shape
    up, left = margin(height), margin(width)
    rows = jnp.pad(x.reshape(batch, height, width * channels), ((0, 0), (up, up), (0, 0)))
    cropped = rows[:, :height]
    for shift in range(1, 2 * up + 1):
        cropped = jnp.where((top == shift)[:, None, None], rows[:, shift : shift + height], cropped)
    rows = jnp.pad(cropped, ((0, 0), (0, 0), (left * channels, left * channels)))
    cropped = rows[:, :, : width * channels]
    for shift in range(1, 2 * left + 1):
        at = shift * channels
        cropped = jnp.where((side == shift)[:, None, None], rows[:, :, at : at + width * channels], cropped)
    if x.dtype == jnp.uint8:
        # As a product with a permutation, of whole numbers below 257, which bfloat16 has exactly.
        order = np.arange(width * channels).reshape(width, channels)[::-1].ravel()
        permutation = jnp.asarray(np.eye(width * channels)[:, order], jnp.bfloat16)
        mirror = jnp.matmul(cropped.astype(jnp.bfloat16), permutation).astype(x.dtype)
    else:
        mirror = cropped.reshape(x.shape)[:, :, ::-1].reshape(cropped.shape)
    return jnp.where(mirrored[:, None, None], mirror, cropped).reshape(x.shape)
