"""A setting's fields, each by the names that lead to it."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import Any

from distill_jax.credentials import masked
from distill_jax.errors import InputError


def leaves(setting: Any, within: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a dataclass with its value, and those of its groups in place of the groups.

    >>> [name for name, _ in leaves(Setting()) if "depth" in name]
    ['teacher.depth', 'student.depth']
    """
    for field in dataclasses.fields(setting):
        value = getattr(setting, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{within}{field.name}.")
        else:
            yield within + field.name, value


def check_finite(setting: Any) -> None:
    """Checks that every number is one, which comparisons with bounds do not: none holds of NaN, and most of infinity.

    Raises:
      InputError: one is not; with its field.
    """
    for field, value in leaves(setting):
        for number in _numbers(value):
            if not math.isfinite(number):
                raise InputError(field, number, "must be a finite number")


def check_no_credentials(field: object, value: Any) -> None:
    """Checks a value of any type: what is asked for is kept with results, shown in reports and told to trackers.

    Raises:
      InputError: an address in it has credentials; without them.

    >>> check_no_credentials("data.dataset", "https://me:secret@host/a.npz")
    Traceback (most recent call last):
    distill_jax.errors.InputError: data.dataset https://***@host/a.npz: has credentials, which would be kept with \
    results; must be an address without, and a cloud be told them in its own way
    """
    text = str(value)
    fault = (
        "has credentials, which would be kept with results; must be an address without, and a cloud be told them in "
    )
    if masked(text) != text:
        raise InputError(field, masked(text), f"{fault}its own way")


def check_choices(setting: Any, within: str = "") -> None:
    """Checks that every field of few values has one of them, which Python does not.

    >>> check_choices(Setting(objective=ObjectiveSetting(teacher_shuffle="some")))
    Traceback (most recent call last):
    distill_jax.errors.InputError: objective.teacher_shuffle some: must be none, within-class or all

    Raises:
      InputError: one has not; with its field.
    """
    hints = typing.get_type_hints(type(setting))
    for field in dataclasses.fields(setting):
        value, hint = getattr(setting, field.name), hints[field.name]
        if dataclasses.is_dataclass(value):
            check_choices(value, f"{within}{field.name}.")
        choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
        if choices and value not in choices:
            *others, last = choices
            raise InputError(within + field.name, value, f"must be {', '.join(others)} or {last}")


def _numbers(value: Any) -> Iterator[float]:
    """The numbers in a value, of tuples and dictionaries too."""
    if isinstance(value, float):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        yield from _numbers(item)
