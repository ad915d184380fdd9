"""The file of predictions, which an interrupted run is gone on with by the same command."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distill_jax.command.command_line import write_json
from distill_jax.machine.environment import commit
from distill_jax.paths import from_home
from experiments.resumable_rows import read_rows, require_same

_PACKAGES = ("jax", "jaxlib", "flax", "libtpu", "jax-cuda13-plugin", "jax-cuda12-plugin")


def environment(command: str) -> dict[str, Any]:
    """By which code and compilers the file is made."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "command": from_home(command),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": versions,
    }


def read(path: Path, option: str = "--json") -> list[dict[str, Any]]:
    """The rows of a file.

    Raises:
      InputError: it cannot be read or is no such file.
    """
    return read_rows(
        path, option, "predictions", lambda row: (row["chip"], row["row"], row["fits"], row["environment"]["versions"])
    )


def begin(path: Path | None, environment: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that an interrupted run has left in its file; none where there is no file.

    Raises:
      InputError: the file holds something else, or rows of another commit or other compilers.
    """
    if path is None or not path.exists():
        return []
    rows = read(path)
    for row in rows:
        require_same(path, row["environment"], environment, ("commit", "versions"))
    return rows


def write(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """Writes all rows, so that the file is there whole or not at all."""
    write_json(path, rows)
