"""Means with intervals one can trust: over seeds where there are several, over examples where there is one.

Over seeds the interval is Student's t. A bootstrap of three seeds would be far too narrow: it draws from
three values and knows nothing of how uncertain their spread is. Over examples there are hundreds of draws and
the statistics are not means, so there the bootstrap is right; but it says only how the measure varies with
the examples, nothing about another seed, and is therefore labelled.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special  # scipy.stats takes a second to import

from distill_jax.measures.interval import Interval
from distill_jax.measures.ranks import average_ranks

CONFIDENCE = 0.95
Floats = Sequence[float] | np.ndarray
Statistic = Callable[[int, np.ndarray | None], dict[Any, float]]  # (seed, rows) -> values by name


def over_seeds(values: Floats, wider: float = 1.0) -> Interval:
    """Mean and Student-t 95% interval of one value per seed, [n]. One seed has a mean and no interval.

    >>> interval = over_seeds([0.1, 0.2, 0.3])
    >>> round(interval.low, 2), round(interval.mean, 2), round(interval.high, 2), interval.n
    (-0.05, 0.2, 0.45, 3)

    Args:
      values: of the seeds.
      wider: how many times as wide as of independent seeds the interval is.

    Raises:
      ValueError: no values.
    """
    array = np.asarray(values, np.float64)
    if not array.size:
        raise ValueError("no values to take an interval of")
    mean, half = float(array.mean()), math.nan
    if array.size > 1:
        deviation = math.sqrt(np.square(array - mean).sum() / (array.size - 1))
        half = wider * _quantile(array.size - 1) * deviation / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, array.size, "seeds", wider)


def paired(a: Floats, b: Floats) -> Interval:
    """Mean and 95% interval of a - b, paired by seed, [n] each.

    >>> round(paired([0.5, 0.6], [0.4, 0.5]).mean, 2)
    0.1

    Raises:
      ValueError: no values, or not as many of the one as of the other.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need as many of each: {len(a)} and {len(b)}")
    return over_seeds(np.asarray(a, np.float64) - np.asarray(b, np.float64))


def ratio_of_means(a: Floats, b: Floats, wider: float = 1.0) -> Interval:
    """mean(a) / mean(b) for values paired by seed, [n] each, with Fieller's 95% interval.

    There is no interval, and none is given, where the interval of mean(b) includes zero: any ratio would do.

    >>> print(ratio_of_means([2.0, 2.2, 1.8], [1.0, 1.1, 0.9]))
    2.00 [2.00, 2.00]
    >>> print(ratio_of_means([2.0, 2.2, 1.8], [0.1, 1.1, 0.0]))
    5.00

    Args:
      a, b: of the seeds.
      wider: how many times as wide as of independent seeds the intervals of a - r b are.

    Raises:
      ValueError: as `paired`.
    """
    paired(a, b)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    n, mean_a, mean_b = a.size, a.mean(), b.mean()
    if mean_b == 0:
        return Interval(math.nan, math.nan, math.nan, n, "seeds")
    low = high = math.nan
    if n > 1:
        # The ratios r for which the t-interval of a - r b includes zero: a quadratic in r.
        factor = (wider * _quantile(n - 1)) ** 2 / n
        cov = np.cov(a, b) * factor
        quadratic, linear, constant = mean_b**2 - cov[1, 1], mean_a * mean_b - cov[0, 1], mean_a**2 - cov[0, 0]
        if quadratic > 0:
            root = math.sqrt(max(linear**2 - quadratic * constant, 0.0))
            low, high = (linear - root) / quadratic, (linear + root) / quadratic
    return Interval(float(mean_a / mean_b), float(low), float(high), n, "seeds", wider)


