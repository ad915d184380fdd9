"""The theory's trajectories in closed form, and the one of them that a model's trajectories are nearest to.

By equation (3) a linear regression that gradient flow has trained for a time t has gone alpha_k(t) = 1 - exp(-lambda_k
t) of its way to the least squares solution along direction k. As a share of where it ends, at a time T, along a top
direction, u = alpha_top(t) / alpha_top(T), it has along a bottom one, with A_k = alpha_k(T),

    w(u) = (1 - (1 - A_top u)^(lambda_bottom / lambda_top)) / A_bottom

a family of curves with one parameter, T: from w = u for T near 0 to 1 - (1 - u)^(lambda_bottom / lambda_top). All pairs
of directions of a model have the same T, and by equation (4) a student that is trained for T has the curves of T as
well, whatever its teacher's time. First weights other than 0 do not change the way from there.
"""

import numpy as np

from experiments.eigenspace.bias import LEVELS
from theory.eigenspace import sparsity

ENDS = np.logspace(-1, 6, 141)  # times T that are tried, in units of 1 / the greatest eigenvalue


def curve(u: np.ndarray, top: np.ndarray, bottom: np.ndarray, end: np.ndarray) -> np.ndarray:
    """w(u), float64, all arguments broadcast: progress in [0, 1], two eigenvalues, an end time above 0.

    NaN where an eigenvalue is 0: nothing moves along such a direction.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 too, of a way gone to its end: (1 - A u)^r = 0
        rest = np.exp(bottom / top * np.log1p(-np.asarray(sparsity(top, end)) * u))
        return (1 - rest) / np.asarray(sparsity(bottom, end))


def distances(values: np.ndarray, top: np.ndarray, bottom: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Mean distance of a model's curves from the closed form's of each end time, over pairs and levels: [ends].

    Args:
      values: of `bias.shares`, [pairs, levels]; pairs that have none are left out.
      top, bottom: eigenvalues of each pair's directions, [pairs].
      ends: in units of 1 / the unit of the eigenvalues, [ends].
    """
    closed = curve(LEVELS, top[:, None], bottom[:, None], ends[:, None, None])
    return np.nanmean(np.abs(values - closed), (-2, -1))
