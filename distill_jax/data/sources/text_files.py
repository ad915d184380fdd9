"""The user's own texts: a folder with `train` and `test` as CSV, JSON lines or Parquet."""

import collections
import csv
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.sources import labels
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.data.sources.tokens import Texts, tokenised
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_REMEDY = "must be a folder with train and test as .csv, .jsonl or .parquet, with the columns text and label"

_COLUMNS = {"text", "text_pair", "label"}
_LONGEST = 2**31 - 1  # characters of a field; Python's own limit is 131,072

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
    files = {split: _files(setting.dataset, folder, split) for split in ("train", "test")}
    # Read whether or not the tokens are in the cache: their pairs and labels are checked against each other.
    dataset = setting.dataset
    (train, of_train, more), (test, of_test, also) = (_read(dataset, paths) for paths in files.values())
    if (train[1] is None) != (test[1] is None):
        raise InputError("data.dataset", dataset, "one split has text_pair; must be both or neither")
    *numbers, names = labels.numbered(of_train, of_test, (files["train"][0].name, files["test"][0].name), dataset)
    texts = {
        split: Texts(*columns, label, np.arange(len(label), dtype=np.int64))
        for split, columns, label in zip(files, (train, test), numbers, strict=True)
    }
    of_all = [path for paths in files.values() for path in paths]
    raw = tokenised(setting, folder.resolve().name, folder, of_all, texts.__getitem__)
    of_folder = {path.name for path in _visible(folder)} - {path.name for path in of_all}
    notes = not_read("columns", more | also) + not_read(f"files of {folder.name}/", of_folder)
    return dataclasses.replace(raw, names=names, notes=raw.notes + notes)


def present(folder: Path) -> bool:
    """Whether a folder has files named as those of a split."""
    return any(_NAME.fullmatch(path.name) for path in _visible(folder))


def _files(dataset: str, folder: Path, split: str) -> list[Path]:
    """The file of a split, or its parts in order as Hugging Face's hub names them."""
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "is not there"
        raise InputError("data.dataset", dataset, f"{state}; {_REMEDY}")
    names = sorted(path.name for path in _visible(folder))
    named = [(name, whole) for name in names if (whole := _NAME.fullmatch(name)) and whole["split"].lower() == split]
    of = [whole["of"] for _, whole in named]
    one = len(named) == 1 and of[0] in (None, "00001")
    kinds = {whole["suffix"].lower() for _, whole in named}
    parts = [int(whole["part"] or -1) for _, whole in named]
    if not (one or (len(kinds) == len(set(of)) == 1 and of[0] and parts == list(range(int(of[0]))))):
        found = " and ".join(name for name, _ in named)
        what = f"has {found}" if named else f"has no {split} file, but {', '.join(names[:6]) or 'no file'}"
        raise InputError("data.dataset", dataset, f"{what}; {_REMEDY}, one of each")
    return [folder / name for name, _ in named]


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


def _csv(path: Path) -> _Rows:
    most = csv.field_size_limit(_LONGEST)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            _unlike(header)
            for row in lines:
                if len(row) not in (0, len(header)):
                    raise ValueError(
                        f"line {lines.line_num} has {len(row)} fields and the header {len(header)} "
                        f"({', '.join(header)}); a text with commas must stand in double quotes"
                    )
                if row:
                    yield f"line {lines.line_num}", dict(zip(header, row, strict=True))
    finally:
        csv.field_size_limit(most)


def _jsonl(path: Path) -> _Rows:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _unlike([name for name, _ in pairs])
        return dict(pairs)

    columns = None
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, object_pairs_hook=once)
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
        _unlike(file.schema_arrow.names)
        number = itertools.count()
        known = [name for name in file.schema_arrow.names if name in _COLUMNS]
        others = dict.fromkeys(set(file.schema_arrow.names) - _COLUMNS)  # whose values are not read
        for batch in file.iter_batches(columns=known):
            yield from ((f"row {next(number)}", row | others) for row in batch.to_pylist())


def _unlike(names: Sequence[str]) -> None:
    """Checks that no column is there twice, of which one would be lost."""
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"the column {twice[0]} is there twice")


_READERS: dict[str, Callable[[Path], _Rows]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
SUFFIXES = tuple(_READERS)
_NAME = re.compile(
    r"(?P<split>train|test)(-(?P<part>\d{5})-of-(?P<of>\d{5})(-[0-9a-f]+)?)?(?P<suffix>\.csv|\.jsonl|\.parquet)", re.I
)


def _read(dataset: str, paths: Sequence[Path]) -> tuple[_Columns, list[labels.Label], set[str]]:
    """The texts of a split's files, their labels, and the columns that are not read."""
    first, second, known, more = [], [], [], set[str]()
    for path in paths:
        try:
            for place, row in _READERS[path.suffix.lower()](path):
                for column in ("text", "label"):
                    if column not in row:
                        has = ", ".join(map(str, row))
                        raise InputError(
                            "data.dataset", dataset, f"{path.name} has no column {column}, but {has}; {_REMEDY}"
                        )
                said = dataset, f"{path.name} {place}"
                first.append(_text(said, "text", row["text"]))
                if "text_pair" in row:
                    second.append(_text(said, "text_pair", row["text_pair"]))
                known.append(_label(said, row["label"]))
                more.update(row.keys() - _COLUMNS)
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
    return (first, second or None), known, more


def _refused(said: tuple[str, str], fault: str) -> InputError:
    dataset, place = said
    return InputError("data.dataset", dataset, f"{place}: {fault}")


def _text(said: tuple[str, str], column: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        state = "empty" if value is None or isinstance(value, str) else repr(value)
        raise _refused(said, f"{column} is {state}; must be a text")
    if not labels.is_text(value):
        raise _refused(said, f"{column} has half of a pair of surrogates; must be a text that can be written")
    return value


def _label(said: tuple[str, str], value: Any) -> labels.Label:
    whole = isinstance(value, int) and not isinstance(value, bool)
    word = value.strip() if isinstance(value, str) else ""
    if not (whole or word):
        raise _refused(said, f"label is {value!r}; must be an integer or a word")
    return value if whole else word
