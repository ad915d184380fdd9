"""Helpers for runs of several processes: rank, barriers, and what one of them tells the others.

What is in a study's folder is seen by the first process alone, which tells the others: they need no such folder.
"""

import collections
import contextlib
import os
import pickle
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from distill_jax.errors import InputError, one_line
from distill_jax.machine import gpu_flags, last_words
from distill_jax.machine.watch import watched

_T = TypeVar("_T")
_JOIN_SECONDS, _SHUTDOWN_SECONDS = 120, 4 * 3600
_PIECE = 2**25  # bytes that are exchanged at once
_LEAST = 2**10  # bytes of an exchange, of which each size is a program of its own


@contextlib.contextmanager
def connected(coordinator: str | None, processes: int | None, process_id: int | None) -> Iterator[None]:
    """Joins this process to the others. None: found from the cluster's environment (TPU, SLURM, ...).

    While they are joined the loss or failure of one ends the others, see `watch`.

    Raises:
      InputError: they cannot be joined: an option that cannot be right, a port that is taken, or one who does not come.
    """
    host = None
    if (coordinator, processes, process_id) != (None, None, None):
        host = _check(coordinator, processes, process_id)
    # On CPUs programs that have one device in each process are not kept in order, and the exchanges of two such meet
    # each other's numbers (gloo: "distributed collective mismatch"). So each ends before the next begins.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    gpu_flags.add(gpu_flags.EACH_ALONE, "false")
    restore = last_words.in_one_line(
        f"not all processes have come within {_JOIN_SECONDS} s; the same command, on each of them, begins again"
    )
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            local_device_ids=device_ids(os.environ),
            initialization_timeout=_JOIN_SECONDS,
            # At the end the others wait for the first, who may be at the report of a large study for a while.
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
            coordinator_bind_address=coordinator,  # else it listens to all the world
        )
    except (ValueError, RuntimeError) as error:
        message = one_line(error)[:160]
        raise InputError(
            "run.distributed",
            "True",
            f"the processes cannot be joined ({message}); on TPU slices and under SLURM they are found, "
            "elsewhere give each `run.coordinator` ADDRESS:PORT, `run.processes` N and a `run.process_id` of "
            "its own",
        ) from error
    finally:
        restore()
    _check_devices()
    _check_exchange()
    with watched(host, jax.process_index(), jax.process_count(), from_first):
        yield


def device_ids(environment: Mapping[str, str]) -> list[int] | None:
    """What JAX is to be told of this process's devices: nothing, None, or that all of its node are its own, [].

    Under SLURM JAX gives a process one GPU, that of its number on the node, and leaves the others of a process that is
    alone there.

    >>> device_ids({"SLURM_STEP_TASKS_PER_NODE": "1(x2)"}), device_ids({"SLURM_STEP_TASKS_PER_NODE": "8(x2)"})
    ([], None)
    """
    alone = re.fullmatch(r"1(\(x\d+\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    return [] if alone and "JAX_LOCAL_DEVICE_IDS" not in environment else None


def _check(coordinator: str | None, processes: int | None, process_id: int | None) -> str:
    """Checks what can be seen before the others are there; waits for the first to answer; gives its address."""
    options = {"run.coordinator": coordinator, "run.processes": processes, "run.process_id": process_id}
    missing = [field for field, value in options.items() if value is None]
    if missing:
        raise InputError(
            missing[0], None, "must be given too: `run.coordinator`, `run.processes` and `run.process_id` go together"
        )
    assert coordinator is not None
    assert processes is not None
    assert process_id is not None
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise InputError("run.coordinator", coordinator, "must be ADDRESS:PORT of process 0, such as 10.0.0.1:1234")
    if processes < 1:
        raise InputError("run.processes", processes, "must be 1 or more")
    if not 0 <= process_id < processes:
        raise InputError(
            "run.process_id", process_id, f"must be in 0 to {processes - 1}, one of each of the {processes}"
        )
    address = (host.strip("[]"), int(port))
    try:
        if process_id == 0:
            with socket.create_server(address, family=_family(address)):
                return address[0]
    except OSError as error:
        raise InputError(
            "run.coordinator",
            coordinator,
            f"process 0 cannot listen there ({error.strerror or error}); must be a free port on an address of "
            "its machine, and process 0 be started once",
        ) from error
    end = time.monotonic() + _JOIN_SECONDS
    while True:
        try:
            socket.create_connection(address, timeout=5).close()
            return address[0]
        except OSError as error:
            if time.monotonic() > end:
                raise InputError(
                    "run.coordinator",
                    coordinator,
                    f"nobody has answered there for {_JOIN_SECONDS} s ({error.strerror or error}); must be where "
                    "process 0 is",
                ) from error
        time.sleep(0.2)


def _check_devices() -> None:
    """Checks that all processes have as many devices, without which they could not even be asked."""
    numbers = collections.Counter(device.process_index for device in jax.devices())
    for process, count in sorted(numbers.items()):
        if count != numbers[0]:
            raise InputError(
                "the number of devices",
                None,
                f"is not the same in processes 0 and {process} ({numbers[0]} and {count}); must "
                "be the same in all of them",
            )


def _check_exchange() -> None:
    """Checks that values come from one process to another, which is another way than that by which they were joined."""
    try:
        from_first(0)
    except jax.errors.JaxRuntimeError as error:
        name = socket.gethostname()
        try:
            address = f"{name}, here {socket.gethostbyname(name)}"
        except OSError:
            address = f"{name}, here none"
        raise InputError(
            "run.distributed",
            "True",
            f"the processes are joined but cannot exchange values ({one_line(error)[:160]}); on CPUs each "
            f"must reach the others at the address that their machines' own names stand for ({address})",
        ) from error


def _family(address: tuple[str, int]) -> int:
    return socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]


