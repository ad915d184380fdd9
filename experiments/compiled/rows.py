"""The programs to compile: the rows of the throughput grid, and the training programs of the paper's studies."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

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
NORMS = "-norms-of-"
# Batches in shards, and the same networks without; where there is batch normalisation, over the examples of each shard.
SHARDS = 4
SHARDED = {"cifar-resnet20": (128, 1024), "digits-mlp": (128,), "mnli-roberta-base": (64,)}


def programs() -> dict[str, Callable[[], Program]]:
    """By name: the throughput grid's rows, but for dumps, which are no programs, and those of the paper's studies."""
    grid = [row for row in rows("accelerator") if row.kind != "dump"]
    # Beside them distilled rows whose teacher's logits are there for all outcomes of augmentation, and whose teacher is
    # evaluated in bfloat16.
    distilled = [row for row in grid if row.kind == "kd" and NETWORKS[row.network].augments]
    variants = [dataclasses.replace(row, kind=ALL) for row in distilled]
    variants += [dataclasses.replace(row, kind=LOW) for row in distilled if row.dtype == "bfloat16"]
    shared = [
        Row(SCALED, kind, "bfloat16", CHIPS * n, 1) for n in OF_EACH for kind in ("one-hot", f"one-hot{NORMS}{n}")
    ]
    whole = list(of_whole_batches())
    program_by_name = {row.name: functools.partial(of_row, row) for row in (*grid, *variants, *shared, *whole)}
    program_by_name |= {f"{row.name}/shards{SHARDS}": functools.partial(of_row, row, SHARDS) for row in whole}
    return dict(sorted(program_by_name.items())) | studies.programs()


def of_whole_batches() -> Iterator[Row]:
    """The rows that there are with batches in shards too, by names that end in 'shards4'."""
    for network, batches in SHARDED.items():
        for kind, batch in itertools.product(("one-hot", "kd"), batches):
            norms = f"{NORMS}{batch // SHARDS}" if NETWORKS[network].convolutional else ""
            yield Row(network, f"{kind}{norms}", "bfloat16", batch, 1)


def of_row(row: Row, shards: int | None = None) -> Program:
    """The program of a row of the grid, its batches whole or in shards."""
    of, _, norm_examples = row.kind.partition(NORMS)
    plain = "kd" if of in (ALL, LOW) else of
    kind = {"evaluate": "evaluate", "one-hot": "train without teacher"}.get(plain, "train")
    role = "teacher" if plain == "evaluate" else "student"
    setting = setting_of(dataclasses.replace(row, kind=plain))
    if row.kind == ALL:
        setting = changed(setting, run={"teacher_logits": "all-outcomes"})
    if row.kind == LOW:
        setting = changed(setting, objective={"teacher_precision": "bfloat16"})
    if norm_examples:
        setting = changed(setting, train={"norm_examples": int(norm_examples)})
    name = row.name
    if shards is not None:
        setting, name = changed(setting, train={"batch_shards": shards}), f"{name}/shards{shards}"
    return Program(name, setting, shapes_alone(row.network), role, (row.population, 1), kind)


def shapes_alone(network: str) -> Dataset:
    """`zeros` of the shapes of a network's data."""
    spec = NETWORKS[network]
    images = len(spec.input_shape) == 3
    dtype = np.dtype(np.uint16 if spec.vocabulary is not None else np.uint8 if images else np.float32)
    return zeros(spec.splits("accelerator"), spec.input_shape, dtype, spec.classes, spec.vocabulary)
