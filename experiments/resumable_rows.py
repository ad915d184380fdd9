"""Results that are written row by row, and gone on with by the same command."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from distill_jax.command.command_line import write_json
from distill_jax.errors import InputError

_T = TypeVar("_T")
SAME = ("commit", "device", "devices", "backend", "versions")


def load_partial(path: Path | None, content: Mapping[str, Any], name: str) -> Any:
    """The partial results that an interrupted run left under a name in its file; `content`'s if there is none.

    Args:
      path: of --json; None where it is not asked for.
      content: the result as it begins, with 'environment', 'setting' and the empty partial results.
      name: of the partial results.

    Raises:
      InputError: the file is no such result, or was made by something else.
    """
    if path is None or not path.exists():
        return content[name]
    try:
        saved = json.loads(path.read_text())
        environment, setting, partial = saved["environment"], saved["setting"], saved[name]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("--json", path, "is there and is no result of this command; choose another file") from None
    require_same(path, environment, content["environment"])
    for option, value in json.loads(json.dumps(content["setting"], default=str)).items():
        if setting.get(option) != value:
            difference = f"--{option.replace('_', '-')} {_short(setting.get(option))}, not {_short(value)}"
            raise InputError("--json", path, f"was made with {difference}; choose another file")
    return partial


def measure_each(
    path: Path | None,
    result: Mapping[str, Any],
    todo: Sequence[_T],
    total: int,
    measure: Callable[[_T], str],
    console: Console,
) -> None:
    """Measures the items that are not there yet, one after another, and writes the result after each.

    Args:
      path: of --json; None where it is not asked for.
      result: the result, with its rows in it.
      todo: what is to be measured.
      total: how many rows there are to be.
      measure: adds the row of an item to the result, and gives a line on it.
      console: told the line, and how long the rest will take.
    """
    started = time.monotonic()
    for done, item in enumerate(todo, 1):
        line = measure(item)
        remaining = (time.monotonic() - started) / done * (len(todo) - done)
        progress = f"[{total - len(todo) + done}/{total}, ETA {remaining / 60:.0f} min]"
        console.print(f"{progress} {line}", markup=False, highlight=False)
        write_json(path, result)


def read_rows(path: Path, option: str, what: str, touch: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
    """The rows of a file that is a list of them.

    Args:
      path: of the file.
      option: that names it, for an error.
      what: the rows are, for an error.
      touch: looks up what a row must have.

    Raises:
      InputError: it cannot be read or is no such file.
    """
    try:
        rows = json.loads(path.read_text())
        for row in rows:
            touch(row)
    except OSError as error:
        raise InputError(option, path, f"cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(option, path, f"is not a file of {what}; choose another name") from error
    return rows


def require_same(
    path: Path,
    there: Mapping[str, Any],
    here: Mapping[str, Any],
    names: Sequence[str] = SAME,
    option: str = "--json",
) -> None:
    """Checks that rows of a file may stand beside new ones.

    Args:
      path: of the file.
      there, here: of `environment.environment`.
      names: in what they must be the same.
      option: that names the file, or its folder.

    Raises:
      InputError: they were made by another commit, on other hardware or with other versions.
    """
    for name in names:
        if there.get(name) != here[name]:
            difference = f"{name} {_short(there.get(name))}, not {_short(here[name])}"
            raise InputError(option, path, f"was made with {difference}; choose another file")


def _short(value: Any) -> str:
    return " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
