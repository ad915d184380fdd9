"""A cache of compiled programs for the next process: each is the one compiled under its name, or is compiled again.

JAX's own cache writes an entry in place, and believes whatever is under its name: one that is cut, damaged or
another's ends in a traceback, in warnings at every run, or in another program's numbers. So JAX is given a folder of
this process alone, with links to those kept entries whose content has the checksum in their name; an entry that it adds
is checked to be complete, and linked into the common folder, at once.
"""

import atexit
import contextlib
import fcntl
import logging
import os
import platform
import shutil
import threading
import uuid
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.monitoring

from distill_jax.bucket.objects import Objects
from distill_jax.bucket.shared_files import SharedFiles
from distill_jax.errors import one_line
from distill_jax.files import checksum
from distill_jax.machine.environment import cpu
from distill_jax.paths import address, cache_folder, served

_LOG = logging.getLogger(__name__)
_COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's event after each, once the entry is written
_ZSTANDARD = b"\x28\xb5\x2f\xfd"  # with which its streams begin
_LEAST_SECONDS = 0.2  # of compilation, for which an entry is worth its place


def keep_programs(cache_dir: Path | None) -> None:
    """Keeps compiled programs for the next process, unless JAX was told where to already.

    It saves minutes where networks are deep. And since XLA on GPUs chooses kernels by timing them, a resumed run is
    equal to an uninterrupted one to the bit only if it gets the very same program. Where the folder cannot be written
    a line says so, and programs are not kept.

    Args:
      cache_dir: folder in which to keep them [default: ~/.cache/distill-jax]; of a bucket they are brought from there,
        and new ones sent there, for machines of this kind.

    Raises:
      InputError: as `paths.cache_folder`.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    place = None if cache_dir is None else address(served("data.cache_dir", cache_dir))
    folder = cache_folder(cache_dir) / "programs" / f"jax-{jax.__version__}"
    try:
        shared = None
        if place is not None:
            shared = SharedFiles(folder, Objects("data.cache_dir", f"{place}/programs/jax-{jax.__version__}/{_kind()}"))
            shared.bring()
        cache = ProgramCache(folder, shared)
    except OSError as error:
        _LOG.warning("compiled programs are not kept: their folder %s cannot be written: %s", folder, one_line(error))
        return
    atexit.register(cache.close)
    jax.config.update("jax_compilation_cache_dir", str(cache.own))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    # A second cache, of the kernels that XLA has timed on GPUs, would lie in the folder that goes with this process.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    # JAX's words for a disk that is full; `publish` has its own.
    warnings.filterwarnings("ignore", message="Error writing persistent compilation cache entry")

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            cache.publish()

    jax.monitoring.register_event_duration_secs_listener(listen)


class ProgramCache:
    """A common folder of entries NAME.CHECKSUM, and a process's own in which they are NAME.

    Args:
      folder: the common one, made where it is not there.
      shared: who is told of entries that are new in it.

    Raises:
      OSError: it cannot be written.
    """

    def __init__(self, folder: Path, shared: SharedFiles | None = None):
        self._folder, self._shared = folder, shared
        self._publishing, self._warned = threading.Lock(), False
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned()
        name = uuid.uuid4().hex
        new = folder / f".new-{name}"
        new.mkdir()
        self._lock = (new / ".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.own = new.rename(folder / f".used-{name}")  # only now, that no other process finds it without its lock
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        with ThreadPoolExecutor() as pool:
            damaged = [path for path in pool.map(self._take, entries) if path is not None]
        if damaged:
            programs = f"{len(damaged)} of {len(entries)} compiled programs kept in {folder}"
            _LOG.warning("%s are damaged, and are compiled again", programs)
        self._known = {path.name for path in self.own.iterdir()}

    def _take(self, entry: Path) -> Path | None:
        """Links an entry into this process's folder; one whose content is not of its name is removed, and returned."""
        try:
            if entry.suffix == f".{checksum(entry):08x}":
                _link(entry, self.own / entry.stem)
                return None
            entry.unlink()
        except (FileExistsError, FileNotFoundError):  # kept twice, or removed by another process
            return None
        except OSError:  # a folder, or unreadable
            pass
        return entry

    def publish(self) -> None:
        """Links complete entries that JAX has added to this process's folder for other processes, or says why not."""
        with self._publishing:
            try:
                for path in self.own.iterdir():
                    self._publish(path)
            except FileNotFoundError:  # closed
                pass
            except OSError as error:
                self._warn(f"the cache folder {self._folder} cannot be written: {one_line(error)}")

    def _publish(self, path: Path) -> None:
        if path.name in self._known:
            return
        entry = path.read_bytes()
        if _is_complete(entry):
            self._known.add(path.name)
            if not any(self._folder.glob(f"{path.name}.*")):  # else another process has compiled it too
                kept = self._folder / f"{path.name}.{zlib.crc32(entry):08x}"
                _link(path, kept)
                if self._shared is not None:
                    self._shared.send(kept)
        elif shutil.disk_usage(self._folder).free < 2**20:  # else JAX is writing it in another thread
            self._warn(f"the disk of the cache folder {self._folder} is full")

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning("compiled programs are not kept: %s", reason)

    def close(self) -> None:
        """Removes this process's folder; waits a while for what is being sent."""
        if self._shared is not None:
            self._shared.close()
        shutil.rmtree(self.own, ignore_errors=True)
        self._lock.close()

    def _remove_abandoned(self) -> None:
        """Removes the folders of processes that were killed."""
        for lock in self._folder.glob(".used-*/.lock"):
            with contextlib.suppress(OSError), lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)


def _kind() -> str:
    """Names processors that run each other's programs; of other devices JAX's own names of programs say more."""
    features = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{zlib.crc32(f'{cpu()} {features}'.encode()):08x}"


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        copy = other.with_name(f".{other.name}.{uuid.uuid4().hex}")
        shutil.copyfile(path, copy)
        copy.rename(other)


def _is_complete(entry: bytes) -> bool:
    """Whether an entry is complete: the end of the compressed stream is there."""
    try:
        stream = _zstandard() if entry.startswith(_ZSTANDARD) else zlib.decompressobj()
        stream.decompress(entry)
    except Exception:  # of whichever library it is
        return False
    return stream.eof


def _zstandard() -> Any:
    """A decompressor of the library that JAX compresses with where it is installed."""
    try:
        from compression import zstd  # pyright: ignore[reportMissingImports]
    except ImportError:
        import zstandard  # pyright: ignore[reportMissingImports]

        return zstandard.ZstdDecompressor().decompressobj()
    return zstd.ZstdDecompressor()
