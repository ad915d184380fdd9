"""Progress of a run: a line for people, JSON lines and trackers for programs."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from distill_jax.errors import printable
from distill_jax.files import write_text
from distill_jax.machine import processes
from distill_jax.training.population import Member
from distill_jax.training.trackers import Trackers

_LINE_SECONDS = 10.0  # between progress lines where there is no terminal to draw a bar on


class Scalars:
    """Training curves of one population, a JSON line for each member and moment; trackers are told of them too.

    A resumed run drops the lines after its checkpoint and writes them anew.
    """

    def __init__(self, path: Path, members: Sequence[Member], first_step: int, trackers: Trackers | None = None):
        self._members, self._trackers = members, trackers
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    row = json.loads(line)
                    if row["step"] <= first_step:
                        rows.append(row)
                except (ValueError, KeyError):
                    break  # the line that was being written when the process was killed
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._file = path.open("a")
        if trackers is not None:
            self._tell_again(trackers, rows)

    def _tell_again(self, trackers: Trackers, rows: Sequence[dict[str, Any]]) -> None:
        """Offers trackers what is known from before, of which each takes what it has not."""
        index = {(member.name, member.seed): i for i, member in enumerate(self._members)}
        for row in rows:
            values = {name: value for name, value in row.items() if name not in ("model", "seed", "step")}
            trackers.write(index[row["model"], row["seed"]], row["step"], values)

    def write(
        self, step: int, shared: dict[str, float], per_member: Mapping[str, Sequence[float] | np.ndarray]
    ) -> None:
        """One moment: scalars that all members share, and one value for each member."""
        for i, member in enumerate(self._members):
            values = {name: float(v[i]) for name, v in per_member.items()} | shared
            row = {"model": member.name, "seed": member.seed, "step": step} | values
            self._file.write(json.dumps(row) + "\n")
            if self._trackers is not None:
                self._trackers.write(i, step, values)
        self._file.flush()

    def close(self) -> None:
        """Flushes everything."""
        self._file.close()
        if self._trackers is not None:
            self._trackers.close()


def say(console: Console, line: str) -> None:
    """Prints a line as it is, whatever brackets and colons are in it, and however long."""
    console.print(Text(printable(line)), soft_wrap=True)


class Bar:
    """The progress of one population: a bar on a terminal, else a line now and then."""

    def __init__(self, console: Console, name: str, total_steps: int, first_step: int):
        self._console, self._name, self._total, self._first = console, name, total_steps, first_step
        self._started = self._last_line_time = time.monotonic()
        self._bar = None
        if console.is_terminal and processes.is_first():
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(name, total=total_steps, completed=first_step, text="compiling")
            self._bar.start()

    def update(self, step: int, text: str) -> None:
        """Shows the step reached and a text such as the loss."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=text)
        now = time.monotonic()
        if self._bar is None and processes.is_first() and now - self._last_line_time >= _LINE_SECONDS:
            self._last_line_time = now
            remaining = (now - self._started) / max(step - self._first, 1) * (self._total - step)
            say(self._console, f"{self._name}: step {step}/{self._total}, {text}, ETA {remaining:.0f} s")

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
