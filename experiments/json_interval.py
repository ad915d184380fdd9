"""Intervals in result files: JSON to values and text."""

from collections.abc import Mapping
from typing import Any

from distill_jax.measures import interval
from distill_jax.measures.interval import Interval


def read(value: Mapping[str, Any]) -> Interval:
    """An interval of a result file; of seeds where it does not say of what.

    >>> read({"mean": 0.5, "low": None, "high": None, "n": 1}).has_ends
    False
    """
    return Interval.from_json({"level": "seeds", **value})


def quote(value: Mapping[str, Any], digits: int = 2, sign: bool = False, scale: float = 1.0) -> str:
    """An interval of a result file as text, as `interval.quote` has it."""
    return interval.quote(read(value), digits, sign, scale)
