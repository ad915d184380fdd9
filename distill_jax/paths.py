"""Paths as users type them: `~` is their home, some are of a bucket; what is neither is refused before any work."""

import dataclasses
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TypeVar

from distill_jax.errors import InputError
from distill_jax.fields import check_no_credentials

_T = TypeVar("_T")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+|$)")  # of a bucket or a server; `Path` makes one stroke of two
SCHEMES = ("gs", "s3", "memory")  # of buckets
SERVED = "served"  # in a field's metadata: 'read' or 'written', of one that may be in a bucket
_NAME_LENGTH = 60  # characters of an entry's name that tell a person what it is
_STANDS_FOR: dict[str, str] = {}


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
        raise InputError(field, _written_out(typed), "must be a path on this machine")
    if re.search(r"[\0-\x1f\x7f\\\ud800-\udfff]", str(typed)):  # a backslash is a stroke to TensorStore
        raise InputError(field, f"{str(typed)!r}", "must be a name in UTF-8 without line breaks, NUL or backslash")
    try:
        return Path(typed).expanduser()
    except RuntimeError as error:
        raise InputError(field, typed, "has no such home; must be a whole path") from error


def address(typed: Path | str) -> str | None:
    """The address of a bucket that was typed, None of a path on this machine; `Path` has one stroke of its two.

    >>> address(Path("gs://bucket/study/")), address("work/a")
    ('gs://bucket/study', None)
    """
    return re.sub(r"(?<![:/])/+$", "", _written_out(typed)) if _ADDRESS.match(str(typed)) else None


def _written_out(typed: Path | str) -> str:
    return _ADDRESS.sub(r"\1://", str(typed), count=1)


def served(field: str, typed: Path | str) -> Path:
    """The path on this machine, or the address of a bucket, that was typed.

    >>> served("run.workdir", "https://example.org/a")
    Traceback (most recent call last):
    distill_jax.errors.InputError: run.workdir https://example.org/a: ...

    Raises:
      InputError: it is neither.
    """
    found = address(typed)
    if found is None:
        return local(field, typed)
    scheme, _, rest = found.partition("://")
    if scheme not in SCHEMES:
        known = " or ".join(f"{scheme}://" for scheme in SCHEMES[:2])
        raise InputError(field, found, f"must be a path on this machine, or begin with {known}")
    parts = rest.split("/") if rest else [""]
    if "@" in parts[0] or "?" in rest or "#" in rest:
        fault = f"must have no credentials or queries in it; {scheme}:// finds credentials as the cloud's own tools do"
        raise InputError(field, f"{scheme}://...", fault)
    if not all(parts) or {".", ".."} & {*parts} or re.search(r"[\0-\x1f\x7f\\*\[\]\ud800-\udfff]", rest):
        raise InputError(
            field, found, f"must be as {scheme}://BUCKET/NAME, without *, [, ], backslash or an empty part"
        )
    return Path(found)


def from_root(path: Path) -> Path:
    """A path that means the same in every folder; an address does.

    >>> from_root(Path("gs:/bucket/study")), from_root(Path("a")).is_absolute()
    (PosixPath('gs:/bucket/study'), True)
    """
    return path if address(path) is not None else path.absolute()


def stand_for(folder: Path, address: str) -> None:
    """Notes that a folder on this machine stands for an address, for `as_typed`."""
    _STANDS_FOR[str(folder)] = address


def as_typed(text: str) -> str:
    """A text with the addresses for the folders that stand for them, and with both strokes of those that were typed.

    >>> stand_for(Path("/tmp/buckets/study-1"), "gs://bucket/study")
    >>> as_typed("remove /tmp/buckets/study-1/runs"), as_typed("gs:/bucket/study")
    ('remove gs://bucket/study/runs', 'gs://bucket/study')
    """
    for folder, typed in _STANDS_FOR.items():
        text = text.replace(folder, typed)
    return re.sub(rf"\b({'|'.join(SCHEMES)}):/(?=[^/])", r"\1://", text)


def from_home(text: str) -> str:
    """A text with `~` for the user's home, by which what is shared with others names no folder of one machine.

    >>> from_home(f"--data-dir {Path.home()}/data --workdir work{Path.home()}/data")
    '--data-dir ~/data --workdir work.../data'
    """
    try:
        home = str(Path.home())
    except RuntimeError:
        return text
    return text if home == "/" else re.sub(rf"(?<![\w./~-]){re.escape(home)}(?=[/\s'\"]|$)", "~", text)


def resolved(setting: _T, within: str = "") -> _T:
    """A setting, of nested dataclasses, with `local` for every path in it, or `served` where its field is.

    Raises:
      InputError: as `local`.
    """
    changes = {}
    for field in dataclasses.fields(setting):  # type: ignore[arg-type]
        name, value = field.name, getattr(setting, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changes[name] = resolved(value, f"{within}{name}.")
        elif isinstance(value, Path):
            place = served if SERVED in field.metadata else local
            changes[name] = place(within + name, value)
    changes = {name: value for name, value in changes.items() if value is not getattr(setting, name)}
    return dataclasses.replace(setting, **changes) if changes else setting  # type: ignore[type-var]


def cache_folder(given: Path | None) -> Path:
    """The folder for what can be made again.

    Args:
      given: of `data.cache_dir`; None, or a bucket, is ~/.cache/distill-jax, or in the system's folder for temporary
        files where there is no home.

    Raises:
      InputError: as `served`.
    """
    if given is not None and address(place := served("data.cache_dir", given)) is None:
        return place
    try:
        return Path("~/.cache/distill-jax").expanduser()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"distill-jax-{os.getuid()}"


def entry_name(name: str, key: str) -> str:
    """The name of a folder in the cache's: what tells a person which it is, and a digest that tells it from all others.

    >>> entry_name("bucket/my study", "gs://bucket/my study")
    'bucket_my_study-9f2db57173b913bf'
    """
    readable = re.sub(r"[^\w.-]", "_", name)[:_NAME_LENGTH]  # as a folder of a user's may not be
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
