"""A part's file of results so far: each piece is written at once, and the same command goes on from it."""

import json
from pathlib import Path
from typing import Any

from distill_jax.command.command_line import write_json
from distill_jax.errors import InputError, one_line
from experiments.resumable_rows import SAME, require_same

BEGUN = {"state": "begun"}


def failure(error: Exception) -> str:
    """An error as a piece has it, in one line."""
    return f"{type(error).__name__}: {one_line(error)[:300]}"


class PartResults:
    """The pieces of a part by name.

    What was begun and is not there when a part goes on has ended its process: the same command does not try it again,
    so that one thing that an accelerator cannot do costs no other.

    Args:
      path: of the file.
      environment: on what this is found; None for what the file says.

    Raises:
      InputError: the file is none of this part, or was made by another commit or on another device.
    """

    def __init__(self, path: Path, environment: dict[str, Any] | None = None):
        self._path, self.environment = path, environment
        self.pieces: dict[str, Any] = {}
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text())
            self.environment, self.pieces = content["environment"], content["found"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                "--out", path.parent, f"{path.name} is no result of this command; choose another"
            ) from None
        if environment is not None:
            require_same(path, self.environment, environment, SAME, "--out")

    def begin(self, name: str) -> bool:
        """Whether a piece is still to be found, which is then marked as begun."""
        if name in self.pieces:
            return False
        self.write(name, BEGUN)
        return True

    def forget(self) -> None:
        """Forgets what another command has begun, or had no time for."""
        kept = {name: piece for name, piece in self.pieces.items() if piece != BEGUN and not piece.get("again")}
        if len(kept) < len(self.pieces):
            self.pieces = kept
            self._save()

    def write(self, name: str, piece: dict[str, Any]) -> None:
        """Keeps a piece."""
        self.pieces[name] = piece
        self._save()

    def _save(self) -> None:
        write_json(self._path, {"environment": self.environment, "found": self.pieces})
