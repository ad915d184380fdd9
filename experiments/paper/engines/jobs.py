"""One study as an engine's job: the command's words, run on whichever machine, what it says in a file of its own."""

import contextlib
import dataclasses
import importlib
import os
import shlex
import socket
import time
import traceback
from pathlib import Path

from distill_jax.command import command_line, jax_variables
from distill_jax.command.spelling import spelt
from distill_jax.errors import InputError, Interrupted, RunError, one_line, printable
from distill_jax.study import workdir

BEGINS = "at work on "  # the first words that a job says each time it is begun
_FREE_SECONDS = 120  # in which a worker whose machine was lost lets go of its study


@dataclasses.dataclass(frozen=True)
class Job:
    """A study that is to be trained.

    Attributes:
      name: of the study.
      words: of the command that trains it, with whole paths.
      folder: the study's work directory.
      log: the file for what it says.
      expected: how long it will take, for a reader.
      program: the module whose `main` is given the words.
    """

    name: str
    words: tuple[str, ...]
    folder: Path
    log: Path
    expected: str
    program: str


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a job has ended.

    Attributes:
      status: as of the command: 0, or what went wrong, or 128 and the signal that stopped it.
      said: the line that says why; empty for 0.
    """

    status: int
    said: str = ""


def work(job: Job) -> Ended:
    """Trains a job's study in this process, which has not used JAX yet."""
    jax_variables.drop()
    os.environ["MPLBACKEND"] = "agg"
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a", buffering=1) as log, contextlib.redirect_stdout(log):
        print(f"{BEGINS}{socket.gethostname()}, {time.strftime('%F %T')}: {shlex.join(job.words)}")
        ended = _run(job)
        print(ended.said or "finished")
    return ended


def _run(job: Job) -> Ended:
    command_line.stop_when_terminated()
    try:
        _wait_until_free(job.folder, _FREE_SECONDS)
        importlib.import_module(job.program).main(job.words)
    except (InputError, RunError, Interrupted) as error:
        return Ended(error.exit_status, printable(spelt(error)))
    except KeyboardInterrupt:
        return Ended(130, "interrupted; the same command goes on from here")
    except Exception as error:
        if (fault := command_line.environment_fault(error)) is not None:
            return Ended(fault[1], printable(fault[0]))
        print(traceback.format_exc())
        return Ended(1, printable(f"{type(error).__name__}: {one_line(error)}"))
    return Ended(0)


def _wait_until_free(folder: Path, seconds: float) -> None:
    """Returns when no other process is at work in a study's folder.

    Raises:
      InputError: one still is after these seconds, or the folder cannot be written.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            workdir.lock(folder).close()
            return
        except InputError as error:
            if not isinstance(error.__cause__, BlockingIOError) or time.monotonic() > end:
                raise
        time.sleep(0.5)
