"""Standard streams as a command may find them: closed, a pipe nobody reads, without some letters."""

import io
import logging
import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, NoReturn

_interrupted = False  # by Ctrl-C


class _Enduring:
    """A stream that goes on into nothing once it cannot be written: the work is not lost for its log."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """As of the stream."""
        try:
            return self._stream.write(text)
        except OSError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """As of the stream."""
        try:
            self._stream.flush()
        except OSError:
            self._leave()

    def _leave(self) -> None:
        # What the stream still holds goes there too.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> None:
    """Makes standard output and error such that printing never fails."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:  # closed: else the next file to be opened would be it
        pass
    os.close(lowest)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, _Enduring(stream))
    _print_log()


def _print_log() -> None:
    """Makes the library's log part of what a command prints: what it is at, and on standard error its warnings."""
    log = logging.getLogger("distill_jax")
    log.setLevel(logging.INFO)
    for stream, chosen in ((sys.stdout, range(logging.WARNING)), (sys.stderr, range(logging.WARNING, 100))):
        handler = logging.StreamHandler(stream)
        handler.addFilter(lambda record, chosen=chosen: record.levelno in chosen)
        log.addHandler(handler)


def quiet_when_interrupted() -> None:
    """Makes Ctrl-C one line from now on, also while modules are imported, of which some make another error of it."""
    before = sys.excepthook

    def stop(number: int, frame: FrameType | None) -> None:
        global _interrupted
        _interrupted = True
        raise KeyboardInterrupt

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if is_interruption(error):
            leave()
        before(kind, error, trace)

    signal.signal(signal.SIGINT, stop)
    sys.excepthook = hook


def is_interruption(error: BaseException) -> bool:
    """Whether it is Ctrl-C that has ended a command with this error."""
    return _interrupted or isinstance(error, KeyboardInterrupt)


def leave() -> NoReturn:
    """Ends an interrupted command in one line: threads and what is left of libraries would have words of their own."""
    print("interrupted; the same command goes on from here", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(130)
