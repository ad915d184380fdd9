"""Slopes of a student's phi on its teacher's: above 1 the student exaggerates the teacher's confidence.

The paper's published version (arXiv:2301.12923) has it for a measure. X is one teacher's phi: what all such teachers
agree on, and this one's luck. That luck makes every slope that knows X alone too low, the more the larger it is.
"""

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " N"]
POINTS = 1000  # of Theil and Sen's: half a million pairs; more would change the slope by less than its interval


def instrumented(x: Vector, y: Vector, z: Vector, spread: float | None = None) -> float:
    """Slope of Y on X with Z for an instrument (Wald 1940): cov(Z, Y) / cov(Z, X).

    Another seed's teacher has other luck than this one, so that both covariances are of what all agree on. With another
    draw of the teacher in the place of the student the slope is 1, as it must be.

    >>> x, z = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0])
    >>> instrumented(x, 2 * x, z), instrumented(x, 2 * x, np.zeros(3))
    (2.0, nan)

    Args:
      x, y, z: phi of teacher, student and another seed's teacher, float [N].
      spread: cov(Z, X) of all seeds together [default: of these]. A ratio of two noisy numbers is not right on average;
        1 + cov(Z, Y - X) / spread of each seed is for a true slope of 1, and its mean over seeds is the slope of all.

    Returns:
      The slope; NaN where Z says nothing of X.
    """
    spread = covariance(z, x) if spread is None else spread
    return 1 + covariance(z, y - x) / spread if spread else float("nan")


def covariance(a: Vector, b: Vector) -> float:
    """Of two float [N].

    >>> covariance(np.array([0.0, 2.0]), np.array([0.0, 4.0]))
    2.0
    """
    return float((a - a.mean()) @ b / len(a))


def least_squares(x: Vector, y: Vector) -> float:
    """Slope of Y on X by least squares, x, y float [N]; NaN where all x are equal.

    >>> round(least_squares(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0])), 3)
    2.5
    """
    return instrumented(x, y, x)


def theil_sen(x: Vector, y: Vector, every: int = 1) -> float:
    """Median slope over the pairs of points; least squares would follow the heavy tails of X and Y.

    >>> x, y = np.arange(5.0), np.array([0.0, 1.0, 2.0, 3.0, 100.0])
    >>> theil_sen(x, y), round(least_squares(x, y), 3)
    (1.0, 20.2)

    Args:
      x, y: float [N]. Above `POINTS` a fixed draw of so many is used.
      every: 1 takes all pairs; n > 1 those whose distance in the order of x is 1, 1 + n, 1 + 2n, ...

    Returns:
      The slope; NaN where all x are equal.
    """
    rows = np.arange(len(x))
    if len(x) > POINTS:
        rows = np.random.default_rng(0).choice(len(x), POINTS, replace=False)
    rows = rows[np.argsort(x[rows], kind="stable")]
    x, y = x[rows], y[rows]
    lags = range(1, len(x), every)
    run = np.concatenate([x[lag:] - x[:-lag] for lag in lags])
    rise = np.concatenate([y[lag:] - y[:-lag] for lag in lags])
    return float(np.median(rise[run > 0] / run[run > 0])) if run.any() else float("nan")
