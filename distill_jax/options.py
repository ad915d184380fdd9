"""Names of a setting's fields on the command line."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import Any

from distill_jax.errors import InputError


def named(setting: Any, prefix: str = "--") -> Iterator[tuple[str, str, Any]]:
    """Each field of a dataclass with its option and value; a nested group's option is the beginning of its fields'.

    >>> [option for option, field, _ in named(TrainSetting(epochs=3)) if field == "batch_size"]
    ['--batch-size']
    """
    hints = typing.get_type_hints(type(setting), include_extras=True)
    for field in dataclasses.fields(setting):
        value = getattr(setting, field.name)
        said = (getattr(mark, "name", None) for mark in getattr(hints[field.name], "__metadata__", ()))
        name = next((name for name in said if name is not None), field.name.replace("_", "-"))
        group = dataclasses.is_dataclass(value)
        yield prefix + name + ("." if group and name else ""), field.name, value


def leaves(setting: Any, prefix: str = "--") -> Iterator[tuple[str, Any]]:
    """Every option with its value, those of nested groups too.

    >>> from distill_jax.setting import ModelSetting
    >>> dict(leaves(ModelSetting(), "--student."))["--student.roberta.layers"]
    4
    """
    for option, _, value in named(setting, prefix):
        if dataclasses.is_dataclass(value):
            yield from leaves(value, option)
        else:
            yield option, value


def check_finite(setting: Any) -> None:
    """Checks that every number is one, which comparisons with bounds do not: none holds of NaN, and most of infinity.

    Raises:
      InputError: one is not; with its option.
    """
    for option, value in leaves(setting):
        for number in _numbers(value):
            if not math.isfinite(number):
                raise InputError(f"{option} {number}: must be a finite number")


def _numbers(value: Any) -> Iterator[float]:
    """The numbers in a value, of tuples and dictionaries too."""
    if isinstance(value, float):
        yield value
    for of_it in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        yield from _numbers(of_it)
