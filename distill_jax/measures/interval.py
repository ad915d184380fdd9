"""A mean with its 95% interval, the form of every number of a report: as a value, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Level = Literal["seeds", "pairs", "examples", "settings", "studies"]


@dataclasses.dataclass(frozen=True, eq=False)
class Interval:
    """A mean with its 95% interval, in the unit of the values.

    >>> print(Interval(0.5, 0.25, 0.75, 3, "seeds"))
    0.50 [0.25, 0.75]

    Attributes:
      mean: the mean over seeds, or the value of the one seed; NaN where there is none.
      low, high: ends of the interval; NaN where there is none.
      n: number of seeds, of pairs of seeds, of settings, or of studies.
      level: what the interval ranges over.
      wider: how many times as wide it is as of independent values.
      per_seed: the values it is of, one for each seed or pair of seeds; empty where these are not told.
      minus_control: of the same value less the control's, paired by seed; None for the control, or without one.
    """

    mean: float
    low: float
    high: float
    n: int
    level: Level
    wider: float = 1.0
    per_seed: tuple[float, ...] = ()
    minus_control: Interval | None = None

    @property
    def has_ends(self) -> bool:
        """Whether it is an interval, and not a mean alone."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def has_width(self) -> bool:
        """Whether its ends differ by more than arithmetic leaves of equal values, of which an interval shows nothing.

        >>> Interval(0.1, 0.1, 0.1 + 1e-16, 3, "seeds").has_width
        False
        """
        return self.has_ends and self.high - self.low >= 1e-12

    @property
    def against_control(self) -> Interval:
        """`minus_control`, of a student that has one.

        Raises:
          ValueError: it has none.
        """
        if self.minus_control is None:
            raise ValueError("this is the control's own value, or there is no control")
        return self.minus_control

    def includes(self, value: float) -> bool:
        """Whether a value lies between the ends; False where there are none."""
        return self.low <= value <= self.high

    def within(self, least: float, most: float) -> Interval:
        """The same where the truth is known to lie in [least, most]: what is outside is cut off, at no loss.

        An interval of a share over few seeds may reach past 0 or 1; it covers the truth as often without that part.
        """
        return dataclasses.replace(self, low=max(self.low, least), high=min(self.high, most))

    def of(self, values: Sequence[float]) -> Interval:
        """The same with the values it is of."""
        return dataclasses.replace(self, per_seed=tuple(map(float, values)))

    def minus(self, constant: float) -> Interval:
        """Less a constant, which a difference from the control does not see."""
        ends = {name: getattr(self, name) - constant for name in ("mean", "low", "high")}
        return dataclasses.replace(self, **ends, per_seed=tuple(value - constant for value in self.per_seed))

    def times(self, scale: float) -> Interval:
        """In another unit: its value and that less the control's times a positive number."""
        ends = {name: getattr(self, name) * scale for name in ("mean", "low", "high")}
        minus_control = None if self.minus_control is None else self.minus_control.times(scale)
        return dataclasses.replace(
            self, **ends, per_seed=tuple(value * scale for value in self.per_seed), minus_control=minus_control
        )

    def as_json(self) -> dict[str, Any]:
        """As JSON: null for what is not finite; the last three only where they say something."""
        result: dict[str, Any] = {name: _finite(getattr(self, name)) for name in ("mean", "low", "high")}
        result |= {"n": self.n, "level": self.level}
        if self.wider != 1:
            result["wider"] = self.wider
        if self.per_seed:
            result["per_seed"] = [_finite(value) for value in self.per_seed]
        if self.minus_control is not None:
            result["minus_control"] = self.minus_control.as_json()
        return result

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Interval:
        """Of `as_json`; further keys beside its own are left out.

        Raises:
          KeyError, TypeError: it is not of `as_json`.
        """
        minus_control = value.get("minus_control")
        return cls(
            *(_number(value[name]) for name in ("mean", "low", "high")),
            n=value["n"],
            level=value["level"],
            wider=value.get("wider", 1.0),
            per_seed=tuple(map(_number, value.get("per_seed", ()))),
            minus_control=None if minus_control is None else cls.from_json(minus_control),
        )

    def __eq__(self, other: object) -> bool:  # as what it says: NaN is the same as NaN
        return self.as_json() == other.as_json() if isinstance(other, Interval) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.n, self.level, len(self.per_seed)))

    def __str__(self) -> str:
        return quote(self)


def quote(value: Interval, digits: int = 2, sign: bool = False, scale: float = 1.0) -> str:
    """A mean with its interval, as in "0.71 [0.65, 0.77]"; the bare mean where there is no interval.

    An end that rounds to zero keeps its sign, which says whether zero is within: "+0.04 [\N{MINUS SIGN}0.00, +0.08]".

    >>> quote(Interval(0.0712, 0.0651, 0.0774, 3, "seeds"), digits=1, sign=True, scale=100)
    '+7.1 [+6.5, +7.7]'
    """
    text = number(value.mean * scale, digits, sign)
    if not value.has_ends:
        return text
    # Rounded, since what arithmetic leaves of 0 has no sign
    low, high = (round(end * scale, 12) + 0.0 for end in (value.low, value.high))
    return f"{text} [{_formatted(low, digits, sign)}, {_formatted(high, digits, sign)}]"


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A number for a reader: a true minus sign, and a dash where there is none or it is not finite.

    >>> number(-0.256), number(0.256, digits=1, sign=True), number(None)
    ('\N{MINUS SIGN}0.26', '+0.3', '\N{EN DASH}')
    """
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    # Rounded first and 0 added, so that what rounds to zero has no minus sign
    return _formatted(round(value, digits) + 0.0, digits, sign)


def _formatted(value: float, digits: int, sign: bool) -> str:
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
