"""Points at which the statements of Appendix B.1 are tried: their assumptions as arrays, boundary included.

In all of them alpha, alpha_te and tau come in as alpha tau and alpha_te tau, or in a common factor m tau^2, which is
the unit. So tau = 2 is no loss, and exp(alpha tau / 2) is exp(alpha). K is not kept to whole numbers.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from theory import grid
from theory.intervals import Certificate
from theory.registry import Relation, Verdict

TAU = 2.0
# B = exp(alpha_te tau / 2) = 6, alpha = 0 and K - 2 = B^2: kappa is 1 - 3/6, and p+ = p- = 1/38.
EXAMPLE = {"classes": 38.0, "tau": TAU, "alpha": 0.0, "alpha_te": float(np.log(6)), "kappa": 0.5}


@cache
def points() -> Mapping[str, np.ndarray]:
    """Lemma B.3's assumptions: alpha >= 0, alpha_te tau <= log(K - 2), alpha_te - alpha >= (2/tau) log(3/(1 - kappa)).

    K - 2 from 9 to 10^17, with alpha, alpha_te and kappa at both ends of their ranges as well as inside.

    >>> {name: round(float(values.min()), 3) for name, values in points().items()}
    {'classes': 11.0, 'tau': 2.0, 'alpha': 0.0, 'alpha_te': 1.099, 'kappa': 0.0}
    """
    scale_te = 2 * np.log(3) + np.concatenate([[0.0], np.logspace(-3, np.log10(28), 23)])
    slack = np.concatenate([[0.0], np.logspace(-2, 1, 13)])
    stopped, level = grid.unit(24), grid.unit(20)
    scale_te, slack, stopped, level = (a.ravel() for a in np.meshgrid(scale_te, slack, stopped, level, indexing="ij"))
    scale = stopped * (scale_te - 2 * np.log(3))
    parameters = {
        "classes": 2 + np.exp(scale_te + slack),
        "tau": np.full_like(scale, TAU),
        "alpha": scale / TAU,
        "alpha_te": scale_te / TAU,
        "kappa": level * np.maximum(1 - 3 * np.exp(-(scale_te - scale) / 2), 0),
    }
    for values in parameters.values():
        values.flags.writeable = False  # they are everyone's
    return parameters


def tried(
    values: Callable[..., Sequence[Any]],
    relations: Sequence[Relation],
    plain: Sequence[Mapping[str, float]] = (EXAMPLE,),
    more: Mapping[str, np.ndarray] | None = None,
    base: Mapping[str, np.ndarray] | None = None,
) -> Verdict:
    """A chain at plain examples, then at all points; its counterexample is the first there is.

    >>> tried(lambda kappa: (kappa, 0.25), ("<=",)).counterexample
    Counterexample(parameters={'kappa': 0.5}, lhs=0.5, rhs=0.25)

    Args:
      values: the terms, from some of the parameters.
      relations: of neighbouring terms.
      plain: parameters by name; those that `values` does not have are left out.
      more: further parameters, an axis each; every point takes one combination of them, in turn.
      base: the points [default: `points`].
    """
    names = list(inspect.signature(values).parameters)
    all_points = dict(points() if base is None else base)
    size = len(next(iter(all_points.values())))
    if more is not None:
        mesh = [axis.ravel() for axis in np.meshgrid(*more.values(), indexing="ij")]
        order = np.random.default_rng(0).permutation(size) % len(mesh[0])
        all_points |= {name: axis[order] for name, axis in zip(more, mesh, strict=True)}
    counterexample = None
    for example in plain:
        size += 1
        counterexample = counterexample or grid.first_break(
            values, relations, {n: np.array([example[n]]) for n in names if n in example}
        )
    counterexample = counterexample or grid.first_break(
        values, relations, {n: all_points[n] for n in names if n in all_points}
    )
    return Verdict(counterexample is None, "grid", size, counterexample)


def proved(*certificates: Certificate) -> Verdict:
    """Certificates as a verdict.

    >>> proved(Certificate(True, 3), Certificate(True, 4))
    Verdict(holds=True, evidence='certified', points=7, counterexample=None)
    """
    return Verdict(all(c.proved for c in certificates), "certified", sum(c.boxes for c in certificates))
