"""Files of a folder that never change, kept in a bucket for other machines too: what is missing here is brought, what
is new is sent. Work never waits for it, nor fails by it."""

import contextlib
import logging
import queue
import threading
from pathlib import Path

from distill_jax.bucket.objects import Objects
from distill_jax.errors import InputError, RunError, one_line

_LOG = logging.getLogger(__name__)
_PATIENCE = 15.0  # seconds
_LAST_SECONDS = 60.0  # for what is left to send at the end


class SharedFiles:
    """A folder's files by name, but for those whose names begin with a dot.

    >>> import tempfile
    >>> objects = Objects("data.cache_dir", "memory://bucket/programs")
    >>> with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
    ...     shared = SharedFiles(Path(here), objects)
    ...     shared.send(Path(here) / "a") if (Path(here) / "a").write_text("1") else None
    ...     shared.close()
    ...     SharedFiles(Path(there), objects).bring()
    1

    Args:
      folder: on this machine; is made where it is not there.
      objects: where they are kept.
    """

    def __init__(self, folder: Path, objects: Objects):
        self._folder, self._objects = folder, objects
        folder.mkdir(parents=True, exist_ok=True)
        objects.patience = _PATIENCE
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="shared files", daemon=True)
        self._thread.start()

    def bring(self) -> int:
        """Brings those that are not here; gives how many."""
        try:
            here = {path.name for path in self._folder.iterdir()}
            missing = [name for name in self._objects.list() if name not in here and not name.startswith(".")]
            self._objects.each(lambda name: self._objects.download(name, self._folder / name), missing)
        except (InputError, RunError) as error:
            _LOG.warning("%s", one_line(error))
            return 0
        return len(missing)

    def send(self, path: Path) -> None:
        """Begins to keep a file; returns before it is there."""
        self._queue.put(path)

    def _send_all(self) -> None:
        warned = False
        while (path := self._queue.get()) is not None:
            try:
                with contextlib.suppress(FileNotFoundError):
                    self._objects.upload(path.name, path)
            except (InputError, RunError) as error:
                if not warned:
                    _LOG.warning("%s", one_line(error))
                warned = True

    def close(self) -> None:
        """Waits a while for what is being sent."""
        self._queue.put(None)
        self._thread.join(_LAST_SECONDS)
