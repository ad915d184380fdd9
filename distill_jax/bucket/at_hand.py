"""A setting whose buckets are at hand: each address stands as a folder on this machine while a study is at work.

The work folder is claimed for this command, brought here, and from then on its likeness follows it every few seconds,
behind the back of whoever works in the folder. What is only read is brought, if it is not here as it is there.
"""

import _thread
import contextlib
import ctypes
import dataclasses
import fcntl
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distill_jax import paths
from distill_jax.bucket.claim import RENEWED, Claim, latest
from distill_jax.bucket.mirror import Covered, Mirror
from distill_jax.bucket.objects import Objects, Unreached
from distill_jax.errors import InputError, RunError, one_line
from distill_jax.files import remove
from distill_jax.paths import cache_folder, entry_name
from distill_jax.setting import Setting, changed

_LOG = logging.getLogger(__name__)
_SECONDS = 5.0  # between two looks at the folder
_END_PATIENCE = 600.0  # seconds, for what was done to come into the bucket at the end
_LAST_LOOKS = 10  # at the end, when nothing changes any more, two or three are enough

Say = Callable[[str], None]


def folder_for(address: str, cache_dir: Path | None) -> Path:
    """The folder on this machine that stands for an address."""
    return cache_folder(cache_dir) / "buckets" / entry_name(address.partition("://")[2], address)


@contextlib.contextmanager
def at_work(
    field: str,
    address: str,
    cache_dir: Path | None,
    covered: Covered,
    say: Say,
    *,
    mend: Callable[[Path], None] = lambda folder: None,
    seconds: float = _SECONDS,
) -> Iterator[Path]:
    """A folder on this machine in which one works, for a place in a bucket, which follows it.

    Args:
      field: of a setting that it was typed for.
      address: of the place, as `paths.address` gives it.
      cache_dir: where the folder is, as of `paths.cache_folder`.
      covered: as of `Mirror`.
      say: tells a person.
      mend: makes what a bucket does not have of a folder in which one has worked: empty folders.
      seconds: between two looks at the folder.

    Raises:
      InputError: another command is at work there, or the bucket cannot be read and written.
      Unreached: it does not answer.
      LostClaim: another command has taken it over meanwhile, since this one was not heard of.
    """
    folder, objects = folder_for(address, cache_dir), Objects(field, address)
    with _alone(folder, field, address):
        paths.stand_for(folder, address)
        mirror = Mirror(folder, objects, covered)
        claim = Claim.take(objects, own=mirror.claim)
        mirror.check = claim.check
        with contextlib.ExitStack() as stack:
            stack.callback(_released, claim)
            failed = _Failed()
            stack.enter_context(_repeated(claim.renew, claim.lease / RENEWED, failed))
            if number := mirror.pull(claim.before):
                say(f"{number} files were brought from {address}")
            if claim.before is not None:
                mend(folder)
            mirror.claim = claim.number
            stack.enter_context(_likeness(mirror, objects, seconds, failed))
            yield folder


@contextlib.contextmanager
def _likeness(mirror: Mirror, objects: Objects, seconds: float, failed: "_Failed") -> Iterator[None]:
    """While a folder's likeness follows it; at the end it has all of it.

    Raises:
      Exception: what has failed for good, behind the back of the work or at the end.
    """
    try:
        with _repeated(mirror.push, seconds, failed):
            yield
    except BaseException:
        failed.reraise()
        try:
            _push_all(mirror)
        except (RunError, InputError) as error:
            _LOG.warning("%s", one_line(error))
        raise
    failed.reraise()
    objects.patience = _END_PATIENCE
    try:
        _push_all(mirror)
    except Unreached as error:
        raise Unreached(f"{error}; what was done is kept here, and the same command goes on") from error


def _push_all(mirror: Mirror) -> None:
    for _ in range(_LAST_LOOKS):
        if not mirror.push():
            return


def _released(claim: Claim) -> None:
    with contextlib.suppress(RunError, InputError):
        claim.release()


@contextlib.contextmanager
def _alone(folder: Path, field: str, address: str) -> Iterator[None]:
    """While no other process of this machine is at work in a folder.

    Raises:
      InputError: one is, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".claimed").open("a")
    except OSError as error:
        fault = f"cannot be written: {one_line(error)}; name a folder that can"
        raise InputError("data.cache_dir", folder, fault) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            fault = "is in use by another process; wait for it or choose another folder"
            raise InputError(field, address, fault) from error
        yield


class _Failed:
    """What has failed behind the back of the work for good, which is then interrupted."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def note(self, error: Exception) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
                _interrupt_main()

    def __bool__(self) -> bool:
        return self._error is not None

    def reraise(self) -> None:
        if self._error is not None:
            raise self._error from None


def _interrupt_main() -> None:
    """Raises KeyboardInterrupt in the main thread, also where Ctrl-C is ignored, as in a job that a shell's & began."""
    if callable(signal.getsignal(signal.SIGINT)):
        _thread.interrupt_main()
    else:
        main = ctypes.c_ulong(threading.main_thread().ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(KeyboardInterrupt))


