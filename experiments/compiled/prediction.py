"""Predictions for a program by its compiler: whether it fits, how long a step takes at least, and its parts."""

import collections
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from distill_jax.training.programs import Programs, program_memory
from experiments.compiled.chips import Chip
from experiments.compiled.costs import Operation, operations, payload
from experiments.compiled.hlo import parse
from experiments.compiled.program import Program
from experiments.compiled.rows import programs
from experiments.compiled.sources import part
from experiments.compiled.targets import parse as parse_target
from experiments.compiled.targets import prepare, target
from experiments.throughput.flops import flops_by_precision

_TOP = 10


def predict(program: Program, chip_name: str) -> dict[str, Any]:
    """The file's row of a program on a chip or slice, JSON values.

    Raises:
      InputError: there is no such chip here.
    """
    chip, devices = parse_target(chip_name)[0], target(chip_name)
    traced, study_programs, steps = program.traced(devices)
    result: dict[str, Any] = {"chip": chip_name, "row": program.name, "members": study_programs.members}
    device_count = study_programs.mesh.size
    started = time.monotonic()
    try:
        compiled = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        gib = re.search(r"Used ([\d.]+)G", str(error))
        return result | {"fits": False, "memory_gib": float(gib[1]) if gib else None, "devices": device_count}
    seconds = time.monotonic() - started
    if program.kind == "evaluate":
        batch = study_programs.predict.batch(len(study_programs.dataset.test.label))
    else:
        batch = program.setting.train.batch_size
    description = describe(compiled, traced.jaxpr, study_programs, chip, steps, batch * study_programs.members)[0]
    return result | {"compile_seconds": seconds, "steps_a_call": steps} | description


def describe(
    compiled: Any, jaxpr: Any, of: Programs, chip: Chip, steps: int, examples: int
) -> tuple[dict[str, Any], list[Operation]]:
    """Memory, times and parts of a compiled program, JSON values, and its operations.

    Args:
      compiled: for the chip.
      jaxpr: from which it was compiled.
      of: whose program it is.
      chip: what it runs on.
      steps: of a call.
      examples: of a step, of all members.
    """
    device_count, memory, module = of.mesh.size, program_memory(compiled), parse(compiled.as_text())
    # A kernel's gradient has its size, times the members that a device has of it.
    counts = {1, of.members, max(of.members // device_count, 1)}
    parameters = jax.tree.leaves(of.state_like().params)
    sizes = {math.prod(leaf.shape[1:]) * count for leaf in parameters for count in counts}
    run = operations(module, chip, frozenset(sizes), device_count)
    work = {precision: flops / device_count for precision, flops in flops_by_precision(jaxpr).items()}
    result = {
        "fits": memory <= chip.memory,
        "memory_gib": memory / 2**30,
        "devices": device_count,
        "loops_of_unknown_length": module.unknown_loops(),
    }
    return result | _of_a_step(run, chip, steps, examples, work), run


def predict_named(chip_name: str, program_name: str) -> dict[str, Any]:
    """`predict`, in a process that was begun for it."""
    prepare()
    return predict(programs()[program_name](), chip_name)


def _of_a_step(
    run: Sequence[Operation], chip: Chip, steps: int, examples: int, work: Mapping[str, float]
) -> dict[str, Any]:
    """The times of a call, of so many steps of so many examples, as those of a step.

    Products are counted from the traced code, `work` FLOPs on each device by their precision: of some small ones a
    compiler makes others. Shares are of the time that they would take at the peak of that precision.
    """
    loops = steps > 1
    total = sum(o.total for o in run)
    outside = sum(o.total for o in run if not o.in_loop) if loops else 0.0
    step = total / steps
    products = sum(flops / chip.peak[precision] for precision, flops in work.items()) / steps
    moved = sum(o.times * o.bytes for o in run) / steps
    bounds = _shares(run, lambda o: o.bound)
    result: dict[str, Any] = {
        "step_seconds_predicted": step,
        "examples_per_second_predicted": examples / step,
        "share_of_peak": products / step,
        "share_of_roofline": max(products, moved / chip.bandwidth) / step,
        "gflop": sum(work.values()) / steps / 1e9,
        "megabytes": moved / 1e6,
        "outside_loop_share": outside / total,
        "bound_by": next(iter(bounds)),
        "bounds": bounds,
        "collectives": _collectives(run, steps),
        "top": [{"what": name, "share": share} for name, share in list(_shares(run, part).items())[:_TOP]],
    }
    if chip.platform == "tpu":
        loop_operations = [o for o in run if (o.in_loop or not loops) and o.instruction.cycles is not None]
        outer_operations = [o for o in run if not o.in_loop and loops and o.instruction.cycles is not None]
        result["cycles"] = sum(o.times * (o.instruction.cycles or 0) for o in loop_operations) / steps
        result["cycles_outside_loop"] = sum(o.times * (o.instruction.cycles or 0) for o in outer_operations)
    else:
        loop_operations = [o for o in run if o.in_loop or not loops]
        result["kernels"] = sum(o.times for o in loop_operations) / steps
        counted: collections.Counter[str] = collections.Counter()
        for o in loop_operations:
            counted[part(o)] += o.times
        result["kernels_of"] = {name: count / steps for name, count in counted.most_common()}
    return result


def _shares(run: Iterable[Operation], key: Callable[[Operation], str]) -> dict[str, float]:
    """Shares of a call's time, the largest first."""
    seconds: dict[str, float] = collections.defaultdict(float)
    for operation in run:
        seconds[key(operation)] += operation.total
    total = sum(seconds.values())
    return {name: spent / total for name, spent in sorted(seconds.items(), key=lambda item: -item[1])}


def _collectives(run: Iterable[Operation], steps: int) -> dict[str, dict[str, float]]:
    """How many a step there are of each kind, and the bytes of their results."""
    by_kind: dict[str, dict[str, float]] = {}
    for operation in run:
        if operation.collective is not None:
            totals = by_kind.setdefault(operation.collective, {"count": 0.0, "bytes": 0.0})
            totals["count"] += operation.times / steps
            totals["bytes"] += operation.times * payload(operation.instruction) / steps
    return by_kind
