"""What the fields of a setting are called on the command line."""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any


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
    """Every option with its value, those of nested groups too."""
    for option, _, value in named(setting, prefix):
        if dataclasses.is_dataclass(value):
            yield from leaves(value, option)
        else:
            yield option, value
