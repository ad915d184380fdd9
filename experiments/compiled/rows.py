"""The programs to compile: the rows of the throughput grid, and the training programs of the paper's studies."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from distill_jax.data.dataset import Dataset
from distill_jax.setting import changed
from experiments.compiled import studies
from experiments.compiled.program import Program, zeros
from experiments.throughput.grid import NETWORKS, Row, rows
from experiments.throughput.ours import setting_of

ALL, LOW = "kd-all-outcomes", "kd-bfloat16-teacher"
# Of so many chips with so many images each, batch normalisation over all of these, or over those of each chip.
SCALED, CHIPS, OF_EACH = "cifar-resnet20", 16, (64, 128, 1024)
BY_CHIP = "one-hot-norms-of-"


def programs() -> dict[str, Callable[[], Program]]:
    """By name: the throughput grid's rows, but for dumps, which are no programs, and those of the paper's studies."""
    grid = [row for row in rows("accelerator") if row.kind != "dump"]
    # Beside them distilled rows whose teacher's logits are there for all outcomes of augmentation, and whose teacher is
    # evaluated in bfloat16.
    distilled = [row for row in grid if row.kind == "kd" and NETWORKS[row.network].augments]
    variants = [dataclasses.replace(row, kind=ALL) for row in distilled]
    variants += [dataclasses.replace(row, kind=LOW) for row in distilled if row.dtype == "bfloat16"]
    shared = [Row(SCALED, kind, "bfloat16", CHIPS * n, 1) for n in OF_EACH for kind in ("one-hot", f"{BY_CHIP}{n}")]
    program_by_name = {row.name: functools.partial(of_row, row) for row in (*grid, *variants, *shared)}
    return dict(sorted(program_by_name.items())) | studies.programs()


def of_row(row: Row) -> Program:
    """The program of a row of the grid."""
    norm_examples = row.kind.removeprefix(BY_CHIP) if row.kind.startswith(BY_CHIP) else None
    plain = "kd" if row.kind in (ALL, LOW) else "one-hot" if norm_examples else row.kind
    kind = {"evaluate": "evaluate", "one-hot": "train without teacher"}.get(plain, "train")
    role = "teacher" if plain == "evaluate" else "student"
    setting = setting_of(dataclasses.replace(row, kind=plain))
    if row.kind == ALL:
        setting = changed(setting, run={"teacher_logits": "all-outcomes"})
    if row.kind == LOW:
        setting = changed(setting, objective={"teacher_precision": "bfloat16"})
    if norm_examples:
        setting = changed(setting, train={"norm_examples": int(norm_examples)})
    return Program(row.name, setting, shapes_alone(row.network), role, (row.population, 1), kind)


def shapes_alone(network: str) -> Dataset:
    """`zeros` of the shapes of a network's data."""
    spec = NETWORKS[network]
    images = len(spec.input_shape) == 3
    dtype = np.dtype(np.uint16 if spec.vocabulary is not None else np.uint8 if images else np.float32)
    return zeros(spec.splits("accelerator"), spec.input_shape, dtype, spec.classes, spec.vocabulary)
