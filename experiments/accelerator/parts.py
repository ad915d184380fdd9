"""The parts of a first look at an accelerator, each in a process of its own or as processes, and bounded in time."""

import collections
import dataclasses
import functools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from distill_jax.command import command_line
from distill_jax.errors import InputError

Part = Literal["same", "resumed", "speed", "studies"]
_TRIES = 4


@dataclasses.dataclass(frozen=True)
class Options:
    """The first minutes on an accelerator: does it compute the same, how fast, and then the paper's studies."""

    minutes: float = 15.0
    """Minutes to take in all."""
    out: Path | None = None
    """Folder for the results, at most 8 files of 16 MB. With what an earlier run has left in it this one goes on."""
    data_dir: Path | None = None
    """Folder of CIFAR-100, as --data-dir of distill_jax. Not needed with --rehearse or without studies."""
    parts: tuple[Part, ...] = get_args(Part)
    """Which parts, each of which has its share of the minutes or what those before it leave."""
    work_dir: Path | None = None
    """Folder on this machine's disk for the studies [default: the system's for temporary files]."""
    rehearse: bool = False
    """All of it in small, on any machine."""
    reference: Path | None = None
    """Write the losses that this machine, a CPU, finds to this file, a reference for others, and do nothing else."""


def say(line: str) -> None:
    """A line for a person, at once."""
    print(line, flush=True)


def _in_process(part: Callable[[Options, str], None], options: Options, command: str, until: float) -> None:
    """Carries out a part in a process of its own, again where something has ended that, until its time is over."""
    name = part.__name__.strip("_")
    for _ in range(_TRIES):
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_as_command, args=(part, options, command), daemon=True)
        process.start()
        process.join(max(until - time.monotonic(), 0))
        if process.is_alive():
            say(f"{name}: its time is over")
            process.terminate()
            process.join(10)
            process.kill()
            process.join()
            return
        if process.exitcode == InputError.exit_status:
            sys.exit(process.exitcode)
        if process.exitcode == 0:
            return
        say(f"{name}: its process ended with {process.exitcode}; on with what comes after")


def _as_command(part: Callable[[Options, str], None], options: Options, command: str) -> None:
    command_line.run(lambda _: part(options, command))


def _devices_said(rehearsal: bool) -> None:
    """Says what devices this process has.

    Raises:
      InputError: no accelerator, and it is no rehearsal.
    """
    import jax

    kinds = collections.Counter(device.device_kind for device in jax.devices())
    found = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    say(f"devices: {found}, by JAX {jax.__version__}")
    if jax.default_backend() == "cpu" and not rehearsal:
        wanted = f"must be given where JAX has no accelerator (it has {found}), or its plugin be installed"
        raise InputError("--rehearse", "False", wanted)


def _same(options: Options, command: str) -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    from distill_jax.machine import backend
    from distill_jax.machine.environment import environment
    from experiments.accelerator.checks import checks
    from experiments.accelerator.networks import BATCH
    from experiments.accelerator.part_results import PartResults, failure

    backend.use_cores(BATCH)
    _devices_said(options.rehearse)
    results = PartResults(options.out / "same.json", environment(command))
    for check, run_check in checks(options.rehearse):
        if results.begin(check):
            try:
                piece = run_check()
            except Exception as error:  # what one accelerator cannot do must not cost the other checks
                piece = {"passed": False, "why": failure(error)}
            results.write(check, piece)
            say(line(check, piece))


def _resumed(options: Options, command: str, until: float) -> None:
    from experiments.accelerator.part_results import PartResults
    from experiments.accelerator.resumed import REHEARSED, STUDIES, killed_and_resumed

    results = PartResults(options.out / "resumed.json")
    results.environment = results.environment or PartResults(options.out / "same.json").environment
    for network, arguments in (REHEARSED if options.rehearse else STUDIES).items():
        name = f"killed and resumed/{network}"
        if results.begin(name):
            piece = killed_and_resumed(arguments, until)
            results.write(name, piece)
            say(line(name, piece))


def _speed(options: Options, command: str) -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch is to have some of the memory

    from distill_jax.machine import backend
    from distill_jax.machine.environment import environment
    from experiments.accelerator.part_results import PartResults
    from experiments.accelerator.speed import measure_all
    from experiments.throughput import pytorch

    backend.use_cores(16)
    _devices_said(options.rehearse)
    run_environment = environment(command)
    peer, why = pytorch.find()
    if peer is None:
        say(f"without PyTorch{why}")
    else:
        run_environment["versions"] |= peer.VERSIONS
    measure_all(PartResults(options.out / "speed.json", run_environment), run_environment, peer, options.rehearse, say)


def _studies(options: Options, command: str, until: float) -> None:
    from experiments.accelerator import studies
    from experiments.accelerator.part_results import PartResults

    results = PartResults(options.out / "studies.json")
    with tempfile.TemporaryDirectory(dir=options.work_dir) as work:
        studies.go_on(results, options.out, Path(work), options.data_dir, options.rehearse, until, say)


def line(name: str, piece: dict[str, Any]) -> str:
    """A check in a line."""
    outcome = {True: "as it should be", False: "NOT AS IT SHOULD BE", None: "not found out"}[piece["passed"]]
    why = f": {piece['why']}" if "why" in piece else ""
    difference = f" (differs by {piece['difference']:.1e})" if "difference" in piece else ""
    return f"{name}: {outcome}{why}{difference}"


PARTS: dict[Part, Callable[[Options, str, float], None]] = {
    "same": functools.partial(_in_process, _same),
    "resumed": _resumed,
    "speed": functools.partial(_in_process, _speed),
    "studies": _studies,
}
