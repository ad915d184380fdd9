"""Evidence on a grid: a chain of inequalities in closed form, at very many points, in float64.

A grid proves nothing, but it finds what is false. Parameters from (0, 1) are laid out evenly and crowd towards
both ends, which are included.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from theory.precision import float64
from theory.registry import Counterexample, Relation, Verdict

TOLERANCE = 1e-12  # of terms of size 1, hundreds of times what rounding does to them
_HOLDS: dict[Relation, Callable[[Any, Any, Any], Any]] = {
    "<": lambda left, right, slack: left < right,
    "<=": lambda left, right, slack: left <= right + slack,
    "=": lambda left, right, slack: abs(left - right) <= slack,
    ">=": lambda left, right, slack: left >= right - slack,
    ">": lambda left, right, slack: left > right,
}


def unit(points: int) -> np.ndarray:
    """So many numbers from 0 to 1, both included: half of them even, a quarter crowded towards each end.

    All are multiples of 2^-26, so that their squares, and 1 minus their squares, are exact in float64.

    >>> unit(8).round(3).tolist()
    [0.0, 0.0, 0.01, 0.333, 0.667, 0.99, 1.0, 1.0]
    """
    near_ends = np.logspace(-7, -2, points // 4)
    laid_out = np.concatenate([np.linspace(0, 1, points - 2 * len(near_ends)), near_ends, 1 - near_ends])
    return np.sort(np.round(laid_out * 2**26) / 2**26)


@float64
def check(
    values: Callable[..., Sequence[Any]],
    relations: Sequence[Relation],
    axes: Mapping[str, np.ndarray],
    plain: Mapping[str, Sequence[float]],
    admissible: Callable[..., Any] | None = None,
) -> Verdict:
    """Tries a chain of inequalities wherever it should hold.

    >>> check(lambda x, y: (x * y, x), ("<=",), {"x": unit(8), "y": unit(8)}, {"x": [0.5], "y": [0.5]})
    Verdict(holds=True, evidence='grid', points=65, counterexample=None)
    >>> check(lambda x: (x, x**2), ("<=",), {"x": unit(8)}, {"x": [1.0, 0.5]}).counterexample
    Counterexample(parameters={'x': 0.5}, lhs=0.5, rhs=0.25)

    Args:
      values: the terms of the chain, from arrays of parameters by name.
      relations: of each pair of neighbouring terms; all but the strict ones allow for rounding (`TOLERANCE`).
      axes: values of each parameter; all combinations are tried.
      plain: a few round values of each, in order of preference: the counterexample is the first of their
        combinations where the chain breaks, the last parameter varying fastest, so that it can be checked by
        hand. If it breaks at none of them, it is the first point of the grid where it does.
      admissible: which combinations the statement is about, from the same arrays [default: all].
    """
    points, counterexample = 0, None
    for grid in (plain, axes):
        mesh = dict(zip(grid, np.meshgrid(*grid.values(), indexing="ij"), strict=True))
        inside = (
            np.ones(next(iter(mesh.values())).shape, bool) if admissible is None else np.asarray(admissible(**mesh))
        )
        parameters = {name: array[inside] for name, array in mesh.items()}
        points += int(inside.sum())
        counterexample = counterexample or first_break(values, relations, parameters)
    return Verdict(counterexample is None, "grid", points, counterexample)


@float64
def first_break(
    values: Callable[..., Sequence[Any]], relations: Sequence[Relation], parameters: Mapping[str, np.ndarray]
) -> Counterexample | None:
    """The first entry of arrays of parameters, [N] each, at which a chain breaks, with the two terms that do it.

    >>> first_break(lambda x: (x, x**2, 9.0), ("<=", "<="), {"x": np.array([2.0, 3.0, 4.0, 0.5])})
    Counterexample(parameters={'x': 4.0}, lhs=16.0, rhs=9.0)
    """
    terms = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in values(**parameters)))
    broken = np.stack([~holds(a, r, b) for a, r, b in zip(terms, relations, terms[1:], strict=False)])
    if not broken.any():
        return None
    index = int(broken.any(axis=0).argmax())
    link = int(broken[:, index].argmax())
    where = {name: float(array[index]) for name, array in parameters.items()}
    return Counterexample(where, float(terms[link][index]), float(terms[link + 1][index]))


def holds(left: Any, relation: Relation, right: Any) -> Any:
    """Whether two numbers, or each two of two arrays, stand in a relation, up to rounding; NaN never does.

    >>> [bool(holds(1.0 + 1e-13, relation, 1.0)) for relation in ("<", "<=", "=")]
    [False, True, True]
    """
    return _HOLDS[relation](left, right, TOLERANCE * np.maximum(1, np.maximum(abs(left), abs(right))))
