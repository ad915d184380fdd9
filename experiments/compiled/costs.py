"""The operations of a compiled call, one after another, with the time that each takes at least."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from experiments.compiled.chips import Chip
from experiments.compiled.hlo import Array, Instruction, Module

LAUNCH = 2.5e-6  # seconds from one GPU kernel to the next, at least
_SCALARS = 1024  # elements of what a TPU's scalar unit computes beside the rest, without an estimate
HOP = 1e-6  # seconds of a message between neighbouring chips, at least
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
_FREE |= {"opt-barrier", "all-reduce-done", "all-gather-done", "collective-permute-done"}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One unit of execution: a kernel of a GPU, a fusion of a TPU, or a collective.

    Attributes:
      instruction: of the module.
      times: how often a call runs it.
      in_loop: whether it is in a loop's body.
      flops: of its products.
      bytes: to and from the chip's memory.
      seconds: each time, by the compiler's cycles on a TPU, at least on a GPU.
      bound: what these are made of: 'products', 'memory', 'launches', 'collectives'; on a TPU, where neither products
        at their peak nor memory account for half of the cycles, 'part-filled products' or 'elementwise'.
      weights: whether it is a product whose result has the size of a parameter: the gradient of a kernel.
    """

    instruction: Instruction
    times: int
    in_loop: bool
    flops: float
    bytes: float
    seconds: float
    bound: str
    weights: bool

    @property
    def total(self) -> float:
        """Seconds of a call."""
        return self.times * self.seconds

    @property
    def collective(self) -> str | None:
        """Which collective it is; None."""
        name = self.instruction.opcode.removesuffix("-start")
        return name if name in COLLECTIVES else None


def operations(module: Module, chip: Chip, sizes: frozenset[int], devices: int) -> list[Operation]:
    """All that a call runs.

    Args:
      module: the program.
      chip: what it is compiled for.
      sizes: of the parameters that are trained, in elements.
      devices: on how many chips it runs.
    """
    return list(_walk(module, module.entry, 1, False, lambda i: _cost(module, i, chip, sizes, devices)))


def _walk(
    module: Module, computation: str, times: int, in_loop: bool, cost: Callable[[Instruction], dict[str, Any] | None]
) -> Iterator[Operation]:
    for instruction in module.computations[computation]:
        opcode, called = instruction.opcode, instruction.called
        if opcode == "while":
            body = re.search(r"body=%([\w.\-]+)", instruction.attributes)
            assert body is not None
            yield from _walk(module, body[1], times * (module.trips(instruction) or 1), True, cost)
        elif opcode == "conditional":  # the dearest branch
            branches = [list(_walk(module, branch, times, in_loop, cost)) for branch in called]
            yield from max(branches, key=lambda branch: sum(o.total for o in branch))
        elif opcode == "call":
            yield from _walk(module, called[0], times, in_loop, cost)
        elif opcode not in _FREE and (fields := cost(instruction)) is not None:
            yield Operation(instruction, times, in_loop, **fields)


def _cost(
    module: Module, instruction: Instruction, chip: Chip, sizes: frozenset[int], devices: int
) -> dict[str, Any] | None:
    """Fields of an operation; None of one that a TPU's scalar unit does on the way."""
    moved, products = _traffic(module, instruction), _products(module, instruction)
    flops = sum(product.flops for product in products)
    weights = any(product.size in sizes for product in products)
    fields: dict[str, Any] = {"flops": flops, "bytes": moved, "weights": weights}
    in_products = sum(product.flops / chip.peak[product.precision] for product in products)
    in_memory = moved / chip.bandwidth
    if instruction.opcode.removesuffix("-start") in COLLECTIVES:
        sent = 2 * (devices - 1) / devices * payload(instruction)
        seconds = sent / chip.interconnect + HOP * math.ceil(math.sqrt(devices))
        return fields | {"seconds": seconds, "bound": "collectives"}
    if instruction.opcode.endswith("-start"):
        return None
    if instruction.opcode.endswith("-done"):  # moved between the chip and its memory beside what else is computed
        moved = sum(a.bytes for a in instruction.arrays)
        return fields | {"bytes": moved, "seconds": 0.0, "bound": "memory"}
    if chip.platform == "tpu":
        near, bound = max((in_products, "products"), (in_memory, "memory"))
        if instruction.cycles is None:
            return (
                None
                if all(a.size <= _SCALARS for a in instruction.arrays)
                else fields | {"seconds": near, "bound": bound}
            )
        seconds = instruction.cycles / chip.clock
        if near < seconds / 2:
            bound = "part-filled products" if flops else "elementwise"
        return fields | {"seconds": seconds, "bound": bound}
    seconds, bound = max((LAUNCH, "launches"), (in_memory, "memory"), (in_products, "products"))
    return fields | {"seconds": seconds, "bound": bound}


def payload(collective: Instruction) -> float:
    """Bytes of a collective's result; what begins one that is waited for later has its operands beside it."""
    return sum(a.bytes for a in collective.arrays) / (2 if collective.opcode.endswith("-start") else 1)


