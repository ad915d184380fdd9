"""Checkpoints of a training: the whole state, written by Orbax while training goes on, there whole or not at all.

This is the only module that knows Orbax.
"""

import dataclasses
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath

from distill_jax.errors import InputError, RunError

# Orbax tells of every save, and of an error in a stack trace of its own; what matters is raised and told in one line.
logging.getLogger("absl").setLevel(logging.CRITICAL)

_OVERHEAD = 2**20  # bytes of a checkpoint beside its arrays, and some to spare


class _Folder(type(epath.Path("/"))):
    """A path whose own brackets are no pattern, as they are to `epath`: Orbax would not find what it has written."""

    def glob(self, pattern: str) -> Iterator["_Folder"]:
        return (type(self)(found) for found in Path(self).glob(pattern))


class _Manager(ocp.CheckpointManager):
    """Orbax's, but for one thing.

    Orbax asks JAX whether it is time to stop, with the training step for a number. JAX remembers the last number
    anyone asked with, and `interruption` counts calls: the two together would miss the agreed moment.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint held: the state, the step it was taken after, and the seconds spent until then by kind."""

    state: Any
    step: int
    seconds: dict[str, float]


class Checkpoints:
    """The checkpoints of one training, in one folder; use as a context manager.

    Args:
      folder: theirs.
      keep: how many; None is all.
    """

    def __init__(self, folder: Path, keep: int | None):
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = _Manager(_Folder(self._folder), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def steps(self) -> list[int]:
        """Steps of which there is a complete checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, seconds: dict[str, float]) -> None:
        """Begins to write a checkpoint; returns before it is on disk.

        Raises:
          RunError: there is no room for it.
        """
        # Looked at beforehand, since on a disk that fills up while they write, Orbax's threads print stack traces.
        free = shutil.disk_usage(self._folder).free
        need = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + _OVERHEAD
        if free < need:
            raise RunError(
                f"the disk of --workdir is full: {free / 2**20:.1f} MiB are free and a checkpoint needs "
                f"{need / 2**20:.1f}; free some space and run the same command"
            )
        # The next training step is given this state's buffers, and on a CPU Orbax would still be reading them.
        state = jax.tree.map(jnp.copy, state)
        self._manager.save(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(seconds)),
        )

    def wait(self) -> None:
        """Returns when all that was saved is on disk."""
        self._manager.wait_until_finished()

    def delete_after(self, step: int) -> None:
        """Deletes the checkpoints later than `step`."""
        for later in [s for s in self.steps() if s > step]:
            self._manager.delete(later)

    def restore(self, step: int, like: Any) -> Restored:
        """Reads the checkpoint of `step`.

        Args:
          like: the state's pytree of `jax.ShapeDtypeStruct`s with shardings.

        Raises:
          InputError: the checkpoint cannot be read.
        """
        args = ocp.args.Composite(state=ocp.args.StandardRestore(like), progress=ocp.args.JsonRestore())
        try:
            items = self._manager.restore(step, args=args)
            jax.block_until_ready(items["state"])
        except Exception as error:  # Orbax and TensorStore raise whatever the damaged file led them to
            what = " ".join(str(error).split())[:120]
            raise InputError(
                f"checkpoint {self._folder / str(step)} is damaged ({type(error).__name__}: {what}); remove that "
                "folder and run the same command to go on from an earlier one"
            ) from error
        return Restored(items["state"], step, items["progress"])
