"""Paths as users type them: `~` is their home, and what is no place on this machine is refused before any work."""

import dataclasses
import os
import re
import tempfile
from pathlib import Path
from typing import TypeVar

from distill_jax.errors import InputError
from distill_jax.fields import check_no_credentials

_T = TypeVar("_T")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")  # of a bucket or a server; `Path` makes one stroke of two


def local(field: str, typed: Path | str) -> Path:
    """The path on this machine that was typed.

    Args:
      field: of a setting that it is of, for the message.
      typed: as it was typed, or what this function has given.

    Raises:
      InputError: it is an address, or begins with a home that is not there.

    >>> local("run.workdir", "work/a")
    PosixPath('work/a')
    """
    check_no_credentials(field, typed)
    if _ADDRESS.match(str(typed)):
        address = _ADDRESS.sub(r"\1://", str(typed), count=1)
        raise InputError(field, address, "must be a path on this machine; addresses and buckets are not served")
    if re.search(r"[\0-\x1f\x7f\\\ud800-\udfff]", str(typed)):  # a backslash is a stroke to TensorStore
        raise InputError(field, f"{str(typed)!r}", "must be a name in UTF-8 without line breaks, NUL or backslash")
    try:
        return Path(typed).expanduser()
    except RuntimeError as error:
        raise InputError(field, typed, "has no such home; must be a whole path") from error


def resolved(setting: _T, within: str = "") -> _T:
    """A setting, of nested dataclasses, with `local` for every path in it.

    Raises:
      InputError: as `local`.
    """
    changes = {}
    for field in dataclasses.fields(setting):  # type: ignore[arg-type]
        name, value = field.name, getattr(setting, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changes[name] = resolved(value, f"{within}{name}.")
        elif isinstance(value, Path):
            changes[name] = local(within + name, value)
    changes = {name: value for name, value in changes.items() if value is not getattr(setting, name)}
    return dataclasses.replace(setting, **changes) if changes else setting  # type: ignore[type-var]


def cache_folder(given: Path | None) -> Path:
    """The folder for what can be made again.

    Args:
      given: of `data.cache_dir`; None is ~/.cache/distill-jax, or in the system's folder for temporary files where
        there is no home.

    Raises:
      InputError: as `local`.
    """
    if given is not None:
        return local("data.cache_dir", given)
    try:
        return Path("~/.cache/distill-jax").expanduser()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"distill-jax-{os.getuid()}"
