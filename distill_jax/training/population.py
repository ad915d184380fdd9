"""Models trained side by side in one program: their differences, and how one function becomes many.

A population is a rectangle: some seeds, and of each as many students. What the students of a seed have in common,
their batches and their teacher, is then computed once for all of them.
"""

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from distill_jax.machine.placement import MEMBER, over_devices, whole_models_per_device
from distill_jax.randomness import Role
from distill_jax.setting import Setting
from distill_jax.students import TEACHER


@dataclasses.dataclass(frozen=True)
class Member:
    """One model of a study.

    >>> Member("kd", 1, (("temperature", 2.0),)).applied(Setting()).objective.temperature
    2.0

    Attributes:
      model: 'teacher' or a student of `students.table`.
      seed: number of the repetition; with the role it decides initialisation, data order and augmentation.
      changes: to the study's setting, names with this model's values: fields of `setting.SweepSetting`, and losses'
        settings.
    """

    model: str
    seed: int
    changes: tuple[tuple[str, float], ...] = ()

    @property
    def role(self) -> int:
        """All students of a seed share their randomness, no teacher does."""
        return Role.TEACHER if self.model == TEACHER else Role.STUDENT

    @property
    def name(self) -> str:
        """Its model and what it changes: the name of its dumps.

        >>> Member("kd", 0, (("temperature", 2.0),)).name
        'kd@temperature=2'
        """
        return "@".join([self.model, ",".join(f"{field}={value:g}" for field, value in self.changes)]).rstrip("@")

    def applied(self, setting: Setting) -> Setting:
        """The study's setting with this member's changes."""
        for field, value in self.changes:
            group = "optimizer" if field == "learning_rate" else "objective"
            group_setting = getattr(setting, group)
            change = {field: value}
            if not hasattr(group_setting, field):
                change = {"loss_settings": setting.objective.loss_settings | {field: value}}
            setting = dataclasses.replace(setting, **{group: dataclasses.replace(group_setting, **change)})
        return setting


def shape(members: Sequence[Member]) -> tuple[int, int]:
    """Seeds and students of each in a population, whose members come seed by seed.

    >>> shape([Member(model, seed) for seed in range(3) for model in ("one_hot", "kd")])
    (3, 2)

    Raises:
      ValueError: it is no rectangle.
    """
    sizes = [len(list(group)) for _, group in itertools.groupby(members, lambda m: m.seed)]
    if len(set(sizes)) != 1 or len(sizes) != len({m.seed for m in members}):
        raise ValueError("a population must have as many members of each seed, seed by seed")
    return len(sizes), sizes[0]


def seeds(members: Sequence[Member]) -> list[int]:
    """The seeds of a population, in order.

    >>> seeds([Member(model, seed) for seed in (4, 7) for model in ("one_hot", "kd")])
    [4, 7]
    """
    return list(dict.fromkeys(m.seed for m in members))


def split(members: Sequence[Member], most: int, devices: int = 1) -> list[list[Member]]:
    """Populations of at most `most` members, as even as can be, in order: whole seeds, or parts of a single one.

    >>> [[member.seed for member in part] for part in split([Member("kd", seed) for seed in range(5)], most=2)]
    [[0], [1, 2], [3, 4]]

    Args:
      members: seed by seed.
      most: members of a population.
      devices: that are given whole seeds only; populations' seeds are multiples of it, but for those left over.
    """
    by_seed = [list(group) for _, group in itertools.groupby(members, lambda m: m.seed)]
    portions = []
    for students, group in itertools.groupby(by_seed, len):
        rows = list(group)
        if students <= most:
            seeds_at_once = min(devices, most // students)
            chunks = [
                [m for row in rows[i : i + seeds_at_once] for m in row] for i in range(0, len(rows), seeds_at_once)
            ]
            full = len(rows) // seeds_at_once
            parts = _evenly(chunks[:full], most // students // seeds_at_once)
            portions += [[m for chunk in part for m in chunk] for part in parts] + chunks[full:]
        else:
            portions += [part for row in rows for part in _evenly(row, most)]
    return portions


def _evenly(items: list[Any], most: int) -> list[list[Any]]:
    parts = -(-len(items) // most)
    return [items[i * len(items) // parts : (i + 1) * len(items) // parts] for i in range(parts)]


def over_members(
    f: Callable[..., Any],
    in_axes: Sequence[int | None],
    members: int,
    axis_name: Hashable = None,
    in_turn: bool = False,
) -> Callable[..., Any]:
    """`f` of one member as a function of many: arguments with axis 0 have a leading member axis.

    One member calls `f` itself, so that it compiles to the very program of a model alone.

    >>> over_members(lambda x, y: x + y, in_axes=(0, None), members=2)(jnp.array([1, 2]), 10).tolist()
    [11, 12]

    Args:
      f: the function.
      in_axes: 0 or None for each argument.
      members: how many.
      axis_name: mesh axis, or axes, over which they are spread.
      in_turn: one after another in a loop, for machines where this is faster than all at once.
    """
    if members > 1 and in_turn:

        def looped(*args: Any) -> Any:
            mapped = [arg for arg, axis in zip(args, in_axes, strict=True) if axis == 0]

            def one_member(member_args: list[Any]) -> Any:
                values = iter(member_args)
                return f(*(arg if axis is None else next(values) for arg, axis in zip(args, in_axes, strict=True)))

            return jax.lax.map(one_member, mapped)

        return looped
    if members > 1:
        return jax.vmap(f, in_axes=tuple(in_axes), spmd_axis_name=axis_name)

    def alone(*args: Any) -> Any:
        arguments = [
            arg if axis is None else jax.tree.map(lambda a: a[0], arg) for arg, axis in zip(args, in_axes, strict=True)
        ]
        return jax.tree.map(lambda a: a[None], f(*arguments))

    return alone


def over_mesh(f: Callable[..., Any], in_axes: Sequence[int | None], members: int, mesh: Mesh) -> Callable[..., Any]:
    """`over_members` for all members of a mesh, spread over its devices; arguments with axis None are on each.

    >>> from distill_jax.machine.placement import make_mesh
    >>> mesh = make_mesh(seeds=2, students=1, devices=jax.devices()[:1])
    >>> over_mesh(lambda x, y: x + y, in_axes=(0, None), members=2, mesh=mesh)(jnp.array([1, 2]), 10).tolist()
    [11, 12]
    """
    if not whole_models_per_device(mesh):
        return over_members(f, in_axes, members, MEMBER)
    on_one_device = over_members(f, in_axes, members // mesh.size)
    return over_devices(on_one_device, mesh, [None if axis is None else MEMBER for axis in in_axes], MEMBER)
