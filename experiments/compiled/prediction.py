"""Predictions for a program by its compiler: whether it fits, how long a step takes at least, and its parts."""

import collections
import dataclasses
import functools
import hashlib
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from distill_jax.training.programs import Programs, program_memory
from experiments.compiled.chips import Chip
from experiments.compiled.costs import Operation, operations, payload
from experiments.compiled.hlo import Module, parse
from experiments.compiled.program import Call, Program
from experiments.compiled.rows import programs
from experiments.compiled.sources import part
from experiments.compiled.targets import parse as parse_target
from experiments.compiled.targets import prepare, target
from experiments.throughput.flops import flops_by_precision

_TOP = 10


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled program.

    Attributes:
      name: what it does.
      programs: it, and for other devices what is to be the same.
      jaxpr: from which it was compiled.
      times: how often a device calls it.
      devices: on how many one program runs.
    """

    name: str
    programs: tuple[Any, ...]
    jaxpr: Any
    times: int
    devices: int

    @classmethod
    def of(cls, call: Call) -> "Compiled":
        """That of a call."""
        programs = tuple(traced.lower().compile() for traced in call.traced)
        return cls(call.name, programs, call.traced[0].jaxpr, call.times, call.devices)

    @functools.cached_property
    def module(self) -> Module:
        """Its text, read."""
        return parse(self.programs[0].as_text())


def predict(program: Program, chip_name: str) -> dict[str, Any]:
    """The file's row of a program on a chip or slice, JSON values.

    Raises:
      InputError: there is no such chip here.
    """
    chip, traced = parse_target(chip_name)[0], program.traced(target(chip_name))
    of, steps = traced.of, traced.steps
    result: dict[str, Any] = {"chip": chip_name, "row": program.name, "members": of.members}
    started = time.monotonic()
    try:
        compiled = [Compiled.of(call) for call in traced.calls]
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        gib = re.search(r"Used ([\d.]+)G", str(error))
        return result | {"fits": False, "memory_gib": float(gib[1]) if gib else None, "devices": of.mesh.size}
    seconds = time.monotonic() - started
    if program.kind == "evaluate":
        batch = of.predict.batch(len(of.dataset.test.label))
    else:
        batch = program.setting.train.batch_size
    description = describe(compiled, of, chip, steps, batch * of.members, traced.beside)[0]
    calls = {"calls": [describe_call(call, of, chip) for call in compiled]} if len(compiled) > 1 else {}
    return result | {"compile_seconds": seconds, "steps_a_call": steps} | description | calls


def describe(
    compiled: Sequence[Compiled], of: Programs, chip: Chip, steps: int, examples: int, beside: int = 0
) -> tuple[dict[str, Any], list[Operation]]:
    """Memory, times and parts of compiled programs, JSON values, and their operations.

    Args:
      compiled: for the chip, called one after another.
      of: whose programs they are.
      chip: what they run on.
      steps: of these calls together.
      examples: of a step, of all members.
      beside: bytes that are taken beside the largest of them.
    """
    memory = max(program_memory(call.programs[0]) for call in compiled) + beside
    run = [
        dataclasses.replace(operation, times=operation.times * call.times)
        for call in compiled
        for operation in operations(call.module, chip, _sizes(of), call.devices)
    ]
    work: dict[str, float] = collections.defaultdict(float)
    for call in compiled:
        for precision, flops in flops_by_precision(call.jaxpr).items():
            work[precision] += call.times * flops / call.devices
    result = {
        "fits": memory <= chip.memory,
        "memory_gib": memory / 2**30,
        "devices": of.mesh.size,
        "loops_of_unknown_length": sum(call.module.unknown_loops() for call in compiled),
    }
    return result | _of_a_step(run, chip, steps, examples, work), run


def describe_call(call: Compiled, of: Programs, chip: Chip) -> dict[str, Any]:
    """One of the programs that a step calls, JSON values: how often, how long each time, and which it is.

    Of equal 'programs' the optimised code is equal, of one device, several, and one in a slice or alone.
    """
    run = operations(call.module, chip, _sizes(of), call.devices)
    return {
        "what": call.name,
        "times": call.times,
        "seconds": sum(o.total for o in run),
        "memory_gib": program_memory(call.programs[0]) / 2**30,
        "programs": [fingerprint(program.as_text()) for program in call.programs],
    }


def fingerprint(text: str) -> str:
    """Of an optimised program's text, without what it says of the Python code that it is from.

    >>> fingerprint('ROOT %a = f32[2] negate(%b), metadata={op_name="a"}') == fingerprint("ROOT %a = f32[2] negate(%b)")
    True
    """
    bare = re.sub(r", metadata=\{[^}]*\}", "", text)
    bare = re.sub(r"^(FileNames|FunctionNames|FileLocations|StackFrames)\n(.+\n)*", "", bare, flags=re.MULTILINE)
    return hashlib.sha256(bare.encode()).hexdigest()


def _sizes(of: Programs) -> frozenset[int]:
    """Elements of a kernel's gradient: those of the kernel, times the members that a device has of it."""
    counts = {1, of.members, max(of.members // of.mesh.size, 1)}
    return frozenset(math.prod(leaf.shape[1:]) * n for leaf in jax.tree.leaves(of.state_like().params) for n in counts)


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