class _Product(NamedTuple):
    """A convolution or matrix product: FLOPs, elements of the result, and in which of a chip's peaks it is counted."""

    flops: float
    size: int
    precision: str


def _products(module: Module, instruction: Instruction) -> list[_Product]:
    """Those within an instruction."""
    instructions = [instruction]
    for called in instruction.called:
        instructions += module.within(called)
    products = []
    for i in instructions:
        if i.opcode == "convolution":
            work = _convolution(module, i, i.arrays[0], i.operands[1])
        elif i.opcode == "dot":
            contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", i.attributes)
            work = _product(module, i, contracted[1] if contracted else "")
        elif i.target.startswith("__cudnn$conv"):
            work = _cudnn(module, i)
        elif i.target.startswith("__cublas"):
            contracted = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', i.attributes)
            work = _product(module, i, contracted[1] if contracted else "")
        else:
            continue
        products.append(_Product(work, i.arrays[0].size, _precision(module, i)))
    return products


def _precision(module: Module, instruction: Instruction) -> str:
    """That of a product's factors: of float32 in three passes where the program says so."""
    if module.instructions[instruction.operands[0]].arrays[0].dtype not in ("f32", "f64"):
        return "bfloat16"
    return "three passes" if "operand_precision={high," in instruction.attributes else "float32"


def _product(module: Module, instruction: Instruction, contracted: str) -> float:
    left_shape = module.instructions[instruction.operands[0]].arrays[0].shape
    terms = math.prod(left_shape[int(axis)] for axis in re.findall(r"\d+", contracted))
    return 2.0 * instruction.arrays[0].size * terms


def _convolution(module: Module, instruction: Instruction, result: Array, kernel: str) -> float:
    """Two FLOPs for each element of the result, position of the window and channel of a group."""
    labels = re.search(r"dim_labels=\w+_(\w+)->", instruction.attributes)
    window = re.search(r"window=\{size=([\dx]+)", instruction.attributes)
    dilated = re.search(r"lhs_dilate=([\dx]+)", instruction.attributes)
    assert labels is not None
    channels = module.instructions[kernel].arrays[0].shape[labels[1].index("i")]
    positions = math.prod(int(n) for n in window[1].split("x")) if window else 1
    zeros = math.prod(int(n) for n in dilated[1].split("x")) if dilated else 1
    return 2.0 * result.size * channels * positions / zeros


def _cudnn(module: Module, instruction: Instruction) -> float:
    """Of a call of cuDNN: the convolution that it is, or whose gradient it gives."""
    first, second = (module.instructions[name].arrays[0] for name in instruction.operands[:2])
    if instruction.target == "__cudnn$convBackwardFilter":
        result, kernel = second, instruction.arrays[0]
    elif instruction.target == "__cudnn$convBackwardInput":
        result, kernel = first, second
    else:
        result, kernel = instruction.arrays[0], second
    labels = re.search(r"dim_labels=\w+_(\w+)->", instruction.attributes)
    assert labels is not None
    terms = math.prod(n for n, label in zip(kernel.shape, labels[1], strict=True) if label != "o")
    return 2.0 * result.size * terms


def _traffic(module: Module, instruction: Instruction) -> float:
    """Bytes to and from the chip's memory: of what is only sliced, the slices."""
    if instruction.opcode in ("dynamic-slice", "slice", "gather"):
        return 2 * _off_chip(instruction.arrays)
    if instruction.opcode == "dynamic-update-slice":
        return 2 * _off_chip(module.instructions[instruction.operands[1]].arrays)
    read = [module.instructions[name].arrays for name in instruction.operands if name in module.instructions]
    written = _off_chip(instruction.arrays)
    if instruction.opcode != "fusion":
        return sum(map(_off_chip, read)) + written
    inside = module.computations[instruction.called[0]]
    total = 0.0
    for parameter in (i for i in inside if i.opcode == "parameter"):
        number = re.match(r"(\d+)\)", parameter.attributes)
        assert number is not None
        arrays = read[int(number[1])]
        uses = [i for i in inside if parameter.name in i.operands]
        opcodes = {i.opcode for i in uses if i.operands[0] == parameter.name}
        reads_all = not uses or any(i.operands[0] != parameter.name for i in uses)
        if not reads_all and opcodes <= {"dynamic-slice", "slice", "gather"}:
            total += min(_off_chip(arrays), sum(a.bytes for i in uses for a in i.arrays))
        elif not reads_all and opcodes == {"dynamic-update-slice"}:  # in place
            updated = [a for i in uses for a in module.instructions[i.operands[1]].arrays]
            written -= _off_chip(arrays) - sum(a.bytes for a in updated)
        else:
            total += _off_chip(arrays)
    return total + max(written, 0.0)


def _off_chip(arrays: tuple[Array, ...]) -> float:
    return sum(a.bytes for a in arrays if not a.on_chip)
