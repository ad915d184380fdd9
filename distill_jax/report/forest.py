"""The forest plot of a study's claims: a row each, grouped by unit, each group on an axis with zero in the middle."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from distill_jax.measures.findings import Finding
from distill_jax.measures.interval import number

UNITS = {
    "phi": "Gap Y \N{MINUS SIGN} X, in φ",
    "slope": "Slope of Y on X",
    "points": "Test accuracy, percentage points",
}
_REACH = 4  # times the median of how far intervals reach: what goes further is cut off


@dataclasses.dataclass(frozen=True)
class Row:
    """A claim's difference on its group's axis.

    Attributes:
      finding: the claim.
      at, low, high: the mean and the interval's ends, in per cent of the axis; NaN where there is none.
      cut: whether an end lies beyond the axis, low and high.
    """

    finding: Finding
    at: float
    low: float
    high: float
    cut: tuple[bool, bool]


@dataclasses.dataclass(frozen=True)
class Group:
    """The claims of one unit.

    Attributes:
      title: their unit.
      rows: the claims.
      ticks: numbers of the axis, where they stand in per cent and as they are written.
    """

    title: str
    rows: Sequence[Row]
    ticks: Sequence[tuple[float, str]]


def forest(findings: Sequence[Finding]) -> list[Group]:
    """The claims by unit, on axes with zero at 50%.

    >>> from distill_jax.measures.interval import Interval
    >>> gain = Finding("a", "A gain.", "supported", Interval(0.02, 0.01, 0.03, 3, "seeds"), "points", "", "Table 2")
    >>> [group] = forest([gain])
    >>> group.title, group.rows[0].low > 50, [text for _, text in group.ticks]
    ('Test accuracy, percentage points', True, ['−2', '0', '+2'])
    """
    units = {unit: [finding for finding in findings if finding.unit == unit] for unit in UNITS}
    return [_group(UNITS[unit], rows, 100 if unit == "points" else 1) for unit, rows in units.items() if rows]


def _group(title: str, findings: Sequence[Finding], scale: float) -> Group:
    ends = [[v * scale for v in (f.difference.mean, f.difference.low, f.difference.high)] for f in findings]
    half = _half(ends)
    rows = []
    for finding, values in zip(findings, ends, strict=True):
        at, low, high = (50 + 50 * max(-1.0, min(v / half, 1.0)) if math.isfinite(v) else math.nan for v in values)
        rows.append(Row(finding, at, low, high, (values[1] < -half, values[2] > half)))
    places = MaxNLocator(5, steps=[1, 2, 5, 10], symmetric=True).tick_values(-half, half)
    ticks = [float(tick) for tick in places if abs(tick) < 0.93 * half]  # words at the ends would stand out
    digits = next((n for n in range(3) if all(abs(round(tick, n) - tick) < 1e-9 for tick in ticks)), 3)
    written = [(50 + 50 * tick / half, number(tick, digits, sign=True) if tick else "0") for tick in ticks]
    return Group(title, rows, written)


def _half(ends: Sequence[Sequence[float]]) -> float:
    """How far an axis goes to either side: as the intervals do, but for those far wider than most."""
    reaches = [max((abs(v) for v in values if math.isfinite(v)), default=0.0) for values in ends]
    means = [abs(values[0]) for values in ends if math.isfinite(values[0])]
    limit = max(_REACH * statistics.median(reaches), *means, 0.0)
    return 1.08 * min(max(reaches), limit) or 1.0
