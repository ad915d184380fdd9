"""Files that are there whole or as they were before, whenever the writing is stopped; small ones read by their kind."""

import contextlib
import errno
import json
import os
import shutil
import stat
import types
import typing
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError, RunError, one_line

_REMOVE = "remove what is there in its place"
_ALLOW = "make it writable, or choose another place"
REMEDIES = {  # by the operating system's number of the error
    errno.EISDIR: _REMOVE,
    errno.ENOTDIR: _REMOVE,
    errno.EEXIST: _REMOVE,
    errno.ENOTEMPTY: _REMOVE,
    errno.ELOOP: _REMOVE,
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EROFS: _ALLOW,
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files (ulimit -n)",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def write_text(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or as it was before.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a", "new")
    ...     (Path(folder) / "a").read_text()
    'new'
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """The same for bytes. What was there is replaced and not written into, be it a link to another file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(Path(folder) / "a", b"new")
    ...     os.listdir(folder), (Path(folder) / "a").read_bytes()
    (['a'], b'new')
    """
    os.replace(write_beside(path, data), path)


def write_beside(path: Path, data: bytes) -> Path:
    """Writes a file `beside` its place, to disk; gives where.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_beside(Path(folder) / "a", b"new").name, os.listdir(folder)
    ('a.partial', ['a.partial'])
    """
    temporary = partial(path)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def partial(path: Path) -> Path:
    """`beside` it, where nothing is left of an earlier writing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "a.partial").touch()
    ...     partial(Path(folder) / "a").name, os.listdir(folder)
    ('a.partial', [])
    """
    temporary = beside(path)
    remove(temporary)
    return temporary


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The place `beside` it of a file or folder that is made within this; then it is renamed, or else removed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(Path(folder) / "a") as temporary:
    ...         temporary.mkdir()
    ...     os.listdir(folder)
    ['a']
    """
    temporary = partial(path)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


@contextlib.contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Within it errors of the operating system are said of a file or folder that is being written.

    >>> with unwritable(Path("a")):
    ...     raise OSError(errno.EROFS, "Read-only file system")
    Traceback (most recent call last):
    distill_jax.errors.RunError: a cannot be written: Read-only file system; ...

    Raises:
      RunError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}; {remedy(error)}") from error


def remove(path: Path) -> None:
    """Removes a file, a folder with all that is in it, or a link but not what it names; or does nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "a" / "b").mkdir(parents=True)
    ...     remove(Path(folder) / "a"), os.listdir(folder)
    (None, [])
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_result(path: Path, data: bytes) -> None:
    """`write_bytes` for what a command makes, and its folder where that is not there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_result(Path(folder) / "figures" / "a.svg", b"<svg/>")
    ...     os.listdir(Path(folder) / "figures")
    ['a.svg']

    Raises:
      RunError: it cannot be written.
    """
    with unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_bytes(path, data)
        except OSError:
            with contextlib.suppress(OSError):
                remove(beside(path))
            raise


def remedy(error: OSError) -> str:
    """Advice on an error of the operating system, for the end of a message.

    >>> remedy(OSError(errno.EMFILE, "")), remedy(OSError(errno.ENOSPC, ""))
    ('allow more open files (ulimit -n)', 'free the disk or choose another workdir')
    """
    return REMEDIES.get(error.errno or 0, "free the disk or choose another workdir")


def check_plain(paths: Iterable[Path]) -> None:
    """Checks that these, and what is in those that are folders, are files: a pipe in its place is waited for for ever.

    >>> check_plain([Path("/dev/null")])
    Traceback (most recent call last):
    distill_jax.errors.InputError: /dev/null: ...

    Raises:
      InputError: one is something else.
    """
    for path in paths:
        with contextlib.suppress(OSError):  # gone, or a link to nothing
            if stat.S_ISDIR(mode := path.stat().st_mode):
                with os.scandir(path) as entries:  # which knows files without asking for each
                    others = [
                        entry for entry in entries if not (entry.is_file() or (entry.is_symlink() and entry.is_dir()))
                    ]
                check_plain(Path(entry.path) for entry in others)
            elif not stat.S_ISREG(mode):
                raise InputError(path, None, "is a pipe or a device in the place of a file; must be removed")


def read_json(path: Path, kind: Any, remedy: str) -> Any:
    """The value of a small JSON file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a.json", "[1, 2.5]")
    ...     read_json(Path(folder) / "a.json", list[float], "write it again")
    [1, 2.5]

    Args:
      path: of the file.
      kind: what it must be, a type such as `dict[str, float]`, of `Any`, unions, dict, list, tuple (of a list with as
        many values), str, int, float, bool and None.
      remedy: what to do where it is not, for the message.

    Raises:
      InputError: it cannot be read, or is of another kind.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
        if not is_of_kind(value, kind):
            raise ValueError("holds something else than it should")
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise InputError(path, None, f"is damaged ({reason}); {remedy}") from error
    return value


def is_of_kind(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a kind, as `read_json` takes it.

    >>> is_of_kind([1, 2.5], list[float]), is_of_kind({"a": True}, dict[str, int] | None)
    (True, False)
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(is_of_kind(value, alternative) for alternative in arguments)
    if origin is list:
        return isinstance(value, list) and all(is_of_kind(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(is_of_kind(item, arguments[1]) for item in value.values())
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(is_of_kind, value, arguments))
    if kind is None or kind is types.NoneType:
        return value is None
    number = {int: int, float: (int, float)}.get(kind)
    if number is not None:
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def checksum(path: Path) -> int:
    """CRC-32 of a file's content.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a", "123456789")
    ...     hex(checksum(Path(folder) / "a"))
    '0xcbf43926'
    """
    crc = 0
    with path.open("rb") as file:
        while part := file.read(2**20):
            crc = zlib.crc32(part, crc)
    return crc


def sync(path: Path) -> None:
    """Waits until a file, or a folder's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def beside(path: Path) -> Path:
    """The path beside `path` at which its file is written before it is renamed.

    >>> beside(Path("work/summary.json")).as_posix()
    'work/summary.json.partial'
    """
    return path.with_name(path.name + ".partial")
