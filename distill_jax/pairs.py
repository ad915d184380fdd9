"""Dictionaries on the command line: NAME=VALUE, as many as are wanted."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from tyro.constructors import PrimitiveConstructorSpec


def _constructor(of: Callable[[str], Any], as_text: Callable[[Any], str], value: str) -> PrimitiveConstructorSpec[Any]:
    def read(words: Sequence[str]) -> dict[str, Any]:
        found = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not (name and equals and text):
                raise ValueError(f"{word!r} must be NAME={value}")
            if name in found:
                raise ValueError(f"{name} is given twice")
            found[name] = of(text)
        return found

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"[NAME={value} [NAME={value} ...]]",
        instance_from_str=read,
        is_instance=lambda given: isinstance(given, dict),
        str_from_instance=lambda given: [f"{name}={as_text(of_it)}" for name, of_it in given.items()],
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


Numbers = Annotated[dict[str, float], _constructor(float, repr, "NUMBER")]
NumberLists = Annotated[
    dict[str, tuple[float, ...]], _constructor(_numbers, lambda of: ",".join(map(repr, of)), "NUMBER,NUMBER,...")
]


def _value(text: str) -> int | float | str:
    for of in (int, float):
        try:
            return of(text)
        except ValueError:
            continue
    return text


Values = Annotated[dict[str, int | float | str], _constructor(_value, str, "VALUE")]
Names = Annotated[dict[str, str], _constructor(str, str, "NAME")]
