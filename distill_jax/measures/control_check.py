"""A built-in check: where student and teacher are the same network, the control is a second draw of the teacher.

Its cross-fitted gaps must then be 0 and its instrumented slope 1, but for chance. Where they are not, seeds, selection
or recipe are not what they should be, and no number of the study is to be believed before it is known why.
"""

import dataclasses
from collections.abc import Mapping

from distill_jax.measures.interval import Interval
from distill_jax.measures.statistics import holm

EXPECTED = {"mean_gap_hard": 0.0, "mean_gap_easy": 0.0, "slope_instrumented": 1.0}


@dataclasses.dataclass(frozen=True)
class Row:
    """One value of the control's.

    >>> gap = Interval(0.0, -0.1, 0.1, 3, "seeds")
    >>> Row("test", "mean_gap_hard", EXPECTED["mean_gap_hard"], gap, gap.includes(0.0), off=False).within
    True

    Attributes:
      split: 'train' or 'test'.
      statistic: its name in `deviations.deviations`.
      expected: what it must be.
      value: what it is.
      within: whether the interval includes what is expected, or there is none, which excludes nothing.
      off: whether it excludes it also by Holm's correction for the number of rows.
    """

    split: str
    statistic: str
    expected: float
    value: Interval
    within: bool
    off: bool


@dataclasses.dataclass(frozen=True)
class ControlCheck:
    """Whether the control is where it must be.

    >>> gap = Interval(0.0, -0.1, 0.1, 3, "seeds")
    >>> [row.statistic for row in check({"test": dict.fromkeys(EXPECTED, gap)}).rows if row.off]
    ['slope_instrumented']

    Attributes:
      rows: of each split and statistic.
      passed: that none is off; with sound code it fails in 5% of all studies.
    """

    rows: list[Row]
    passed: bool


def check(control: Mapping[str, Mapping[str, Interval]]) -> ControlCheck:
    """Checks the control of a study of two seeds or more whose student and teacher are the same network.

    >>> gap = Interval(0.0, -0.1, 0.1, 3, "seeds")
    >>> check({"test": {"mean_gap_hard": gap, "mean_gap_easy": gap, "slope_instrumented": gap.minus(-1.0)}}).passed
    True

    Args:
      control: its cross-fitted statistics, [split][statistic].
    """
    places = [(split, name) for split in control for name in EXPECTED]
    values = [control[split][name] for split, name in places]
    off = holm([value.minus(EXPECTED[name]) for value, (_, name) in zip(values, places, strict=True)])
    rows = [
        Row(split, name, EXPECTED[name], value, not value.has_ends or value.includes(EXPECTED[name]), is_off)
        for (split, name), value, is_off in zip(places, values, off, strict=True)
    ]
    return ControlCheck(rows, not any(off))
