"""Our networks in plain PyTorch, with the same names for the same layers: the peer, and the tests' reference.

Images are [B, C, H, W]. Initialisation is PyTorch's own; `state_of` carries our variables over. RoBERTa is that of
transformers, see `pytorch_roberta`.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from distill_jax.data.dataset import Vocabulary
from distill_jax.models import build_model
from distill_jax.setting import ModelSetting


def build(
    setting: ModelSetting, classes: int, input_shape: tuple[int, ...], vocabulary: Vocabulary | None = None
) -> nn.Module:
    """The twin of `distill_jax.models.build_model`, for the networks that the benchmark measures.

    Raises:
      ValueError: it has no twin.
    """
    values = math.prod(input_shape)
    match setting.name:
        case "resnet-cifar":
            bottleneck = setting.block == "bottleneck"
            units = (setting.depth - 2) // (9 if bottleneck else 6)
            return ResNet((units,) * 3, bottleneck, setting.width, False, classes)
        case "resnet18":
            return ResNet((2, 2, 2, 2), False, 64, False, classes)
        case "resnet50":
            return ResNet((3, 4, 6, 3), True, 64, False, classes)
        case "mobilenet-v2" if setting.multiplier == 1:
            return MobileNetV2(setting.strides == "cifar", classes)
        case "mlp":
            return MLP(values, setting.hidden, classes)
        case "random-features":
            return RandomFeatures(values, setting.features, classes)
        case "channel":
            return Channel(values // classes, classes)
        case "roberta":
            from experiments.throughput.pytorch_roberta import RobertaTwin

            return RobertaTwin(build_model(setting, classes, input_shape, vocabulary=vocabulary))
    raise ValueError(f"no PyTorch twin of {setting}")


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """As `distill_jax.models.layers.conv`."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class ResidualUnit(nn.Module):
    """One pre-activation residual unit."""

    def __init__(self, channels: int, width: int, bottleneck: bool, stride: int, activated: bool):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        self.norm1 = None if activated else nn.BatchNorm2d(channels)
        self.conv1 = conv(channels, width, 1) if bottleneck else conv(channels, width, 3, stride)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride if bottleneck else 1)
        self.norm3 = nn.BatchNorm2d(width) if bottleneck else None
        self.conv3 = conv(width, outputs, 1) if bottleneck else None
        changes = channels != outputs or stride != 1
        self.shortcut = conv(channels, outputs, 1, stride) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The unit's output."""
        first = x if self.norm1 is None else F.relu(self.norm1(x))
        y = self.conv2(F.relu(self.norm2(self.conv1(first))))
        if self.conv3 is not None:
            y = self.conv3(F.relu(self.norm3(y)))
        return y + (x if self.shortcut is None else self.shortcut(first))


