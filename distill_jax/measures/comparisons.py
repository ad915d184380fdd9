"""Students against their teachers over the seeds of a study, with intervals: the basis of reports and verdicts.

Class and tenths of a seed's examples are chosen by the teacher of the next seed (of the last one by the first's), see
`deviations`. Not by all other teachers at once, though that would choose with less noise: which points are hard would
then depend on how many seeds there are, and a teacher's luck would enter its own seed's values and the choice of all
others, so that seeds were not independent. With the next one each seed's value has the mean 0 whatever the others are,
if nothing deviates, and Student's t over seeds holds from three on.

Two seeds choose for each other. What their teachers' luck has in common by chance is then in both values. They are
correlated by the share of a difference's variance that is luck of the teachers: at most one half, all of X's and none
of Y's in Y - X, or all of a student's and none of the control's in what is paired. With one degree of freedom a
correlation of one half makes t the square root of 3 times as large, and so much wider are the intervals of two seeds.
`experiments.null_world` counts how often verdicts are false.

Where all seeds have one teacher, which was given and not trained, there is no other. The next seed's control chooses
then: its luck is neither the teacher's nor a student's, and which points are hard to it is hard to the others too. But
the teacher's luck is then in every seed's X, and in what its students have inherited, and more seeds do not average it
away: it adds the same to all values. How much, students of one teacher cannot say. It is taken to be as much as a
control's luck makes a control's value vary, s_c: a mean of n values that vary by s for themselves then varies by
sqrt(s^2 / n + s_c^2), and so much wider are intervals than by s alone; the control's own ones sqrt(n + 1) times. In
Y - X a student that has the part r of its teacher's luck shares 1 - r of it, in what is paired r: never more than all.
A teacher whose luck is larger than a control's, as of a recipe that varies more, is not covered.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_jax.errors import InputError
from distill_jax.measures import deviations, slopes, statistics
from distill_jax.measures.deviations import Comparison, Points
from distill_jax.measures.interval import Interval
from distill_jax.students import CONTROL

if TYPE_CHECKING:
    from distill_jax.dumps import Dump

_SHARE, _CORRELATION = (0.0, 1.0), (-1.0, 1.0)
_POSSIBLE = {  # what is in a name, and between which values the truth then lies; the first that is there decides
    "correlation": _CORRELATION,
    "inherited_noise": _CORRELATION,
    **dict.fromkeys(("accuracy", "underfit", "share_", "agreement", "blocked", "fitted", "calibration"), _SHARE),
    "kl": (0.0, math.inf),
    "jensen_shannon": (0.0, math.log(2)),
}
_OF_STUDENT_ALONE = ("accuracy", "calibration_error", "mislabelled_fitted")  # parts of names; no teacher is in these
Read = Callable[[str, int], "Dump"]  # (model, seed) -> its dump of one split and step


def selecting_seed(seed: int, seeds: int) -> int | None:
    """The seed whose teacher chooses class and tenths for this one; None where there is no other.

    >>> [selecting_seed(seed, 3) for seed in range(3)], selecting_seed(0, 1)
    ([1, 2, 0], None)
    """
    return (seed + 1) % seeds if seeds > 1 else None


def compare(
    read: Read, students: Sequence[str], seeds: int, class_from: deviations.ClassFrom = "teacher"
) -> list[dict[str, Comparison]]:
    """Every student of every seed against that seed's teacher.

    >>> compared = compare(lambda model, seed: [teacher_of_seed_0, teacher_of_seed_1][seed], ["itself"], seeds=2)
    >>> [float(abs(by_student["itself"].crossed.y - by_student["itself"].crossed.x).max()) for by_student in compared]
    [0.0, 0.0]

    Args:
      read: gives the dumps; the model 'teacher' is the teacher.
      students: names of the others.
      seeds: number of seeds, 0..seeds-1.
      class_from: as of `deviations.compare`.

    Returns:
      For each seed the comparisons by student; by the paper's choice alone with one seed, and where seeds share a
      teacher and there is no control.

    Raises:
      InputError: as `deviations.compare`.
    """
    return _compare_seeds(read, students, seeds, class_from, columns=True)


def compare_points(
    read: Read, students: Sequence[str], seeds: int, class_from: deviations.ClassFrom = "teacher"
) -> list[dict[str, Comparison]]:
    """As `compare` with what `deviations.decisive` needs alone: three times as fast where examples are few.

    >>> compared = compare_points(lambda model, seed: [teacher_of_seed_0, teacher_of_seed_1][seed], ["itself"], seeds=2)
    >>> [float(deviations.decisive(by_student["itself"])["slope_instrumented"]) for by_student in compared]
    [1.0, 1.0]
    """
    return _compare_seeds(read, students, seeds, class_from, columns=False)


def _compare_seeds(
    read: Read, students: Sequence[str], seeds: int, class_from: deviations.ClassFrom, columns: bool
) -> list[dict[str, Comparison]]:
    """The comparisons of every seed; by the paper's choice with the columns of `PerExample`, or the points alone."""
    compared, shared, teachers = [], False, dict[bytes, int]()
    for seed in range(seeds):
        other = selecting_seed(seed, seeds)
        teacher, dumps = read("teacher", seed), [read(s, seed) for s in students]
        same = teachers.setdefault(hashlib.sha256(teacher.logits.tobytes()).digest(), seed)
        own_points: Sequence[Points]
        if columns:
            own_points = [deviations.per_example(teacher, dump, class_from) for dump in dumps]
        else:
            own_points = deviations.points(teacher, dumps, teacher, class_from)
        crossed_points: Sequence[Points | None] = [None] * len(dumps)
        selector = None
        if other is not None and not shared:
            selector = read("teacher", other)
            shared = seed == 0 and np.array_equal(teacher.logits, selector.logits)
        if (same != seed and not shared) or (shared and len(teachers) > 1):
            fault = "are the same for some seeds and not for others; give each seed one of its own, or all of them one"
            raise InputError("teachers", None, fault)
        if other is not None and shared:
            selector = read(CONTROL, other) if CONTROL in students else None
        if selector is not None:  # of all students at once, whose X and Z are the same
            crossed_points = deviations.points(teacher, dumps, selector, class_from)
        chosen = zip(students, own_points, crossed_points, strict=True)
        compared.append({s: Comparison(own, crossed, one_teacher=shared) for s, own, crossed in chosen})
    return pooled(compared)


