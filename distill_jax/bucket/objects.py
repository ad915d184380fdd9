"""The objects below an address of a bucket: named bytes, each there whole or not at all; asked again where it fails.

What a bucket must do is little: a new object is seen at once by whoever asks for it by its name, and one is made only
if there is none (`write_new`). Lists of names may be late.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from distill_jax import extras
from distill_jax.errors import InputError, RunError, one_line
from distill_jax.files import whole

_T = TypeVar("_T")
_EXTRAS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}  # the package of a scheme, and the extra that brings it
_AT_ONCE = 16  # requests
_SECONDS = 20  # for one request to be answered
_PATIENCE = 120.0  # seconds for which a request is made again
_LONGEST_PAUSE = 8.0
_SMALL = 32 * 2**20  # bytes that are read and written at once
_UNKNOWN = ("ProfileNotFound", "RefreshError", "TokenRetrievalError", "UnauthorizedSSOTokenError")  # whose they are


class Unreached(RunError):
    """A bucket has not answered for as long as it was asked."""


class Object(NamedTuple):
    """What a list says of an object.

    Attributes:
      size: in bytes.
      version: is another one when it has been written again.
    """

    size: int
    version: str


class Objects:
    """All objects whose names begin with an address and a stroke; names are relative to it.

    >>> objects = Objects("run.workdir", "memory://bucket/objects")
    >>> objects.write("a/b.json", b"{}"), objects.read("a/b.json"), objects.read("c")
    (None, b'{}', None)
    >>> objects.write_new("a/b.json", b"[]"), list(objects.list())
    (False, ['a/b.json'])

    Args:
      field: of a setting that it was typed for, for messages.
      address: as `paths.address` gives it.

    Raises:
      InputError: the package for its scheme is not installed.
    """

    def __init__(self, field: str, address: str):
        self.field, self.address = field, address.rstrip("/")
        self.patience = _PATIENCE
        scheme = address.partition("://")[0]
        if scheme in _EXTRAS:
            extras.needed(*_EXTRAS[scheme], field, address)
        self._fs = _file_system(scheme)
        self._root = self._fs._strip_protocol(self.address)

    def __truediv__(self, name: str) -> "Objects":
        """Those below a further name."""
        below = Objects(self.field, f"{self.address}/{name}")
        below.patience = self.patience
        return below

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def list(self) -> dict[str, Object]:
        """The objects by name; perhaps not those of the last few seconds."""
        found = self._asked(lambda: self._fs.find(self._root, detail=True)) or {}
        return {
            path.removeprefix(self._root).lstrip("/"): Object(int(about["size"]), _version(about))
            for path, about in sorted(found.items())
            if about["type"] == "file"
        }

    def size(self, name: str) -> int | None:
        """The size of an object, None where it is not there; asked for by its name."""
        about = self._asked(lambda: self._fs.info(self._path(name), refresh=True))
        return None if about is None or about["type"] != "file" else int(about["size"])

    def read(self, name: str) -> bytes | None:
        """The bytes of an object, None where it is not there."""
        return self._asked(lambda: self._fs.cat_file(self._path(name)))

    def download(self, name: str, path: Path) -> bool:
        """Makes a file of an object; whether it was there."""
        path.parent.mkdir(parents=True, exist_ok=True)

        def bring() -> bool:
            with whole(path) as beside:
                self._fs.get_file(self._path(name), str(beside))
            return True

        return bool(self._asked(bring))

    def write(self, name: str, data: bytes) -> None:
        """Makes an object, or another one of it."""
        self._written(lambda: self._fs.pipe_file(self._path(name), data))

    def upload(self, name: str, path: Path) -> None:
        """The same of a file that does not change meanwhile.

        Raises:
          FileNotFoundError: it is there no more.
        """
        if path.stat().st_size <= _SMALL:
            self.write(name, path.read_bytes())
        else:
            try:
                self._written(lambda: self._fs.put_file(str(path), self._path(name)))
            except InputError:
                path.stat()  # the file is there no more, and not the bucket
                raise

    def write_new(self, name: str, data: bytes) -> bool:
        """Makes an object if there is none of that name; of several who try, one alone has done it.

        Args:
          name: its name.
          data: that nobody else would write, so that it is known whose it is where an answer was lost.
        """

        def make() -> bool:
            self._fs.pipe_file(self._path(name), data, mode="create")
            return True

        try:
            return self._written(make)
        except FileExistsError:
            return self.read(name) == data

    def remove(self, names: Iterable[str]) -> None:
        """Removes those of these that are there."""
        self.each(lambda name: self._asked(lambda: self._fs.rm_file(self._path(name))), names)

    def each(self, do: Callable[[str], Any], names: Iterable[str]) -> None:
        """Does something for many names, several at a time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(do, names):
                pass

    def _asked(self, request: Callable[[], _T]) -> _T | None:
        """What a request gives, None where what it is for is not there."""
        try:
            return self._again(request)
        except FileNotFoundError:
            return None

    def _written(self, request: Callable[[], _T]) -> _T:
        try:
            return self._again(request)
        except FileNotFoundError as error:
            raise InputError(self.field, self.address, "has no such bucket; must be one that is there") from error

    def _again(self, request: Callable[[], _T]) -> _T:
        """What a request gives, made again for a while where the bucket or the way to it fails.

        Raises:
          InputError: it is forbidden, or nobody to ask as is known.
          Unreached: it has not been answered.
        """
        end, pause = time.monotonic() + self.patience, 0.25
        while True:
            try:
                return request()
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:
                if (fault := _final(error)) is not None:
                    raise InputError(self.field, self.address, fault) from error
                if time.monotonic() + pause > end:
                    raise Unreached(f"{self.address} does not answer ({one_line(error)[:160]})") from error
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, _LONGEST_PAUSE)


