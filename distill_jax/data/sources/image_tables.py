"""Image data sets as Hugging Face's hub has them: Parquet files with a column of pictures."""

import dataclasses
import functools
import importlib
import threading
from pathlib import Path
from typing import Any

from distill_jax.data.sources import hub, picture_set
from distill_jax.data.sources.picture_set import Picture
from distill_jax.data.sources.source import Raw, check_label
from distill_jax.data.sources.split_files import by_split, is_whole
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_TEST = ("test", "validation", "valid", "val")  # in this order
_IMAGES = ("image", "img")  # names of the column
_CONTENT = "train*.parquet and test*.parquet (or validation*), with a column image (or img) of pictures, and labels"


def present(folder: Path) -> bool:
    """Whether a folder, or the folder `data` in it, holds Parquet files with a column of pictures."""
    return any(_has_pictures(paths[0]) for paths in _files(folder).values())


def _has_pictures(path: Path) -> bool:
    try:
        return _image_column(importlib.import_module("pyarrow.parquet").read_schema(path)) is not None
    except (ImportError, OSError, ValueError):  # which reading says better
        return False


def read(setting: DataSetting) -> Raw:
    """Pictures as of `image_folder`; `data.label` names a column of integers or words, 'label' by default.

    Test pictures are those of `test`, or else of `validation`; without either a fifth of each class is held out. Where
    the file names its classes, numbers are theirs.

    Raises:
      InputError: a file cannot be read, has no pictures or no such label, or as `picture_set.read`.
    """
    folder = local("data.dataset", setting.dataset)
    parquet = needed("pyarrow.parquet", "text", "data.dataset", folder)
    files = _files(folder)
    if "train" not in files:
        raise InputError("data.dataset", folder, f"has no train*.parquet; must have {_CONTENT}")
    test = next((name for name in _TEST if name in files), None)
    parts = {"train": files["train"]} | ({} if test is None else {"test": files[test]})
    for paths in parts.values():
        if not is_whole(paths):
            listed = " and ".join(path.name for path in paths)
            raise InputError("data.dataset", folder, f"has {listed}; must have all parts of a split, and no others")
    try:
        pictures = {
            split: [picture for path in paths for picture in _of_file(setting, parquet, path)]
            for split, paths in parts.items()
        }
        class_names = hub.class_names(parquet.read_schema(parts["train"][0]), setting.label)
    except (OSError, ValueError) as error:  # pyarrow's are these
        raise InputError("data.dataset", folder, f"cannot be read: {one_line(error)}; must have {_CONTENT}") from error
    every = [path for paths in parts.values() for path in paths]
    names = {"train": "train", "test": test or "the test split"}
    raw = picture_set.read(setting, pictures, folder, every, names)
    numbers = range(raw.num_classes) if raw.names is None else raw.names
    if class_names and all(str(number).isdigit() and int(number) < len(class_names) for number in numbers):
        raw = dataclasses.replace(raw, names=tuple(class_names[int(number)] for number in numbers))
    return raw


def _files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split by its name in lower case, in order."""
    found = (by_split(place, ("train", *_TEST), (".parquet",)) for place in (folder, folder / "data"))
    return next(filter(None, found), {})


def _image_column(schema: Any) -> str | None:
    """The name of the column of pictures: bytes, or bytes with a path beside them."""
    for name in _IMAGES:
        if name in schema.names:
            kind = str(schema.field(name).type)
            if kind in ("binary", "large_binary") or (kind.startswith("struct<") and "bytes: " in kind):
                return name
    return None


def _of_file(setting: DataSetting, parquet: Any, path: Path) -> list[Picture]:
    schema = parquet.read_schema(path)
    column = _image_column(schema)
    if column is None:
        raise InputError("data.dataset", path, f"has no column of pictures; must have {_CONTENT}")
    check_label(setting, [name for name in schema.names if str(schema.field(name).type) in _LABEL_TYPES])
    labels = parquet.read_table(path, columns=[setting.label]).column(0).to_pylist()
    if None in labels:
        raise InputError("data.dataset", path, f"row {labels.index(None)} has no {setting.label}; must have one")
    pictures = _Column(path, column)
    return [
        Picture(f"{path.name} row {row}", functools.partial(pictures.content, row), str(label))
        for row, label in enumerate(labels)
    ]


_LABEL_TYPES = {"string", "large_string", *(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64))}


class _Column:
    """A file's column of pictures, read once, when the first is asked for, by whichever thread."""

    def __init__(self, path: Path, name: str):
        self._path, self._name, self._values, self._lock = path, name, None, threading.Lock()

    def content(self, row: int) -> bytes:
        """The content of one picture's file.

        Raises:
          ValueError: there is none.
        """
        with self._lock:
            if self._values is None:
                parquet = importlib.import_module("pyarrow.parquet")
                self._values = parquet.read_table(self._path, columns=[self._name]).column(0)
        value = self._values[row].as_py()
        value = value.get("bytes") if isinstance(value, dict) else value
        if value is None:
            raise ValueError("has a path and no picture")
        return value
