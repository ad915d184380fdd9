"""Studies as tasks of Ray: on a cluster that is there, or on this machine's devices alone."""

import os
import signal
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from distill_jax import extras
from distill_jax.errors import InputError, RunError, one_line
from experiments.paper.engines.jobs import Ended, Job, work

_RETRIES = 10  # of a study whose node is lost; then the same command goes on
_CANCEL_SECONDS = 600
_ANSWER_SECONDS = 20
_DEVICES = ("GPU", "TPU")


class Stopped(Exception):
    """A study was stopped by its node's own end, its state saved: it is to go on elsewhere."""


class OnRay:
    """An `Engine`.

    Args:
      address: of a cluster's head, or 'auto'; None is that of $RAY_ADDRESS, else Ray is started on this machine, and
        listens to this machine alone.
      cpus, gpus, tpus: of each study, see `share`.

    Raises:
      InputError: Ray is not installed, the cluster does not answer, or no node of it has so much.
    """

    def __init__(self, address: str | None, cpus: int | None, gpus: int | None, tpus: int | None):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers
        address = address or os.environ.get("RAY_ADDRESS")
        if address not in (None, "auto"):
            _check_reached(address)
        if address is None:  # said before it is imported: it has no clusters, and so listens to this machine alone
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        self._ray = ray = extras.needed("ray", "ray", "--on", "ray")
        here = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(**({"address": address} if address else here), log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _unreached(address, one_line(error)[:160]) from error
        self._tasks: dict[str, Any] = {}
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._share = share(nodes, {"CPU": cpus, "GPU": gpus, "TPU": tpus})
        except InputError:
            self.close()
            raise

    def begin(self, jobs: Sequence[Job]) -> Collection[str]:
        """As of `Engine`; tasks end with the command that began them, so it has none."""
        # A process of its own for each, since JAX keeps the devices that it has found first.
        task = self._ray.remote(max_calls=1)(_task)
        cpus, gpus, tpus = (self._share[kind] for kind in ("CPU", *_DEVICES))
        options = {"num_cpus": cpus, "num_gpus": gpus, "resources": {"TPU": tpus} if tpus else None}
        options |= {"max_retries": _RETRIES, "retry_exceptions": [Stopped]}
        self._tasks |= {job.name: task.options(**options, name=job.name).remote(job) for job in jobs}
        return ()

    def ended(self) -> Mapping[str, Ended]:
        """As of `Engine`."""
        tasks = list(self._tasks.values())
        ready = set(self._ray.wait(tasks, num_returns=len(tasks), timeout=0)[0]) if tasks else set()
        return {name: self._result(task) for name, task in self._tasks.items() if task in ready}

    def _result(self, task: Any) -> Ended:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:  # its worker was killed too often, for one
            return Ended(RunError.exit_status, f"{type(error).__name__}: {one_line(error)[:300]}")

    def cancel(self) -> None:
        """As of `Engine`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            self._ray.cancel(task)  # Ctrl-C, to those at work
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=_CANCEL_SECONDS)

    def close(self) -> None:
        """As of `Engine`."""
        self._ray.shutdown()


def _check_reached(address: str) -> None:
    """Checks that somebody answers at an address, for which Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise _unreached(address, "it is no address")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise _unreached(address, error.strerror or one_line(error)) from error


def _unreached(address: str | None, why: str) -> InputError:
    fault = f"Ray cannot be reached there ({why}); must be HOST:PORT of a cluster's head, or auto"
    return InputError("--address", address, fault)


def share(nodes: Sequence[Mapping[str, float]], asked: Mapping[str, int | None]) -> dict[str, int]:
    """CPUs, GPUs and TPU chips of each study.

    Args:
      nodes: what each node has, as Ray calls it.
      asked: of each kind how many, or None: a GPU where there are any, else all TPU chips of the smallest node that
        has some, else all CPUs of the smallest node; beside devices one CPU.

    Raises:
      InputError: no node has so much.

    >>> share([{"CPU": 8.0}, {"CPU": 4.0}], {"CPU": None, "GPU": None, "TPU": None})
    {'CPU': 4, 'GPU': 0, 'TPU': 0}
    >>> share([{"CPU": 8.0}, {"CPU": 64.0, "GPU": 8.0}], {"CPU": None, "GPU": None, "TPU": None})
    {'CPU': 1, 'GPU': 1, 'TPU': 0}
    """
    least = {kind: int(min((n[kind] for n in nodes if n.get(kind, 0) >= 1), default=0)) for kind in ("CPU", *_DEVICES)}
    gpus, tpus = asked["GPU"], asked["TPU"]
    if gpus is None:
        gpus = 1 if least["GPU"] and not tpus else 0
    if tpus is None:
        tpus = least["TPU"] if not gpus else 0
    cpus = asked["CPU"] if asked["CPU"] is not None else 1 if gpus or tpus else max(least["CPU"], 1)
    wanted = {"CPU": cpus, "GPU": gpus, "TPU": tpus}
    if not any(all(node.get(kind, 0) >= count for kind, count in wanted.items()) for node in nodes):
        words = ", ".join(f"{count} {kind}" for kind, count in wanted.items() if count)
        raise InputError("--on", "ray", f"no node of the cluster has {words} for a study; must be fewer")
    return wanted


def _task(job: Job) -> Ended:
    ended = work(job)
    if ended.status == 128 + signal.SIGTERM:
        raise Stopped(ended.said)
    return ended
