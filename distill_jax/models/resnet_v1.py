"""ResNet-v1: the networks that others have trained weights of (He et al. 2015, "Deep Residual Learning").

Every residual unit is ReLU(x + f(x)), f = (convolution, BN) two or three times with a ReLU between (figures 2 and 5 of
that paper). Where the shape changes, the shortcut is a 1x1 convolution with a BN of its own (option B of its section
3.3). A bottleneck has its stride on the 3x3 convolution ("version 1.5"), as torchvision's and timm's have; the paper's
has it on the first 1x1 one. `torch_weights` reads the weights of such networks. Those that this project's presets
train are version 2, see `resnet`.

Parameters, running statistics not counted, for images of 3 channels; those of 1000 classes are what torchvision counts,
and those of 'resnet-cifar-v1', rounded, what pytorch-cifar-models does:

    network                         10 classes   100 classes   1000 classes
    resnet18-v1, stem 'imagenet'    11,181,642    11,227,812     11,689,512
    resnet34-v1, stem 'imagenet'    21,289,802    21,335,972     21,797,672
    resnet50-v1, stem 'imagenet'    23,528,522    23,712,932     25,557,032
    resnet-cifar-v1, depth 20          272,474       278,324        336,824
    resnet-cifar-v1, depth 32          466,906       472,756        531,256
    resnet-cifar-v1, depth 44          661,338       667,188        725,688
    resnet-cifar-v1, depth 56          855,770       861,620        920,120
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.errors import InputError, require
from distill_jax.models.layers import batch_norm, conv, head, mean_over_positions
from distill_jax.models.resnet import stem_of

# Of each name the units of its stages, and whether they are bottlenecks.
SIZES: dict[str, tuple[tuple[int, ...], bool]] = {
    "resnet18-v1": ((2, 2, 2, 2), False),
    "resnet34-v1": ((3, 4, 6, 3), False),
    "resnet50-v1": ((3, 4, 6, 3), True),
}


class ResidualUnitV1(nn.Module):
    """One residual unit, [B, H, W, C] -> [B, H / stride, W / stride, C'].

    >>> unit, x = ResidualUnitV1(bottleneck=True, width=8, stride=2), jnp.zeros((1, 8, 8, 4))
    >>> jax.eval_shape(lambda: unit.init_with_output(jax.random.key(0), x, train=False)[0]).shape
    (1, 4, 4, 32)

    Attributes:
      bottleneck: 1x1, 3x3, 1x1 convolutions, the last to four times as many channels; else two of 3x3.
      width: channels within the unit, and C' of one that is no bottleneck.
      stride: of the (first) 3x3 convolution.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
    """

    bottleneck: bool
    width: int
    stride: int = 1
    dtype: Any = jnp.float32
    norm_examples: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """The unit's output, of type `dtype`."""
        features = 4 * self.width if self.bottleneck else self.width

        def layer(y: jax.Array, channels: int, kernel: int, stride: int, names: tuple[str, str], last: bool) -> Any:
            y = conv(channels, kernel, stride, dtype=self.dtype, name=names[0])(y)
            activation = "none" if last else "relu"
            return batch_norm(train, self.norm_examples, activation=activation, dtype=self.dtype, name=names[1])(y)

        kernels = (1, 3, 1) if self.bottleneck else (3, 3)
        strided, y = kernels.index(3), x
        for number, kernel in enumerate(kernels):
            last, stride = number == len(kernels) - 1, self.stride if number == strided else 1
            names = f"conv{number + 1}", f"norm{number + 1}"
            y = layer(y, features if last else self.width, kernel, stride, names, last)
        if x.shape[-1] != features or self.stride != 1:
            x = layer(x, features, 1, self.stride, ("shortcut", "shortcut_norm"), last=True)
        return nn.relu(x + y)


class ResNetV1(nn.Module):
    """A residual network, [B, H, W, C] -> float32 logits [B, num_classes].

    Stage s = 0, 1, ... has units of `width` * 2^s channels within; its first unit has stride 1 in the first stage, 2 in
    others.

    >>> model, x = ResNetV1(10, stage_sizes=(1,), bottleneck=False, width=4, stem="small"), jnp.zeros((2, 8, 8, 3))
    >>> jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x, train=False)[0]).shape
    (2, 10)

    Attributes:
      num_classes: number of logits.
      stage_sizes: number of residual units of each stage.
      bottleneck: see `ResidualUnitV1`.
      width: of the first stage; also the channels of the stem.
      stem: as of `resnet.ResNet`: 'imagenet', 7x7 and a maximum, each of stride 2; or 'small', 3x3 of stride 1.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
    """

    num_classes: int
    stage_sizes: tuple[int, ...]
    bottleneck: bool
    width: int = 64
    stem: Literal["small", "imagenet"] = "imagenet"
    dtype: Any = jnp.float32
    norm_examples: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits of normalised images."""
        x = stem_of(self, x, train)
        for stage, size in enumerate(self.stage_sizes):
            for unit in range(size):
                x = ResidualUnitV1(
                    self.bottleneck,
                    self.width * 2**stage,
                    stride=2 if stage > 0 and unit == 0 else 1,
                    dtype=self.dtype,
                    norm_examples=self.norm_examples,
                    name=f"stage{stage + 1}_unit{unit + 1}",
                )(x, train)
        return head(self.num_classes)(mean_over_positions(x))


def named(
    name: str,
    num_classes: int,
    stem: Literal["small", "imagenet"] = "imagenet",
    dtype: Any = jnp.float32,
    norm_examples: int | None = None,
) -> ResNetV1:
    """A network of `SIZES` (He et al. 2015, table 1).

    >>> named("resnet34-v1", 10).stage_sizes
    (3, 4, 6, 3)
    """
    return ResNetV1(num_classes, *SIZES[name], stem=stem, dtype=dtype, norm_examples=norm_examples)


def of_cifar(
    depth: int,
    width: int,
    num_classes: int,
    *,
    dtype: Any = jnp.float32,
    norm_examples: int | None = None,
    role: str = "model",
) -> ResNetV1:
    """The three-stage family for small images (He et al. 2015, section 4.2), with shortcuts of option B.

    >>> of_cifar(56, 16, 10).stage_sizes
    (9, 9, 9)

    Args:
      depth: layers with weights on the longest path, 6n + 2.
      width: of the first stage, 16 in the paper.
      num_classes: number of logits.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
      role: whose network it is, to be named in an error.

    Raises:
      InputError: the depth is none of these, or the width is not positive.
    """
    require(width > 0, f"{role}.width", width, "at least 1")
    units, rest = divmod(depth - 2, 6)
    if units < 1 or rest:
        below = max(units, 1)
        nearest = f"{6 * below + 2} and {6 * below + 8}"
        raise InputError(f"{role}.depth", depth, f"the depth is 6n+2; the nearest are {nearest}")
    return ResNetV1(num_classes, (units,) * 3, False, width, "small", dtype, norm_examples)
