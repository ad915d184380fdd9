"""What is compiled: the rows of the throughput grid, and the training programs of the paper's studies."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from distill_jax.data.dataset import Dataset
from experiments.compiled import studies
from experiments.compiled.program import Program, zeros
from experiments.presets import changed
from experiments.throughput.grid import NETWORKS, Row, rows
from experiments.throughput.ours import setting_of

ALL = "kd-all-outcomes"


def programs() -> dict[str, Callable[[], Program]]:
    """By name: the throughput grid's rows, but for dumps, which are no programs, and those of the paper's studies."""
    grid = [row for row in rows("accelerator") if row.kind != "dump"]
    # Beside them distilled rows whose teacher's logits are there for all outcomes of augmentation.
    also = [dataclasses.replace(row, kind=ALL) for row in grid if row.kind == "kd" and NETWORKS[row.network].augments]
    found = {row.name: functools.partial(of_row, row) for row in (*grid, *also)}
    return dict(sorted(found.items())) | studies.programs()


def of_row(row: Row) -> Program:
    """The program of a row of the grid."""
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
