"""Weights that others have trained: state_dicts of PyTorch's ResNets, in files of safetensors, as our variables.

The names are those of torchvision's and timm's ResNet-18, -34 and -50, and of pytorch-cifar-models' (chenyaofo) ResNets
for CIFAR. Nothing of PyTorch is needed, and nothing is unpickled.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from distill_jax.errors import InputError, one_line, require
from distill_jax.extras import needed
from distill_jax.models.resnet_v1 import SIZES
from distill_jax.setting import GivenTeacherSetting

NETWORKS = (*SIZES, "resnet-cifar-v1")  # whose weights are read
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_OUTER = {"stem_conv": "conv1", "stem_norm": "bn1", "head": "fc"}
_SHORTCUT = {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
# Of some other code for the same networks, and of what `torch.nn.DataParallel` saves.
_SYNONYMS = ((r"^module\.", ""), (r"\bshortcut\.([01])\b", r"downsample.\1"), (r"^linear\b", "fc"))
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")
_COUNTER = "num_batches_tracked"  # of BatchNorm2d, which evaluation has no use for

# What inputs in [0, 1] are normalised by where such weights are trained, by data.
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CIFAR10 = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
_CIFAR100 = (0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)


def usual_normalisation(network: str, num_classes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of channels in [0, 1], that published weights of a network were trained with.

    ImageNet's for torchvision's; CIFAR's, as pytorch-cifar-models has them, for 'resnet-cifar-v1': CIFAR-100's where
    there are 100 classes.

    >>> usual_normalisation("resnet50-v1", 1000)
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    """
    if network in SIZES:
        return _IMAGENET
    return _CIFAR100 if num_classes == 100 else _CIFAR10


