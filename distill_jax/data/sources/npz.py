"""The user's own arrays, in a .npz file."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.arrays_file import read_arrays
from distill_jax.data.dataset import Split
from distill_jax.data.sources import labels
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.dumps import as_array
from distill_jax.errors import InputError
from distill_jax.own_code import imported
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_NAMES = tuple(f"{kind}_{split}" for split in ("train", "test") for kind in "xy")
# As other tools name the four arrays, each for that of `_NAMES` in the same place; the first are MedMNIST's.
_OTHER_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("train_x", "train_y", "test_x", "test_y"),
    ("train_data", "train_labels", "test_data", "test_labels"),
    ("images_train", "labels_train", "images_test", "labels_test"),
)
_CHANNELS = (1, 2, 3, 4)  # an image may have
UNIT_MAX = 1.5  # between the greatest value of images in [0, 1], of which some go a little beyond, and in [0, 255]


def read(setting: DataSetting) -> Raw:
    """Reads x_train, y_train, x_test and y_test.

    x is uint8 or floating point [N, H, W], [N, H, W, C] or flat [N, D]; floating point becomes float32, of images in
    [0, 1] or [0, 255], and [N, H, W] becomes [N, H, W, 1]. y is of integers or words, [N] or [N, 1], see
    `labels.numbered`, or one-hot [N, K]. id is the index in the array. Other tools' names are taken too,
    `_OTHER_NAMES`, of which MedMNIST's are train_images, train_labels, test_images and test_labels.

    Raises:
      InputError: the file cannot be read, or an array is not as above; nothing in it is ever unpickled.
    """
    check_label(setting, ["label"])
    return _raw(setting.dataset, *_load(setting.dataset))


def raw_of(arrays: Mapping[str, Any], dataset: str) -> Raw:
    """The same of arrays in memory, of NumPy, JAX or PyTorch, or lists.

    Args:
      arrays: x_train, y_train, x_test and y_test.
      dataset: what to call them.

    Raises:
      InputError: as `read`.
    """
    absent = [name for name in _NAMES if name not in arrays]
    unknown = [name for name in arrays if name not in _NAMES]
    if absent or unknown:
        problem = f"has no {', '.join(absent)}" if absent else f"has {', '.join(unknown)} besides"
        raise InputError("data.dataset", dataset, f"{problem}; must have {', '.join(_NAMES)}")
    return _raw(dataset, {name: as_array(name, arrays[name]) for name in _NAMES}, ())


def of_function(setting: DataSetting) -> Raw:
    """The same of what a function of one's own gives, named as 'module:function'; it is called without arguments.

    Raises:
      InputError: as `read`, or there is no such function.
    """
    check_label(setting, ["label"])
    arrays = imported(setting.dataset, "data.dataset")()
    if not isinstance(arrays, Mapping):
        raise InputError(
            "data.dataset", setting.dataset, f"gives a {type(arrays).__name__}; must give a dictionary of arrays"
        )
    return raw_of(arrays, setting.dataset)


def _raw(dataset: str, arrays: dict[str, np.ndarray], notes: tuple[str, ...]) -> Raw:
    (train, y_train), (test, y_test) = (_split(dataset, arrays, split) for split in ("train", "test"))
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise InputError(
            "data.dataset",
            dataset,
            f"x_train holds {train.dtype} {train.shape[1:]} and x_test {test.dtype} {test.shape[1:]}; must be the same",
        )
    if train.ndim > 2 and (train.max() <= UNIT_MAX) != (test.max() <= UNIT_MAX):
        raise InputError(
            "data.dataset",
            dataset,
            f"x_train has values up to {train.max():.4g} and x_test up to {test.max():.4g}; must be on one scale",
        )
    *numbers, names = labels.numbered(y_train, y_test, ("y_train", "y_test"), dataset)
    splits = [
        Split(x, label, label, np.arange(len(x), dtype=np.int64))
        for x, label in zip((train, test), numbers, strict=True)
    ]
    return Raw(*splits, num_classes=int(numbers[0].max()) + 1, names=names, notes=notes)


def _load(dataset: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The four arrays, and notes on others in the file."""
    path = local("data.dataset", dataset)
    remedy = "must be a file of numpy.savez with x_train, y_train, x_test and y_test"
    members = _members(path)
    names = next((names for names in (_NAMES, *_OTHER_NAMES) if members.issuperset(names)), _NAMES)
    arrays, others = read_arrays(path, names, "data.dataset", remedy)
    return {ours: arrays[name] for ours, name in zip(_NAMES, names, strict=True)}, not_read("arrays", others)


