"""What a study's classes are called, kept in its folder: a JSON list by number, where they are not called by these."""

import json
from collections.abc import Sequence
from pathlib import Path

from distill_jax.files import read_json, write_text

FILE = "classes.json"


def write(workdir: Path, names: Sequence[str]) -> None:
    """Writes the names of all classes, in the order of their numbers."""
    write_text(workdir / FILE, json.dumps(names, indent=1, ensure_ascii=False) + "\n")


def read(workdir: Path) -> list[str] | None:
    """The names; None where classes are called by their numbers.

    Raises:
      InputError: the file is damaged.
    """
    file = workdir / FILE
    return read_json(file, list[str], "run the study's command to write it again") if file.exists() else None
