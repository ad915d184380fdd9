"""Files of fields between commas, semicolons, tabs or bars; which of them it is, and what quotes mean, is found."""

import codecs
import collections
import csv
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FIELD_LIMIT = 2**31 - 1  # characters of a field; Python's own limit is 131,072
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Of the Corpus of Linguistic Acceptability, whose files begin with their first example.
_COLA = ["source", "label", "original_label", "sentence"]

_Line = tuple[int, list[str]]  # the number of its last line in the file, and its fields


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
      header: the columns' names.
      lines: of each row the number of its last line in the file, and as many fields as the header has.
      notes: what was found of the file that it does not say itself, a line each.
    """

    header: list[str]
    lines: list[_Line]
    notes: tuple[str, ...] = ()

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What to call each row in a message, and its fields by their columns."""
        for number, fields in self.lines:
            yield f"line {number}", dict(zip(self.header, fields, strict=True))


def read(path: Path, fits: Callable[[Sequence[str]], int]) -> Table:
    """The rows of a file, in UTF-8 or, where it begins as such, UTF-16.

    The delimiter is the one by which the header fits best. Quotes and what is in them are strictly as in CSV: a quote
    is doubled, or, where that cannot be, has a backslash before it. Between tabs they are text, as in GLUE's files,
    unless they must be more.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "train.csv"
    >>> _ = path.write_text("text;label\\n\\"a; b\\";1\\n")
    >>> table = read(path, lambda header: int("label" in header))
    >>> next(table.rows()), table.notes
    (('line 2', {'text': 'a; b', 'label': '1'}), ('train.csv has semicolons between its fields',))

    Args:
      path: of the file; with the suffix .tsv it has tabs.
      fits: how well columns of such names fit, 0 where they do not.

    Raises:
      OSError: it cannot be read.
      ValueError: it is no text, a row has other fields than the header, or quotes are not as above.
    """
    encoding = _encoding(path)
    is_tsv = path.suffix.lower() == ".tsv"
    fitting = {mark: fits(_header(path, encoding, mark)) for mark in ("\t" if is_tsv else _DELIMITERS)}
    delimiter = max(fitting, key=lambda mark: fitting[mark])  # the first of equal ones
    notes = [] if delimiter == "," or is_tsv else [f"{path.name} has {_DELIMITERS[delimiter]} between its fields"]
    lines, note = _tabs(path, encoding) if delimiter == "\t" else _quoted(path, encoding, delimiter)
    notes += note
    header = next((fields for _, fields in lines), [])
    if is_tsv and not fits(header) and _is_cola(lines):
        return Table(_COLA, lines, (*notes, f"{path.name} has no header and is read as CoLA's: {', '.join(_COLA)}"))
    twice = [name for name, count in collections.Counter(header).items() if count > 1]
    if twice:
        raise ValueError(f"the column {twice[0]} is there twice")
    return Table(header, lines[1:], tuple(notes))


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF_16 else "utf-8-sig"


def _header(path: Path, encoding: str, delimiter: str) -> list[str]:
    with path.open(newline="", encoding=encoding) as file:
        try:
            return next(csv.reader(file, delimiter=delimiter), [])
        except csv.Error:  # which reading all of it says better
            return []


def _is_cola(lines: Sequence[_Line]) -> bool:
    return bool(lines) and all(
        len(fields) == len(_COLA) and fields[1] in ("0", "1") and fields[2] in ("", "*") for _, fields in lines
    )


def _quoted(path: Path, encoding: str, delimiter: str) -> tuple[list[_Line], list[str]]:
    """The lines of a file in which a text with delimiters stands in quotes."""
    try:
        return _parsed(path, encoding, delimiter), []
    except ValueError as error:
        try:
            escaped = _parsed(path, encoding, delimiter, escapechar="\\", doublequote=False)
        except ValueError:
            raise error from None
        if not _is_escaped(path.read_text(encoding), delimiter):
            raise
        return escaped, [f"{path.name} has backslashes before quotes within a text"]


def _is_escaped(content: str, delimiter: str) -> bool:
    """Whether all quotes of a file but those about a field have a backslash before them, which `csv` does not ask."""
    quoted, bare = r'"(?:[^"\\]|\\.)*+"', rf'(?:[^"\\\r\n{re.escape(delimiter)}]|\\.)*+'
    field = rf"(?:{quoted}|{bare})"
    return bool(re.fullmatch(rf"(?:{field}(?:{re.escape(delimiter)}|\r?\n|\r))*+{field}", content, re.DOTALL))


def _tabs(path: Path, encoding: str) -> tuple[list[_Line], list[str]]:
    """The lines of a file with tabs: quotes are text where they can be, unless some are doubled as in CSV."""
    with path.open(newline="\n", encoding=encoding) as file:
        plain = [(number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(file, 1) if line.strip("\r\n")]
    fields = [field for _, fields in plain for field in fields if '"' in field]
    if not fields:
        _check_widths(plain, "\t")
        return plain, []
    begun = [field for field in fields if field.startswith('"')]
    is_plain = len({len(fields) for _, fields in plain}) == 1
    # Who writes quotes as in CSV does so about any field with a quote in it, and doubles that.
    if is_plain and (len(begun) < len(fields) or not any('""' in field[1:-1] for field in begun)):
        return plain, [f"quotes in {path.name} are text"]
    try:
        return _parsed(path, encoding, "\t"), [f"{path.name} has texts in quotes, which are not part of them"]
    except ValueError:
        _check_widths(plain, "\t")
        return plain, [f"quotes in {path.name} are text"]


def _parsed(path: Path, encoding: str, delimiter: str, **others: Any) -> list[_Line]:
    previous_limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        with path.open(newline="", encoding=encoding) as file:
            reader = csv.reader(file, strict=True, delimiter=delimiter, **others)
            lines = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    finally:
        csv.field_size_limit(previous_limit)
    _check_widths(lines, delimiter)
    return lines


def _check_widths(lines: Sequence[_Line], delimiter: str) -> None:
    """Checks that every row has as many fields as the first, so that no text is lost.

    Raises:
      ValueError: one has not.
    """
    header = lines[0][1] if lines else []
    for number, fields in lines:
        if len(fields) != len(header):
            remedy = "" if delimiter == "\t" else f"; a text with {_DELIMITERS[delimiter]} must stand in double quotes"
            columns = ", ".join(header)
            raise ValueError(
                f"line {number} has {len(fields)} fields and the header {len(header)} ({columns[:200]}){remedy}"
            )
