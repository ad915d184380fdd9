"""A trace of what devices and host do in a few steps of training, by JAX's profiler."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax

_FEWEST_STEPS = 3  # a call of the program may be of one


class Profile:
    """Traces a few steps in the middle of the first training that has a middle.

    Devices are waited for before and after, so that the trace has these steps and no other; what is computed stays.

    Args:
      folder: of the traces; None traces nothing.
      say: prints a line.
    """

    def __init__(self, folder: Path | None, say: Callable[[str], None]):
        self._folder, self._say = folder, say
        self._first: int | None = None
        self._is_on = False

    def choose(self, calls: Iterable[tuple[int, int]], total_steps: int) -> None:
        """Chooses what to trace of a training, of which these calls, (first step, steps), are still to be made."""
        self._first = None if self._folder is None else _middle(calls, total_steps)

    def before(self, step: int, state: Any) -> None:
        """Is told that a call begins at this step."""
        if self._first == step:
            jax.block_until_ready(state)
            # Perfetto's file too: it is looked at without anything installed.
            jax.profiler.start_trace(str(self._folder), create_perfetto_trace=True)
            self._is_on = True

    def after(self, step: int, state: Any) -> None:
        """Is told that a call has been made, and which step comes next."""
        if self._is_on and self._first is not None and step - self._first >= _FEWEST_STEPS:
            jax.block_until_ready(state)
            self._stop()
            files = sorted((self._folder or Path()).glob("plugins/profile/*/perfetto_trace.json.gz"))
            self._say(
                f"profile: steps {self._first} to {step - 1}: open {files[-1]} at ui.perfetto.dev (or: pip install "
                f"xprof; xprof --logdir {self._folder})"
            )
            self._folder = self._first = None

    def close(self) -> None:
        """Ends a trace whose training has ended before it."""
        if self._is_on:
            self._stop()

    def end(self) -> None:
        """Says so where nothing was traced."""
        if self._folder is not None:
            self._say(
                "profile: nothing was traced, since no training that was left had a call of its program after its "
                "middle that was compiled before"
            )

    def _stop(self) -> None:
        self._is_on = False
        jax.profiler.stop_trace()


def _middle(calls: Iterable[tuple[int, int]], total_steps: int) -> int | None:
    """The first step of the first call after the middle that has as many steps as one before it: it is compiled.

    >>> _middle([(0, 10), (10, 10), (20, 1), (21, 10)], 31), _middle([(0, 31)], 31)
    (21, None)
    """
    begun: int | None = None
    called = set()
    for first, steps in calls:
        begun = first if begun is None else begun
        if first >= (begun + total_steps) / 2 and steps in called:
            return first
        called.add(steps)
    return None
