"""Checkpoints of a training: the whole state, written by Orbax while training goes on, there whole or not at all.

This is the only module that knows Orbax.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from distill_jax.errors import InputError

# Orbax tells of every save, and of an error in a stack trace of its own; what matters is raised and told in one line.
logging.getLogger("absl").setLevel(logging.CRITICAL)


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint held: the state, the step it was taken after, and seconds of training spent until then."""

    state: Any
    step: int
    seconds: float


class Checkpoints:
    """The checkpoints of one training, in one folder; use as a context manager."""

    def __init__(self, folder: Path, keep: int):
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def steps(self) -> list[int]:
        """Steps of which there is a complete checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, seconds: float) -> None:
        """Begins to write a checkpoint; returns before it is on disk."""
        # The next training step is given this state's buffers, and on a CPU Orbax would still be reading them.
        state = jax.tree.map(jnp.copy, state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave({"seconds": seconds})
            ),
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
        return Restored(items["state"], step, items["progress"]["seconds"])
