"""A program to compile, with data of which there are only the shapes."""

import dataclasses
from typing import Any

import jax
import numpy as np

from distill_jax.data.dataset import Dataset, Split, Vocabulary
from distill_jax.setting import Setting
from distill_jax.training.programs import Programs, Target


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

    def traced(self, target: Target) -> tuple[Any, Programs, int]:
        """The program traced, to be lowered for its devices, what it is of, and the steps of a call."""
        precision = "highest" if self.setting.train.precision == "float32" else "default"
        with jax.default_matmul_precision(precision):
            programs = Programs(self.setting, self.dataset, self.role, self.shape, target)
            if self.kind == "evaluate":
                return programs.trace_evaluation("test"), programs, 1
            with_teacher, steps = self.kind == "train", programs.steps_per_dispatch
            return (
                programs.jitted_steps(with_teacher, steps).trace(*programs.arguments_like(with_teacher, steps)),
                programs,
                steps,
            )


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
            array((count, *input_shape), dtype),
            *(array((count,), column_dtype) for column_dtype in (np.int32, np.int32, np.int64)),
        )

    mean = std = None
    if vocabulary is None:
        mean, std = (np.ones(input_shape[-1:], np.float32),) * 2
    train, test = map(split, examples)
    return Dataset("zeros", train, test, classes, mean, std, vocabulary=vocabulary)
