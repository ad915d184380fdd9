"""Networks as Flax modules: `model.apply(variables, x, train)` -> float32 logits [B, K].

x is [B, H, W, C] or [B, D], normalised, or tokens [B, L]. Variables are float32, in the collections 'params' (trained),
'batch_stats' (where there is batch normalisation: updated in training) and 'constants' (random features:
fixed). Training a model with dropout needs the random stream 'dropout'.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax import limits
from distill_jax.data.dataset import Dataset, Vocabulary
from distill_jax.errors import InputError
from distill_jax.models import resnet_v1
from distill_jax.models.channel import Channel
from distill_jax.models.mlp import MLP, Linear, RandomFeatures
from distill_jax.models.mobilenet import MobileNetV2
from distill_jax.models.own import build_own, own_kind
from distill_jax.models.pretrained import build_roberta
from distill_jax.models.resnet import ResNet18, ResNet50, ResNetCIFAR
from distill_jax.own_code import is_own
from distill_jax.setting import NETWORKS, TEXT_NETWORKS, ModelSetting

_WIDEST = 64.0  # a MobileNet-v2 whose last layer has 81,920 channels
CONVOLUTIONAL = ("resnet-cifar", "resnet18", "resnet50", "mobilenet-v2", "resnet-cifar-v1", *resnet_v1.SIZES)


def kind(name: str) -> Literal["convolutional", "text", "dense"]:
    """The kind of a network, by which the machine's defaults are chosen, see `backend.defaults`.

    >>> kind("resnet18"), kind("roberta"), kind("mlp")
    ('convolutional', 'text', 'dense')
    """
    if is_own(name):
        return own_kind(name)
    if name in TEXT_NETWORKS:
        return "text"
    return "convolutional" if name in CONVOLUTIONAL else "dense"


def stem(setting: ModelSetting) -> Literal["small", "imagenet"]:
    """How a residual network begins, as it is asked for, or by default as those who published it have it.

    >>> [stem(ModelSetting(name)) for name in ("resnet50", "resnet50-v1")]
    ['small', 'imagenet']
    """
    return setting.stem or ("imagenet" if setting.name in resnet_v1.SIZES else "small")


def first_positions(setting: ModelSetting, input_shape: tuple[int, ...]) -> int:
    """Positions of an image at which a network's first convolutions work; 0 of one that has none.

    >>> [first_positions(ModelSetting(name=name), (32, 32, 3)) for name in ("resnet-cifar", "mobilenet-v2", "mlp")]
    [1024, 256, 0]
    """
    if kind(setting.name) != "convolutional" or len(input_shape) != 3:
        return 0
    reduced = setting.strides if setting.name == "mobilenet-v2" else stem(setting)
    stride = 2 if reduced == "imagenet" else 1
    return math.prod(-(-side // stride) for side in input_shape[:2])


def build_for(
    dataset: Dataset, setting: ModelSetting, precision: str, role: str, norm_examples: int | None = None
) -> nn.Module:
    """`build_model` for the examples of a data set.

    >>> from distill_jax.data.dataset import Split
    >>> split = Split(np.zeros((3, 8), np.float32), *[np.arange(3)] * 3)
    >>> build_for(Dataset("mine", split, split, 3, None, None), ModelSetting(), "float32", "student").num_classes
    3
    """
    sizes = dataset.num_classes, dataset.input_shape
    return build_model(
        setting, *sizes, precision=precision, role=role, vocabulary=dataset.vocabulary, norm_examples=norm_examples
    )


def build_model(
    setting: ModelSetting,
    num_classes: int,
    input_shape: tuple[int, ...],
    *,
    precision: str = "float32",
    role: str = "model",
    vocabulary: Vocabulary | None = None,
    norm_examples: int | None = None,
) -> nn.Module:
    """The network of a setting.

    >>> model = build_model(ModelSetting(name="mlp", hidden=(8,)), 10, input_shape=(64,), precision="bfloat16")
    >>> model.hidden, model.num_classes, model.dtype.name
    ((8,), 10, 'bfloat16')

    Args:
      setting: which network.
      num_classes: number of logits K.
      input_shape: of one example, (H, W, C), (D,) or, of texts, (L,).
      precision: 'float32' or 'bfloat16', of activations and products; see `layers`.
      role: whose network it is, teacher or student, to be named in an error.
      vocabulary: of texts; None where the data are none.
      norm_examples: of which batch normalisation takes statistics together in training, see `normalisation.BatchNorm`.

    Raises:
      InputError: there is no such network, or not for such inputs.
    """
    name, dtype = setting.name, jnp.dtype(precision)
    if is_own(name):
        options = {"dtype": dtype, "norm_examples": norm_examples, "texts": vocabulary is not None, "role": role}
        return build_own(name, setting.settings, num_classes, input_shape, **options)
    if name not in NETWORKS:
        raise InputError(
            f"{role}.name", name, f"must be one of {', '.join(NETWORKS)}, or a Flax module of your own as module:Class"
        )
    _check_sizes(setting, role)
    _check_inputs(name, num_classes, input_shape, vocabulary is not None, role)
    if name in TEXT_NETWORKS:
        assert vocabulary is not None
        return build_roberta(setting, num_classes, input_shape[0], vocabulary, dtype, role)
    if name in CONVOLUTIONAL:
        return _convolutional(setting, num_classes, dtype, norm_examples, role)
    return _dense(setting, num_classes, dtype)


def _convolutional(
    setting: ModelSetting, num_classes: int, dtype: jnp.dtype, norm_examples: int | None, role: str
) -> nn.Module:
    name, norm = setting.name, {"dtype": dtype, "norm_examples": norm_examples}
    match name:
        case "resnet-cifar":
            return ResNetCIFAR(setting.depth, setting.block, setting.width, num_classes, **norm, role=role)
        case "resnet18":
            return ResNet18(num_classes, stem(setting), **norm)
        case "resnet50":
            return ResNet50(num_classes, stem(setting), **norm)
        case "resnet-cifar-v1":
            return resnet_v1.of_cifar(setting.depth, setting.width, num_classes, **norm, role=role)
        case "resnet18-v1" | "resnet34-v1" | "resnet50-v1":
            return resnet_v1.named(name, num_classes, stem(setting), **norm)
        case "mobilenet-v2":
            return MobileNetV2(num_classes, setting.multiplier, setting.strides, **norm)
    raise AssertionError(name)  # of CONVOLUTIONAL


def _dense(setting: ModelSetting, num_classes: int, dtype: jnp.dtype) -> nn.Module:
    match setting.name:
        case "mlp":
            return MLP(num_classes, tuple(setting.hidden), dtype)
        case "linear":
            return Linear(num_classes, dtype)
        case "random-features":
            return RandomFeatures(num_classes, setting.features, dtype)
        case "channel":
            return Channel(num_classes, dtype)
    raise AssertionError(setting.name)  # of NETWORKS


def _check_sizes(setting: ModelSetting, role: str) -> None:
    layers = {"depth": setting.depth, "hidden": len(setting.hidden)}
    for name, value in (layers | {"width": setting.width, "features": setting.features}).items():
        most = limits.LAYERS if name in layers else limits.UNITS
        if value > most:
            raise InputError(f"{role}.{name}", value, f"must be {most} at most")
    if setting.name == "mobilenet-v2" and not 0 < setting.multiplier <= _WIDEST:
        raise InputError(f"{role}.multiplier", setting.multiplier, f"must be positive, and {_WIDEST} at most")
    if setting.name == "mlp" and not all(1 <= units <= limits.UNITS for units in setting.hidden):
        hidden = " ".join(map(str, setting.hidden))
        raise InputError(f"{role}.hidden", hidden, f"every layer must have 1 to {limits.UNITS} units")
    if setting.name == "random-features" and setting.features <= 0:
        raise InputError(f"{role}.features", setting.features, "must be at least 1")


def _check_inputs(name: str, num_classes: int, input_shape: tuple[int, ...], texts: bool, role: str) -> None:
    """Checks that a network is one for such inputs."""
    if name in CONVOLUTIONAL and len(input_shape) != 3:
        needed = f"images of shape (height, width, channels), but an example has shape {input_shape}"
        raise InputError(f"{role}.name", name, f"needs {needed}; use mlp, linear or random-features")
    if (name in TEXT_NETWORKS) != texts:
        of_texts = f"{' or '.join(TEXT_NETWORKS)}, since the data are texts"
        required = of_texts if texts else "another, since the data are no texts"
        raise InputError(f"{role}.name", name, f"must be {required}")
    values = math.prod(input_shape)
    if name == "channel" and values % num_classes:
        needed = f"as many values for each of the {num_classes} classes, but an example has {values}"
        raise InputError(f"{role}.name", name, f"needs {needed}")


def count_parameters(params: Any) -> int:
    """Number of scalars in a tree of arrays or of their shapes.

    >>> count_parameters({"kernel": np.zeros((784, 10)), "bias": np.zeros(10)})
    7850
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
