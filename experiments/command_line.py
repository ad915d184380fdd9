"""What all commands of this project do alike: parse typed settings, and end badly in one line."""

import contextlib
import errno
import io
import json
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import tyro

from distill_jax.errors import InputError, RunError
from distill_jax.files import write_text
from distill_jax.interruption import Interrupted

_T = TypeVar("_T")


def parse(default: _T, prog: str, arguments: Sequence[str], flags: bool = False) -> _T:
    """A setting (a nested dataclass) from command-line arguments, over a default.

    Truth values are written out (--tensorboard True), or with `flags` given by name alone (--quick, --no-peer).

    Raises:
      InputError: arguments that do not fit.
      SystemExit: --help was asked for and has been printed.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                type(default),
                default=default,
                prog=prog,
                args=list(arguments),
                config=() if flags else (tyro.conf.FlagConversionOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(said.getvalue(), prog)) from None


def check_writable(option: str, path: Path | None, suffix: str | None = None) -> None:
    """Checks a file, or without `suffix` a folder, that is to be written at the end; None is not asked for.

    Raises:
      InputError: its name or its folder will not do.
    """
    if path is not None:
        if suffix is not None and path.suffix != suffix:
            raise InputError(f"{option} {path}: must end in {suffix}")
        if not path.absolute().parent.is_dir():
            raise InputError(f"{option} {path}: its folder is not there")


def write_json(path: Path | None, value: Any) -> None:
    """Writes a result file, so that it is there whole or as it was before; None is not asked for."""
    if path is not None:
        write_text(path, json.dumps(value, indent=1) + "\n")


def _one_line(box: str, prog: str) -> str:
    """tyro's boxed message as one line: what is wrong, the nearest option there is, where to look."""
    lines = [re.sub(r"^[│╭╰]\s?|\s*[│╮╯]$", "", line).strip() for line in box.splitlines()[1:]]
    sections = re.split(r"─{5,}", "\n".join(lines))
    message = " ".join(sections[0].split()).rstrip(".")
    near = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", box.replace("│", " "))
    hint = f"; did you mean {near[1]}?" if near else ""
    return f"{message}{hint} (all options: {prog} --help)"


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command and exits: 0; 2 for wrong input, 1 for a run that failed, 128 + signal when stopped."""
    status = 0
    try:
        main(sys.argv[1:])
    except (InputError, RunError, Interrupted) as error:
        print(f"{'' if isinstance(error, Interrupted) else 'error: '}{error}", file=sys.stderr)
        status = error.exit_status
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        status = 130
    except Exception as error:
        if _disk_is_full(error):
            print("error: the disk of --workdir is full; free some space and run the same command", file=sys.stderr)
        elif "RESOURCE_EXHAUSTED" in str(error):  # XLA's word; its type differs between versions of JAX
            what = "a device's memory is full; take a smaller --population or --batch-size"
            print(f"error: {what} (what was done is kept)", file=sys.stderr)
        else:
            raise
        status = 1
    sys.stdout.flush()
    sys.exit(status)


def stop_when_terminated() -> None:
    """Makes SIGTERM an `Interrupted`, so that a command that has processes of its own ends these too."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Interrupted(number, "stopped; the same command goes on from here")

    signal.signal(signal.SIGTERM, stop)


def _disk_is_full(error: BaseException) -> bool:
    # TensorStore and Orbax wrap the operating system's error in their own, sometimes as text only.
    seen: BaseException | None = error
    while seen is not None:
        full = isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(seen) or "Disk quota exceeded" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
