"""ResNet-v2: pre-activation networks (He et al. 2016, "Identity Mappings in Deep Residual Networks").

Every residual unit is x + f(x), f = (BN, ReLU, convolution) two or three times (figure 1b and section 4.1 of
that paper). Where the shape changes, the shortcut is a 1x1 convolution of the unit's first activation, as in
He's code. As the paper's implementation details have it, the first unit of the network takes its first
activation right after the first convolution and before the paths split, and one more BN and ReLU follow the
last unit. A bottleneck has its stride on the 3x3 convolution, which sees every position (He's CIFAR code has
it on the first 1x1 one, which drops three in four; parameters and later implementations are the same).

'keras' is the version 2 of Keras' CIFAR example (keras-team/keras, examples/cifar10_resnet.py at 2.x), bottlenecks as
well, but wider within from the second stage on: 16, 64, 128 channels within for 64, 128, 256 out, where 'bottleneck'
has 16, 32, 64. Its stride is on the first 1x1 convolution, its shortcuts see the unit's input before any activation,
and its convolutions have biases, of which the next normalisation takes the effect. Initialisation and normalisation
are ours.

Parameters, running statistics not counted, for images of 3 channels:

    network                                  10 classes   100 classes   1000 classes
    resnet-cifar, basic, depth 20               272,282       278,132
    resnet-cifar, basic, depth 32               466,714       472,564
    resnet-cifar, basic, depth 44               661,146       666,996
    resnet-cifar, basic, depth 56               855,578       861,428
    resnet-cifar, basic, depth 110            1,730,522     1,736,372
    resnet-cifar, bottleneck, depth 20          219,482       242,612
    resnet-cifar, bottleneck, depth 56          590,426       613,556
    resnet-cifar, bottleneck, depth 164       1,703,258     1,726,388
    resnet-cifar, bottleneck, depth 1001     10,327,706    10,350,836
    resnet-cifar, keras, depth 20               570,602       593,732
    resnet-cifar, keras, depth 56             1,663,338     1,686,468
    resnet18, stem 'small'                   11,172,170    11,218,340     11,680,040
    resnet18, stem 'imagenet'                11,179,850    11,226,020     11,687,720
    resnet50, stem 'small'                   23,513,162    23,697,572     25,541,672
    resnet50, stem 'imagenet'                23,520,842    23,705,252     25,549,352
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.errors import InputError
from distill_jax.models.layers import batch_norm, conv, head, mean_over_positions

Block = Literal["basic", "bottleneck", "keras"]
_LAYERS_A_BLOCK = {"basic": 2, "bottleneck": 3, "keras": 3}


def _channels(block: Block, width: int, stage: int) -> tuple[int, int]:
    """Channels within and out of the units of stage 0, 1, ..., of a network that begins with `width`."""
    stage_width = width * 2**stage
    if block == "basic":
        return stage_width, stage_width
    # Within, Keras' have what the stage is given.
    return (2 * stage_width if block == "keras" and stage else stage_width), 4 * stage_width


class ResidualUnit(nn.Module):
    """One pre-activation residual unit, [B, H, W, C] -> [B, H / stride, W / stride, C'].

    >>> unit, x = ResidualUnit("basic", within=8, features=8, stride=2), jnp.zeros((1, 8, 8, 4))
    >>> jax.eval_shape(lambda: unit.init_with_output(jax.random.key(0), x, train=False)[0]).shape
    (1, 4, 4, 8)

    Attributes:
      block: 'basic', two 3x3 convolutions; 'bottleneck' or 'keras', 1x1, 3x3, 1x1.
      within: channels within the unit.
      features: channels C' of its output.
      stride: of the (first) 3x3 convolution, of 'keras' of the first 1x1 one.
      activated: the input has been normalised and rectified already (the first unit of a network).
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
    """

    block: Block
    within: int
    features: int
    stride: int = 1
    activated: bool = False
    dtype: Any = jnp.float32
    norm_examples: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """The unit's output, of type `dtype`."""

        def activate(y: jax.Array, name: str) -> jax.Array:
            return batch_norm(train, self.norm_examples, activation="relu", dtype=self.dtype, name=name)(y)

        def layer(y: jax.Array, features: int, kernel: int, stride: int, name: str) -> jax.Array:
            return conv(features, kernel, stride, bias=self.block == "keras", dtype=self.dtype, name=name)(y)

        kernels = (3, 3) if self.block == "basic" else (1, 3, 1)
        strided = 1 if self.block == "bottleneck" else 0
        y = first = x if self.activated else activate(x, "norm1")
        for number, kernel in enumerate(kernels):
            features = self.features if number == len(kernels) - 1 else self.within
            y = activate(y, f"norm{number + 1}") if number else y
            y = layer(y, features, kernel, self.stride if number == strided else 1, f"conv{number + 1}")
        if x.shape[-1] != self.features or self.stride != 1:
            x = layer(x if self.block == "keras" else first, self.features, 1, self.stride, "shortcut")
        return x + y


class ResNet(nn.Module):
    """A pre-activation residual network, [B, H, W, C] -> float32 logits [B, num_classes].

    Stage s = 0, 1, ... has units of `width` * 2^s channels within, of 'keras' twice as many from the second stage on;
    its first unit has stride 1 in the first stage, 2 in others.

    >>> model, x = ResNet(10, stage_sizes=(1,), block="basic", width=4), jnp.zeros((2, 8, 8, 3))
    >>> jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x, train=False)[0]).shape
    (2, 10)

    Attributes:
      num_classes: number of logits.
      stage_sizes: number of residual units of each stage.
      block: see `ResidualUnit`.
      width: of the first stage; also the channels of the stem.
      stem: 'small' is a 3x3 convolution of stride 1, for images of up to about 64 pixels a side; 'imagenet'
        is a 7x7 convolution of stride 2 and a 3x3 maximum of stride 2, for 224.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
    """

    num_classes: int
    stage_sizes: tuple[int, ...]
    block: Block
    width: int
    stem: Literal["small", "imagenet"] = "small"
    dtype: Any = jnp.float32
    norm_examples: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits of normalised images."""
        x = stem_of(self, x, train, bias=self.block == "keras")
        for stage, size in enumerate(self.stage_sizes):
            for unit in range(size):
                x = ResidualUnit(
                    self.block,
                    *_channels(self.block, self.width, stage),
                    stride=2 if stage > 0 and unit == 0 else 1,
                    activated=stage == 0 and unit == 0,
                    dtype=self.dtype,
                    norm_examples=self.norm_examples,
                    name=f"stage{stage + 1}_unit{unit + 1}",
                )(x, train)
        x = batch_norm(train, self.norm_examples, activation="relu", dtype=self.dtype, name="final_norm")(x)
        return head(self.num_classes)(mean_over_positions(x))


def stem_of(network: Any, x: jax.Array, train: bool, bias: bool = False) -> jax.Array:
    """What a residual network begins with, to be called within it: [B, H, W, C] -> [B, H', W', width].

    >>> class Begun(nn.Module):
    ...     stem, width, dtype, norm_examples = "imagenet", 4, jnp.float32, None
    ...
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         return stem_of(self, x, train=False)
    >>> x = jnp.zeros((1, 16, 16, 3))
    >>> jax.eval_shape(lambda: Begun().init_with_output(jax.random.key(0), x)[0]).shape
    (1, 4, 4, 4)

    Args:
      network: with fields stem, width, dtype and norm_examples, see `ResNet`.
      x: normalised images.
      train: whether statistics are the batch's.
      bias: of the convolution.
    """
    kernel, stride = (7, 2) if network.stem == "imagenet" else (3, 1)
    x = conv(network.width, kernel, stride, bias=bias, dtype=network.dtype, name="stem_conv")(x)
    x = batch_norm(train, network.norm_examples, activation="relu", dtype=network.dtype, name="stem_norm")(x)
    if network.stem == "imagenet":
        around: Any = ((1, 1), (1, 1))  # which Flax takes, beside the words that it is typed for
        x = nn.max_pool(x, (3, 3), (2, 2), padding=around)
    return x


def ResNetCIFAR(
    depth: int,
    block: Block,
    width: int,
    num_classes: int,
    *,
    dtype: Any = jnp.float32,
    norm_examples: int | None = None,
    role: str = "model",
) -> ResNet:
    """The three-stage family for small images (He et al. 2016, section 4; He et al. 2015, section 4.2).

    >>> ResNetCIFAR(56, "basic", 16, 10).stage_sizes, ResNetCIFAR(164, "bottleneck", 16, 10).stage_sizes
    ((9, 9, 9), (18, 18, 18))

    Args:
      depth: layers with weights on the longest path: 6n + 2 with basic blocks, 9n + 2 with others.
      block: 'basic', stages of 16, 32, 64 channels; 'bottleneck' or 'keras', 64, 128, 256, for width 16.
      width: of the first stage, 16 in the paper.
      num_classes: number of logits.
      dtype: of the activations.
      norm_examples: see `normalisation.BatchNorm.examples`.
      role: whose network it is, to be named in an error.

    Raises:
      InputError: depth does not fit the block, or the width is not positive.
    """
    if width <= 0:
        raise InputError(f"{role}.width", width, "must be at least 1")
    layers = 3 * _LAYERS_A_BLOCK[block]  # with one unit in each stage
    units, rest = divmod(depth - 2, layers)
    if units < 1 or rest:
        below, above = layers * units + 2, layers * (units + 1) + 2
        nearest = f"{below} and {above}" if units >= 1 else f"{layers + 2} and {2 * layers + 2}"
        raise InputError(
            f"{role}.depth", depth, f"with {block} blocks the depth is {layers}n+2; the nearest are {nearest}"
        )
    return ResNet(num_classes, (units,) * 3, block, width, dtype=dtype, norm_examples=norm_examples)


def ResNet18(
    num_classes: int,
    stem: Literal["small", "imagenet"] = "small",
    dtype: Any = jnp.float32,
    norm_examples: int | None = None,
) -> ResNet:
    """Four stages of two basic units (He et al. 2015, table 1), pre-activation; stem as in `ResNet50`.

    >>> 2 * sum(ResNet18(10).stage_sizes) + 2
    18
    """
    return ResNet(num_classes, (2, 2, 2, 2), "basic", 64, stem, dtype, norm_examples)


def ResNet50(
    num_classes: int,
    stem: Literal["small", "imagenet"] = "small",
    dtype: Any = jnp.float32,
    norm_examples: int | None = None,
) -> ResNet:
    """Four stages of 3, 4, 6, 3 bottlenecks (He et al. 2015, table 1), pre-activation.

    The stem is 'small' by default: a 64x64 image then ends at 8x8 positions, as a 224x224 one ends at 7x7
    after the 'imagenet' stem, with which it would end at 2x2 and be 16x16 already in the first stage. It
    costs 16 times the arithmetic of the 'imagenet' stem on the same image.

    >>> 3 * sum(ResNet50(10).stage_sizes) + 2
    50
    """
    return ResNet(num_classes, (3, 4, 6, 3), "bottleneck", 64, stem, dtype, norm_examples)
