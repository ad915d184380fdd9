"""Being asked to stop: SIGTERM (preemption) and Ctrl-C end a training at the next dispatch, after a checkpoint."""

import itertools
import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

_CALLS = itertools.count(1)


class Interruption:
    """Remembers a request to stop while it is entered, in place of the signals' usual effect.

    A second Ctrl-C is not held back: it raises KeyboardInterrupt at once. Where there are several processes
    the signals are left to JAX, whose handler tells all processes of one's SIGTERM.
    """

    def __init__(self):
        self.signal: int | None = None

    def __enter__(self) -> "Interruption":
        # Only the main thread is given signals, and may say what they do.
        main = threading.current_thread() is threading.main_thread()
        ours = (signal.SIGTERM, signal.SIGINT) if jax.process_count() == 1 and main else ()
        self._before = {s: signal.signal(s, self._remember) for s in ours}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def requested(self) -> int | None:
        """The signal to stop for, None to go on; the n-th call has the same answer in every process."""
        if jax.process_count() == 1 or self.signal is not None:
            return self.signal
        # The processes agree on a call that all have yet to make. JAX counts on numbers that rise by one.
        if multihost_utils.reached_preemption_sync_point(next(_CALLS)):
            self.signal = signal.SIGTERM
        return self.signal
