"""A setting's fields as the options of a command: the library speaks of `train.epochs`, the command of --epochs."""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import tyro

from distill_jax.errors import InputError
from distill_jax.setting import Setting

_FIELD = re.compile(r"`([a-z_]+(?:\.[a-z_]+)*)`")


def options(setting: Any) -> dict[str, str]:
    """The option of each field of a setting; that of a group is the beginning of its fields'.

    >>> options(Setting())["objective.temperature"], options(Setting())["teacher"], options(Setting())["given.logits"]
    ('--temperature', '--teacher', '--teacher.logits')
    """
    return dict(_field_options(setting, "--", ""))


def _field_options(group: Any, prefix: str, within: str) -> Iterator[tuple[str, str]]:
    hints = typing.get_type_hints(type(group), include_extras=True)
    for field in dataclasses.fields(group):
        value, path = getattr(group, field.name), within + field.name
        marks = getattr(hints[field.name], "__metadata__", ())
        names = ("" if mark is tyro.conf.OmitArgPrefixes else getattr(mark, "name", None) for mark in marks)
        option = prefix + next((name for name in names if name is not None), field.name.replace("_", "-"))
        if option != "--":  # a group whose fields have no prefix
            yield path, option
        if dataclasses.is_dataclass(value):
            yield from _field_options(value, option + ("." if option != "--" else ""), f"{path}.")


def by_option(error: InputError, options: Mapping[str, str]) -> InputError:
    """An error with each field as its option."""
    return InputError(options.get(error.field, error.field), error.value, _spelt(error.fault, options))


def spelt(error: BaseException) -> str:
    """An error's message with each field of a study's setting as its option.

    >>> spelt(InputError("train.epochs", 0, "must be positive"))
    '--epochs 0: must be positive'
    """
    return _spelt(str(by_option(error, _study_options()) if isinstance(error, InputError) else error), _study_options())


def _spelt(text: str, options: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: options.get(match[1], match[0]), text)


@functools.cache
def _study_options() -> Mapping[str, str]:
    return options(Setting())
