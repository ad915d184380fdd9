"""One row measured: our side and its peers in turn, and what that is of the roofline."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.throughput import ours
from experiments.throughput.dumped import Dumped, np_save
from experiments.throughput.grid import Row, left_out
from experiments.throughput.roofline import Roofs
from experiments.throughput.rounds import Contender, ratios, take_turns


def why_not(row: Row) -> str | None:
    """Why a row cannot or shall not be measured here; None if it will be."""
    return left_out(row)


def not_measured(row: Row, why: str, environment: dict[str, Any]) -> dict[str, Any]:
    """The file's row of one that is left out."""
    return _identity(row, environment) | {
        "examples_per_s": None,
        "roofline_fraction": None,
        "peer": None,
        "ratio": None,
        "left_out": why,
        "environment": environment,
    }


def measure(
    row: Row, roofs: Roofs, peers: Any, repeats: int, seconds: float, folder: Path, environment: dict[str, Any]
) -> dict[str, Any]:
    """The file's row of a measured one, JSON values.

    Args:
      row: which.
      roofs: of this device.
      peers: `peer.Peers`, or None where there is no PyTorch or it was not asked for.
      repeats: rounds.
      seconds: about how long each side runs in a round.
      folder: where dumps are written.
      environment: on what this is measured.

    Raises:
      jax.errors.JaxRuntimeError: the device's memory does not do.
    """
    return measure_prepared(row, *ours.prepare(row, folder), roofs, peers, repeats, seconds, folder, environment)


def measure_prepared(
    row: Row,
    mine: Contender,
    program: ours.Program | None,
    roofs: Roofs,
    peers: Any,
    repeats: int,
    seconds: float,
    folder: Path,
    environment: dict[str, Any],
) -> dict[str, Any]:
    """The same of what `ours.prepare` has given."""
    if row.kind == "dump":
        theirs: Sequence[Contender] = np_save(row, folder)
    else:
        theirs = [] if peers is None else peers.of(row)
    rates = take_turns([mine, *theirs], repeats, seconds)
    rate = statistics.median(rates[mine.name])
    compared = {}
    for contender in theirs:
        compared[contender.name] = {
            "examples_per_s": statistics.median(rates[contender.name]),
            **ratios(rates[mine.name], rates[contender.name]),
            "compile_seconds": contender.compile_seconds,
        }
    faster = max(compared, key=lambda name: compared[name]["examples_per_s"], default=None)
    if row.kind == "dump":
        faster = theirs[0].name  # plain np.save, which the goal names, also where a busy disk makes it the slower
    calls_a_second = rate / mine.examples
    result = {
        "examples_per_s": rate,
        "roofline_fraction": None,
        "peer": faster,
        "ratio": None if faster is None else compared[faster]["ratio"],
        "peers": compared,
        "examples_per_s_low": min(rates[mine.name]),
        "examples_per_s_high": max(rates[mine.name]),
        "repeats": repeats,
        "compile_seconds": mine.compile_seconds,
    }
    if program is None:
        result |= {"megabytes_per_s": Dumped.of(row).bytes * calls_a_second / 1e6}
    else:
        result |= _of_the_roofline(row, program, calls_a_second, roofs)
    return _identity(row, environment) | result | {"environment": environment}


def _identity(row: Row, environment: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": row.name,
        "device": environment["device"],
        "network": row.network,
        "kind": row.kind,
        "dtype": row.dtype,
        "batch": row.batch,
        "population": row.population,
    }


def _of_the_roofline(row: Row, program: ours.Program, calls_a_second: float, roofs: Roofs) -> dict[str, Any]:
    per_step = 1 / program.steps
    reached = program.flops * calls_a_second
    attainable = math.nan
    if program.bytes > 0:
        attainable = roofs.attainable(row.dtype, program.flops, program.bytes)
    return {
        "roofline_fraction": None if math.isnan(attainable) else reached / attainable,
        "steps_per_dispatch": program.steps,
        "seconds_a_step": per_step / calls_a_second,
        "flops_a_step": program.flops * per_step,
        "bytes_a_step": program.bytes * per_step,
        "xla_flops_a_step": program.xla_flops * per_step,
        "peak_memory_bytes": program.memory,
        "flops_per_s": reached,
        "attainable_flops": None if math.isnan(attainable) else attainable,
        "device_bandwidth": roofs.bandwidth,
        "device_flops": roofs.peak[row.dtype],
    }
