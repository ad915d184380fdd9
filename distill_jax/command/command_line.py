"""Parsing, output and exit of all commands: typed settings in, one line out when they end badly."""

import contextlib
import errno
import io
import itertools
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import tyro
from rich.console import Console

from distill_jax.command import streams
from distill_jax.command.spelling import by_option, options, spelt
from distill_jax.errors import InputError, Interrupted, RunError, printable
from distill_jax.fields import check_finite, check_no_credentials
from distill_jax.files import REMEDIES, remedy, write_text
from distill_jax.paths import as_typed, resolved

_T = TypeVar("_T")


def parse(
    default: _T, prog: str, arguments: Sequence[str], *, flags: bool = False, description: str | None = None
) -> _T:
    """A setting (a nested dataclass) from command-line arguments, over a default; its paths are `paths.local`.

    Truth values are written out (--tensorboard True), or with `flags` given by name alone (--quick, --no-peer).

    Args:
      default: the setting.
      prog: the command, as its help calls it.
      arguments: after that.
      flags: whether truth values are given by name alone.
      description: of the command in its help [default: what the setting's class says].

    Raises:
      InputError: arguments that do not fit.
      SystemExit: --help was asked for and has been printed.
    """
    for before, word in itertools.pairwise([prog, *arguments]):
        if word == "" or (word.startswith("--") and word.endswith("=")):
            option = word.removesuffix("=") or before
            raise InputError(option, None, "is given nothing; must be a value (is a variable of the shell empty?)")
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            parsed = tyro.cli(
                type(default),
                default=default,
                prog=prog,
                description=description,
                args=list(arguments),
                config=() if flags else (tyro.conf.FlagConversionOff,),
            )
        check_finite(parsed)
        return resolved(parsed)
    except InputError as error:
        raise by_option(error, options(default)) from None
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(prog, None, _one_line(stderr.getvalue(), prog)) from None


def refuse_idle(idle: Iterable[tuple[str, str]], arguments: Sequence[str]) -> None:
    """Checks that nothing is typed which would be ignored.

    Args:
      idle: options without effect beside the others, each with why; that of a group is all of its fields.
      arguments: the command line's.

    Raises:
      InputError: one of them is typed.
    """
    typed = {word: word.split("=")[0].replace("_", "-") for word in arguments if word.startswith("--")}
    for option, reason in idle:
        for word, typed_option in typed.items():
            if typed_option == option or typed_option.startswith(f"{option}."):
                raise InputError(word, None, f"must be left out, since {reason}")


def check_writable(option: str, path: Path | None, suffix: str | None = None) -> None:
    """Checks a file, or without `suffix` a folder, that is to be written at the end; if None, nothing is checked.

    Raises:
      InputError: its name or its folder will not do.
    """
    if path is not None:
        if suffix is not None and path.suffix != suffix:
            raise InputError(option, path, f"must end in {suffix}")
        if not path.absolute().parent.is_dir():
            raise InputError(option, path, "its folder is not there")
        if path.exists() and path.is_dir() != (suffix is None):
            actual, expected = ("folder", "file") if suffix else ("file", "folder")
            raise InputError(option, path, f"is a {actual}; must be a {expected}, or new")


def write_json(path: Path | None, value: Any) -> None:
    """Writes a result file, so that it is there whole or as it was before; if None, nothing is written."""
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


def console(columns: int = 160, quiet: bool = False, stderr: bool = False) -> Console:
    """The console of a command, on which what users typed stands as it is, whatever brackets are in it.

    Args:
      columns: where it is no terminal.
      quiet: prints nothing.
      stderr: prints on standard error.
    """
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else columns
    return Console(width=width, quiet=quiet, stderr=stderr, markup=False, emoji=False)


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command and exits: 0; 2 for wrong input, 1 for a run that failed, 128 + signal when stopped."""
    streams.prepare()
    status = 0
    try:
        _check_words(sys.argv[1:])
        main(sys.argv[1:])
    except (InputError, RunError, Interrupted) as error:
        print(
            f"{'' if isinstance(error, Interrupted) else 'error: '}{printable(as_typed(spelt(error)))}", file=sys.stderr
        )
        status = error.exit_status
    except SystemExit:
        raise
    except BaseException as error:
        if streams.is_interruption(error):
            streams.leave()
        if (fault := environment_fault(error)) is None:
            raise
        line, status = fault
        print(f"error: {printable(line)}", file=sys.stderr)
    sys.stdout.flush()
    sys.exit(status)


def _check_words(words: Sequence[str]) -> None:
    """Checks that no word has credentials, before anything quotes it."""
    for before, word in itertools.pairwise(["", *words]):
        option, equals, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        check_no_credentials(option if option.startswith("--") else "argument", value if equals else "")


def environment_fault(error: BaseException) -> tuple[str, int] | None:
    """One line on a fault of the machine or its environment, and the exit status; None where the fault is ours."""
    if _disk_is_full(error):
        return "the disk of --workdir is full; free some space and run the same command", RunError.exit_status
    if "RESOURCE_EXHAUSTED" in str(error):  # XLA's word; its type differs between versions of JAX
        line = "a device's memory is full; take a smaller --population or --batch-size (what was done is kept)"
        return line, RunError.exit_status
    if isinstance(error, MemoryError):
        line = "this machine's memory is full; take a smaller --population or less data (what was done is kept)"
        return line, RunError.exit_status
    if isinstance(error, OSError) and error.filename is not None and error.errno in REMEDIES:
        line = f"{os.fsdecode(error.filename)}: {error.strerror}; {remedy(error)}"
        return line, InputError.exit_status if error.errno == errno.ENAMETOOLONG else RunError.exit_status
    *_, last = traceback.walk_tb(error.__traceback__)
    if "xla_bridge" in last[0].f_code.co_filename:  # where JAX looks for devices
        platforms = os.environ.get("JAX_PLATFORMS", "")
        detail = " ".join(str(error).split()) or "there is none of these"
        line = f"JAX_PLATFORMS={platforms}: JAX finds no device ({detail}); must be one that is there, such as cpu"
        return line, InputError.exit_status
    return None


def stop_when_terminated() -> None:
    """Makes SIGTERM an `Interrupted`, so that a command that has processes of its own ends these too.

    In another thread than the main one, which alone is given signals, it does nothing.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Interrupted(number, "stopped; the same command goes on from here")

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _disk_is_full(error: BaseException) -> bool:
    # TensorStore and Orbax wrap the operating system's error in their own, sometimes as text only.
    current: BaseException | None = error
    while current is not None:
        full = isinstance(current, OSError) and current.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(current) or "Disk quota exceeded" in str(current):
            return True
        current = current.__cause__ or current.__context__
    return False
