"""Progress of a run: a line for people, JSON lines and trackers for programs."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from distill_jax.errors import printable
from distill_jax.files import write_text
from distill_jax.machine import processes
from distill_jax.students import TEACHER
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


class StudyProgress:
    """How far a study is: bars of the whole and of the population at work on a terminal, else a line now and then.

    Args:
      console: for what a person should see.
    """

    def __init__(self, console: Console):
        self.console = console
        self._to_come: dict[str, list[int]] = {}  # of each role the members of populations that are not begun
        self._rates: dict[str, float] = {}  # of each role seconds a step and member, lately
        self._done = 0
        self.display = _Display(console) if console.is_terminal and processes.is_first() else None

    def __enter__(self) -> "StudyProgress":
        if self.display is not None:
            self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.display is not None:
            self.display.stop()

    def plan(self, role: str, sizes: Iterable[int]) -> None:
        """Is told how many members each population of a role has that is still to be trained, in order."""
        self._to_come[role] = list(sizes)
        if self.display is not None and self._to_come[role]:
            self.display.wait(f"preparing {role}s", self._done, self._done + sum(map(len, self._to_come.values())))

    def begin(self, name: str, members: Sequence[Member], total_steps: int, first_step: int) -> "Bar":
        """The progress of the next population of teachers, or of students, from this step to the last."""
        role = "teacher" if members[0].model == TEACHER else "student"
        self._to_come[role] = self._to_come.get(role, [])[1:]
        return Bar(self, name, role, len(members), steps=(first_step, total_steps))

    def end(self) -> None:
        """Is told that a population's training has ended."""
        self._done += 1

    @property
    def populations(self) -> tuple[int, int]:
        """How many are done, and how many there are, while one is at work."""
        return self._done, self._done + 1 + sum(map(len, self._to_come.values()))

    def seconds_to_come(self, role: str, rate: float, total_steps: int) -> float:
        """An estimate for the populations that are not begun: where a role has no rate of its own yet, by this one."""
        self._rates[role] = rate
        return total_steps * sum(self._rates.get(r, rate) * sum(sizes) for r, sizes in self._to_come.items())


class Bar:
    """The progress of one population, as part of a study's."""

    def __init__(self, study: StudyProgress, name: str, role: str, members: int, *, steps: tuple[int, int]):
        self._study, self._name, self._role, self._members = study, name, role, members
        self._first, self._total = steps
        self._started = self._last_line_time = time.monotonic()
        if study.display is not None:
            study.display.show(name, self._first, self._total, "compiling", None, (*study.populations, None))

    def update(self, step: int, text: str) -> None:
        """Shows the step reached and a text such as the loss."""
        if not processes.is_first():
            return
        now = time.monotonic()
        seconds_a_step = (now - self._started) / max(step - self._first, 1)
        remaining = seconds_a_step * (self._total - step)
        whole = remaining + self._study.seconds_to_come(self._role, seconds_a_step / self._members, self._total)
        done, populations = self._study.populations
        if self._study.display is not None:
            self._study.display.show(self._name, step, self._total, text, remaining, (done, populations, whole))
        elif now - self._last_line_time >= _LINE_SECONDS:
            self._last_line_time = now
            line = f"{self._name}: step {step}/{self._total}, {text}, ETA {duration(remaining)}"
            if populations > 1:
                line += f"; population {done + 1} of {populations}, ETA of all {duration(whole)}"
            say(self._study.console, line)

    def close(self) -> None:
        """Is told that the training has ended."""
        self._study.end()


class _Display(Progress):
    """A bar for the study where it has several populations, one for the population at work, and a line of text."""

    def __init__(self, console: Console):
        self._name = self._text = ""
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=min(max(console.width - 72, 8), 24)),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remaining]}"),
            console=console,
            transient=True,
        )
        self._whole = self.add_task("study", visible=False, count="", remaining="")
        self._part = self.add_task("", visible=False, count="", remaining="")

    def wait(self, text: str, done: int, populations: int) -> None:
        """Shows what is done while no population is at work."""
        self._text = text
        self.update(self._part, visible=False)
        self._of_study(done, done, populations, None)

    def show(
        self, name: str, step: int, total: int, text: str, remaining: float | None, study: tuple[int, int, float | None]
    ) -> None:
        """Shows a population's step and text, and (populations done, all of them, seconds for all) of the study."""
        if name != self._name:
            self.reset(self._part, description=name, total=total)
            self._name = name
        self._text = text
        self.update(
            self._part, completed=step, visible=True, count=f"step {step}/{total}", remaining=_remaining(remaining)
        )
        done, populations, whole = study
        self._of_study(done, done + step / total, populations, whole)

    def _of_study(self, done: int, reached: float, populations: int, remaining: float | None) -> None:
        self.update(
            self._whole,
            completed=reached,
            total=populations,
            visible=populations > 1,
            count=f"{done}/{populations} done",
            remaining=_remaining(remaining),
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, and the text below them."""
        yield self.make_tasks_table(self.tasks)
        if self._text:
            yield Padding(Text(self._text, style="dim"), (0, 0, 0, 2))


def _remaining(seconds: float | None) -> str:
    return "" if seconds is None else f"ETA {duration(seconds)}"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(8.2), duration(90), duration(600), duration(20000)
    ('8 s', '90 s', '10 min', '5.6 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