def pooled(by_seed: Sequence[Mapping[str, Comparison]]) -> list[dict[str, Comparison]]:
    """The comparisons of every seed by student, with the spread of all seeds' points (`slopes.instrumented`).

    >>> points = [Points(np.arange(2), x, x, x, x, x) for x in (np.array([0.0, 2.0]), np.array([0.0, 4.0]))]
    >>> [by_student["kd"].spread for by_student in pooled([{"kd": Comparison(p, p)} for p in points])]
    [2.5, 2.5]
    """
    spreads = denominators(by_seed)
    spread = float(np.mean(spreads)) if spreads else None
    return [{s: dataclasses.replace(c, spread=spread) for s, c in by_student.items()} for by_student in by_seed]


def denominators(compared: Sequence[Mapping[str, Comparison]]) -> list[float]:
    """cov(Z, X) of each seed's crossed points, the instrumented slope's denominators; empty without these points.

    >>> points = [Points(np.arange(2), x, x, x, x, x) for x in (np.array([0.0, 2.0]), np.array([0.0, 4.0]))]
    >>> denominators([{"kd": Comparison(p, p)} for p in points])
    [1.0, 4.0]
    """
    crossed = [next(iter(by_student.values())).crossed for by_student in compared]
    return [slopes.covariance(points.z, points.x) for points in crossed if points is not None]


def interval(
    name: str,
    values: Sequence[float],
    crossed: bool,
    spreads: Sequence[float] = (),
    difference: bool = False,
    of_control: Sequence[float] | None = None,
) -> Interval:
    """The interval of one value per seed.

    The instrumented slope is a ratio of two means, and its interval Fieller's. It leaves out 1, or that of a difference
    leaves out 0, just where Student's t of its numerators does; where the denominator may be 0 it has no ends.

    >>> [round(interval("mean_gap_hard", [-1.0, 1.0], crossed).high, 2) for crossed in (False, True)]
    [12.71, 22.01]

    Args:
      name: of the value.
      values: of the seeds.
      crossed: whether another seed's teacher has chosen the points, by which that of two seeds is wider.
      spreads: of `denominators`, which the instrumented slope needs.
      difference: whether it is of the difference of two students.
      of_control: where all seeds have one teacher the control's values, by whose spread it is wider, unless it is of
        the student alone.
    """
    wider = math.sqrt(3) if crossed and len(values) == 2 else 1.0
    if of_control is not None and not any(part in name for part in _OF_STUDENT_ALONE):
        own, shared = np.var(values), np.var(of_control)
        wider *= math.sqrt(1 + len(values) * shared / own) if own > 0 and np.isfinite(shared) else 1.0
    if name != "slope_instrumented" or len(values) < 2:
        return statistics.over_seeds(values, wider)
    null_value = 0.0 if difference else 1.0
    ratio = statistics.ratio_of_means((np.asarray(values) - null_value) * np.mean(spreads), spreads, wider)
    return dataclasses.replace(
        ratio, mean=ratio.mean + null_value, low=ratio.low + null_value, high=ratio.high + null_value
    )


