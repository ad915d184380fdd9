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
    leaves, structure = _as_in(trainer.state_like(), kept)
    initial = jax.tree.leaves(trainer.initial_state(members)) if any(leaf is None for leaf in leaves) else leaves
    placed = [
        drawn if leaf is None else place(trainer.mesh, np.asarray(leaf)[list(rows)], MEMBER)
        for leaf, drawn in zip(leaves, initial, strict=True)
    ]
    return jax.tree.unflatten(structure, placed)


def variables_of(kept: Any, like: TrainState) -> dict[str, Any]:
    """The variables of all members in a checkpoint, arrays of the host.

    Args:
      kept: as of `state_of`.
      like: what the whole state is like, see `Programs.state_like`.

    Raises:
      InputError: as of `state_of`.
    """
    leaves, structure = _as_in(like, kept)
    return jax.tree.map(np.asarray, jax.tree.unflatten(structure, leaves).variables)


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


def _as_in(like: TrainState, kept: Any) -> tuple[list[Any], Any]:
    """The leaves of a state in its own order, None for losses' parameters that are not there, and its structure."""
    there = {_names(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(kept)}
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [_names(path) for path, _ in paths]
    for name in names:
        if name not in there and PARAMS not in name:
            raise InputError("checkpoint", None, f"has no {'.'.join(name)}; must be of the same network and optimizer")
    return [there.get(name) for name in names], structure


def _shapes(tree: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    return {_names(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _names(path: Sequence[Any]) -> tuple[str, ...]:
    """A leaf's path by names alone: a checkpoint has dictionaries and lists where the state has types of its own."""
    return tuple(str(next(getattr(k, n) for n in ("key", "name", "idx") if hasattr(k, n))) for k in path)
