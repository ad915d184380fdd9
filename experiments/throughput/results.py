"""The file of results: a list of rows as JSON, written after every row, and gone on with by the same command."""

import json
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError
from experiments.command_line import check_writable, write_json
from experiments.resumed import require_same


def read(path: Path, option: str = "--json") -> list[dict[str, Any]]:
    """The rows of a file.

    Raises:
      InputError: it cannot be read or is no such file.
    """
    try:
        rows = json.loads(path.read_text())
        for row in rows:
            row["row"], row["environment"]["device"], row["examples_per_s"]  # that they are there
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{option} {path}: is not a file of throughput results; choose another name") from error
    return rows


def begin(path: Path, environment: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that an interrupted run has left in its file; none where there is no file.

    Raises:
      InputError: the file cannot be written, or its rows were measured by something else.
    """
    if not path.exists():
        check_writable("--json", path)
        return []
    rows = read(path)
    for row in rows:
        require_same(path, row["environment"], environment)
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes all rows, so that the file is there whole or not at all."""
    write_json(path, rows)
