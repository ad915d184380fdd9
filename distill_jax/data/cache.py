"""Decoded arrays, kept as memory-mapped .npy files from the first use on.

An entry is a folder with a file for each array and a manifest of their shapes, dtypes, sizes and checksums. It is
written beside its place and renamed into it, so that it is never seen half written: several processes may
build the same entry at once, and any may be killed. Entries are never changed, and may be deleted.
"""

import contextlib
import dataclasses
import functools
import io
import json
import logging
import math
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.errors import InputError, RunError, one_line
from distill_jax.files import checksum, sync, write_text
from distill_jax.paths import cache_folder, entry_name

_FORMAT = 2  # to be raised when sources come to decode differently
_MANIFEST = "manifest.json"
_ABANDONED_SECONDS = 24 * 3600

_LOG = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]
Empty = Callable[[str, tuple[int, ...], Any], np.ndarray]


def cached(
    cache_dir: Path | None, name: str, location: Path, files: Iterable[Path], build: Callable[[Empty], Arrays]
) -> Arrays:
    """Arrays by name, read-only and memory-mapped; built where the cache has none that fit the files.

    Args:
      cache_dir: folder of all entries; None is ~/.cache/distill-jax.
      name: source and version.
      location: folder the files lie in.
      files: what the arrays are made from; their paths and `_stamp`s are part of the key.
      build: decodes the files. It is given a function (name, shape, dtype) -> an array of the entry, to be filled,
        which lies in its file and may be larger than the memory.

    Raises:
      InputError: the cache's folder cannot be made or written, or a file cannot be read.
      RunError: the entry cannot be written, as on a full disk.
    """
    folder = cache_folder(cache_dir)
    try:
        stamps = sorted((str(file).removeprefix(str(location)), _stamp(file)) for file in files)
    except OSError as error:
        raise InputError("data.data_dir", location, f"cannot be read: {one_line(error)}") from error
    key = [_FORMAT, name, str(location.resolve()), stamps]
    entry = folder / entry_name(name, json.dumps(key))
    arrays = _open(entry)
    if arrays is not None:
        return arrays
    if entry.exists():
        _LOG.warning("%s is damaged, and is made again", entry)
    partial = folder / f".{entry.name}.{uuid.uuid4().hex}"
    try:
        partial.mkdir(parents=True)  # before the work of decoding, to fail early
    except OSError as error:
        raise InputError(
            "data.cache_dir", folder, f"cannot be written: {one_line(error)}; name a folder that can"
        ) from error
    try:
        built = build(functools.partial(_empty, partial))
        try:
            return _publish(built, partial, entry)
        except OSError as error:
            raise RunError(
                f"the cache folder {folder} cannot be written: {one_line(error)}; free space or name another"
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_abandoned(entry)


def _stamp(file: Path) -> tuple[int, ...]:
    """Tells a file's content from another: one put in its place may have its size and time, but not all of these."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _empty(folder: Path, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    size, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(folder).free
    if size > free:
        fault = f"has {free / 2**30:.3g} GiB free, and decoded data need {size / 2**30:.3g}; must be a folder with more"
        raise InputError("data.cache_dir", folder.parent, fault)
    return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)


def _write(folder: Path, arrays: Arrays) -> None:
    manifest = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        if isinstance(array, np.memmap) and path.exists():  # it is there, by `_empty`
            array.flush()
            _cut(path, array)
        else:
            np.save(path, array, allow_pickle=False)
        manifest[name] = {
            "shape": list(array.shape),
            "dtype": array.dtype.str,
            "bytes": path.stat().st_size,
            "crc32": checksum(path),
        }
        sync(path)
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))
    sync(folder / _MANIFEST)
    sync(folder)


def _cut(path: Path, array: np.ndarray) -> None:
    """Cuts a file to this array, which is the first rows of that in it."""
    header = io.BytesIO()  # as long for any number of rows
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    with path.open("r+b") as file:
        file.write(header.getvalue())
        file.truncate(len(header.getvalue()) + array.nbytes)


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array that is one of an entry's, whole.

    Attributes:
      entry: its folder.
      crc32: the checksum of its file, which was found right when it was mapped.
    """

    entry: Path
    crc32: int


def stored(array: np.ndarray) -> Stored | None:
    """Where an array lies in the cache; None of any other array, and of a part of one there."""
    return getattr(array, "stored", None)


def remembered(entry: Path, fact: str, compute: Callable[[], Any]) -> Any:
    """What has been computed of an entry's arrays before, or else is now, a value of JSON.

    Args:
      entry: a folder of the cache.
      fact: a name for what it is, with the checksums of what it was computed from.
      compute: the value, which may take long.
    """
    path = entry / f"{fact}.txt"
    with contextlib.suppress(OSError, ValueError):
        crc, _, text = path.read_text().partition(" ")
        if crc == str(zlib.crc32(text.encode())):
            return json.loads(text)
    value = compute()
    text = json.dumps(value)
    with contextlib.suppress(OSError):  # of a cache that cannot be written, or is gone by now
        write_text(path, f"{zlib.crc32(text.encode())} {text}")
    return value


def _open(folder: Path, entry: Path | None = None) -> Arrays | None:
    """The entry's arrays; None where it is absent or does not agree with its manifest.

    Args:
      folder: of the entry.
      entry: its folder later, if that is another.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        arrays = {}
        for name, expected in manifest.items():
            path = folder / f"{name}.npy"
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            actual = {"shape": list(array.shape), "dtype": array.dtype.str, "bytes": path.stat().st_size}
            if actual | {"crc32": checksum(path)} != expected:
                return None
            array.stored = Stored(entry or folder, expected["crc32"])
            arrays[name] = array
    except (OSError, ValueError, AttributeError, EOFError):
        return None
    return arrays


def _publish(built: Arrays, partial: Path, entry: Path) -> Arrays:
    """Writes the arrays and moves them to their place; returns them memory-mapped."""
    _write(partial, built)
    # Mapped before the folder moves: the maps stay good whatever other processes do to the folder.
    arrays = _open(partial, entry)
    if arrays is None:
        raise OSError("what was written cannot be read back")
    while True:
        try:
            partial.rename(entry)
            return arrays
        except OSError:
            if not entry.exists():
                raise
        if _open(entry) is not None:
            return arrays  # another process was faster
        # Moved aside under a name of its own first: removing in place could take another process's new entry.
        aside = partial.with_name(f".{entry.name}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            entry.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _remove_abandoned(entry: Path) -> None:
    """Removes what killed processes left of this entry."""
    for path in entry.parent.glob(f".{entry.name}.*"):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(path).st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
