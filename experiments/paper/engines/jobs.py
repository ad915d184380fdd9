"""A study, or a part of one, as a job of an engine: words of a command, run on any machine, with a log of its own."""

import contextlib
import dataclasses
import importlib
import os
import shlex
import socket
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from distill_jax.bucket.at_hand import followed
from distill_jax.bucket.objects import Objects, Unreached
from distill_jax.command import command_line, jax_variables
from distill_jax.command.spelling import spelt
from distill_jax.errors import InputError, Interrupted, RunError, one_line, printable
from distill_jax.paths import address
from distill_jax.study import parts, workdir

BEGINS = "at work on "  # the first words that a job says each time it is begun
_ASKED_SECONDS = 15.0  # between two looks at a log in a bucket
_FREE_SECONDS = 120  # in which a worker whose machine was lost lets go of its study


@dataclasses.dataclass(frozen=True)
class Job:
    """A study, or a part of one, that is to be trained.

    Attributes:
      name: of the study, or of the part.
      words: of the command that trains it, with whole paths.
      folder: its work directory.
      log: the file for what it says.
      expected: how long it will take, for a reader.
      program: the module whose `main` is given the words.
      cache_dir: for a log that is in a bucket, as of `paths.cache_folder`.
      after: the names of jobs that are to be done before.
    """

    name: str
    words: tuple[str, ...]
    folder: Path
    log: Path
    expected: str
    program: str
    cache_dir: Path | None = None
    after: tuple[str, ...] = ()


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
    with _log(job) as log, contextlib.redirect_stdout(log):
        print(f"{BEGINS}{socket.gethostname()}, {time.strftime('%F %T')}: {shlex.join(job.words)}")
        ended = _run(job)
        print(ended.said or "finished")
    return ended


@contextlib.contextmanager
def _log(job: Job) -> Iterator[IO[str]]:
    """A job's log to write on, after what is there; in a bucket it is a file of a folder of its own."""
    path = job.log
    if address(path) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", buffering=1) as log:
            yield log
        return
    with (
        followed("run.workdir", path.with_suffix(""), job.cache_dir) as folder,
        (folder / path.name).open("a", buffering=1) as log,
    ):
        yield log


class Said:
    """What jobs have said on their logs, as far as it is known here; in a bucket it is asked for now and then."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[float, bytes]] = {}

    def __call__(self, job: Job) -> bytes:
        """All that a job has said."""
        place = address(job.log.with_suffix(""))
        if place is None:
            return job.log.read_bytes() if job.log.exists() else b""
        asked, content = self._known.get(job.log, (-_ASKED_SECONDS, b""))
        if time.monotonic() > asked + _ASKED_SECONDS:
            with contextlib.suppress(Unreached):
                content = Objects("run.workdir", place).read(job.log.name) or content
            self._known[job.log] = time.monotonic(), content
        return content


def _run(job: Job) -> Ended:
    command_line.stop_when_terminated()
    try:
        if address(job.folder) is None:  # a claim in a bucket waits by itself
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
    """Returns when no other process is at work in a study's or part's folder, nor takes the part in.

    Raises:
      InputError: one still is after these seconds, or the folder cannot be written.
    """
    end, whole = time.monotonic() + seconds, parts.study_of(folder)
    while True:
        try:
            if whole is not None:
                workdir.lock(whole, shared=True).close()
            workdir.lock(folder).close()
            return
        except InputError as error:
            if not isinstance(error.__cause__, BlockingIOError) or time.monotonic() > end:
                raise
        time.sleep(0.5)
