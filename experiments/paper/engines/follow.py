"""Follows jobs on an engine to their end, with a live table of them; Ctrl-C makes all save and stop."""

import signal
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from distill_jax.command import command_line
from distill_jax.errors import Interrupted, RunError
from distill_jax.paths import as_typed
from experiments.paper.engines import Engine
from experiments.paper.engines.jobs import BEGINS, Ended, Job, Said

_SECONDS = 1.0  # between two looks


def follow(jobs: Sequence[Job], engine: Engine, console: Console) -> None:
    """Has jobs done by an engine, and returns when all are.

    Raises:
      RunError: some have failed, once the others are done.
      Interrupted: this process was asked to stop, and so were the jobs.
      InputError: as `Engine.begin`.
    """
    said_by = Said()
    offsets = {job.name: len(said_by(job)) for job in jobs}
    ended: dict[str, Ended] = {}
    command_line.stop_when_terminated()

    def give(ready: Sequence[Job]) -> None:
        if ready and (begun := engine.begin(ready)):
            console.print(f"of an earlier command, and followed: {', '.join(sorted(begun))}", soft_wrap=True)
            offsets.update(dict.fromkeys(begun, 0))

    try:
        give([job for job in jobs if not job.after])
        waiting = [job for job in jobs if job.after]
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            shown: dict[str, str] = {}
            while len(ended) < len(jobs):
                time.sleep(_SECONDS)
                ended |= engine.ended()
                ended |= {job.name: of for job in waiting if (of := _without(job, ended)) is not None}
                ready = [job for job in waiting if ended.keys() >= {*job.after} and job.name not in ended]
                waiting = [job for job in waiting if job not in ready and job.name not in ended]
                give(ready)
                states = {job.name: state(said_by(job)[offsets[job.name] :], ended.get(job.name)) for job in jobs}
                if console.is_terminal:
                    live.update(table(jobs, states), refresh=True)
                for name, said in states.items() if not console.is_terminal else ():
                    if shown.get(name, "waits") != said:
                        console.print(f"{name}: {said}", soft_wrap=True)
                shown = states
    except (KeyboardInterrupt, Interrupted) as error:
        console.print("stopping: studies at work save what they have", soft_wrap=True)
        engine.cancel()
        number = error.exit_status - 128 if isinstance(error, Interrupted) else signal.SIGINT
        raise Interrupted(number, "stopped; the same command goes on from here") from None
    failed = [(job, ended[job.name]) for job in jobs if ended[job.name].status]
    if failed:
        lines = "; ".join(f"{job.name}: {of.said} ({as_typed(str(job.log))})" for job, of in failed)
        raise RunError(f"{len(failed)} of {len(jobs)} studies have failed, the others are kept: {lines}")


def _without(job: Job, ended: Mapping[str, Ended]) -> Ended | None:
    """How a job ends that cannot begin, since one before it has failed; None where it may."""
    failed = [name for name in job.after if name in ended and ended[name].status]
    return Ended(RunError.exit_status, f"is not begun, since {failed[0]} has failed") if failed else None


def state(said: bytes, ended: Ended | None) -> str:
    """What became of a job so far, in a line.

    Args:
      said: what it has said on its log since it was given to the engine.
      ended: if it has.
    """
    if ended is not None:
        return "done" if not ended.status else f"failed: {ended.said}"
    lines = said.decode(errors="replace").split("\n")[:-1]  # whole ones
    begun = [line for line in lines if line.startswith(BEGINS)]
    if not begun:
        return "waits"
    host = begun[-1].removeprefix(BEGINS).partition(",")[0]
    again = f" (begun {len(begun)} times)" if len(begun) > 1 else ""
    last = "" if lines[-1] in begun else f": {lines[-1].strip()}"
    return f"on {host}{again}{last}"


def table(jobs: Sequence[Job], states: Mapping[str, str]) -> Table:
    """A table of jobs."""
    rows = Table("study", "expected", "state", box=None, pad_edge=False)
    for job in jobs:
        rows.add_row(job.name, job.expected, states[job.name])
    return rows
