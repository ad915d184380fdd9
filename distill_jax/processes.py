"""What one process of several must know: whether it is the first, and how to wait for the others."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from distill_jax.errors import InputError
from distill_jax.interruption import Interrupted

_T = TypeVar("_T")
_SHUTDOWN_SECONDS, _FAILED_SECONDS = 4 * 3600, 60


@contextlib.contextmanager
def connected(coordinator: str | None, processes: int | None, process_id: int | None) -> Iterator[None]:
    """Joins this process to the others. None: found from the cluster's environment (TPU, SLURM, ...).

    A process that fails alone would wait for the others to end and they for its part of the work. So it waits no
    longer than a minute; JAX then misses it, and ends the others.
    """
    # At the end the others wait for the first, who may be at the report of a large study for a while.
    jax.distributed.initialize(coordinator, processes, process_id, shutdown_timeout_seconds=_SHUTDOWN_SECONDS)
    try:
        yield
    except Interrupted:  # as all of them are
        raise
    except BaseException as error:
        leave = threading.Timer(_FAILED_SECONDS, os._exit, (getattr(error, "exit_status", 1),))
        leave.daemon = True
        leave.start()
        raise


def is_first() -> bool:
    """Whether this process is the one that prints and writes what is written once."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def from_first(value: int | Sequence[int]) -> np.ndarray:
    """The first process's value, int32 of the same shape in all of them, in every process."""
    array = np.asarray(value, np.int32)
    return array if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(array)


def everywhere(f: Callable[[], bool]) -> bool:
    """Whether `f` is true in each of several processes; one alone need not ask."""
    return jax.process_count() == 1 or bool(np.all(multihost_utils.process_allgather(np.array(f()))))


def by_first(f: Callable[[], _T]) -> _T | None:
    """What `f` gives in the first process, None in the others.

    Raises:
      InputError: the first process's own; the others raise one that refers to it, and none waits for another.
    """
    result, error = None, None
    if is_first():
        try:
            result = f()
        except InputError as raised:
            error = raised
    if from_first(int(error is not None)):
        raise error or InputError("process 0 was given wrong input; its message says what")
    return result
