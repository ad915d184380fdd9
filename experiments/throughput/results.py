"""The file of results: a list of rows as JSON, written after every row, and gone on with by the same command."""

from pathlib import Path
from typing import Any

from distill_jax.command.command_line import check_writable, write_json
from experiments.resumable_rows import read_rows, require_same


def read(path: Path, option: str = "--json") -> list[dict[str, Any]]:
    """The rows of a file.

    Raises:
      InputError: it cannot be read or is no such file.
    """
    return read_rows(
        path,
        option,
        "throughput results",
        lambda row: (row["row"], row["environment"]["device"], row["examples_per_s"]),
    )


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
