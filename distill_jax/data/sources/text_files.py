"""The user's own texts: a folder with `train` and `test` as CSV, TSV, JSON lines or Parquet."""

import collections
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.sources import delimited, labels, tables
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.data.sources.split_files import by_split, is_whole
from distill_jax.data.sources.text_columns import Columns
from distill_jax.data.sources.tokens import Texts, tokenised
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_REMEDY = (
    "must be a folder with train and test (or validation, or dev) as .csv, .tsv, .jsonl or .parquet, with the columns "
    "text and label, or GLUE's"
)
_HIDDEN = -1  # the labels of a test set that are not given away

_VALIDATIONS = ("validation", "valid", "val", "dev", "validation_matched", "dev_matched")

_Rows = Iterator[tuple[str, dict[str, Any]]]  # what to call a row in a message, and what it has


@dataclasses.dataclass(frozen=True)
class _Table:
    """What the files of a split hold.

    Attributes:
      first, second: texts, and of pairs the second ones.
      label: of each.
      unread: columns that are not read.
      notes: what was found of the files.
    """

    first: list[str]
    second: list[str] | None
    label: list[labels.Label]
    unread: set[str]
    notes: tuple[str, ...]


class _UnlabelledError(InputError):
    """A file of texts has no labels."""


def read(setting: DataSetting) -> Raw:
    """Tokens of the columns that `text_columns` knows: `text` and, for pairs, `text_pair`, with `label`, or as GLUE's.

    Labels are integers or words, see `labels.numbered`. id is the row, from 0. Where `test` has no labels, as GLUE's,
    or is not there, the validation split is tested on, of MNLI the matched one.

    Raises:
      InputError: a file is absent or cannot be read, a column is absent, a row has other fields than the others, a text
        is empty, or a label is not as above.
    """
    check_label(setting, ["label"])
    dataset, folder = setting.dataset, local("data.dataset", setting.dataset)
    files = _files(dataset, folder)
    # Read whether or not the tokens are in the cache: their pairs and labels are checked against each other.
    train_paths = files["train"]
    train = _read(dataset, train_paths)
    test_paths, test, notes = _tested_on(dataset, files, train)
    if (train.second is None) != (test.second is None):
        raise InputError(
            "data.dataset", dataset, "one split has pairs of texts, the other has not; must be as the other"
        )
    train_name, test_name = train_paths[0].name, test_paths[0].name
    *numbers, names = labels.numbered(train.label, test.label, (train_name, test_name), dataset)
    texts = {
        split: Texts(table.first, table.second, label, np.arange(len(label), dtype=np.int64))
        for split, table, label in zip(("train", "test"), (train, test), numbers, strict=True)
    }
    paths = [*train_paths, *test_paths]
    raw = tokenised(setting, folder.resolve().name, folder, paths, texts.__getitem__)
    other_files = {path.name for path in _visible(train_paths[0].parent)} - {path.name for path in paths}
    notes += train.notes + test.notes + not_read("columns", train.unread | test.unread)
    notes += not_read(f"files of {folder.name}/", other_files)
    return dataclasses.replace(raw, names=_class_names(dataset, train_paths[0], train, names), notes=raw.notes + notes)


def present(folder: Path) -> bool:
    """Whether a folder, or the folder `data` in it, has files named as those of a split."""
    return bool(by_split(_place(folder), ("train", "test"), SUFFIXES))


def _place(folder: Path) -> Path:
    """The folder that the files lie in: that, or the folder `data` in it."""
    inner = folder / "data"
    return inner if not by_split(folder, ["train"], SUFFIXES) and by_split(inner, ["train"], SUFFIXES) else folder


def _files(dataset: str, folder: Path) -> dict[str, list[Path]]:
    """The file of each split, or its parts in order as Hugging Face's hub names them: of 'train' and another.

    Raises:
      InputError: there is no such folder, or not these files.
    """
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "is not there"
        raise InputError("data.dataset", dataset, f"{state}; {_REMEDY}")
    place = _place(folder)
    files = by_split(place, ("train", "test", *_VALIDATIONS), SUFFIXES)
    for split, others in (("train", ()), ("test", _VALIDATIONS)):
        if split not in files and not any(other in files for other in others):
            names = sorted(path.name for path in _visible(folder))
            inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and present(path))
            has = f"the folders {', '.join(inner[:6])}, each a data set" if inner else ", ".join(names[:6]) or "no file"
            raise InputError("data.dataset", dataset, f"has no {split} file, but {has}; {_REMEDY}")
        _check_whole(dataset, files.get(split, []))
    return files


def _check_whole(dataset: str, paths: list[Path]) -> None:
    if paths and not is_whole(paths):
        listed = " and ".join(path.name for path in paths)
        raise InputError("data.dataset", dataset, f"has {listed}; {_REMEDY}, one of each")