def _file_system(scheme: str) -> Any:
    """fsspec's way to the buckets of a scheme: without a memory of lists, and with a bounded time for each answer."""
    if scheme == "gs":
        import aiohttp  # pyright: ignore[reportMissingImports]
        from gcsfs.core import GCSFileSystem  # pyright: ignore[reportMissingImports]

        # Not gcsfs's default, which asks by gRPC what kind of bucket it is, for a minute where that is not answered.
        timeout = aiohttp.ClientTimeout(sock_connect=_SECONDS, sock_read=_SECONDS)
        return GCSFileSystem(use_listings_cache=False, requests_timeout=timeout)
    if scheme == "s3":
        import s3fs  # pyright: ignore[reportMissingImports]

        limits = {"connect_timeout": _SECONDS, "read_timeout": _SECONDS, "retries": {"total_max_attempts": 1}}
        file_system = s3fs.S3FileSystem(use_listings_cache=False, config_kwargs=limits)
        file_system.retries = 2  # it is asked again here
        return file_system
    import fsspec

    return fsspec.filesystem(scheme)


def _version(about: Mapping[str, Any]) -> str:
    """Tells one writing of an object from another; which of these a scheme says differs."""
    known = (about.get(name) for name in ("generation", "ETag", "etag", "LastModified", "mtime", "created"))
    return " ".join(str(value) for value in known if value is not None)


def _final(error: BaseException) -> str | None:
    """What is wrong where asking again would not help; None where it may."""
    name, text = type(error).__name__, one_line(error)[:160]
    code = str(getattr(error, "code", None) or getattr(error, "status", None))
    if code == "401" or "Credentials" in name or name in _UNKNOWN:
        return f"must be asked with credentials, as the cloud's own tools find them ({text})"
    if isinstance(error, PermissionError) or code == "403" or text.startswith("Forbidden"):
        return f"must be a place that these credentials may read and write ({text})"
    if isinstance(error, TypeError | AttributeError | NotImplementedError):
        raise error  # ours
    return None