def normalisation(
    given: GivenTeacherSetting, network: str, num_classes: int, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of channels in [0, 1], for given weights: those that are set, or the usual ones.

    >>> normalisation(GivenTeacherSetting(mean=(0.5,), std=(0.5,)), "resnet18-v1", num_classes=10, channels=3)
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    Raises:
      InputError: they are not one for each channel, or of other pixels than in [0, 1].
    """
    found = []
    for name, usual in zip(("mean", "std"), usual_normalisation(network, num_classes), strict=True):
        values = getattr(given, name) or usual
        text = " ".join(map(str, values))
        require(
            all(0 <= value <= 1 for value in values) and (name == "mean" or all(values)),
            f"given.{name}",
            text,
            "of pixels in [0, 1]" + (", and positive" if name == "std" else ""),
        )
        fits = len(values) in (1, channels)
        require(fits, f"given.{name}", text, f"one number, or {channels}, one for each channel of the data's images")
        found.append(tuple(values) * (channels // len(values)))
    return found[0], found[1]


def tensor_name(path: tuple[str, ...]) -> str:
    """PyTorch's name for one of our variables, whose path begins with its collection.

    >>> tensor_name(("params", "stage2_unit1", "shortcut_norm", "scale"))
    'layer2.0.downsample.1.weight'
    """
    _, *modules, leaf = path
    if len(modules) == 1:
        return f"{_OUTER[modules[0]]}.{_LEAVES[leaf]}"
    stage, unit = re.findall(r"\d+", modules[0])
    within = _SHORTCUT.get(modules[1], modules[1].replace("norm", "bn"))
    return f"layer{stage}.{int(unit) - 1}.{within}.{_LEAVES[leaf]}"


def as_tensor(leaf: str, value: np.ndarray) -> np.ndarray:
    """A variable of ours, by its path's last name, with its axes in PyTorch's order.

    >>> as_tensor("kernel", np.zeros((3, 3, 16, 32))).shape
    (32, 16, 3, 3)
    """
    if leaf != "kernel":
        return value
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T


def digest(path: Path, field: str) -> str:
    """12 hexadecimal digits of a file's content, which name it wherever it lies.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise InputError(field, path, f"cannot be read ({one_line(error)}); must be a file of safetensors") from error


def read(path: Path, model: nn.Module, num_classes: int, channels: int, field: str) -> dict[str, Any]:
    """The variables of a network, float32 host arrays, from a file of safetensors: every one, and of all that it has.

    Args:
      path: of the file.
      model: the network, a `resnet_v1.ResNetV1`.
      num_classes: of its logits.
      channels: of its images.
      field: of a setting that names the file, for messages.

    Raises:
      InputError: the file is a pickle or cannot be read; a tensor is absent, of another shape, or not finite; or one
        is there that the network has not.
    """
    _check_file(path, field)
    safetensors = needed("safetensors", "weights", field, path)
    x = jnp.zeros((1, 32, 32, channels))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    flat: dict[tuple[str, ...], Any] = dict(flatten_dict(dict(shapes)))
    expected = {tensor_name(variable): (variable, leaf.shape) for variable, leaf in flat.items()}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = _ours(list(file.keys()), path, field)
            there = {name: tuple(file.get_slice(saved).get_shape()) for name, saved in names.items()}
            _check_tensors(there, expected, num_classes, path, field)
            found = {}
            for name, (variable, _) in expected.items():
                tensor = np.asarray(file.get_tensor(names[name]), np.float32)
                if not np.isfinite(tensor).all() or (variable[-1] == "var" and tensor.min() < 0):
                    raise InputError(field, path, f"{names[name]} must be finite, and a variance not negative")
                found[variable] = np.ascontiguousarray(_from_tensor(variable[-1], tensor))
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(field, path, f"cannot be read ({one_line(error)}); save or fetch it again") from error
    return unflatten_dict(found)


def _from_tensor(leaf: str, tensor: np.ndarray) -> np.ndarray:
    if leaf != "kernel":
        return tensor
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def _check_file(path: Path, field: str) -> None:
    """Checks that a file is there and no pickle, which could run anything."""
    if not path.is_file():
        state = "is no file" if path.exists() else "does not exist"
        raise InputError(field, path, f"{state}; must be a file of safetensors")
    with path.open("rb") as file:
        begun = file.read(9)
    is_safetensors = begun[8:] == b"{"  # JSON, after its length
    if not is_safetensors and (begun[:2] == b"PK" or begun[:1] == b"\x80" or path.suffix in _PICKLES):
        convert = (
            "import torch, safetensors.torch as s; "
            f"s.save_file(torch.load('{path.name}', 'cpu', weights_only=True), '{path.stem}.safetensors')"
        )
        raise InputError(
            field, path, f'is a pickle, which may run code; must be a file of safetensors: python -c "{convert}"'
        )


def _ours(saved: list[str], path: Path, field: str) -> dict[str, str]:
    """The names in a file by those that torchvision has for the same tensors."""
    names: dict[str, str] = {}
    for name in sorted(saved):
        known = name
        for pattern, word in _SYNONYMS:
            known = re.sub(pattern, word, known)
        if known in names:
            raise InputError(field, path, f"has both {names[known]} and {name}; must have one of them")
        if known.rpartition(".")[2] != _COUNTER:
            names[known] = name
    return names


def _check_tensors(
    there: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]],
    num_classes: int,
    path: Path,
    field: str,
) -> None:
    """Checks that a file has the very tensors of a network, by their names and shapes."""
    absent, unknown = [n for n in expected if n not in there], [n for n in there if n not in expected]
    for which, names in (("lacks", absent), ("has besides", unknown)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(field, path, f"{which} {names[0]}{more}; must be of the network that is named beside it")
    last = there["fc.weight"]
    right = f"of {num_classes} classes, as the data, and not of the shape {last}; train its last layer, or give logits"
    require(last[:1] == (num_classes,), field, path, right)
    for name, (variable, shape) in expected.items():
        wanted = as_tensor(variable[-1], np.broadcast_to(np.float32(0), shape)).shape
        if there[name] != wanted:
            raise InputError(field, path, f"{name} has the shape {there[name]}; must be {wanted}")