def _tested_on(dataset: str, files: dict[str, list[Path]], train: _Table) -> tuple[list[Path], _Table, tuple[str, ...]]:
    """The files that are tested on, what they hold, and what is said of the choice.

    Raises:
      InputError: there are none with labels, or as `_read`.
    """
    *others, last = (split for split in ("test", *_VALIDATIONS) if split in files)
    reason = "" if "test" in files else "there is no test file"
    for split in (*others, last):
        paths = files[split]
        _check_whole(dataset, paths)
        try:
            table = _read(dataset, paths)
            if set(table.label) <= {_HIDDEN, str(_HIDDEN)} and not set(table.label) & set(train.label):
                fault = f"{paths[0].name} has the label {_HIDDEN} alone, which hides those of a test set"
                raise _UnlabelledError("data.dataset", dataset, f"{fault}; {_REMEDY}")
        except _UnlabelledError:
            if split == last:
                raise
            reason = f"{paths[0].name} has no labels"
        else:
            return paths, table, (f"{paths[0].name} is tested on, since {reason}",) if reason else ()
    raise AssertionError(last)  # which is returned, or raised of


def _class_names(dataset: str, path: Path, train: _Table, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The names of the classes, of a Parquet file's numbers those that it says.

    Raises:
      InputError: a number is that of a row without a label.
    """
    if path.suffix.lower() != ".parquet":
        return names
    parquet = needed("pyarrow.parquet", "text", "data.dataset", path)
    schema = parquet.read_schema(path)
    called = tables.class_names(schema, Columns.of(schema.names).label or "")
    if called and _HIDDEN in train.label:
        row = train.label.index(_HIDDEN)
        listed = ", ".join(called)
        raise InputError("data.dataset", dataset, f"training row {row} has the label {_HIDDEN}, none of {listed}")
    numbers = range(len(set(train.label))) if names is None else names
    if called and all(str(number).isdigit() and int(number) < len(called) for number in numbers):
        return tuple(called[int(number)] for number in numbers)
    return names


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


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
            names = Columns.of(row).names
            if columns is not None and names != columns:
                raise ValueError(f"line {number}: {min(names ^ columns)} is in some lines and not in all")
            columns = names
            yield f"line {number}", row


def _parquet(path: Path) -> _Rows:
    parquet = needed("pyarrow.parquet", "text", "data.dataset", path)
    with parquet.ParquetFile(path) as file:
        _check_unique(file.schema_arrow.names)
        number = itertools.count()
        columns = Columns.of(file.schema_arrow.names).names
        others = dict.fromkeys(set(file.schema_arrow.names) - columns)  # whose values are not read
        for batch in file.iter_batches(columns=sorted(columns)):
            yield from ((f"row {next(number)}", row | others) for row in batch.to_pylist())


def _check_unique(names: Sequence[str]) -> None:
    """Checks that no column is there twice, of which one would be lost."""
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"the column {twice[0]} is there twice")


_READERS: dict[str, Callable[[Path], _Rows]] = {".jsonl": _jsonl, ".parquet": _parquet}
_DELIMITED = (".csv", ".tsv")
SUFFIXES = (*_DELIMITED, *_READERS)


def _rows(path: Path) -> tuple[_Rows, tuple[str, ...]]:
    """A file's rows, and what was found of it."""
    if path.suffix.lower() in _DELIMITED:
        table = delimited.read(path, lambda names: Columns.of(names).fit)
        return table.rows(), table.notes
    return _READERS[path.suffix.lower()](path), ()


def _read(dataset: str, paths: Sequence[Path]) -> _Table:
    """What a split's files hold.

    Raises:
      InputError: they cannot be read, or not as texts with labels.
    """
    table = _Table([], None, [], set(), ())
    second: list[str] = []
    for path in paths:
        try:
            rows, found = _rows(path)
            table = dataclasses.replace(table, notes=table.notes + found)
            columns = None
            for place, row in rows:
                columns = columns or _columns(dataset, path, row)
                location = dataset, f"{path.name} {place}"
                first, *others = columns.texts
                table.first.append(_text(location, first, row[first]))
                second.extend(_text(location, other, row[other]) for other in others)
                assert columns.label is not None
                table.label.append(_label(location, columns.label, row[columns.label]))
                table.unread.update(row.keys() - columns.names)
        except (OSError, ValueError) as error:  # pyarrow's errors are OSErrors or ValueErrors
            raise InputError(
                "data.dataset", dataset, f"{path.name} cannot be read: {one_line(error)}; {_REMEDY}"
            ) from error
    if not table.first:
        raise InputError("data.dataset", dataset, f"{paths[0].name} has no rows; must have 1 or more")
    if second and len(second) < len(table.first):
        raise InputError(
            "data.dataset", dataset, f"{paths[0].name} and others: pairs are in some and not in all; must be the same"
        )
    return dataclasses.replace(table, second=second or None)


def _columns(dataset: str, path: Path, row: dict[str, Any]) -> Columns:
    """The columns of a file that has such rows.

    Raises:
      InputError: one is absent.
    """
    columns, has = Columns.of(row), ", ".join(map(str, row))
    if not columns.texts:
        raise InputError("data.dataset", dataset, f"{path.name} has no column text, but {has}; {_REMEDY}")
    if columns.label is None:
        raise _UnlabelledError("data.dataset", dataset, f"{path.name} has no column label, but {has}; {_REMEDY}")
    return columns


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


def _label(location: tuple[str, str], column: str, value: Any) -> labels.Label:
    if column == "gold_label" and value == "-":
        raise _refused(location, "gold_label is '-', on which no two agreed; must be left out")
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    word = value.strip() if isinstance(value, str) else ""
    if not (is_integer or word):
        raise _refused(location, f"{column} is {value!r}; must be an integer or a word")
    return value if is_integer else word
