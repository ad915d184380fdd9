"""Files that are there whole or as they were before, whenever the writing is stopped."""

import contextlib
import os
from pathlib import Path

from distill_jax.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or as it was before."""
    _replace(path, text.encode())


def write_result(path: Path, data: bytes) -> None:
    """The same for what a command makes, and its folder where that is not there.

    Raises:
      RunError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        with contextlib.suppress(OSError):
            _beside(path).unlink()
        remedy = "free the disk or choose another workdir"
        raise RunError(f"{path} cannot be written: {error.strerror}; {remedy}") from error


def _replace(path: Path, data: bytes) -> None:
    beside = _beside(path)
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
