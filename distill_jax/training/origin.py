"""States of members out of a checkpoint that is not just theirs: of a larger population, or of other losses."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from distill_jax.errors import InputError
from distill_jax.machine import processes
from distill_jax.machine.checkpoint import Checkpoints, Restored
from distill_jax.machine.placement import MEMBER, place
from distill_jax.training.objective import PARAMS
from distill_jax.training.population import Member
from distill_jax.training.step import TrainState
from distill_jax.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Origin:
    """Another population, that the members of one were begun in and have got further in.

    Attributes:
      folder: of that population.
      steps: of its complete checkpoints.
      rows: of each member that goes on its place there.
      members: how many it has.
      of: names its training, in seals.
    """

    folder: Path
    steps: tuple[int, ...]
    rows: tuple[int, ...]
    members: int
    of: str

    def restore(self, step: int, trainer: Trainer, members: Sequence[Member]) -> Restored:
        """The members' part of a checkpoint: of the state, on the trainer's devices, and of the seconds spent.

        Args:
          step: one of `steps`.
          trainer: of a population of as many members as go on.
          members: who goes on.

        Raises:
          InputError: the checkpoint cannot be read, or is of another training.
        """
        with Checkpoints(self.folder / "checkpoints", keep=None, of=self.of) as checkpoints:
            restored = checkpoints.restore(step)
        share = len(self.rows) / self.members
        seconds = {kind: share * spent for kind, spent in restored.seconds.items()}
        return Restored(state_of(restored.state, self.rows, trainer, members), step, seconds)


def state_of(kept: Any, rows: Sequence[int], trainer: Trainer, members: Sequence[Member]) -> TrainState:
    """A population's state on its devices.

    Parameters of losses that are not among those of `kept` are as they were drawn: no member's loss that is has had
    them so far. Those of losses that are no longer anybody's are left out.

    Args:
      kept: as `Checkpoints.restore` gives it where it is not told what the state is like: arrays of the host, on whose
        memory alone it depends whether there is room for all.
      rows: of each member its place in the leading axis of these arrays.
      trainer: of the population.
      members: of the population.

    Raises:
      InputError: parts of the state are not there.
    """
    there = {_names(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(kept)}
    like, structure = jax.tree_util.tree_flatten_with_path(trainer.state_like())
    paths = [_names(path) for path, _ in like]
    lacking = [path for path in paths if path not in there]
    for path in lacking:
        if PARAMS not in path:
            raise InputError("checkpoint", None, f"has no {'.'.join(path)}; must be of the same network and optimizer")
    initial = jax.tree.leaves(trainer.initial_state(members)) if lacking else [None] * len(paths)
    leaves = [
        drawn if path in lacking else place(trainer.mesh, np.asarray(there[path])[list(rows)], MEMBER)
        for path, drawn in zip(paths, initial, strict=True)
    ]
    return jax.tree.unflatten(structure, leaves)


def restored(checkpoints: Checkpoints, step: int, trainer: Trainer, members: Sequence[Member]) -> Restored:
    """A population's own checkpoint, also where losses with parameters of their own have come or gone since.

    Raises:
      InputError: as `Checkpoints.restore`.
    """
    like, same = trainer.state_like(), True
    if processes.is_first():
        with contextlib.suppress(Exception):  # what is damaged is said by `restore`
            same = _shapes(checkpoints.content(step)) == _shapes(like)
    if processes.from_first(same):
        return checkpoints.restore(step, like)
    kept = checkpoints.restore(step)
    return dataclasses.replace(kept, state=state_of(kept.state, range(len(members)), trainer, members))


def _shapes(tree: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    return {_names(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _names(path: Sequence[Any]) -> tuple[str, ...]:
    """A leaf's path by names alone: a checkpoint has dictionaries and lists where the state has types of its own."""
    return tuple(str(next(getattr(k, n) for n in ("key", "name", "idx") if hasattr(k, n))) for k in path)
