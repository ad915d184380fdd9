"""One training as its code carries it out: its calls and checkpoints, and what is left when its machine is lost."""

import bisect
import dataclasses
import functools
import itertools

from distill_jax.training.loop import _next_checkpoint
from distill_jax.training.schedule import Schedule, dispatches


@dataclasses.dataclass(frozen=True)
class Run:
    """A population's training on one machine. A machine that is lost is lost without a warning.

    Attributes:
      schedule: its steps, and those at which it is dumped.
      most: steps of a call.
      start_seconds: of the process, before its first step.
      compile_seconds: of each program; there is one for each length of its calls.
      step_seconds: of a step.
      dump_seconds: of all dumps at one of the steps.
      checkpoint_seconds: between checkpoints, as the setting has it.
    """

    schedule: Schedule
    most: int
    start_seconds: float
    compile_seconds: float
    step_seconds: float
    dump_seconds: float
    checkpoint_seconds: float

    @functools.cached_property
    def ends(self) -> list[int]:
        """The step that each call ends with."""
        return [start + steps for start, steps in dispatches(0, self.schedule, self.most)]

    @functools.cached_property
    def restart_seconds(self) -> float:
        """From the process's start to its first step; nothing that was compiled before is kept."""
        lengths = {end - start for start, end in itertools.pairwise([0, *self.ends])}
        return self.start_seconds + len(lengths) * self.compile_seconds

    @functools.cached_property
    def interval(self) -> int:
        """Steps from a checkpoint to the next, at the end of a call."""
        return _next_checkpoint(0, self.step_seconds, self.checkpoint_seconds)

    def trained(self, first: int, last: int) -> float:
        """Seconds from one step to another, with the dumps of those after the first."""
        dumps = sum(first < step <= last for step in self.schedule.snapshot_steps)
        return (last - first) * self.step_seconds + dumps * self.dump_seconds

    def seconds(self, first: int = 0) -> float:
        """Of a process that begins with a step's checkpoint, to the end."""
        return self.restart_seconds + self.trained(first, self.schedule.total_steps)

    def saved(self, first: int, seconds: float) -> int:
        """The step of the last checkpoint when a process that began after `first` is lost after so many seconds.

        As `training.loop` has it: the clock for the first checkpoint begins with the second call.
        """
        left, saved = seconds - self.restart_seconds, first
        call = bisect.bisect_right(self.ends, first) + 1
        while call < len(self.ends):
            call = min(bisect.bisect_left(self.ends, self.ends[call] + self.interval, call), len(self.ends) - 1)
            if self.trained(first, self.ends[call]) > left:
                break
            saved = self.ends[call]
            if saved == self.schedule.total_steps:
                break
        return saved