def require_same(values: Mapping[str, str]) -> None:
    """Checks that all processes were given the same.

    Args:
      values: by what they are called in a message, the same names in all processes that run the same code.

    Raises:
      InputError: they were not; in every process, with the first name that differs.
    """
    if jax.process_count() == 1:
        return
    names = np.array([len(values), zlib.crc32(",".join(values).encode())], np.uint32)
    if len(np.unique(multihost_utils.process_allgather(names), axis=0)) > 1:
        raise InputError("code", None, "is not the same in all processes; must be of one commit")
    sums = np.array([zlib.crc32(value.encode()) for value in values.values()], np.uint32)
    sums_by_process = multihost_utils.process_allgather(sums)
    for name, column in zip(values, sums_by_process.T, strict=True):
        if (different := np.flatnonzero(column != column[0])).size:
            raise InputError(
                name, None, f"is not the same in processes 0 and {different[0]}; must be the same in all of them"
            )


def together(f: Callable[[], _T]) -> _T:
    """The result of `f`, once it has returned in every process.

    Raises:
      InputError: its own; where it has failed elsewhere, one that says in which process.
    """
    if jax.process_count() == 1:
        return f()
    result, error = None, None
    try:
        result = f()
    except InputError as raised:
        error = raised
    failed = np.flatnonzero(multihost_utils.process_allgather(np.array(error is not None)))
    if error is not None:
        raise error
    if failed.size:
        raise InputError("process", failed[0], "was given wrong input; its message says what")
    return result  # type: ignore[return-value]


def number() -> int:
    """This process's, from 0."""
    return jax.process_index()


def is_first() -> bool:
    """Whether this process is the one that prints and writes what is written once."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def from_first(value: Any) -> np.ndarray:
    """The first process's value, a number or numbers, int32 of the same shape in all of them, in every process."""
    array = np.asarray(value, np.int32)
    return array if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(array)


def summed(array: np.ndarray) -> np.ndarray:
    """The sum of all processes' arrays, of the same shape in all of them, in every process."""
    return (
        array if jax.process_count() == 1 else multihost_utils.process_allgather(array).sum(axis=0, dtype=array.dtype)
    )


def of_all(values: Sequence[int]) -> list[list[int]]:
    """Every process's numbers, int32 and as many in each, by its own number.

    >>> of_all([3, 4])
    [[3, 4]]
    """
    array = np.asarray(values, np.int32)
    return [array.tolist()] if jax.process_count() == 1 else multihost_utils.process_allgather(array).tolist()


def everywhere(f: Callable[[], bool]) -> bool:
    """Whether `f` is true in each of several processes; one alone need not ask."""
    return jax.process_count() == 1 or bool(np.all(multihost_utils.process_allgather(np.array(f()))))


def by_first(f: Callable[[], _T]) -> _T | None:
    """The result of `f` in the first process, None in the others.

    Raises:
      InputError: the first process's own; the others raise one that refers to it, and none waits for another.
    """
    return together(lambda: f() if is_first() else None)


def seen_by_first(f: Callable[[], _T]) -> _T:
    """The result of `f`, which the first process alone calls, in every process.

    >>> seen_by_first(lambda: {"kd": [0, 600]})
    {'kd': [0, 600]}

    Raises:
      InputError: as `by_first`.
    """
    result = by_first(f)
    if jax.process_count() == 1:
        return result  # type: ignore[return-value]
    # Among the processes of one study, which trust each other's numbers as well; and of one code.
    content = pickle.dumps(result) if is_first() else b""
    size = int(from_first(len(content)))
    room = max(1 << (size - 1).bit_length(), _LEAST)
    padded = np.frombuffer(content.ljust(room, b"\0"), np.uint8) if is_first() else None
    return pickle.loads(array_of(0, padded, (room,), np.uint8)[:size].tobytes())


def array_of(process: int, array: np.ndarray | None, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array of one process in every process, piece by piece.

    >>> array_of(0, np.arange(3), (3,), int)
    array([0, 1, 2])

    Args:
      process: whose it is.
      array: there; in the others it does not matter.
      shape, dtype: of it, which all know.
    """
    is_source = jax.process_index() == process
    if is_source:
        assert array is not None
        assert (array.shape, array.dtype) == (tuple(shape), np.dtype(dtype))
        if jax.process_count() == 1:
            return array
    whole = np.ascontiguousarray(array).reshape(shape) if is_source else np.empty(shape, dtype)
    content = whole.reshape(-1).view(np.uint8)
    for start in range(0, len(content), _PIECE):
        part = content[start : start + _PIECE]
        words = np.zeros(-(-len(part) // 4), np.uint32)  # which every backend adds
        if is_source:
            words.view(np.uint8)[: len(part)] = part
        words = multihost_utils.broadcast_one_to_all(words, is_source)
        if not is_source:
            part[:] = words.view(np.uint8)[: len(part)]
    return whole