def proportion(times: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """How often something happened in n independent studies, with Clopper and Pearson's (1934) interval.

    One of 95% lies above the true rate in at most 2.5% of all cases, and below it in as many, however rare it is.

    >>> print(proportion(0, 20))
    0.00 [0.00, 0.17]
    """
    tail = (1 - confidence) / 2
    low = special.betaincinv(times, n - times + 1, tail) if times else 0.0
    high = special.betaincinv(times + 1, n - times, 1 - tail) if times < n else 1.0
    return Interval(times / n, float(low), float(high), n, "studies")


def rank_correlation(a: Floats, b: Floats) -> Interval:
    """Spearman's rank correlation over settings, [n] each, with a 95% interval; none below four, or at 1 or -1.

    It is over the settings where both are finite, whose number is its n. The interval is Fisher's with the variance of
    Bonett and Wright (2000), (1 + r^2 / 2) / (n - 3).

    >>> round(rank_correlation([1, 2, 3, 4, 5], [10, 20, 30, 50, 40]).mean, 3)
    0.9

    Raises:
      ValueError: fewer than two settings, or not as many of the one as of the other.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a rank correlation needs two or more of each: {len(a)} and {len(b)}")
    both = np.array([a, b], np.float64)
    both = both[:, np.isfinite(both).all(axis=0)]
    n = both.shape[1]
    ranks_a, ranks_b = map(average_ranks, both)
    spread = ranks_a.std() * ranks_b.std() if n > 1 else 0.0
    if not spread:
        return Interval(math.nan, math.nan, math.nan, n, "settings")
    r = float(np.clip(((ranks_a - ranks_a.mean()) * (ranks_b - ranks_b.mean())).mean() / spread, -1, 1))
    low = high = math.nan
    if n > 3 and abs(r) < 1 - 1e-9:
        z = np.arctanh(r)
        half = special.ndtri((1 + CONFIDENCE) / 2) * math.sqrt((1 + r**2 / 2) / (n - 3))
        low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    return Interval(r, low, high, n, "settings")


def holm(intervals: Sequence[Interval]) -> list[bool]:
    """Which of these 95% Student-t intervals exclude zero also together.

    That is by Holm's (1979) correction, which keeps the chance of a single false one among them at 5%. Intervals
    without ends, as of one seed, or without width, which show nothing, count as tests that were not made. The test is
    of the values `per_seed` where they are there: an interval may be cut where it must end, or be of a ratio.

    >>> once = over_seeds([0.65, 1.0, 1.35])
    >>> once.includes(0), holm([once]), holm([once, once])
    (False, [True], [False, False])
    """
    statistic, freedoms = np.full(len(intervals), np.nan), np.ones(len(intervals))
    for i, value in enumerate(intervals):
        if value.n > 1 and value.has_width:
            freedoms[i] = value.n - 1
            statistic[i] = _away(value)
    p = np.where(np.isnan(statistic), np.inf, 2 * special.stdtr(freedoms, -statistic))
    order = np.argsort(p, kind="stable")
    tests = int(np.isfinite(p).sum())
    passed = np.zeros(len(p), bool)
    for rank in range(tests):
        if p[order[rank]] > (1 - CONFIDENCE) / (tests - rank):
            break
        passed[order[rank]] = True
    return passed.tolist()


def _away(value: Interval) -> float:
    """How far the mean of a value with an interval over seeds or pairs is from zero, in standard errors."""
    if value.per_seed and np.isfinite(value.per_seed).all():
        interval = over_seeds(value.per_seed, value.wider)
        mean, half = interval.mean, interval.high - interval.mean
    else:  # of an interval that ends where its value must, the other side has the whole width
        mean, half = value.mean, max(value.high - value.mean, value.mean - value.low)
    return abs(mean) / (half / _quantile(value.n - 1)) if half else math.inf


def over_examples(
    statistic: Callable[[np.ndarray | None], dict[Any, float]],
    examples: int,
    resamples: int = 400,
    seed: int = 0,
) -> dict[Any, Interval]:
    """Bootstrap over examples: bias-corrected percentile 95% intervals (Efron 1981) for a study of one seed.

    The bias correction matters for the calibration error, which resampling raises.

    >>> x = np.arange(101.0)
    >>> interval = over_examples(lambda rows: {"mean": (x if rows is None else x[rows]).mean()}, len(x))["mean"]
    >>> float(interval.mean), [interval.includes(value) for value in (40, 50, 60)]
    (50.0, [False, True, False])

    Args:
      statistic: from row numbers, int [examples], or None for all rows once, to named values.
      examples: number of rows.
      resamples: bootstrap draws; all named values share each draw, so that differences among them are paired.
      seed: of the draws; the same seed gives the same intervals.
    """
    rng = np.random.default_rng(seed)
    estimate = statistic(None)
    draws = [statistic(rng.integers(examples, size=examples)) for _ in range(resamples)]
    return {k: _bias_corrected(v, np.array([d.get(k, math.nan) for d in draws])) for k, v in estimate.items()}


def intervals(
    statistic: Statistic,
    seeds: int,
    examples: int,
    possible: Callable[[Any], tuple[float, float]] = lambda _: (-math.inf, math.inf),
    of_seeds: Callable[[Any, Sequence[float]], Interval] = lambda _, values: over_seeds(values),
) -> dict[Any, Interval]:
    """Intervals of named values, each with its values `per_seed`.

    >>> interval = intervals(lambda seed, rows: {"loss": seed / 2}, seeds=3, examples=10)["loss"]
    >>> interval.mean, interval.per_seed
    (0.5, (0.0, 0.5, 1.0))

    Args:
      statistic: from a seed's number and row numbers, or None for all rows, to named values.
      seeds: over which the intervals are, if there is more than one; else they are over examples.
      examples: rows of the one seed.
      possible: by name, between which values the truth lies, which an interval does not leave.
      of_seeds: from a name and its values, one for each seed, to their interval.
    """
    per_seed = [statistic(seed, None) for seed in range(seeds)]
    if seeds > 1:
        by_name = {k: of_seeds(k, [values[k] for values in per_seed]) for k in per_seed[0]}
    else:
        by_name = over_examples(lambda rows: statistic(0, rows), examples)
    return {k: v.within(*possible(k)).of([values[k] for values in per_seed]) for k, v in by_name.items()}


def over_pairs(values: Sequence[float], possible: tuple[float, float]) -> Interval:
    """As `over_seeds`, of one value for each of some pairs of seeds that share none, with them `per_seed`.

    >>> print(over_pairs([0.9, 0.95, 1.0], possible=(-1.0, 1.0)))
    0.95 [0.83, 1.00]

    Args:
      values: of the pairs.
      possible: between which values the truth lies, which the interval does not leave.
    """
    return dataclasses.replace(over_seeds(values), level="pairs").within(*possible).of(values)


@functools.cache
def _quantile(freedom: int) -> float:
    """Of Student's t with so many degrees of freedom."""
    return float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _bias_corrected(estimate: float, draws: np.ndarray) -> Interval:
    draws = draws[np.isfinite(draws)]  # a draw may hold no point of a rare kind
    if not draws.size or not math.isfinite(estimate):
        return Interval(estimate, math.nan, math.nan, 1, "examples")
    below = (np.mean(draws < estimate) + np.mean(draws <= estimate)) / 2
    shift = 2 * special.ndtri(np.clip(below, 1 / draws.size, 1 - 1 / draws.size))
    z = special.ndtri((1 + CONFIDENCE) / 2)
    if not np.ptp(draws):  # as of 10 right ones of 10: draws of them say nothing of an eleventh
        return Interval(estimate, math.nan, math.nan, 1, "examples")
    low, high = np.quantile(draws, special.ndtr([shift - z, shift + z]))
    return Interval(estimate, float(min(low, estimate)), float(max(high, estimate)), 1, "examples")
