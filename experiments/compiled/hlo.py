"""The text of an optimised program (HLO), parsed as far as a profile needs it."""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence

_BYTES = {
    "pred": 1,
    "s4": 0.5,
    "u4": 0.5,
    "s8": 1,
    "u8": 1,
    "s16": 2,
    "u16": 2,
    "bf16": 2,
    "f16": 2,
    "s32": 4,
    "u32": 4,
}
_BYTES |= {"f32": 4, "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16, "token": 0, "f8e4m3fn": 1, "f8e5m2": 1}
_INSTRUCTION = re.compile(r"(ROOT )?%([\w.\-]+) = ")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%([\w.\-]+)")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclasses.dataclass(frozen=True)
class Array:
    """The type of one array: dtype, shape, and whether it is in the chip's own fast memory (VMEM), not in HBM."""

    dtype: str
    shape: tuple[int, ...]
    on_chip: bool

    @property
    def size(self) -> int:
        """Its elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> float:
        """Its bytes, without padding."""
        return self.size * _BYTES[self.dtype]


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
      name: unique in its module.
      opcode: as 'fusion' or 'custom-call'.
      arrays: its result, a tuple's parts in order.
      operands: names of instructions.
      called: names of computations: of a fusion, of a loop its body and condition, of a conditional its branches.
      attributes: all that follows the operands.
      is_root: whether it is what its computation gives.
    """

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    called: tuple[str, ...]
    attributes: str
    is_root: bool

    @property
    def source(self) -> str:
        """Path of names in the traced Python code, such as 'jit(f)/while/body/jvp(ResNet)/stem/conv'; or ''."""
        match = re.search(r'op_name="((?:[^"\\]|\\.)*)"', self.attributes)
        return match[1].replace("\\'", "'") if match else ""

    @property
    def target(self) -> str:
        """Of a custom call the library's function; ''."""
        match = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return match[1] if match else ""

    @property
    def cycles(self) -> int | None:
        """The TPU compiler's own estimate; None where it has none."""
        match = re.search(r'"estimated_cycles":"(\d+)"', self.attributes)
        return int(match[1]) if match else None


@dataclasses.dataclass(frozen=True)
class Module:
    """A program: its computations by name, each a sequence of instructions in the order in which they run."""

    computations: Mapping[str, Sequence[Instruction]]
    entry: str

    @functools.cached_property
    def instructions(self) -> dict[str, Instruction]:
        """All of them, by name."""
        return {i.name: i for computation in self.computations.values() for i in computation}

    def trips(self, loop: Instruction) -> int | None:
        """How often the body of a `while` runs; None where the program does not say."""
        match = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.attributes)
        if match:
            return int(match[1])
        condition = re.search(r"condition=%([\w.\-]+)", loop.attributes)
        instructions = list(self.within(condition[1])) if condition else []
        bounds = [
            re.match(r"(\d+)\)", i.attributes) for i in instructions if i.opcode == "constant" and not i.arrays[0].shape
        ]
        limits = [int(bound[1]) for bound in bounds if bound]
        return limits[0] if len(limits) == 1 and any("direction=LT" in i.attributes for i in instructions) else None

    def unknown_loops(self) -> int:
        """How many loops there are of which the program does not say how often they run."""
        return sum(i.opcode == "while" and self.trips(i) is None for i in self.instructions.values())

    def within(self, computation: str) -> Iterator[Instruction]:
        """The instructions of a computation and of all that it calls."""
        for instruction in self.computations[computation]:
            yield instruction
            for called in instruction.called:
                yield from self.within(called)


def parse(text: str) -> Module:
    """The module of `compiled.as_text()`.

    Raises:
      ValueError: it has no entry: this is no HLO.
    """
    computations: dict[str, list[Instruction]] = {}
    current, entry = None, ""
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY")) and line.rstrip().endswith("{"):
            head = _COMPUTATION.match(line)
            assert head is not None
            current = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (instruction := _instruction(line.strip())) is not None:
            current.append(instruction)
    if not entry:
        raise ValueError("no ENTRY in the text of a program")
    return Module(computations, entry)


def _instruction(line: str) -> Instruction | None:
    head = _INSTRUCTION.match(line)
    if head is None:
        return None
    start = head.end()
    end = _closing(line, start) if line[start] == "(" else start
    kind = _OPCODE.search(line, end if line[start] == "(" else line.index(" ", start))
    assert kind is not None
    opened = kind.end() - 1
    closed = _closing(line, opened)
    inner, rest = line[opened + 1 : closed - 1], line[closed:]
    if kind[1] in ("constant", "parameter"):  # what is in the parentheses is a value or a number
        operands, rest = (), f"{inner}){rest}"
    else:
        operands = tuple(re.findall(r"%([\w.\-]+)", inner))
    branches = _BRANCHES.search(rest)
    called = _CALLED.findall(rest) + (re.findall(r"%([\w.\-]+)", branches[1]) if branches else [])
    arrays = tuple(
        Array(dtype, tuple(int(n) for n in shape.split(",") if n), "S(1)" in layout)
        for dtype, shape, layout in _ARRAY.findall(line[start : kind.start(1)])
        if dtype in _BYTES
    )
    return Instruction(head[2], kind[1], arrays, operands, tuple(called), rest, bool(head[1]))


def _closing(line: str, opened: int) -> int:
    """The place after the parenthesis that closes the one at `opened`."""
    depth = 0
    for index in range(opened, len(line)):
        depth += {"(": 1, ")": -1}.get(line[index], 0)
        if depth == 0:
            return index + 1
    raise ValueError(f"unbalanced parentheses in {line[:80]!r}")
