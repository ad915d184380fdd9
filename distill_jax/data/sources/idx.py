"""MNIST's and Fashion-MNIST's original files: train-images-idx3-ubyte[.gz] and its three companions."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split
from distill_jax.data.sources.source import Raw, check_label, data_folder
from distill_jax.errors import InputError, one_line
from distill_jax.setting import DataSetting

_NUM_CLASSES = 10
_TITLES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_FILES = {
    "train.x": "train-images-idx3-ubyte",
    "train.label": "train-labels-idx1-ubyte",
    "test.x": "t10k-images-idx3-ubyte",
    "test.label": "t10k-labels-idx1-ubyte",
}


def present(folder: Path) -> bool:
    """Whether any of the four files lies there."""
    return any(_find(folder, name) is not None for name in _FILES.values())


def read(setting: DataSetting) -> Raw:
    """Images uint8 [N, H, W, 1] and 10 classes, in the files' order; id is the index in the file.

    Raises:
      InputError: `data.data_dir` or `data.label` is wrong, or a file is absent, truncated or not what its name says.
    """
    folder = data_folder(setting, "the folder with " + ", ".join(_FILES.values()) + " (each may end in .gz)")
    check_label(setting, ["label"])
    paths = {key: _find(folder, name) for key, name in _FILES.items()}
    absent = [_FILES[key] for key, path in paths.items() if path is None]
    if absent:
        raise InputError(
            "data.data_dir",
            folder,
            f"has no {', '.join(absent)} (with or without .gz); must be the folder of {setting.dataset}'s "
            "four idx files",
        )
    existing = {key: path for key, path in paths.items() if path is not None}
    arrays = cached(
        setting.cache_dir, f"{setting.dataset}-idx", folder, existing.values(), lambda _: _decode(folder, existing)
    )
    return Raw(*(_split(arrays, name) for name in ("train", "test")), num_classes=_NUM_CLASSES, titles=_TITLES)


def _split(arrays: Arrays, name: str) -> Split:
    label = arrays[f"{name}.label"]
    return Split(arrays[f"{name}.x"], label, label, np.arange(len(label), dtype=np.int64))


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # as Kaggle has them, also each in a folder of its own name
    candidates = (folder / name, folder / f"{name}.gz", folder / dotted, folder / f"{dotted}.gz", folder / name / name)
    return next((path for path in candidates if path.is_file()), None)


def _decode(folder: Path, paths: dict[str, Path]) -> Arrays:
    arrays = {}
    for split in ("train", "test"):
        x = arrays[f"{split}.x"] = _read_idx(folder, paths[f"{split}.x"], rank=3)[..., None]
        label = _read_idx(folder, paths[f"{split}.label"], rank=1)
        arrays[f"{split}.label"] = label.astype(np.int32)
        if len(x) != len(label):
            raise InputError(
                "data.data_dir",
                folder,
                f"{paths[f'{split}.x'].name} has {len(x)} images and {paths[f'{split}.label'].name} {len(label)} "
                "labels; download both again",
            )
        if not x.size or label.max() >= _NUM_CLASSES:
            fault = f"labels above {_NUM_CLASSES - 1}" if x.size else "no images"
            raise InputError("data.data_dir", folder, f"{paths[f'{split}.label'].name} has {fault}; download it again")
    shapes = [arrays[f"{split}.x"].shape[1:] for split in ("train", "test")]
    if shapes[0] != shapes[1]:
        raise InputError(
            "data.data_dir",
            folder,
            f"training images have the shape {shapes[0]} and test images {shapes[1]}; must be the files of "
            "one data set",
        )
    return arrays


def _read_idx(folder: Path, path: Path, rank: int) -> np.ndarray:
    """An idx file of unsigned bytes: two zeros, 8, the rank, then the big-endian sizes and the values."""

    def fault(problem: str) -> InputError:
        return InputError("data.data_dir", folder, f"{path.name} {problem}; download it again")

    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise fault(f"cannot be read: {one_line(error)}") from error
    if data[:4] != bytes([0, 0, 8, rank]):
        raise fault(f"does not begin with an idx file's 0x0000080{rank}")
    header = 4 + 4 * rank
    if len(data) < header:
        raise fault("is truncated")
    shape = struct.unpack(f">{rank}I", data[4:header])
    if len(data) - header != np.prod(shape, dtype=object):
        raise fault(f"holds {len(data) - header} bytes where its header says {' x '.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
