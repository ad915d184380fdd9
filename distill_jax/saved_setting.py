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
from distill_jax.paths import as_typed
from distill_jax.setting import Setting


def save(setting: Setting, path: Path) -> None:
    """Writes a setting, whole or not at all; paths as they are, and addresses as they were typed."""
    write_text(path, as_typed(json.dumps(dataclasses.asdict(setting), indent=1, default=str)) + "\n")


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
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise InputError(
            "setting", path, f"cannot be read ({reason}); must be a study.json of a study's folder"
        ) from error
    return group(Setting(), value, path)


def group(default: Any, value: Any, path: Path, within: str = "") -> Any:
    """A dataclass like `default` with the fields of a JSON object; `within` names the object in its file.

    Raises:
      InputError: as `load`.
    """
    place = f"`{within}`" if within else "all of it"
    if not isinstance(value, dict):
        raise InputError("setting", path, f"{place} is {_quoted(value)}; must be an object of fields")
    fields = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    hints = typing.get_type_hints(type(default))
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(fields)}"
            raise InputError("setting", path, f"{name} of {place} is not known{hint}")
    changes = {}
    for name, item in value.items():
        field, default_value = f"{within}.{name}".lstrip("."), fields[name]
        if dataclasses.is_dataclass(default_value):
            changes[name] = group(default_value, item, path, field)
        else:
            try:
                changes[name] = _value(item, hints[name])
            except ValueError as error:
                raise InputError("setting", path, f"`{field}` is {_quoted(item)}; must be {error}") from None
    return dataclasses.replace(default, **changes)


def _value(value: Any, hint: Any) -> Any:
    """A JSON value as a field's type has it; ValueError says what it must be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _value(value, arguments[0])
    if origin in (typing.Union, types.UnionType):
        for alternative in arguments:
            if _fits(value, alternative):
                return _value(value, alternative)
        raise ValueError(" or ".join(_type_name(alternative) for alternative in arguments))
    if origin is typing.Literal:
        if value in arguments and not isinstance(value, bool):
            return value
    elif origin is tuple:
        if isinstance(value, list) and all(_fits(item, arguments[0]) for item in value):
            return tuple(_value(item, arguments[0]) for item in value)
    elif origin is dict:
        if isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values()):
            return {key: _value(item, arguments[1]) for key, item in value.items()}
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
    raise ValueError(_type_name(hint))


def _fits(value: Any, hint: Any) -> bool:
    try:
        _value(value, hint)
    except ValueError:
        return False
    return True


def _type_name(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return f"of {', '.join(map(str, arguments))}"
    if origin in (tuple, dict):
        return (
            f"{'a list' if origin is tuple else 'an object'}, each {_type_name(arguments[0 if origin is tuple else 1])}"
        )
    return {int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}.get(hint, "a text")


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
