"""Dictionaries on the command line: NAME=VALUE, as many as are wanted."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from tyro.constructors import PrimitiveConstructorSpec


def _constructor(
    convert: Callable[[str], Any], as_text: Callable[[Any], str], value: str
) -> PrimitiveConstructorSpec[Any]:
    def read(words: Sequence[str]) -> dict[str, Any]:
        values = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not (name and equals and text):
                raise ValueError(f"{word!r} must be NAME={value}")
            if name in values:
                raise ValueError(f"{name} is given twice")
            values[name] = convert(text)
        return values

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"[NAME={value} [NAME={value} ...]]",
        instance_from_str=read,
        is_instance=lambda instance: isinstance(instance, dict),
        str_from_instance=lambda instance: [f"{name}={as_text(item)}" for name, item in instance.items()],
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


Numbers = Annotated[dict[str, float], _constructor(float, repr, "NUMBER")]
NumberLists = Annotated[
    dict[str, tuple[float, ...]],
    _constructor(_numbers, lambda numbers: ",".join(map(repr, numbers)), "NUMBER,NUMBER,..."),
]


def _value(text: str) -> int | float | str:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


Values = Annotated[dict[str, int | float | str], _constructor(_value, str, "VALUE")]
Names = Annotated[dict[str, str], _constructor(str, str, "NAME")]
