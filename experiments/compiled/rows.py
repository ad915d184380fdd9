"""What is compiled: the rows of the throughput grid, and the training programs of the paper's studies."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from distill_jax.data.dataset import Dataset, Split
from distill_jax.programs import Programs, Target
from distill_jax.setting import Setting
from experiments.throughput.grid import NETWORKS, Row, rows


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to compile.

    Attributes:
      name: what names it on the command line and in files.
      setting: of its study.
      dataset: of which only shapes and types matter.
      role: 'teacher' or 'student'.
      shape: seeds and students of each.
      kind: 'train', 'train without teacher' or 'evaluate'.
    """

    name: str
    setting: Setting
    dataset: Dataset
    role: str
    shape: tuple[int, int]
    kind: str

    @property
    def precision(self) -> str:
        """In which its products are computed: evaluation is always in float32."""
        return "float32" if self.kind == "evaluate" else self.setting.train.precision

    def traced(self, target: Target) -> tuple[Any, Programs, int]:
        """The program traced, to be lowered for its devices, what it is of, and the steps of a call."""
        precision = "highest" if self.precision == "float32" else "default"
        with jax.default_matmul_precision(precision):
            programs = Programs(self.setting, self.dataset, self.role, self.shape, target)
            if self.kind == "evaluate":
                return programs.trace_evaluation("test"), programs, 1
            taught, steps = self.kind == "train", programs.steps_per_dispatch
            return programs.lowerable(taught, steps).trace(*programs.arguments_like(taught, steps)), programs, steps


def programs() -> dict[str, Callable[[], Program]]:
    """By name, the rows of the throughput grid, but for dumps, which are no programs."""
    return {row.name: functools.partial(of_row, row) for row in rows("accelerator") if row.kind != "dump"}


def of_row(row: Row) -> Program:
    """The program of a row of the grid."""
    from experiments.throughput.ours import setting_of

    kind = {"evaluate": "evaluate", "one-hot": "train without teacher"}.get(row.kind, "train")
    role = "teacher" if row.kind == "evaluate" else "student"
    return Program(row.name, setting_of(row), shapes_alone(row.network), role, (row.population, 1), kind)


def shapes_alone(network: str) -> Dataset:
    """A data set of zeros that take no memory, of the shapes of a network's."""
    of = NETWORKS[network]
    images = len(of.input_shape) == 3
    dtype = np.dtype(np.uint16 if of.vocabulary is not None else np.uint8 if images else np.float32)
    # Texts of tokens that are no padding, all as long as can be: one program, the longest.
    fill = 0 if of.vocabulary is None or of.vocabulary.pad != 0 else 1
    mean = std = None
    if of.vocabulary is None:
        mean, std = (np.ones(of.input_shape[-1:], np.float32),) * 2
    train, test = (_zeros(count, of.input_shape, dtype, fill) for count in of.splits("accelerator"))
    return Dataset("zeros", train, test, of.classes, mean, std, vocabulary=of.vocabulary)


def _zeros(examples: int, input_shape: tuple[int, ...], dtype: np.dtype, fill: int) -> Split:
    def array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(fill, dtype), shape)

    return Split(
        array((examples, *input_shape), dtype), *(array((examples,), t) for t in (np.int32, np.int32, np.int64))
    )
