"""CIFAR-10 and CIFAR-100 as their authors give them: the python or the binary version, unpacked or as .tar.gz."""

import dataclasses
import io
import pickle
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split
from distill_jax.data.sources.source import Raw, check_label
from distill_jax.errors import InputError, one_line
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_URL = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SIDE, _CHANNELS = 32, 3
_PIXELS = _CHANNELS * _SIDE * _SIDE
_LARGEST = 2**28  # bytes of one file; CIFAR-100's training images are 2^27.2


@dataclasses.dataclass(frozen=True)
class _Layout:
    """One of the four versions.

    Attributes:
      train, test: names of files.
      labels: each label's name with its key in a pickle, or which byte of a binary row it is.
      names: of each label the file of its classes' names with the key there (a pickle), or the file of lines.
    """

    train: tuple[str, ...]
    test: str
    labels: dict[str, Any]
    names: dict[str, tuple[str, str]]


_PICKLED, _BINARY = "python", "binary"
_LAYOUTS = {
    ("cifar10", _PICKLED): _Layout(
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        {"label": "labels"},
        {"label": ("batches.meta", "label_names")},
    ),
    ("cifar100", _PICKLED): _Layout(
        ("train",),
        "test",
        {"label": "fine_labels", "coarse_label": "coarse_labels"},
        {"label": ("meta", "fine_label_names"), "coarse_label": ("meta", "coarse_label_names")},
    ),
    ("cifar10", _BINARY): _Layout(
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        {"label": 0},
        {"label": ("batches.meta.txt", "")},
    ),
    ("cifar100", _BINARY): _Layout(
        ("train.bin",),
        "test.bin",
        {"label": 1, "coarse_label": 0},
        {"label": ("fine_label_names.txt", ""), "coarse_label": ("coarse_label_names.txt", "")},
    ),
}
_FILES = {
    name
    for layout in _LAYOUTS.values()
    for name in (*layout.train, layout.test, *(file for file, _ in layout.names.values()))
}
_CLASSES = {("cifar10", "label"): 10, ("cifar100", "label"): 100, ("cifar100", "coarse_label"): 20}


def present(path: Path) -> bool:
    """Whether a folder or a .tar.gz is one of the four versions, by the names of its files."""
    if path.is_dir():
        return _version({child.name for child in path.iterdir()}) is not None
    return path.is_file() and re.search(r"cifar.*\.(tar\.gz|tgz|tar)$", path.name.lower()) is not None


def read(setting: DataSetting) -> Raw:
    """Images uint8 [N, 32, 32, 3] in the files' order; id is the number in it, from 0 in each split.

    `data.label` is 'label', or for CIFAR-100 also 'coarse_label'. Classes have the names that the files give.

    Raises:
      InputError: a file is absent, cut short or not what its name says. Of a pickle nothing is run: anything but
        dictionaries, lists, text, numbers and NumPy's arrays of numbers is refused.
    """
    path = local("data.dataset", setting.dataset)
    files = [path] if path.is_file() else [path / name for name in sorted(_FILES) if (path / name).is_file()]
    arrays = cached(setting.cache_dir, "cifar-files", path, files, lambda _: _decode(path))
    check_label(setting, [label for label in ("label", "coarse_label") if f"train.{label}" in arrays])
    splits = []
    for split in ("train", "test"):
        label = arrays[f"{split}.{setting.label}"]
        splits.append(Split(arrays[f"{split}.x"], label, label, np.arange(len(label), dtype=np.int64)))
    classes = _CLASSES["cifar100" if "train.coarse_label" in arrays else "cifar10", setting.label]
    names = tuple(map(str, arrays[f"names.{setting.label}"]))
    return Raw(*splits, num_classes=classes, names=names if len(names) == classes else None)


def _version(names: set[str]) -> tuple[str, str] | None:
    for version, layout in _LAYOUTS.items():
        # 'train' and 'test' alone are names of many things; 'meta' is beside them in CIFAR-100's.
        alike = version == ("cifar100", _PICKLED) and not {"train", "test", "meta"} <= names
        if not alike and (layout.test in names or layout.train[0] in names):
            return version
    return None


def _contents(path: Path) -> dict[str, bytes]:
    """The contents of CIFAR's files by name; an archive, which is one stream, is gone through once.

    Raises:
      InputError: the archive or a file cannot be read, or is too large.
    """
    contents = {}
    try:
        if path.is_dir():
            there = [path / name for name in _FILES if (path / name).is_file()]
            return {file.name: file.read_bytes() for file in there if _fits(path, file.name, file.stat().st_size)}
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and name in _FILES and _fits(path, name, member.size):
                    file = archive.extractfile(member)
                    assert file is not None  # of a member that is a file
                    contents[name] = file.read()
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(
            "data.dataset", path, f"cannot be read: {one_line(error)}; get it again from {_URL}"
        ) from error
    return contents