def _members(path: Path) -> set[str]:
    """The names of the arrays in a file; none where it is no such file, which `read_arrays` says."""
    try:
        with zipfile.ZipFile(path) as file:
            return {name.removesuffix(".npy") for name in file.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def _split(dataset: str, arrays: dict[str, np.ndarray], split: str) -> tuple[np.ndarray, list[labels.Label]]:
    """Inputs and labels of a split, checked."""
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]

    def require(holds: bool, fault: str, requirement: str) -> None:
        if not holds:
            raise InputError("data.dataset", dataset, f"{fault}; must be {requirement}")

    shape = f"x_{split} has the shape {x.shape}"
    require(x.ndim in (2, 3, 4), shape, "images [N, H, W] or [N, H, W, C], or flat [N, D]")
    require(x.size > 0, shape, "1 or more examples")
    kind = f"x_{split} is {x.dtype}"
    require(x.dtype == np.uint8 or np.issubdtype(x.dtype, np.floating), kind, "uint8 or floating point")
    require(*_layout(f"x_{split}", x.shape))
    flat = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim == 2 and flat.dtype.kind in "biuf":
        one = ((flat == 0) | (flat == 1)).all() and (flat.sum(axis=1) == 1).all()
        require(bool(one), f"y_{split} has the shape {y.shape} and rows that are not one-hot", "one label an example")
        flat = flat.argmax(axis=1)
    require(flat.ndim == 1, f"y_{split} has the shape {y.shape}", "[N] or [N, 1], or one-hot [N, K]")
    lengths = f"x_{split} has {len(x)} examples and y_{split} has {len(flat)}"
    require(len(flat) == len(x), lengths, "as many of each")
    readable = flat.dtype.kind in "iuU"
    require(readable, f"y_{split} is {y.dtype}", "integers or words")
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf
            x = x.astype(np.float32)
        require(bool(np.isfinite(x).all()), f"x_{split} has NaN or infinite values", "finite in float32")
        if x.ndim > 2:
            # What is added at the edges by augmentation is black, 0; and an image is no place for negative light.
            low, high = float(x.min()), float(x.max())
            value_range = f"x_{split} has images with values from {low:.4g} to {high:.4g}"
            require(low >= 0 and high <= 255, value_range, "in [0, 1] or [0, 255], as before any standardisation")
    if x.ndim == 3:
        x = x[..., None]
    return x, flat.tolist()


def _layout(name: str, shape: tuple[int, ...]) -> tuple[bool, str, str]:
    """Whether a shape is of no other layout, and for a message the problem and the requirement."""
    problem = f"{name} has the shape {shape}"
    if len(shape) == 4 and shape[1] in _CHANNELS and shape[1] < shape[2] and shape[3] not in _CHANNELS:
        return False, f"{problem}, channels first", f"[N, H, W, C]: {name}.transpose(0, 2, 3, 1)"
    if len(shape) == 3 and min(shape[1:]) in _CHANNELS and max(shape[1:]) > 4 * max(_CHANNELS):
        requirement = f"[N, H, W], or [N, H, W, C] or flat [N, D], as {name}.reshape({shape[0]}, -1)"
        return False, f"{problem}, which would be images {min(shape[1:])} pixels wide or high", requirement
    return True, problem, ""
