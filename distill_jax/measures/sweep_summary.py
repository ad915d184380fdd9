"""Summary of a sweep: each student's accuracy and deviations, and their differences from the control's."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.dumps import Dump, dump_path, read_dump
from distill_jax.measures import comparisons, deviations, statistics
from distill_jax.students import CONTROL
from distill_jax.training.population import Member

_SELECTED = ("mean_gap_hard", "underfit_fraction_hard")


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
      test accuracy in [0, 1], gap and share underfit of the hard points of either split (chosen by another seed's
      teacher, with one seed by the student's own), gap on mislabelled ones;
      each with mean, low, high, n, level, per_seed and, paired by seed, `minus_control`.

    Raises:
      InputError: a dump is missing or damaged.
    """
    names = [m.name for m in members]
    compared, correct = {}, []
    for split in ("test", "train"):

        def read(model: str, seed: int, split: str = split) -> Dump:
            return read_dump(dump_path(workdir, model, seed, step, split))

        compared[split] = comparisons.compare(read, names, seeds)
    for seed in range(seeds):
        of_seed = {name: read_dump(dump_path(workdir, name, seed, step, "test")) for name in names}
        correct.append({name: dump.logits.argmax(axis=1) == dump.true_label for name, dump in of_seed.items()})

    def statistic(split: str, seed: int, rows: np.ndarray | None) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, comparison in compared[split][seed].items():
            if split == "test":
                chosen = slice(None) if rows is None else rows
                found[f"{name}/test_accuracy"] = float(correct[seed][name][chosen].mean())
            values = deviations.summarise(comparison, rows)
            found |= {f"{name}/{split}_{k}": deviations.preferred(values, k) for k in _SELECTED}
            if "mean_gap_mislabelled" in values:
                found[f"{name}/{split}_mean_gap_mislabelled"] = values["mean_gap_mislabelled"]
        differences = {
            f"{key}/minus_control": value - found[f"{CONTROL}/{key.split('/')[1]}"] for key, value in found.items()
        }
        return found | differences

    values = {}
    for split in compared:  # each by rows of its own, where there is one seed
        examples = len(compared[split][0][CONTROL].own.x)
        values |= statistics.intervals(partial(statistic, split), seeds, examples, _within, _over_seeds)
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


def _within(key: str) -> tuple[float, float]:
    return comparisons.possible(key.split("/")[1], key.endswith("/minus_control"))


def _over_seeds(key: str, values: Sequence[float]) -> statistics.Interval:
    return comparisons.interval(key, values, crossed=any(name in key for name in _SELECTED))
