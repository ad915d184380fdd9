"""What became of a sweep: each student's accuracy and deviations, and their differences from the control's."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax import deviations, statistics
from distill_jax.dumps import dump_path, read_dump
from distill_jax.population import Member

CONTROL = Member("one_hot", 0).name


def summarise(
    workdir: Path, members: Sequence[Member], own: Mapping[str, float], seeds: int, step: int
) -> dict[str, Any]:
    """The students of a sweep at one step.

    Args:
      workdir: folder with their dumps, and their teachers', of seeds 0..seeds-1.
      members: the students of one seed, see `sweep.students`.
      own: the study's own value of each field that can be swept.
      seeds: number of seeds.
      step: whose dumps are read.

    Returns:
      'fields': those swept. 'students': for each its `name`, `model`, the value of each field, and `statistics`:
      test accuracy in [0, 1], gap and share underfit of the hard points of either split, gap on mislabelled ones;
      each with mean, low, high, n, level, per_seed and, paired by seed, `minus_control`.

    Raises:
      InputError: a dump is missing or damaged.
    """
    splits = "test", "train"
    compared, correct = [], []  # by seed, then by name
    for seed in range(seeds):
        teachers = {split: read_dump(dump_path(workdir, "teacher", seed, step, split)) for split in splits}
        compared.append({})
        correct.append({})
        for name in [m.name for m in members]:
            of_it = {split: read_dump(dump_path(workdir, name, seed, step, split)) for split in teachers}
            compared[-1][name] = {s: deviations.per_example(teachers[s], of_it[s]) for s in teachers}
            correct[-1][name] = of_it["test"].logits.argmax(axis=1) == of_it["test"].true_label

    def statistic(split: str, seed: int, rows: np.ndarray | None) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, of_it in compared[seed].items():
            if split == "test":
                chosen = slice(None) if rows is None else rows
                found[f"{name}/test_accuracy"] = float(correct[seed][name][chosen].mean())
            values = deviations.summarise(of_it[split], rows)
            kept = ("mean_gap_hard", "underfit_fraction_hard", "mean_gap_mislabelled")
            found |= {f"{name}/{split}_{k}": values[k] for k in kept if k in values}
        differences = {
            f"{key}/minus_control": value - found[f"{CONTROL}/{key.split('/')[1]}"] for key, value in found.items()
        }
        return found | differences

    values = {}
    for split in splits:  # each by rows of its own, where there is one seed
        examples = len(compared[0][CONTROL][split].x)
        values |= statistics.intervals(partial(statistic, split), seeds, examples)
    students = []
    for member in members:
        of_it: dict[str, Any] = {}
        for key, value in values.items():
            name, what, *minus = key.split("/")
            if name == member.name:
                of_it |= {what: of_it.get(what, {}) | ({"minus_control": value} if minus else value)}
        changed = dict(member.changes)
        fields = {field: changed.get(field, value) for field, value in own.items()}
        students.append({"name": member.name, "model": member.model, **fields, "statistics": of_it})
    swept = dict.fromkeys(field for member in members for field, _ in member.changes)
    return {"fields": list(swept), "students": students}
