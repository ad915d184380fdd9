"""Models trained side by side in one program: what may differ between them, and how one function becomes many."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

from distill_jax.placement import MEMBER


@dataclasses.dataclass(frozen=True)
class Member:
    """One model of a study.

    Attributes:
      model: 'teacher' or one of `setting.STUDENTS`.
      seed: number of the repetition; with the role it decides initialisation, data order and augmentation.
    """

    model: str
    seed: int

    @property
    def role(self) -> int:
        """0 for teachers, 1 for students: all students of a seed share their randomness, no teacher does."""
        return 0 if self.model == "teacher" else 1


def split(members: Sequence[Member], most: int) -> list[list[Member]]:
    """Populations of at most `most` members, as even as can be, in order."""
    parts = -(-len(members) // most)
    return [list(members[i * len(members) // parts : (i + 1) * len(members) // parts]) for i in range(parts)]


def over_members(f: Callable[..., Any], in_axes: Sequence[int | None], members: int) -> Callable[..., Any]:
    """`f` of one member as a function of a population: arguments with axis 0 have a leading member axis.

    A population of one calls `f` itself, so that it compiles to the very program of a model alone.
    """
    if members > 1:
        return jax.vmap(f, in_axes=tuple(in_axes), spmd_axis_name=MEMBER)

    def alone(*args: Any) -> Any:
        one = [
            arg if axis is None else jax.tree.map(lambda a: a[0], arg) for arg, axis in zip(args, in_axes, strict=True)
        ]
        return jax.tree.map(lambda a: a[None], f(*one))

    return alone
