"""A program to compile, with data of which there are only the shapes."""

import dataclasses
from typing import Any

import jax
import numpy as np

from distill_jax.data.dataset import Dataset, Split, Vocabulary
from distill_jax.setting import Setting
from distill_jax.training.programs import Programs, Target
from distill_jax.training.shards import Jitted, JittedShards


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

    def traced(self, target: Target) -> "Traced":
        """The program traced, to be lowered for its devices; of batches in shards, those that a step calls."""
        precision = "highest" if self.setting.train.precision == "float32" else "default"
        with jax.default_matmul_precision(precision):
            programs = Programs(self.setting, self.dataset, self.role, self.shape, target)
            devices = programs.mesh.size
            if self.kind == "evaluate":
                return Traced((Call("evaluation", (programs.trace_evaluation("test"),), 1, devices),), programs, 1)
            with_teacher, steps = self.kind == "train", programs.steps_per_dispatch
            if self.setting.train.batch_shards is not None:
                shards = programs.jitted_shards(with_teacher, steps)
                return Traced(_of_a_step(shards), programs, 1, shards.beside)
            block = programs.jitted_steps(with_teacher, steps).trace(*programs.arguments_like(with_teacher, steps))
            return Traced((Call("steps", (block,), 1, devices),), programs, steps)


@dataclasses.dataclass(frozen=True)
class Call:
    """A program that a call of a block of steps, or a step in shards, calls.

    Attributes:
      name: what it does.
      traced: it, to be lowered for its devices; and for others of which each is to have the same.
      times: how often a device calls it.
      devices: on how many one program runs.
    """

    name: str
    traced: tuple[Any, ...]
    times: int
    devices: int


@dataclasses.dataclass(frozen=True)
class Traced:
    """What is to be compiled of a program.

    Attributes:
      calls: one after another.
      of: whose they are.
      steps: that all these calls make together.
      beside: bytes of a device that are taken beside the largest of them.
    """

    calls: tuple[Call, ...]
    of: Programs
    steps: int
    beside: int = 0


def _of_a_step(shards: JittedShards) -> tuple[Call, ...]:
    """The calls of a device in a step; programs of one device for the first and the last that share a batch."""
    mesh = shards.mesh
    ends = mesh.devices.ravel()[[0, -1] if mesh.size > 1 else [0]]

    def of_one(name: str, jitted: Jitted, times: int) -> Call:
        return Call(name, tuple(jitted.trace(device) for device in ends), times, 1)

    sums = [of_one("sum", shards.add, shards.on_device - 1)] if shards.on_device > 1 else []
    exchange = [Call("exchange", (shards.exchange.trace(shards.vector),), 1, mesh.size)] if mesh.size > 1 else []
    return of_one("gradient", shards.of_shard, shards.on_device), *sums, *exchange, of_one("update", shards.moved, 1)


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
