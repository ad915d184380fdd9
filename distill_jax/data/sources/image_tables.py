"""Image data sets as Hugging Face has them: tables, Parquet's or saved by `datasets`, with a column of pictures."""

import dataclasses
import functools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_jax.data.sources import picture_set, tables
from distill_jax.data.sources.picture_set import Picture
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.data.sources.split_files import by_split, is_whole
from distill_jax.errors import InputError, one_line
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_TEST = ("test", "validation", "valid", "val")  # in this order
_IMAGES = ("image", "img")  # names of the column
_CONTENT = "a training and a test split (or validation) with a column image (or img) of pictures, and labels"


def present(folder: Path) -> bool:
    """Whether a folder holds tables with a column of pictures: as `datasets` saves them, or Parquet files, in it or in
    its folder `data`.
    """
    if (folder / tables.SAVED).is_file():
        return True
    return any(_has_pictures(paths[0]) for paths in _parquet_files(folder).values())


def _has_pictures(path: Path) -> bool:
    try:
        return _image_column(tables.schema(path)) is not None
    except (InputError, OSError, ValueError):  # which reading says better
        return False


def read(setting: DataSetting) -> Raw:
    """Pictures in a folder, of the files that are there, see `of_files`.

    Raises:
      InputError: it lacks a part of a split, or as `of_files`.
    """
    folder = local("data.dataset", setting.dataset)
    try:
        files = tables.saved_files(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("data.dataset", folder, f"cannot be read: {one_line(error)}; save it again") from error
    if not files:
        files = _parquet_files(folder)
        for paths in files.values():
            if not is_whole(paths):
                listed = " and ".join(path.name for path in paths)
                raise InputError("data.dataset", folder, f"has {listed}; must have all parts of a split, and no others")
    return of_files(setting, files, folder)


def of_files(setting: DataSetting, files: Mapping[str, list[Path]], folder: Path) -> Raw:
    """Pictures as of `image_folder`; `data.label` names a column of integers or words, 'label' by default.

    Test pictures are those of `test`, or else of `validation`; without either a fifth of each class is held out. Where
    the file names its classes, numbers are theirs.

    Args:
      setting: with `label`, and what `picture_set.read` needs.
      files: of each split by its name, in order.
      folder: that they lie in.

    Raises:
      InputError: a file cannot be read, has no pictures or no such label, or as `picture_set.read`.
    """
    if "train" not in files:
        has = ", ".join(files) or "none"
        raise InputError("data.dataset", setting.dataset, f"has no split train, but {has}; must have {_CONTENT}")
    test = next((name for name in _TEST if name in files), None)
    parts = {"train": files["train"]} | ({} if test is None else {"test": files[test]})
    try:
        pictures = {
            split: [picture for path in paths for picture in _of_file(setting, path)] for split, paths in parts.items()
        }
        class_names = tables.class_names(tables.schema(parts["train"][0]), setting.label)
    except (OSError, ValueError) as error:  # pyarrow's are these
        raise InputError(
            "data.dataset", setting.dataset, f"cannot be read: {one_line(error)}; must have {_CONTENT}"
        ) from error
    every = [path for paths in parts.values() for path in paths]
    names = {"train": "train", "test": test or "the test split"}
    raw = picture_set.read(setting, pictures, folder, every, names)
    unread = not_read("splits", set(files) - {"train", test})
    numbers = range(raw.num_classes) if raw.names is None else raw.names
    if class_names and all(str(number).isdigit() and int(number) < len(class_names) for number in numbers):
        raw = dataclasses.replace(raw, names=tuple(class_names[int(number)] for number in numbers))
    return dataclasses.replace(raw, notes=raw.notes + unread)


def _parquet_files(folder: Path) -> dict[str, list[Path]]:
    """The Parquet files of each split by its name in lower case, in order."""
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


def _of_file(setting: DataSetting, path: Path) -> list[Picture]:
    schema = tables.schema(path)
    image = _image_column(schema)
    if image is None:
        raise InputError("data.dataset", path, f"has no column of pictures; must have {_CONTENT}")
    check_label(setting, [name for name in schema.names if str(schema.field(name).type) in _LABEL_TYPES])
    labels = tables.column(path, setting.label).to_pylist()
    if None in labels:
        raise InputError("data.dataset", path, f"row {labels.index(None)} has no {setting.label}; must have one")
    pictures = _Column(path, image)
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
                self._values = tables.column(self._path, self._name)
        value = self._values[row].as_py()
        value = value.get("bytes") if isinstance(value, dict) else value
        if value is None:
            raise ValueError("has a path and no picture")
        return value
