"""Which examples, seeds and steps an explorer shows: all, or what a report has room for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from distill_jax.measures import comparisons, deviations
from distill_jax.measures.study_summary import SPLITS
from distill_jax.students import TEACHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distill_jax.dumps import Dump, DumpReader
    from distill_jax.measures.study_summary import StudySummary

GALLERY = 24  # examples of a gallery
SEEDS, STEPS = 4, 9  # most that a report has room for
ROOM = 1_100_000  # bytes of numbers before they are compressed; in the page they take less
_PER_PREDICTION, _PER_MODEL, _PER_EXAMPLE = 3, 6, 24  # bytes: Y and guess; three classes with shares; id, labels, X


@dataclasses.dataclass(frozen=True)
class Shown:
    """What an explorer shows.

    Attributes:
      seeds, steps: which; the last step is always among them.
      rows: places in the dumps by split, int [n], ascending.
      extremes: how many of these are in a gallery, by split; the others are a random part. None where all are shown.
    """

    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    rows: dict[str, np.ndarray]
    extremes: dict[str, int] | None = None


@dataclasses.dataclass(frozen=True)
class Selection:
    """Who chooses the class that X and Y are about, and the hard tenth, of one seed and split.

    Attributes:
      chosen: int [N], the class.
      hard: bool [N].
      x: float64 [N], phi of the teacher.
      y: float64 [N] by student, phi of these at the last step.
    """

    chosen: Int[np.ndarray, " N"]
    hard: Bool[np.ndarray, " N"]
    x: Float[np.ndarray, " N"]
    y: dict[str, Float[np.ndarray, " N"]]


def everything(read: DumpReader, summary: StudySummary) -> Shown:
    """All examples, seeds and steps.

    Raises:
      InputError: a dump is missing or damaged.
    """
    last = summary.study.total_steps
    sizes = {split: len(read(TEACHER, 0, last, split).label) for split in SPLITS}
    return Shown(tuple(range(summary.study.seeds)), _steps(summary), {s: np.arange(n) for s, n in sizes.items()})


def part(read: DumpReader, summary: StudySummary, room: int = ROOM) -> Shown:
    """What a report has room for: all examples of the first seeds, or those in galleries and a random part.

    Of several seeds at most half of what there is room for is in galleries; fewer seeds are shown otherwise.

    Args:
      read: of the study's dumps.
      summary: of it.
      room: bytes of numbers.

    Raises:
      InputError: a dump is missing or damaged.
    """
    full, students = everything(read, summary), len(summary.study.students)
    steps = _spread(full.steps, STEPS)
    total = sum(map(len, full.rows.values()))
    extremes, most, seeds = {split: np.zeros(0, np.int64) for split in SPLITS}, total, 1
    for seeds in range(min(SEEDS, len(full.seeds)), 0, -1):
        by_seed = students * len(steps) * _PER_PREDICTION + (students + 1) * _PER_MODEL + _PER_EXAMPLE
        most = room // (seeds * by_seed)
        if most >= total:
            return Shown(full.seeds[:seeds], steps, full.rows)
        extremes = {split: _extremes(read, summary, seeds, split) for split in SPLITS}
        if sum(map(len, extremes.values())) <= most // 2:
            break
    rows, generator = {}, np.random.default_rng(0)
    for split in SPLITS:
        others = np.setdiff1d(full.rows[split], extremes[split])
        share = most * len(full.rows[split]) // total - len(extremes[split])
        drawn = generator.choice(others, min(max(share, 0), len(others)), replace=False)
        rows[split] = np.union1d(extremes[split], drawn)
    return Shown(full.seeds[:seeds], steps, rows, {split: len(extremes[split]) for split in SPLITS})


def selections(read: DumpReader, summary: StudySummary, seed: int, split: str) -> dict[str, Selection]:
    """The choice by the student's own teacher, 'own', and 'other' by another seed's where there is one.

    That is the teacher, or where all seeds have one the control, of `comparisons.selecting_seed`.

    Raises:
      InputError: as `deviations.points`.
    """
    last = read.at(summary.study.total_steps, split)
    teacher, other = last(TEACHER, seed), comparisons.selecting_seed(seed, summary.study.seeds)
    selectors = {"own": teacher}
    if other is not None:
        selectors["other"] = last(summary.study.selecting, other)
    dumps = {name: last(name, seed) for name in summary.study.students}
    return {name: _selection(teacher, dumps, selector) for name, selector in selectors.items()}


def _selection(teacher: Dump, students: dict[str, Dump], selector: Dump) -> Selection:
    found = deviations.points(teacher, list(students.values()), selector)
    first = found[0]
    hard = first.in_dumps_order(deviations.tenth(len(first.x)) == 1)
    y = {name: points.in_dumps_order(points.y) for name, points in zip(students, found, strict=True)}
    return Selection(selector.logits.argmax(axis=1), hard, first.in_dumps_order(first.x), y)


def galleries(
    gap: Float[np.ndarray, " N"],
    teacher: Int[np.ndarray, " N"],
    student: Int[np.ndarray, " N"],
    label: Int[np.ndarray, " N"],
    true_label: Int[np.ndarray, " N"],
) -> dict[str, Int[np.ndarray, " n"]]:
    """The rows of each gallery, at most `GALLERY`, by the gap Y - X: the most underfit first, of 'overfit' last.

    >>> five = np.arange(5)
    >>> found = galleries(np.array([0.3, -1, 0.1, 2, -3]), five, five[::-1], five[::-1], five)
    >>> found["underfit"].tolist(), found["teacher_right"].tolist()
    ([4, 1, 2, 0, 3], [4, 1, 0, 3])

    Args:
      gap: Y - X.
      teacher, student: classes that they predict.
      label, true_label: as training saw it, and before noise.
    """
    order = np.argsort(gap, kind="stable")
    teacher_right, right = teacher == true_label, student == true_label
    among = {
        "underfit": np.isfinite(gap),
        "teacher_wrong": ~teacher_right & right,
        "teacher_right": teacher_right & ~right,
        "found": (label != true_label) & right,
    }
    rows = {name: order[mask[order]][:GALLERY] for name, mask in among.items()}
    return rows | {"overfit": order[::-1][:GALLERY]}


def _extremes(read: DumpReader, summary: StudySummary, seeds: int, split: str) -> np.ndarray:
    """The rows that are in a gallery of any student and seed at the last step, by either selection."""
    last, rows = read.at(summary.study.total_steps, split), []
    for seed in range(seeds):
        teacher = last(TEACHER, seed)
        for selection in selections(read, summary, seed, split).values():
            for name, y in selection.y.items():
                guess = last(name, seed).logits.argmax(axis=1)
                labels = teacher.label, teacher.true_label
                found = galleries(y - selection.x, teacher.logits.argmax(axis=1), guess, *labels)
                rows += found.values()
    return np.unique(np.concatenate(rows))


def _steps(summary: StudySummary) -> tuple[int, ...]:
    """The steps of which every student has a dump of every seed."""
    by_student = [set(summary.trajectories[s]["train_accuracy"].step) for s in summary.study.students]
    return tuple(sorted(set.intersection(*by_student)))


def _spread(steps: Sequence[int], most: int) -> tuple[int, ...]:
    """At most so many steps, evenly among all, the last included."""
    places = np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int))
    return tuple(steps[i] for i in places)
