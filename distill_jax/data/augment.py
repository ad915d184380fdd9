"""Augmentation and normalisation of a batch, within the compiled training step."""

from typing import Any, Literal

import jax
import jax.numpy as jnp


def normalise(x: jax.Array, mean: jax.Array | None, std: jax.Array | None, dtype: Any = jnp.float32) -> jax.Array:
    """(x - mean) / std, computed in float32 and rounded to `dtype` at the end; x itself where there is no mean.

    Args:
      x: raw inputs [..., C], uint8 or float.
      mean, std: [C] or anything that broadcasts with x, in the units of x; None for tokens, which are names.
      dtype: of the result.
    """
    if mean is None:
        return x
    mean, std = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)
    return ((x.astype(jnp.float32) - mean) / std).astype(dtype)


def augment(key: jax.Array, x_raw: jax.Array, kind: Literal["none", "crop", "crop-flip"]) -> jax.Array:
    """Crops every image at random out of itself padded with zeros, and mirrors it with probability 1/2.

    Padding is H // 8 rows and W // 8 columns on each side (He et al. 2015, section 4.2: 4 pixels for 32x32),
    and it is the raw image that is padded, with its 0, before normalisation: as torchvision's and
    TensorFlow's CIFAR pipelines do; it is the background of digits, where the mean colour would make a grey
    frame; and the images are moved as uint8, a quarter of the bytes.

    Every example has draws of its own, which depend on the key and its place in the batch only: the result
    is the same however the batch is sharded, and sharding it over examples causes no communication.

    Args:
      key: of this step.
      x_raw: [B, H, W, C], uint8 or float.
      kind: 'none', 'crop' or 'crop-flip'.

    Returns:
      [B, H, W, C] of the type of x_raw.
    """
    if kind == "none":
        return x_raw
    if kind not in ("crop", "crop-flip"):
        raise ValueError(f"unknown augmentation {kind!r}")
    batch, height, width, _ = x_raw.shape
    up, left = height // 8, width // 8
    keys = jax.random.split(key, 3)
    top = jax.random.randint(keys[0], (batch, 1), 0, 2 * up + 1)
    side = jax.random.randint(keys[1], (batch, 1), 0, 2 * left + 1)
    rows, columns = jnp.arange(height), jnp.arange(width)
    if kind == "crop-flip":
        mirrored = jax.random.bernoulli(keys[2], 0.5, (batch, 1))
        columns = jnp.where(mirrored, columns[::-1], columns)
    padded = jnp.pad(x_raw, ((0, 0), (up, up), (left, left), (0, 0)))
    # Two gathers, of whole rows and then of columns, with the mirroring folded in. Measured against a mapped
    # dynamic_slice, one gather over both axes, one-hot products and selection among all shifts: on a CPU the
    # first two take between 0.7 and 3 times as long, the others up to 25 times.
    padded = jnp.take_along_axis(padded, (top + rows)[:, :, None, None], axis=1)
    return jnp.take_along_axis(padded, (side + columns)[:, None, :, None], axis=2)