def intervals(
    compared: Sequence[Mapping[str, Comparison]],
    statistic: Callable[[Comparison, np.ndarray | None], Mapping[str, float]] = deviations.summarise,
    crossed: Collection[str] = deviations.CROSSED,
) -> dict[str, dict[str, Interval]]:
    """Named values of comparisons with 95% intervals over seeds, or over examples where there is one seed.

    >>> compared = compare(lambda model, seed: [teacher_of_seed_0, teacher_of_seed_1][seed], ["itself"], seeds=2)
    >>> print(intervals(compared)["itself"]["agreement"])
    1.00 [1.00, 1.00]

    Args:
      compared: of `compare`.
      statistic: of a comparison and of rows of the paper's choice, or None for all, the values by name.
      crossed: names of the values whose points another seed's teacher has chosen.

    Returns:
      [student][name], each with `per_seed` and, but for the control, `minus_control`, paired by seed. Shares stay
      within 0 and 1.
    """

    def seed_statistics(seed: int, rows: np.ndarray | None) -> dict[Hashable, float]:
        values = {s: statistic(comparison, rows) for s, comparison in compared[seed].items()}
        named_values: dict[Hashable, float] = {
            (s, name): v for s, by_name in values.items() for name, v in by_name.items()
        }
        for s, by_name in values.items():
            if s != CONTROL and CONTROL in values:
                named_values |= {(s, name, CONTROL): v - values[CONTROL][name] for name, v in by_name.items()}
        return named_values

    examples = len(next(iter(compared[0].values())).own.x)
    result: dict[str, dict[str, Interval]] = {s: {} for s in compared[0]}

    def within(key: Any) -> tuple[float, float]:
        return possible(key[1], len(key) > 2)

    spreads = denominators(compared)
    one_teacher = next(iter(compared[0].values())).one_teacher
    controls = [statistic(of[CONTROL], None) for of in compared] if one_teacher and CONTROL in compared[0] else []

    def over_seeds(key: Any, values: Sequence[float]) -> Interval:
        _, name, *minus = key
        # Without a control a student's own spread stands for its
        of_control = ([by_name[name] for by_name in controls] or values) if one_teacher else None
        return interval(name, values, name in crossed, spreads, bool(minus), of_control)

    for (s, name, *minus), value in statistics.intervals(
        seed_statistics, len(compared), examples, within, over_seeds
    ).items():
        if minus:  # after the value itself, by the order of `seed_statistics`
            result[s][name] = dataclasses.replace(result[s][name], minus_control=value)
        else:
            result[s][name] = value
    return result


def gaps_by_tenth(compared: Sequence[Mapping[str, Comparison]], crossed: bool) -> dict[str, list[Interval]]:
    """Mean gaps of every student in ten groups of examples from the hardest to the easiest, as intervals.

    >>> compared = compare(lambda model, seed: [teacher_of_seed_0, teacher_of_seed_1][seed], ["itself"], seeds=2)
    >>> [gap.mean for gap in gaps_by_tenth(compared, crossed=True)["itself"]]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    Args:
      compared: of `compare`.
      crossed: whether another seed's teacher chooses class and tenths, of which there must be one then.
    """

    def tenths(comparison: Comparison, rows: np.ndarray | None) -> dict[str, float]:
        points = comparison.crossed if crossed else comparison.own
        assert points is not None
        return {str(i): v for i, v in enumerate(deviations.gap_by_decile(points, rows))}

    gaps = intervals(compared, tenths, [str(i) for i in range(10)] if crossed else [])
    return {s: list(by_tenth.values()) for s, by_tenth in gaps.items()}


def inherited_noise(read: Read, students: Sequence[str], seeds: int) -> dict[str, Interval]:
    """How far each student follows its teacher's luck, by `deviations.inherited_noise`.

    Over pairs of seeds that share none, so that they are independent: seeds 0 and 1, 2 and 3, ...; `per_seed` has a
    value for each pair. Empty with one seed, and where seeds share a teacher, whose luck nothing tells from the rest.

    >>> noise = inherited_noise(lambda model, seed: [teacher_of_seed_0, teacher_of_seed_1][seed], ["itself"], seeds=2)
    >>> round(noise["itself"].mean, 3)
    1.0
    """
    values: dict[str, list[float]] = {s: [] for s in students}
    for seed in range(0, seeds - 1, 2):
        teachers = read("teacher", seed), read("teacher", seed + 1)
        if seed == 0 and np.array_equal(teachers[0].logits, teachers[1].logits):
            return {}
        for s in students:
            values[s].append(deviations.inherited_noise(teachers, (read(s, seed), read(s, seed + 1))))
    bounds, difference_bounds = (possible("inherited_noise", difference) for difference in (False, True))
    correlations: dict[str, Interval] = {}
    for s, pair_values in values.items():
        if not pair_values:
            continue
        minus_control = None
        if s != CONTROL and CONTROL in values:
            minus_control = statistics.over_pairs(np.subtract(pair_values, values[CONTROL]).tolist(), difference_bounds)
        correlations[s] = dataclasses.replace(statistics.over_pairs(pair_values, bounds), minus_control=minus_control)
    return correlations


@functools.cache
def possible(name: str, difference: bool) -> tuple[float, float]:
    """Between which values a statistic lies, or the difference of two.

    >>> possible("agreement", difference=False), possible("agreement", difference=True)
    ((0.0, 1.0), (-1.0, 1.0))
    """
    low, high = next((ends for part, ends in _POSSIBLE.items() if part in name), (-math.inf, math.inf))
    return (low - high, high - low) if difference else (low, high)
