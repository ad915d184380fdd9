"""The user's own texts: a folder with `train` and `test` as CSV, JSON lines or Parquet."""

import collections
import csv
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.sources import labels
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.data.sources.split_files import by_split, is_whole
from distill_jax.data.sources.tokens import Texts, tokenised
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_REMEDY = "must be a folder with train and test as .csv, .jsonl or .parquet, with the columns text and label"

_SPLITS = ("train", "test")
_COLUMNS = {"text", "text_pair", "label"}
_FIELD_LIMIT = 2**31 - 1  # characters of a field; Python's own limit is 131,072

_Rows = Iterator[tuple[str, dict[str, Any]]]  # what to call a row in a message, and what it has
_Columns = tuple[list[str], list[str] | None]  # texts, and of pairs the second ones


def read(setting: DataSetting) -> Raw:
    """Tokens of the columns `text` and, for pairs, `text_pair`, with the column `label`.

    Labels are integers or words, see `labels.numbered`. id is the row, from 0.

    Raises:
      InputError: a file is absent or cannot be read, a column is absent, a row has other fields than the others, a text
        is empty, or a label is not as above.
    """
    check_label(setting, ["label"])
    folder = local("data.dataset", setting.dataset)
    files = {split: _files(setting.dataset, folder, split) for split in _SPLITS}
    # Read whether or not the tokens are in the cache: their pairs and labels are checked against each other.
    dataset = setting.dataset
    (train, train_labels, train_unread), (test, test_labels, test_unread) = (
        _read(dataset, paths) for paths in files.values()
    )
    if (train[1] is None) != (test[1] is None):
        raise InputError("data.dataset", dataset, "one split has text_pair; must be both or neither")
    *numbers, names = labels.numbered(
        train_labels, test_labels, (files["train"][0].name, files["test"][0].name), dataset
    )
    texts = {
        split: Texts(*columns, label, np.arange(len(label), dtype=np.int64))
        for split, columns, label in zip(files, (train, test), numbers, strict=True)
    }
    all_paths = [path for paths in files.values() for path in paths]
    raw = tokenised(setting, folder.resolve().name, folder, all_paths, texts.__getitem__)
    other_files = {path.name for path in _visible(folder)} - {path.name for path in all_paths}
    notes = not_read("columns", train_unread | test_unread) + not_read(f"files of {folder.name}/", other_files)
    return dataclasses.replace(raw, names=names, notes=raw.notes + notes)


def present(folder: Path) -> bool:
    """Whether a folder has files named as those of a split."""
    return bool(by_split(folder, _SPLITS, SUFFIXES))


def _files(dataset: str, folder: Path, split: str) -> list[Path]:
    """The file of a split, or its parts in order as Hugging Face's hub names them."""
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "is not there"
        raise InputError("data.dataset", dataset, f"{state}; {_REMEDY}")
    files = by_split(folder, _SPLITS, SUFFIXES).get(split, [])
    if not is_whole(files):
        names = sorted(path.name for path in _visible(folder))
        listed = " and ".join(path.name for path in files)
        problem = f"has {listed}" if files else f"has no {split} file, but {', '.join(names[:6]) or 'no file'}"
        raise InputError("data.dataset", dataset, f"{problem}; {_REMEDY}, one of each")
    return files


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


def _csv(path: Path) -> _Rows:
    previous_limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            _check_unique(header)
            for row in lines:
                if len(row) not in (0, len(header)):
                    raise ValueError(
                        f"line {lines.line_num} has {len(row)} fields and the header {len(header)} "
                        f"({', '.join(header)}); a text with commas must stand in double quotes"
                    )
                if row:
                    yield f"line {lines.line_num}", dict(zip(header, row, strict=True))
    finally:
        csv.field_size_limit(previous_limit)


def _jsonl(path: Path) -> _Rows:
    def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _check_unique([name for name, _ in pairs])
        return dict(pairs)

    columns = None
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, object_pairs_hook=unique_fields)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number}: {one_line(error)}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: {line.strip()[:40]} is no JSON object")
            if columns is not None and (other := columns ^ row.keys()) & _COLUMNS:
                raise ValueError(f"line {number}: {min(other & _COLUMNS)} is in some lines and not in all")
            columns = row.keys()
            yield f"line {number}", row


def _parquet(path: Path) -> _Rows:
    parquet = needed("pyarrow.parquet", "text", "data.dataset", path)
    with parquet.ParquetFile(path) as file:
        _check_unique(file.schema_arrow.names)
        number = itertools.count()
        columns = [name for name in file.schema_arrow.names if name in _COLUMNS]
        others = dict.fromkeys(set(file.schema_arrow.names) - _COLUMNS)  # whose values are not read
        for batch in file.iter_batches(columns=columns):
            yield from ((f"row {next(number)}", row | others) for row in batch.to_pylist())


def _check_unique(names: Sequence[str]) -> None:
    """Checks that no column is there twice, of which one would be lost."""
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"the column {twice[0]} is there twice")


_READERS: dict[str, Callable[[Path], _Rows]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
SUFFIXES = tuple(_READERS)


def _read(dataset: str, paths: Sequence[Path]) -> tuple[_Columns, list[labels.Label], set[str]]:
    """The texts of a split's files, their labels, and the columns that are not read."""
    first, second, row_labels, unread = [], [], [], set[str]()
    for path in paths:
        try:
            for place, row in _READERS[path.suffix.lower()](path):
                for column in ("text", "label"):
                    if column not in row:
                        has = ", ".join(map(str, row))
                        raise InputError(
                            "data.dataset", dataset, f"{path.name} has no column {column}, but {has}; {_REMEDY}"
                        )
                location = dataset, f"{path.name} {place}"
                first.append(_text(location, "text", row["text"]))
                if "text_pair" in row:
                    second.append(_text(location, "text_pair", row["text_pair"]))
                row_labels.append(_label(location, row["label"]))
                unread.update(row.keys() - _COLUMNS)
        except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are OSErrors or ValueErrors
            raise InputError(
                "data.dataset", dataset, f"{path.name} cannot be read: {one_line(error)}; {_REMEDY}"
            ) from error
    if not first:
        raise InputError("data.dataset", dataset, f"{paths[0].name} has no rows; must have 1 or more")
    if second and len(second) < len(first):
        raise InputError(
            "data.dataset",
            dataset,
            f"{paths[0].name} and others: text_pair is in some and not in all; must be the same",
        )
    return (first, second or None), row_labels, unread


def _refused(location: tuple[str, str], fault: str) -> InputError:
    dataset, place = location
    return InputError("data.dataset", dataset, f"{place}: {fault}")


def _text(location: tuple[str, str], column: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        state = "empty" if value is None or isinstance(value, str) else repr(value)
        raise _refused(location, f"{column} is {state}; must be a text")
    if not labels.is_text(value):
        raise _refused(location, f"{column} has half of a pair of surrogates; must be a text that can be written")
    return value


def _label(location: tuple[str, str], value: Any) -> labels.Label:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    word = value.strip() if isinstance(value, str) else ""
    if not (is_integer or word):
        raise _refused(location, f"label is {value!r}; must be an integer or a word")
    return value if is_integer else word