@contextlib.contextmanager
def _repeated(do: Callable[[], object], seconds: float, failed: _Failed) -> Iterator[None]:
    """While something is done every few seconds, by a thread; a bucket that does not answer is asked again."""
    over = threading.Event()

    def repeat() -> None:
        silent = False
        while not over.wait(seconds) and not failed:
            try:
                do()
                silent = False
            except Unreached as error:
                if not silent:
                    _LOG.warning("%s; it is asked again while the work goes on here", one_line(error))
                silent = True
            except Exception as error:
                failed.note(error)

    thread = threading.Thread(target=repeat, name="likeness", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def brought(
    field: str, typed: Path | str, cache_dir: Path | None = None, say: Say = lambda line: None, part: str = ""
) -> Path:
    """A path on this machine for one that is read: itself, or what is brought from a bucket.

    Args:
      field: of a setting that it was typed for.
      typed: a path or an address.
      cache_dir: as of `paths.cache_folder`.
      say: tells a person.
      part: the folder in it that is needed, which alone is brought where there is one.

    Raises:
      InputError: there is nothing, or it cannot be read.
    """
    place = paths.served(field, typed)
    if (address := paths.address(place)) is None:
        return place
    within, _, name = address.rpartition("/")
    if "://" in within and Objects(field, within).size(name) is not None:
        return with_file(field, within, name, cache_dir) / name
    folder, objects = folder_for(address, cache_dir), Objects(field, address)
    paths.stand_for(folder, address)
    if part and (objects / part).list():
        _bring(folder / part, objects / part, say)
    else:
        _bring(folder, objects, say)
    return folder


def with_file(field: str, typed: Path | str, name: str, cache_dir: Path | None = None) -> Path:
    """A place that is read for one of its files: itself, or of a bucket a folder here with that file, if it is there.

    Args:
      field: of a setting that it was typed for.
      typed: a path or an address.
      name: of the file.
      cache_dir: as of `paths.cache_folder`.

    Raises:
      InputError, Unreached: the bucket cannot be read.
    """
    place = paths.served(field, typed)
    if (address := paths.address(place)) is None:
        return place
    folder = folder_for(f"{address}/{name}", cache_dir)
    paths.stand_for(folder, address)
    if not Objects(field, address).download(name, folder / name):
        remove(folder / name)
    return folder


@contextlib.contextmanager
def followed(field: str, typed: Path, cache_dir: Path | None = None, *, seconds: float = _SECONDS) -> Iterator[Path]:
    """A folder in which one writes what nobody else does: itself, or of a bucket one here, whose likeness follows it.

    Args:
      field: of a setting that it was typed for.
      typed: a path or an address.
      cache_dir: as of `paths.cache_folder`.
      seconds: between two looks at the folder.

    Raises:
      InputError, RunError: the bucket cannot be read, or written at the end.
    """
    address = paths.address(typed)
    if address is None:
        yield typed
        return
    folder, objects = folder_for(address, cache_dir), Objects(field, address)
    with _alone(folder, field, address):
        paths.stand_for(folder, address)
        mirror = Mirror(folder, objects)
        mirror.pull()
        with _likeness(mirror, objects, seconds, _Failed()):
            yield folder


def _bring(folder: Path, objects: Objects, say: Say) -> None:
    """Makes a folder as a place in a bucket is, unless one is at work in it here."""
    try:
        with _alone(folder, objects.field, objects.address):
            mirror = Mirror(folder, objects)
            if number := mirror.pull(latest(objects)):
                say(f"{number} files were brought from {objects.address}")
    except InputError as error:
        if not isinstance(error.__cause__, BlockingIOError):
            raise
    if not any(path for path in folder.iterdir() if not path.name.startswith(".")):
        raise InputError(objects.field, objects.address, "holds nothing; must be where it was written")


@contextlib.contextmanager
def at_hand(
    setting: Setting,
    covered: Covered,
    say: Say,
    *,
    mend: Callable[[Path], None] = lambda folder: None,
    data_part: str = "",
    first: bool = True,
) -> Iterator[Setting]:
    """A setting with folders of this machine in the place of addresses, while one is at work on it.

    Args:
      setting: as it was typed.
      covered: as of `Mirror`, for the work folder.
      say: tells a person.
      mend: as of `at_work`.
      data_part: the folder in that of the data that is needed.
      first: whether this process is the first of its study's, which alone is at work in the bucket.

    Raises:
      InputError, RunError: as `at_work` and `brought`.
    """
    setting = paths.resolved(setting)
    cache_dir = setting.data.cache_dir

    def bring(field: str, typed: Path | str) -> Path:
        return brought(field, typed, cache_dir, say, data_part if field == "data.data_dir" else "")

    here = _read_ones(setting, "", bring)
    address = paths.address(setting.run.workdir)
    if address is None:
        yield here
        return
    field = "run.workdir"
    if not first:
        yield changed(here, run={"workdir": folder_for(address, cache_dir) / "of the first process"})
        return
    with at_work(field, address, cache_dir, covered, say, mend=mend) as folder:
        yield changed(here, run={"workdir": folder})


def _read_ones(group: Any, within: str, bring: Callable[[str, Any], Path]) -> Any:
    """A setting, of nested dataclasses, with what is brought for the address in each field that is read."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(group):
        name, value = within + field.name, getattr(group, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _read_ones(value, f"{name}.", bring)
        elif field.metadata.get(paths.SERVED) == "read" and value is not None:
            if isinstance(value, tuple):
                changes[field.name] = tuple(str(bring(name, v)) if paths.address(v) else v for v in value)
            elif paths.address(value) is not None:
                changes[field.name] = bring(name, value)
    return dataclasses.replace(group, **changes)
