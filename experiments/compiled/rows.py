"""What is compiled: the rows of the throughput grid, and the training programs of the paper's studies."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from distill_jax.data.dataset import Dataset, Split, Vocabulary
from distill_jax.programs import Programs, Target
from distill_jax.setting import Setting
from experiments.presets import changed
from experiments.throughput.grid import NETWORKS, Row, rows

ALL = "kd-all-outcomes"


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
    """By name: the throughput grid's rows, but for dumps, which are no programs, and those of the paper's studies."""
    from experiments.compiled import studies

    grid = [row for row in rows("accelerator") if row.kind != "dump"]
    # Beside them distilled rows whose teacher's logits are there for all outcomes of augmentation.
    also = [dataclasses.replace(row, kind=ALL) for row in grid if row.kind == "kd" and NETWORKS[row.network].augments]
    found = {row.name: functools.partial(of_row, row) for row in (*grid, *also)}
    return dict(sorted(found.items())) | studies.programs()


def of_row(row: Row) -> Program:
    """The program of a row of the grid."""
    from experiments.throughput.ours import setting_of

    kind = {"evaluate": "evaluate", "one-hot": "train without teacher"}.get(row.kind, "train")
    role = "teacher" if row.kind == "evaluate" else "student"
    setting = setting_of(dataclasses.replace(row, kind="kd") if row.kind == ALL else row)
    if row.kind == ALL:
        setting = changed(setting, run={"teacher_logits": "all-outcomes"})
    return Program(row.name, setting, shapes_alone(row.network), role, (row.population, 1), kind)


def shapes_alone(network: str) -> Dataset:
    """`zeros` of the shapes of a network's data."""
    of = NETWORKS[network]
    images = len(of.input_shape) == 3
    dtype = np.dtype(np.uint16 if of.vocabulary is not None else np.uint8 if images else np.float32)
    return zeros(of.splits("accelerator"), of.input_shape, dtype, of.classes, of.vocabulary)


def zeros(
    examples: tuple[int, int],
    input_shape: tuple[int, ...],
    dtype: np.dtype,
    classes: int,
    vocabulary: Vocabulary | None,
) -> Dataset:
    """A data set that takes no memory, of so many training and test examples, all 0.

    Texts are of a token that is no padding, all as long as can be: one program, the longest.
    """
    fill = 0 if vocabulary is None or vocabulary.pad != 0 else 1

    def array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(fill, dtype), shape)

    def split(count: int) -> Split:
        return Split(
            array((count, *input_shape), dtype), *(array((count,), of) for of in (np.int32, np.int32, np.int64))
        )

    mean = std = None
    if vocabulary is None:
        mean, std = (np.ones(input_shape[-1:], np.float32),) * 2
    train, test = map(split, examples)
    return Dataset("zeros", train, test, classes, mean, std, vocabulary=vocabulary)
