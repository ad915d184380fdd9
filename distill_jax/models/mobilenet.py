"""MobileNet-v2 (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2)."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.layers import batch_norm, conv, head, mean_over_positions

# Rows of table 2: expansion t, channels c, units n, stride s of the first unit.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def divisible_by_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and nine tenths of `channels` (the authors' rounding).

    >>> [divisible_by_8(channels) for channels in (3, 33.6, 11.2)]
    [8, 32, 16]
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 convolution, [B, H, W, C] -> [B, H / stride, W / stride, C'].

    >>> unit, x = InvertedResidual(features=16, expansion=6, stride=2), jnp.zeros((1, 8, 8, 4))
    >>> jax.eval_shape(lambda: unit.init_with_output(jax.random.key(0), x, train=False)[0]).shape
    (1, 4, 4, 16)

    Attributes:
      features: C'.
      expansion: factor of the channels within; 1 has no 1x1 expansion.
      stride: of the depthwise convolution. The input is added where the shape does not change.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
    """

    features: int
    expansion: int
    stride: int
    dtype: Any = jnp.float32
    norm_examples: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """The unit's output, of type `dtype`."""
        channels = x.shape[-1]
        within = channels * self.expansion
        y = x
        if self.expansion != 1:
            y = conv(within, 1, dtype=self.dtype, name="expand_conv")(y)
            y = batch_norm(train, self.norm_examples, activation="relu6", dtype=self.dtype, name="expand_norm")(y)
        y = conv(within, 3, self.stride, groups=within, dtype=self.dtype, name="depthwise_conv")(y)
        y = batch_norm(train, self.norm_examples, activation="relu6", dtype=self.dtype, name="depthwise_norm")(y)
        y = conv(self.features, 1, dtype=self.dtype, name="project_conv")(y)
        y = batch_norm(train, self.norm_examples, dtype=self.dtype, name="project_norm")(y)
        return x + y if self.stride == 1 and channels == self.features else y


class MobileNetV2(nn.Module):
    """[B, H, W, C] -> float32 logits [B, num_classes]; no dropout.

    Parameters, running statistics not counted, for images of 3 channels: multiplier 1.0 has 2,236,682 with
    10 classes, 2,351,972 with 100 and 3,504,872 with 1000, whatever the strides.

    >>> model, x = MobileNetV2(10), jnp.zeros((1, 32, 32, 3))
    >>> variables = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    2236682

    Attributes:
      num_classes: number of logits.
      multiplier: of all channels, rounded to multiples of 8; the last layer is never narrower than 1280.
      strides: 'imagenet', table 2's, reduces by 32 whatever the size (a 32x32 image ends at one position);
        'cifar' reduces by 8: the stem and the first stage of stride 2 have stride 1.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
    """

    num_classes: int
    multiplier: float = 1.0
    strides: Literal["imagenet", "cifar"] = "imagenet"
    dtype: Any = jnp.float32
    norm_examples: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits of normalised images."""
        imagenet_strides = self.strides == "imagenet"
        x = conv(
            divisible_by_8(32 * self.multiplier), 3, 2 if imagenet_strides else 1, dtype=self.dtype, name="stem_conv"
        )(x)
        x = batch_norm(train, self.norm_examples, activation="relu6", dtype=self.dtype, name="stem_norm")(x)
        for stage, (expansion, channels, units, stride) in enumerate(_STAGES):
            if stage == 1 and not imagenet_strides:
                stride = 1
            for unit in range(units):
                x = InvertedResidual(
                    divisible_by_8(channels * self.multiplier),
                    expansion,
                    stride if unit == 0 else 1,
                    dtype=self.dtype,
                    norm_examples=self.norm_examples,
                    name=f"stage{stage + 1}_unit{unit + 1}",
                )(x, train)
        last = divisible_by_8(1280 * max(1.0, self.multiplier))
        x = conv(last, 1, dtype=self.dtype, name="last_conv")(x)
        x = batch_norm(train, self.norm_examples, activation="relu6", dtype=self.dtype, name="last_norm")(x)
        return head(self.num_classes)(mean_over_positions(x))
