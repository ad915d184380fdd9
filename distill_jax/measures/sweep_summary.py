"""Summary of a sweep: each student's accuracy and deviations, and their differences from the control's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_jax.dumps import DumpReader
from distill_jax.measures import comparisons, deviations, statistics
from distill_jax.measures.interval import Interval
from distill_jax.students import CONTROL

if TYPE_CHECKING:
    from distill_jax.training.population import Member

_SELECTED = ("mean_gap_hard", "underfit_fraction_hard")
_Key = tuple[str, str, bool]  # student, statistic, whether less the control's


@dataclasses.dataclass(frozen=True)
class SweptStudent:
    """A student of a sweep.

    >>> accuracy = {"test_accuracy": Interval(0.9, 0.8, 1.0, 3, "seeds")}
    >>> print(SweptStudent("kd@temperature=2", "kd", {"temperature": 2.0}, accuracy).statistics["test_accuracy"])
    0.90 [0.80, 1.00]

    Attributes:
      name, model: its own, and that of its kind.
      settings: its value of each field that can be swept.
      statistics: test accuracy in [0, 1], gap and share underfit of the hard points of either split (chosen by another
        seed's teacher, with one seed by the student's own), gap on mislabelled ones; each with `per_seed` and, paired
        by seed, `minus_control`.
    """

    name: str
    model: str
    settings: dict[str, Any]
    statistics: dict[str, Interval]


@dataclasses.dataclass(frozen=True)
class SweepSummary:
    """The results of a sweep: the fields that differ, and all its students.

    >>> students = [SweptStudent(f"kd@temperature={t}", "kd", {"temperature": t}, {}) for t in (1, 2)]
    >>> [student.name for student in SweepSummary(["temperature"], students).students]
    ['kd@temperature=1', 'kd@temperature=2']
    """

    fields: list[str]
    students: list[SweptStudent]


def summarise(
    read: DumpReader, members: Sequence[Member], own: Mapping[str, float], seeds: int, step: int
) -> SweepSummary:
    """The students of a sweep at one step.

    Args:
      read: of their dumps, and their teachers', of seeds 0..seeds-1.
      members: the students of one seed, see `sweep.students`.
      own: the study's own value of each field that can be swept.
      seeds: number of seeds.
      step: whose dumps are read.

    Raises:
      InputError: a dump is missing or damaged.
    """
    names = [m.name for m in members]
    compared, correct = {}, []
    for split in ("test", "train"):
        compared[split] = comparisons.compare(read.at(step, split), names, seeds)
    for seed in range(seeds):
        dumps = {name: read(name, seed, step, "test") for name in names}
        correct.append({name: dump.logits.argmax(axis=1) == dump.true_label for name, dump in dumps.items()})

    def statistic(split: str, seed: int, rows: np.ndarray | None) -> dict[_Key, float]:
        named_values: dict[_Key, float] = {}
        for name, comparison in compared[split][seed].items():
            if split == "test":
                chosen = slice(None) if rows is None else rows
                named_values[name, "test_accuracy", False] = float(correct[seed][name][chosen].mean())
            values = deviations.summarise(comparison, rows)
            named_values |= {(name, f"{split}_{k}", False): deviations.preferred(values, k) for k in _SELECTED}
            if "mean_gap_mislabelled" in values:
                named_values[name, f"{split}_mean_gap_mislabelled", False] = values["mean_gap_mislabelled"]
        differences = {
            (name, measure, True): value - named_values[CONTROL, measure, False]
            for (name, measure, _), value in named_values.items()
        }
        return named_values | differences

    values: dict[_Key, Interval] = {}
    for split in compared:  # each by rows of its own, where there is one seed
        examples = len(compared[split][0][CONTROL].own.x)
        controls = None
        if compared[split][0][CONTROL].one_teacher:
            controls = [statistic(split, seed, None) for seed in range(seeds)]
        over_seeds = partial(_over_seeds, controls)
        values |= statistics.intervals(partial(statistic, split), seeds, examples, _possible, over_seeds)
    students = []
    for member in members:
        student_statistics = {
            measure: dataclasses.replace(value, minus_control=values[name, measure, True])
            for (name, measure, is_difference), value in values.items()
            if name == member.name and not is_difference
        }
        changed = dict(member.changes)
        settings = {field: changed.get(field, value) for field, value in own.items()}
        students.append(SweptStudent(member.name, member.model, settings, student_statistics))
    swept = dict.fromkeys(field for member in members for field, _ in member.changes)
    return SweepSummary(list(swept), students)


def _possible(key: _Key) -> tuple[float, float]:
    return comparisons.possible(key[1], key[2])


def _over_seeds(of_seeds: Sequence[Mapping[_Key, float]] | None, key: _Key, values: Sequence[float]) -> Interval:
    crossed = any(name in key[1] for name in _SELECTED)
    of_control = None if of_seeds is None else [of[CONTROL, key[1], False] for of in of_seeds]
    return comparisons.interval(key[1], values, crossed, of_control=of_control)
