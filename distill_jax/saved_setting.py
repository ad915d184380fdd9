"""Settings as files: all fields of one as JSON, and a setting from such a file again."""

import dataclasses
import difflib
import json
import types
import typing
from pathlib import Path
from typing import Annotated, Any

from distill_jax.errors import InputError, one_line
from distill_jax.files import write_text
from distill_jax.setting import Setting


def save(setting: Setting, path: Path) -> None:
    """Writes a setting, whole or not at all; paths as they are."""
    write_text(path, json.dumps(dataclasses.asdict(setting), indent=1, default=str) + "\n")


def load(path: Path) -> Setting:
    """The setting of a file; fields that it has not are as by default.

    Raises:
      InputError: it cannot be read, or a field is not known or has another type; one line names the field.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError("setting", path, "does not exist; must be a study.json of a study's folder") from None
    except (OSError, ValueError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else one_line(error)
        raise InputError(
            "setting", path, f"cannot be read ({what}); must be a study.json of a study's folder"
        ) from error
    return _group(Setting(), value, path, "")


def _group(default: Any, value: Any, path: Path, within: str) -> Any:
    """A dataclass like `default` with the fields of a JSON object."""
    group = f"`{within}`" if within else "all of it"
    if not isinstance(value, dict):
        raise InputError("setting", path, f"{group} is {_said(value)}; must be an object of fields")
    fields = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    hints = typing.get_type_hints(type(default))
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(fields)}"
            raise InputError("setting", path, f"{name} of {group} is not known{hint}")
    changes = {}
    for name, of_it in value.items():
        field, own = f"{within}.{name}".lstrip("."), fields[name]
        if dataclasses.is_dataclass(own):
            changes[name] = _group(own, of_it, path, field)
        else:
            try:
                changes[name] = _value(of_it, hints[name])
            except ValueError as error:
                raise InputError("setting", path, f"`{field}` is {_said(of_it)}; must be {error}") from None
    return dataclasses.replace(default, **changes)


def _value(value: Any, hint: Any) -> Any:
    """A JSON value as a field's type has it; ValueError says what it must be."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _value(value, of[0])
    if origin in (typing.Union, types.UnionType):
        for one in of:
            if _fits(value, one):
                return _value(value, one)
        raise ValueError(" or ".join(_called(one) for one in of))
    if origin is typing.Literal:
        if value in of and not isinstance(value, bool):
            return value
    elif origin is tuple:
        if isinstance(value, list) and all(_fits(one, of[0]) for one in value):
            return tuple(_value(one, of[0]) for one in value)
    elif origin is dict:
        if isinstance(value, dict) and all(_fits(one, of[1]) for one in value.values()):
            return {key: _value(one, of[1]) for key, one in value.items()}
    elif hint is types.NoneType:
        if value is None:
            return None
    elif hint is Path:
        if isinstance(value, str):
            return Path(value)
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value  # a whole number stays one: models' names know 2 from 2.0
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ValueError(_called(hint))


def _fits(value: Any, hint: Any) -> bool:
    try:
        _value(value, hint)
    except ValueError:
        return False
    return True


def _called(hint: Any) -> str:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return f"of {', '.join(map(str, of))}"
    if origin in (tuple, dict):
        return f"{'a list' if origin is tuple else 'an object'}, each {_called(of[0 if origin is tuple else 1])}"
    return {int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}.get(hint, "a text")


def _said(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