class ResNet(nn.Module):
    """A pre-activation residual network with stages of `sizes` units; `imagenet` is the stem for 224x224."""

    def __init__(self, sizes: tuple[int, ...], bottleneck: bool, width: int, imagenet: bool, classes: int):
        super().__init__()
        self.imagenet = imagenet
        self.stem_conv = conv(3, width, 7, 2) if imagenet else conv(3, width, 3)
        self.stem_norm = nn.BatchNorm2d(width)
        self.units, channels = [], width
        for stage, size in enumerate(sizes):
            for unit in range(size):
                stride = 2 if stage and not unit else 1
                module = ResidualUnit(channels, width << stage, bottleneck, stride, stage == unit == 0)
                channels = (width << stage) * (4 if bottleneck else 1)
                self.units.append(f"stage{stage + 1}_unit{unit + 1}")
                self.add_module(self.units[-1], module)
        self.final_norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images."""
        x = F.relu(self.stem_norm(self.stem_conv(x)))
        if self.imagenet:
            x = F.max_pool2d(x, 3, 2, 1)
        for name in self.units:
            x = getattr(self, name)(x)
        return self.head(F.adaptive_avg_pool2d(F.relu(self.final_norm(x)), 1).flatten(1))


class InvertedResidual(nn.Module):
    """A unit of MobileNet-v2."""

    def __init__(self, channels: int, outputs: int, expansion: int, stride: int):
        super().__init__()
        expanded = expansion * channels
        self.residual = stride == 1 and channels == outputs
        if expansion > 1:
            self.expand_conv, self.expand_norm = conv(channels, expanded, 1), nn.BatchNorm2d(expanded)
        self.depthwise_conv = conv(expanded, expanded, 3, stride, groups=expanded)
        self.depthwise_norm = nn.BatchNorm2d(expanded)
        self.project_conv, self.project_norm = conv(expanded, outputs, 1), nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The unit's output."""
        y = F.relu6(self.expand_norm(self.expand_conv(x))) if hasattr(self, "expand_conv") else x
        y = F.relu6(self.depthwise_norm(self.depthwise_conv(y)))
        y = self.project_norm(self.project_conv(y))
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """MobileNet-v2 of width multiplier 1; `cifar` reduces by 8, not by 32."""

    def __init__(self, cifar: bool, classes: int):
        super().__init__()
        self.stem_conv, self.stem_norm = conv(3, 32, 3, 1 if cifar else 2), nn.BatchNorm2d(32)
        self.units, channels = [], 32
        table = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2]]
        table.append([6, 320, 1, 1])
        if cifar:
            table[1][3] = 1
        for stage, (expansion, outputs, count, stride) in enumerate(table):
            for unit in range(count):
                self.units.append(f"stage{stage + 1}_unit{unit + 1}")
                module = InvertedResidual(channels, outputs, expansion, 1 if unit else stride)
                self.add_module(self.units[-1], module)
                channels = outputs
        self.last_conv, self.last_norm = conv(320, 1280, 1), nn.BatchNorm2d(1280)
        self.head = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images."""
        x = F.relu6(self.stem_norm(self.stem_conv(x)))
        for name in self.units:
            x = getattr(self, name)(x)
        return self.head(F.relu6(self.last_norm(self.last_conv(x))).mean((2, 3)))


class MLP(nn.Module):
    """Dense layers with ReLU."""

    def __init__(self, values: int, hidden: tuple[int, ...], classes: int):
        super().__init__()
        sizes = (values, *hidden)
        self.layers = [f"hidden{layer + 1}" for layer in range(len(hidden))]
        for name, inputs, outputs in zip(self.layers, sizes[:-1], hidden, strict=True):
            self.add_module(name, nn.Linear(inputs, outputs))
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of normalised inputs."""
        x = x.flatten(1)
        for name in self.layers:
            x = F.relu(getattr(self, name)(x))
        return self.head(x)


class RandomFeatures(nn.Module):
    """A trained linear layer on fixed ReLU features."""

    def __init__(self, values: int, features: int, classes: int):
        super().__init__()
        self.register_buffer("kernel", torch.randn(values, features))
        self.scale = math.sqrt(2 / (features * values))
        self.head = nn.Linear(features, classes)

    def fixed(self, x: torch.Tensor) -> torch.Tensor:
        """The features of normalised inputs, which training does not change."""
        return F.relu(x.flatten(1) @ self.kernel) * self.scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of normalised inputs."""
        return self.head(self.fixed(x))


class Channel(nn.Module):
    """One logit from each channel."""

    def __init__(self, dimension: int, classes: int):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(classes, dimension) / math.sqrt(dimension))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of inputs."""
        return (x.reshape(len(x), *self.kernel.shape) * self.kernel).sum(2)


_NAMES = {"kernel": "weight", "weight": "weight", "scale": "weight", "bias": "bias"}
_NAMES |= {"mean": "running_mean", "var": "running_var"}


def to_torch(name: str, value: Any) -> torch.Tensor:
    """A layer's parameter, called `name` by us, in PyTorch's layout; a gradient likewise."""
    value = np.asarray(value)
    if name == "kernel":
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return torch.from_numpy(value.copy())


def leaves(tree: Any) -> Iterator[tuple[str, str, Any]]:
    """(PyTorch's name, our last name, value) of every leaf of a collection of variables that belongs to a layer."""
    for path, value in jax.tree_util.tree_leaves_with_path(tree):
        *modules, last = [entry.key for entry in path]
        if modules:
            yield ".".join([*modules, _NAMES[last]]), last, value


def state_of(variables: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Our variables as a twin's state, but for PyTorch's counts of batches; what no layer owns keeps its layout."""
    state = {}
    for collection in variables.values():
        state |= {name: to_torch(last, value) for name, last, value in leaves(collection)}
        without_layer = {name: value for name, value in collection.items() if not isinstance(value, dict)}
        state |= {name: torch.from_numpy(np.array(value)) for name, value in without_layer.items()}
    return state
