"""The user's own texts: a folder with `train` and `test` as CSV, JSON lines or Parquet."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.source import Raw, check_label, one_line
from distill_jax.data.tokens import Texts, tokenised
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting

_REMEDY = "must be a folder with train and test as .csv, .jsonl or .parquet, with the columns text and label"

_Rows = Iterator[dict[str, Any]]


def read(setting: DataSetting) -> Raw:
    """Tokens of the columns `text` and, for pairs, `text_pair`, with the column `label`.

    Labels are integers from 0 up; the number of classes is the highest of training plus 1. id is the row, from 0.

    Raises:
      InputError: a file is absent or cannot be read, a column is absent, a text is empty, or a label is not as above.
    """
    check_label(setting, ["label"])
    folder = Path(setting.dataset).expanduser()
    files = {split: _file(setting.dataset, folder, split) for split in ("train", "test")}
    # Read whether or not the tokens are in the cache: their pairs and labels are checked against each other.
    texts = {split: _read(setting.dataset, file) for split, file in files.items()}
    if (texts["train"].second is None) != (texts["test"].second is None):
        raise InputError(f"--dataset {setting.dataset}: one split has text_pair; must be both or neither")
    known, test = np.unique(texts["train"].label), texts["test"].label
    if len(known) < 2:
        raise InputError(f"--dataset {setting.dataset}: {files['train'].name} has one class only; must have 2 or more")
    if known[-1] >= len(texts["train"].label):  # labels that are no class numbers would ask for a head of any size
        raise InputError(
            f"--dataset {setting.dataset}: {files['train'].name} has the label {known[-1]}; must be below "
            f"{len(texts['train'].label)}, the number of training texts"
        )
    strange = np.setdiff1d(test, known)
    if len(strange):
        raise InputError(
            f"--dataset {setting.dataset}: {files['test'].name} has the label {strange[0]}, which "
            f"{files['train'].name} has not; must be among the training labels"
        )
    return tokenised(setting, folder.resolve().name, folder, files.values(), texts.__getitem__)


def _file(dataset: str, folder: Path, split: str) -> Path:
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "is not there"
        raise InputError(f"--dataset {dataset}: {state}; {_REMEDY}")
    found = [folder / f"{split}{suffix}" for suffix in SUFFIXES if (folder / f"{split}{suffix}").is_file()]
    if len(found) != 1:
        what = f"has {' and '.join(path.name for path in found)}" if found else f"has no {split} file"
        raise InputError(f"--dataset {dataset}: {what}; {_REMEDY}, one of each")
    return found[0]


def _csv(path: Path) -> _Rows:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file, strict=True)


def _jsonl(path: Path) -> _Rows:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"{line.strip()[:40]} is no JSON object")
            yield row


def _parquet(path: Path) -> _Rows:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


_READERS: dict[str, Callable[[Path], _Rows]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
SUFFIXES = tuple(_READERS)


def _read(dataset: str, path: Path) -> Texts:
    first, second, labels = [], [], []
    try:
        for number, row in enumerate(_READERS[path.suffix](path)):
            for column in ("text", "label"):
                if column not in row:
                    raise InputError(f"--dataset {dataset}: {path.name} has no column {column}; {_REMEDY}")
            first.append(_text(dataset, path, number, "text", row["text"]))
            if "text_pair" in row:
                second.append(_text(dataset, path, number, "text_pair", row["text_pair"]))
            labels.append(_label(dataset, path, number, row["label"]))
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are OSErrors or ValueErrors
        raise InputError(f"--dataset {dataset}: {path.name} cannot be read: {one_line(error)}; {_REMEDY}") from error
    if not first:
        raise InputError(f"--dataset {dataset}: {path.name} has no rows; must have 1 or more")
    if second and len(second) < len(first):
        raise InputError(f"--dataset {dataset}: {path.name} has text_pair in some rows; must be in all or none")
    count = len(labels)
    return Texts(first, second or None, np.array(labels, np.int32), np.arange(count, dtype=np.int64))


def _text(dataset: str, path: Path, number: int, column: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        state = "empty" if value is None or isinstance(value, str) else repr(value)
        raise InputError(f"--dataset {dataset}: {path.name} row {number}: {column} is {state}; must be a text")
    return value


def _label(dataset: str, path: Path, number: int, value: Any) -> int:
    try:
        label = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        label = -1
    if not 0 <= label < 2**31:
        raise InputError(
            f"--dataset {dataset}: {path.name} row {number}: label is {value!r}; must be a class from 0 up"
        )
    return label
