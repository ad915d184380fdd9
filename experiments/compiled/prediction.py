"""What a compiler says of a program: whether it fits, how long a step takes at least, and of what that is made."""

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
    """What the file says of a program on a chip or slice, JSON values.

    Raises:
      InputError: there is no such chip here.
    """
    chip, devices = parse_target(chip_name)[0], target(chip_name)
    traced, of, steps = program.traced(devices)
    said: dict[str, Any] = {"chip": chip_name, "row": program.name, "members": of.members}
    used = of.mesh.size
    started = time.monotonic()
    try:
        compiled = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        gib = re.search(r"Used ([\d.]+)G", str(error))
        return said | {"fits": False, "memory_gib": float(gib[1]) if gib else None, "devices": used}
    seconds = time.monotonic() - started
    if program.kind == "evaluate":
        batch = of.predict.batch(len(of.dataset.test.label))
    else:
        batch = program.setting.train.batch_size
    described = describe(compiled, traced.jaxpr, of, chip, steps, batch * of.members)[0]
    return said | {"compile_seconds": seconds, "steps_a_call": steps} | described


def describe(
    compiled: Any, jaxpr: Any, of: Programs, chip: Chip, steps: int, examples: int
) -> tuple[dict[str, Any], list[Operation]]:
    """What a compiled program says of itself, JSON values, and its operations.

    Args:
      compiled: for the chip.
      jaxpr: from which it was compiled.
      of: whose program it is.
      chip: what it runs on.
      steps: of a call.
      examples: of a step, of all members.
    """
    used, memory, module = of.mesh.size, program_memory(compiled), parse(compiled.as_text())
    # A kernel's gradient has its size, times the members that a device has of it.
    counts = {1, of.members, max(of.members // used, 1)}
    parameters = jax.tree.leaves(of.state_like().params)
    sizes = {math.prod(leaf.shape[1:]) * count for leaf in parameters for count in counts}
    run = operations(module, chip, frozenset(sizes), used)
    work = {precision: flops / used for precision, flops in flops_by_precision(jaxpr).items()}
    said = {
        "fits": memory <= chip.memory,
        "memory_gib": memory / 2**30,
        "devices": used,
        "loops_of_unknown_length": module.unknown_loops(),
    }
    return said | _of_a_step(run, chip, steps, examples, work), run


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
    found: dict[str, Any] = {
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
        "top": [{"what": what, "share": share} for what, share in list(_shares(run, part).items())[:_TOP]],
    }
    if chip.platform == "tpu":
        within = [o for o in run if (o.in_loop or not loops) and o.instruction.cycles is not None]
        outer = [o for o in run if not o.in_loop and loops and o.instruction.cycles is not None]
        found["cycles"] = sum(o.times * (o.instruction.cycles or 0) for o in within) / steps
        found["cycles_outside_loop"] = sum(o.times * (o.instruction.cycles or 0) for o in outer)
    else:
        within = [o for o in run if o.in_loop or not loops]
        found["kernels"] = sum(o.times for o in within) / steps
        counted: collections.Counter[str] = collections.Counter()
        for o in within:
            counted[part(o)] += o.times
        found["kernels_of"] = {what: count / steps for what, count in counted.most_common()}
    return found


def _shares(run: Iterable[Operation], of: Callable[[Operation], str]) -> dict[str, float]:
    """Shares of a call's time, the largest first."""
    seconds: dict[str, float] = collections.defaultdict(float)
    for operation in run:
        seconds[of(operation)] += operation.total
    total = sum(seconds.values())
    return {what: spent / total for what, spent in sorted(seconds.items(), key=lambda item: -item[1])}


def _collectives(run: Iterable[Operation], steps: int) -> dict[str, dict[str, float]]:
    """How many a step there are of each kind, and the bytes of their results."""
    found: dict[str, dict[str, float]] = {}
    for operation in run:
        if operation.collective is not None:
            of_kind = found.setdefault(operation.collective, {"count": 0.0, "bytes": 0.0})
            of_kind["count"] += operation.times / steps
            of_kind["bytes"] += operation.times * payload(operation.instruction) / steps
    return found