def _fits(path: Path, name: str, size: int) -> bool:
    if size > _LARGEST:
        raise InputError("data.dataset", path, f"{name} is larger than {_LARGEST:,} bytes; get it again from {_URL}")
    return True


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # how later Pythons write bytes for earlier ones
    ("__builtin__", "bytes"),
}


class _Plain(pickle.Unpickler):
    """Loads what needs no code but NumPy's own for arrays: an unpickler would run whatever a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"would run {module}.{name}")
        if name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        return super().find_class(module, name)


def _unpickled(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        found = _Plain(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # of many types, as the damage has it
        raise InputError(
            "data.dataset", path, f"{name} cannot be read: {one_line(error)}; get it again from {_URL}"
        ) from error
    if not isinstance(found, dict):
        raise InputError("data.dataset", path, f"{name} holds a {type(found).__name__}; get it again from {_URL}")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in found.items()}


def _decode(path: Path) -> Arrays:
    """Of each split x and its labels, and of each label the names of its classes, none where they are not given."""
    contents = _contents(path)
    version = _version(set(contents))
    if version is None:
        raise InputError("data.dataset", path, f"is none of CIFAR's; must hold the files of {_URL}")
    layout = _LAYOUTS[version]
    absent = [name for name in (*layout.train, layout.test) if name not in contents]
    if absent:
        raise InputError("data.dataset", path, f"has no {', '.join(absent)}; must hold the files of {_URL}")
    arrays: Arrays = {}
    for split, names in (("train", layout.train), ("test", (layout.test,))):
        parts = [_part(path, version, name, contents[name]) for name in names]
        x = np.concatenate([part[0] for part in parts])
        # Channels first in the files, last here
        arrays[f"{split}.x"] = np.ascontiguousarray(x.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1))
        for label in layout.labels:
            arrays[f"{split}.{label}"] = np.concatenate([part[1][label] for part in parts])
    for label, (file, key) in layout.names.items():
        arrays[f"names.{label}"] = np.array(_class_names(path, version, file, key, contents), np.str_)
    return arrays


def _part(
    path: Path, version: tuple[str, str], name: str, content: bytes
) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
    """Pixels uint8 [N, 3072] and labels int32 [N] by name, of one file."""
    layout = _LAYOUTS[version]

    def require(holds: bool, fault: str) -> None:
        if not holds:
            raise InputError("data.dataset", path, f"{name} {fault}; get it again from {_URL}")

    if version[1] == _BINARY:
        width = len(layout.labels) + _PIXELS
        require(len(content) > 0 and len(content) % width == 0, f"has {len(content):,} bytes, no multiple of {width:,}")
        rows = np.frombuffer(content, np.uint8).reshape(-1, width)
        x, labels = rows[:, len(layout.labels) :], {key: rows[:, byte] for key, byte in layout.labels.items()}
    else:
        found = _unpickled(path, name, content)
        x, labels = found.get("data"), {key: _array(found.get(there)) for key, there in layout.labels.items()}
    x = _array(x)
    good = x.dtype == np.uint8 and x.ndim == 2 and x.shape[1] == _PIXELS and len(x) > 0
    require(good, f"has no images uint8 [N, {_PIXELS}]")
    for key, label in labels.items():
        classes = _CLASSES[version[0], key]
        whole = label.ndim == 1 and len(label) == len(x) and label.dtype.kind in "iu"
        require(
            whole and label.min() >= 0 and label.max() < classes, f"has no {key} in 0 to {classes - 1} for each image"
        )
    return x, {key: label.astype(np.int32) for key, label in labels.items()}


def _array(value: Any) -> np.ndarray:
    """An array of what a pickle has in the place of one; empty where it is none."""
    try:
        return np.asarray(() if value is None else value)
    except ValueError:
        return np.empty(0)


def _class_names(path: Path, version: tuple[str, str], file: str, key: str, contents: Mapping[str, bytes]) -> list[str]:
    if file not in contents:
        return []
    if version[1] == _BINARY:
        return contents[file].decode("utf-8", "replace").split()
    names = _unpickled(path, file, contents[file]).get(key)
    if not isinstance(names, list):
        return []
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]
