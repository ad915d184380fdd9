"""Accuracies of a study's models: at the end with intervals and paired differences, and in the course of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from distill_jax.dumps import DumpReader
from distill_jax.measures import statistics
from distill_jax.measures.interval import Interval
from distill_jax.students import CONTROL, KD, SWITCHED, TEACHER

_PAIRS = {"kd_to_one_hot": (KD, CONTROL)}  # with which a student's accuracy is compared, where not with (CONTROL, KD)
Place = tuple[str, int, int, str]  # model, seed, step, split: which dump
Hits = Mapping[tuple[str, str, int], Sequence[np.ndarray]]  # measure, model, step: of each seed who is right, [N]


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """One measure of accuracy at the last step, in [0, 1].

    >>> accuracy = Interval(0.9, 0.8, 1.0, 3, "seeds")
    >>> print(Accuracy({"kd": accuracy}, {"kd_minus_one_hot": accuracy.minus(0.75)}).paired["kd_minus_one_hot"])
    0.15 [0.05, 0.25]

    Attributes:
      models: of the teacher and each student.
      paired: differences, paired by seed: 'a_minus_b' of `pairs`, and of a switched student 'a_minus_middle', less the
        middle between the control and the distilled student.
      gain_recovered: share of distillation's gain over the control that a switched student has, 0 the control and 1 kd.
    """

    models: dict[str, Interval]
    paired: dict[str, Interval]
    gain_recovered: dict[str, Interval] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """A model's accuracy against step: means over n seeds with their 95% intervals, entry by entry; NaN for no end.

    >>> line = Trajectory(3, step=[0, 600], mean=[0.1, 0.9], low=[0.1, 0.8], high=[0.1, 1.0])
    >>> dict(zip(line.step, line.mean))
    {0: 0.1, 600: 0.9}
    """

    n: int
    step: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def hits(places: Collection[Place], seeds: int, read: DumpReader) -> tuple[Hits, dict[str, int]]:
    """Which examples each dump has right, of the steps that all seeds have; and sizes.

    Measures are test_accuracy, by true labels; train_accuracy, by the labels as training saw them; and where some of
    these are wrong train_accuracy_true. Sizes are classes, train_examples, train_mislabelled and those of the test set.

    >>> import pathlib, tempfile
    >>> from distill_jax.dumps import save_dump
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_dump(folder, teacher_of_seed_0)
    ...     hits([("mine", 0, 0, "test")], seeds=1, read=DumpReader(pathlib.Path(folder)))[1]
    {'test_examples': 40, 'classes': 4, 'test_mislabelled': 0}

    Raises:
      InputError: a dump is damaged.
    """
    correct: dict[tuple[str, str, int], list[np.ndarray]] = {}
    sizes: dict[str, int] = {}
    for model, seed, step, split in sorted(places):
        if any((model, k, step, split) not in places for k in range(seeds)):
            continue  # a snapshot that not all seeds have would compare different seeds
        dump = read(model, seed, step, split)
        guess, noisy = dump.logits.argmax(axis=1), dump.label != dump.true_label
        label = dump.label if split == "train" else dump.true_label
        correct.setdefault((f"{split}_accuracy", model, step), []).append(guess == label)
        if noisy.any() and split == "train":
            correct.setdefault(("train_accuracy_true", model, step), []).append(guess == dump.true_label)
        if not seed:
            sizes |= {f"{split}_examples": len(guess), "classes": dump.logits.shape[1]}
            sizes |= {f"{split}_mislabelled": int(noisy.sum())}
    return correct, sizes


def pairs(students: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of models whose difference in accuracy is reported, first minus second.

    >>> pairs(["one_hot", "kd", "dkd"])
    [('kd', 'one_hot'), ('dkd', 'one_hot'), ('dkd', 'kd'), ('kd', 'teacher')]
    """
    others = [s for s in students if s not in (CONTROL, KD)]
    other_pairs = [(s, other) for s in others for other in _PAIRS.get(s, (CONTROL, KD))]
    return [(KD, CONTROL), *other_pairs, (KD, TEACHER)]


def accuracies(right: Hits, models: Sequence[str], seeds: int, step: int) -> dict[str, Accuracy]:
    """Each measure of accuracy at one step, over seeds or, of one seed, over examples.

    >>> hits_of = {"teacher": 4, "one_hot": 2, "kd": 3}  # of four examples, in each of two seeds
    >>> right = {("test_accuracy", model, 9): [np.arange(4) < n] * 2 for model, n in hits_of.items()}
    >>> accuracies(right, list(hits_of), seeds=2, step=9)["test_accuracy"].paired["kd_minus_one_hot"].mean
    0.25

    Args:
      right: of `hits`.
      models: the teacher, then the students, the control and the distilled one among them.
      seeds: number of seeds.
      step: of which.
    """
    switched = [s for s in SWITCHED if s in models]
    by_measure: dict[str, Accuracy] = {}
    for measure in sorted({measure for measure, _, _ in right}):

        def statistic(seed: int, rows: np.ndarray | None, measure: str = measure) -> dict[str, float]:
            selected = slice(None) if rows is None else rows
            mean = {model: float(right[measure, model, step][seed][selected].mean()) for model in models}
            middle = (mean[CONTROL] + mean[KD]) / 2  # half of distillation's gain
            mean |= {f"{s}_minus_middle": mean[s] - middle for s in switched}
            return mean | {f"{a}_minus_{b}": mean[a] - mean[b] for a, b in pairs(models[1:])}

        examples = len(right[measure, TEACHER, step][0])
        values = statistics.intervals(statistic, seeds, examples, _possible)
        by_measure[measure] = Accuracy(
            {model: values[model] for model in models},
            {name: value for name, value in values.items() if "_minus_" in name},
            {s: _recovered(values[f"{s}_minus_{CONTROL}"], values[f"{KD}_minus_{CONTROL}"]) for s in switched},
        )
    return by_measure


def _possible(name: str) -> tuple[float, float]:
    return (-1.0 if "_minus_" in name else 0.0), 1.0


def _recovered(gain: Interval, full_gain: Interval) -> Interval:
    return statistics.ratio_of_means(gain.per_seed, full_gain.per_seed)


def trajectories(right: Hits, models: Sequence[str], seeds: int) -> dict[str, dict[str, Trajectory]]:
    """Accuracy against step, [model][measure].

    >>> right = {("test_accuracy", "kd", step): [np.arange(4) < n] for step, n in ((0, 1), (600, 3))}
    >>> trajectories(right, ["kd"], seeds=1)["kd"]["test_accuracy"].mean
    [0.25, 0.75]
    """
    by_model: dict[str, dict[str, Trajectory]] = {model: {} for model in models}
    for (measure, model, step), correct in sorted(right.items(), key=lambda item: item[0]):
        value = statistics.over_seeds([float(seed_correct.mean()) for seed_correct in correct])
        trajectory = by_model[model].setdefault(measure, Trajectory(seeds, [], [], [], []))
        trajectory.step.append(step)
        trajectory.mean.append(value.mean)
        trajectory.low.append(value.low)
        trajectory.high.append(value.high)
    return by_model
