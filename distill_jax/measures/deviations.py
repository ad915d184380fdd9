"""Deviations of a student's probabilities from its teacher's, example by example and summed up (section 3.1).

All of it is in phi space, phi(u) = log(u / (1 - u)). X is phi of the teacher's probability of one class, Y is phi of
the student's probability of that same class. An example is underfit where Y < X; its gap is Y - X. Hard examples are
a tenth of all, easy ones another, and somebody must choose the class and the tenths:

- As in the paper the student's own teacher does: the class is the one it predicts (of section C.2.2 the true one), hard
  examples are the tenth with the lowest X. Then its luck is chosen with them: where this teacher erred low, a second
  model trained alike has Y > X, and where it erred high Y < X, though neither deviates systematically. On training
  points, which models fit, there is little of it; on test points it is as large as what one looks for. A student has
  inherited some of its teacher's luck, a control none, so that the control does not remove it.
- Cross-fitted, a teacher of another seed chooses both. To it teacher and control are two draws of one kind, so that the
  control's mean gap is 0 and its slope 1, and what a student shows beside that is its own. It takes two seeds.

Cross-fitted, the class need not be the one that the student's own teacher predicts. On training points, which are
fitted, it nearly always is, on hard test points it may be in half of them or fewer. Where it is not, X is low, and a
student that is softer everywhere has Y > X, though it is sure of less. So a gap is of that class alone: who is surer is
said by the confidence gap, of each model's own most probable class, at the same points.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from distill_jax.errors import InputError
from distill_jax.measures import fidelity, slopes

if TYPE_CHECKING:
    from distill_jax.dumps import Dump

BINS = 15  # of the calibration error, equally wide in confidence
ClassFrom = Literal["teacher", "true"]
TENTHS = ("underfit_fraction_hard", "underfit_fraction_easy", "mean_gap_hard", "mean_gap_easy")
CONFIDENCE = ("confidence_gap_hard", "confidence_gap_easy", "share_same_class_hard")
CROSSED = (*TENTHS, "slope_instrumented", *CONFIDENCE)  # at points that another seed's teacher has chosen
_BLOCK = 8192  # examples turned to float64 at once
_Value = TypeVar("_Value")


def phi(logits: Float[np.ndarray, "N K"], index: Int[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """log(p / (1 - p)) of the softmax probability p of one class in each row (section 3.1).

    It is z_k - logsumexp of the other logits, in float64, and so exact where p itself rounds to 0 or 1.

    >>> phi(np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]]), np.array([0, 0, 0])).tolist()
    [0.0, 50.0, -50.0]

    Args:
      logits: [N, K], K >= 2.
      index: integer [N], the class in each row.

    Returns:
      float64 [N].

    Raises:
      ValueError: fewer than two classes.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"phi needs two classes or more, logits are of shape {logits.shape}")
    result = np.empty(len(logits))
    for start in range(0, len(logits), _BLOCK):
        z = logits[start : start + _BLOCK].astype(np.float64)
        entries = np.arange(len(z)), index[start : start + _BLOCK]
        own_logit = z[entries]
        z[entries] = -np.inf
        top = z.max(axis=1)
        result[start : start + _BLOCK] = own_logit - top - np.log(np.exp(z - top[:, None]).sum(axis=1))
    return result


@dataclasses.dataclass(frozen=True)
class Points:
    """Teacher against student, one entry for each example, [N] each, from the hardest to the easiest.

    >>> x, y = np.zeros(2), np.array([-1.0, 1.0])
    >>> examples = Points(row=np.arange(2), x=x, y=y, z=x, x_top=x, y_top=abs(y))
    >>> float((examples.y < examples.x).mean())
    0.5

    Attributes:
      row: the example's place in the dumps.
      x, y: phi of teacher and of student.
      z: phi of the teacher that chose the class and by which they are sorted; x where that is the student's own.
      x_top, y_top: phi of teacher and of student, each of its own most probable class.
    """

    row: Int[np.ndarray, " N"]
    x: Float[np.ndarray, " N"]
    y: Float[np.ndarray, " N"]
    z: Float[np.ndarray, " N"]
    x_top: Float[np.ndarray, " N"]
    y_top: Float[np.ndarray, " N"]

    def in_dumps_order(self, values: np.ndarray) -> np.ndarray:
        """Values of the examples, [N] in the order of these points, in that of the dumps."""
        ordered = np.empty_like(values)
        ordered[self.row] = values
        return ordered


@dataclasses.dataclass(frozen=True)
class PerExample(Points, fidelity.Fidelity):
    """Teacher against student as in the paper, sorted by X, with the attributes of `fidelity.Fidelity`.

    >>> examples = per_example(teacher_of_seed_0, student_of_seed_0)
    >>> bool((np.diff(examples.x) >= 0).all()), int(examples.mislabelled.sum())
    (True, 0)

    Attributes:
      id: the example.
      x_label, y_label: phi of teacher and of student of the label as training saw it.
      teacher_correct, correct: whether teacher and student predict the label, as training saw it.
      mislabelled: whether that label is not the true one.
    """

    id: Int[np.ndarray, " N"]
    x_label: Float[np.ndarray, " N"]
    y_label: Float[np.ndarray, " N"]
    teacher_correct: Bool[np.ndarray, " N"]
    correct: Bool[np.ndarray, " N"]
    mislabelled: Bool[np.ndarray, " N"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A student against its teacher, by either choice of class and tenths.

    >>> own, = points(teacher_of_seed_0, [student_of_seed_0], teacher_of_seed_0)
    >>> Comparison(own).best is own
    True

    Attributes:
      own: chosen by the student's own teacher, as in the paper; with the columns of `PerExample` if by `compare`.
      crossed: chosen by a teacher of another seed; None where there is none.
      spread: cov(Z, X) of the crossed points of all seeds together, see `slopes.instrumented`; None for these alone.
      one_teacher: whether all seeds have this teacher.
    """

    own: Points
    crossed: Points | None = None
    spread: float | None = None
    one_teacher: bool = False

    @property
    def best(self) -> Points:
        """The cross-fitted points, or those of the paper's choice where there are no others."""
        return self.own if self.crossed is None else self.crossed


def compare(
    teacher: Dump, student: Dump, selector: Dump | None = None, class_from: ClassFrom = "teacher"
) -> Comparison:
    """Compares two dumps of the same split.

    >>> comparison = compare(teacher_of_seed_0, student_of_seed_0, selector=teacher_of_seed_1)
    >>> [bool((chosen.z == chosen.x).all()) for chosen in (comparison.own, comparison.crossed)]
    [True, False]

    Args:
      teacher, student: dumps with the same ids in the same order.
      selector: of a teacher of another seed, which the cross-fitted choice is made by.
      class_from: the class X and Y are about: the one that who chooses predicts, or the true one (section C.2.2).

    Raises:
      InputError: as `per_example`.
    """
    own = per_example(teacher, student, class_from)
    return Comparison(own, None if selector is None else points(teacher, [student], selector, class_from)[0])


def points(teacher: Dump, students: Sequence[Dump], selector: Dump, class_from: ClassFrom = "teacher") -> list[Points]:
    """Some students of one teacher at the points of one who chooses class and order, who may be that teacher itself.

    >>> crossed, = points(teacher_of_seed_0, [teacher_of_seed_0], selector=teacher_of_seed_1)
    >>> float(abs(crossed.y - crossed.x).max()), bool((np.diff(crossed.z) >= 0).all())
    (0.0, True)

    Args:
      teacher, students, selector: dumps with the same ids in the same order.
      class_from: as of `compare`.

    Raises:
      InputError: as `per_example`.
    """
    for dump in students:
        _check_pair(teacher, dump)
    _check_pair(teacher, selector, another_seed=True)
    _check_class_from(class_from)
    index = selector.logits.argmax(axis=1) if class_from == "teacher" else selector.true_label
    dumps = [selector, *students] if selector is teacher else [selector, *students, teacher]
    # All at once, which for few examples takes little longer than one
    phi_by_dump = phi(np.concatenate([dump.logits for dump in dumps]), np.tile(index, len(dumps))).reshape(
        len(dumps), -1
    )
    for dump, finite in zip(dumps, np.atleast_1d(np.isfinite(phi_by_dump).all(axis=1)), strict=True):
        if not finite:
            raise InputError(
                _named(dump), None, "holds logits that are not finite; the training behind it has diverged"
            )
    row = np.argsort(phi_by_dump[0], kind="stable")
    z, *ys = np.take(phi_by_dump, row, axis=1)
    x = z if selector is teacher else ys.pop()
    logits = np.concatenate([dump.logits for dump in (*students, teacher)])
    *y_tops, x_top = np.take(phi(logits, logits.argmax(axis=1)).reshape(-1, len(row)), row, axis=1)
    return [Points(row, x, y, z, x_top, y_top) for y, y_top in zip(ys, y_tops, strict=True)]


def per_example(teacher: Dump, student: Dump, class_from: ClassFrom = "teacher") -> PerExample:
    """Compares two dumps of the same split as the paper does.

    >>> from distill_jax.dumps import Dump
    >>> twice, once = (Dump.of([[z * n, 0.0] for n in range(10)], [0] * 10, model="mine") for z in (2.0, 1.0))
    >>> (per_example(twice, once).y - per_example(twice, once).x).tolist()
    [0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0]

    Args:
      teacher, student, class_from: as of `compare`.

    Raises:
      InputError: the dumps are not of the same examples or classes, hold fewer than ten examples, or hold
        logits that are not finite.
    """
    _check_class_from(class_from)
    _check_pair(teacher, student)
    if not all(np.isfinite(dump.logits).all() for dump in (teacher, student)):
        pair = f"{_named(teacher)} and {_named(student)}"
        raise InputError(pair, None, "hold logits that are not finite; the training behind them has diverged")
    predicted, guess = teacher.logits.argmax(axis=1), student.logits.argmax(axis=1)
    index = predicted if class_from == "teacher" else teacher.true_label
    x, y = phi(teacher.logits, index), phi(student.logits, index)
    columns = vars(fidelity.per_example(teacher, student)) | {
        "row": np.arange(len(x)),
        "x": x,
        "y": y,
        "z": x,
        "id": teacher.id,
        "x_label": phi(teacher.logits, teacher.label),
        "y_label": phi(student.logits, teacher.label),
        "x_top": x if class_from == "teacher" else phi(teacher.logits, predicted),
        "y_top": phi(student.logits, guess),
        "teacher_correct": predicted == teacher.label,
        "correct": guess == teacher.label,
        "mislabelled": teacher.label != teacher.true_label,
    }
    order = np.argsort(x, kind="stable")
    return PerExample(**{name: column[order] for name, column in columns.items()})


def _check_class_from(class_from: str) -> None:
    if class_from not in (known := typing.get_args(ClassFrom)):
        raise InputError("class_from", repr(class_from), f"must be {' or '.join(map(repr, known))}")


def summarise(comparison: Comparison, rows: np.ndarray | None = None) -> dict[str, float]:
    """The statistics of `deviations`, of some rows of the paper's choice, int [n] [default: all].

    >>> statistics = summarise(compare(teacher_of_seed_0, teacher_of_seed_0))
    >>> statistics["mean_gap_hard_as_in_paper"], statistics["slope_theil_sen"], statistics["agreement"]
    (0.0, 1.0, 1.0)
    """
    e = comparison.own
    if rows is not None:  # sorted rows are sorted by x, as the tenths need
        rows = np.sort(rows)
        e = PerExample(**{f.name: getattr(e, f.name)[rows] for f in dataclasses.fields(e)})
    assert isinstance(e, PerExample)  # points alone have not what follows
    result = decisive(dataclasses.replace(comparison, own=e))
    bins = np.minimum((e.confidence * BINS).astype(int), BINS - 1)
    excess = np.bincount(bins, weights=e.confidence - e.correct, minlength=BINS)
    result |= {
        "slope_theil_sen": slopes.theil_sen(e.x, e.y, every=1 if rows is None else 20),
        "calibration_error": np.abs(excess).sum() / len(e.x),
    }
    result |= fidelity.summarise(e)
    if e.mislabelled.any():
        gap, gap_as_in_paper = ((y - x)[e.mislabelled] for x, y in ((e.x_label, e.y_label), (e.x, e.y)))
        result |= {
            "mean_gap_mislabelled": gap.mean(),
            "mean_gap_mislabelled_as_in_paper": gap_as_in_paper.mean(),
            "underfit_fraction_mislabelled": (gap < 0).mean(),
            "mislabelled_fitted": e.correct[e.mislabelled].mean(),
        }
    return {name: float(value) for name, value in result.items()}


def decisive(comparison: Comparison) -> dict[str, float]:
    """Those of the statistics of `deviations` that the verdicts on a student's deviations are made by.

    >>> from distill_jax.dumps import Dump
    >>> twice, once = (Dump.of([[z * n, 0.0] for n in range(10)], [0] * 10, model="mine") for z in (2.0, 1.0))
    >>> round(decisive(compare(twice, once))["slope_least_squares"], 3)
    0.5
    """
    own, crossed = comparison.own, comparison.crossed
    result = {f"{name}_as_in_paper": value for name, value in _tenths(own).items()}
    if crossed is not None:
        slope = slopes.instrumented(crossed.x, crossed.y, crossed.z, comparison.spread)
        result |= _tenths(crossed) | {"slope_instrumented": float(slope)} | _confidence(crossed)
    return result | {"slope_least_squares": slopes.least_squares(own.x, own.y)}


def deviations(
    teacher: Dump, student: Dump, selector: Dump | None = None, class_from: ClassFrom = "teacher"
) -> dict[str, float]:
    """Statistics of a student's deviations from its teacher on one split (section 3.1; `class_from`: C.2.2).

    Args:
      teacher, student, selector, class_from: as of `compare`.

    Returns:
      underfit_fraction_hard_as_in_paper, underfit_fraction_easy_as_in_paper: share of hard and of easy examples with
        Y < X, class and tenth chosen by the student's own teacher.
      mean_gap_hard_as_in_paper, mean_gap_easy_as_in_paper: mean of Y - X over them, in phi space (nats).
      The same four names without `_as_in_paper`, with a selector: class and tenth are chosen by it.
      slope_instrumented, with a selector: slope of Y on X by its phi, see `slopes.instrumented`.
      confidence_gap_hard, confidence_gap_easy, with a selector: mean over its hard and easy examples of phi of the
        student's own most probable class less phi of the teacher's: who is surer, in phi space (nats).
      share_same_class_hard, with a selector: share of its hard examples in which the teacher predicts its class.
      slope_least_squares, slope_theil_sen: of Y on X as in the paper; noise in X brings both nearer to 0. Theil and
        Sen's over all examples or a fixed draw of `slopes.POINTS` of them.
      Those of `fidelity.summarise`: agreement, kl and others of all classes.
      calibration_error: expected calibration error of the student, against the label as training saw it.
      And where some labels are not the true ones:
      mean_gap_mislabelled, underfit_fraction_mislabelled: as above, over the mislabelled examples; the class is the
        label they were given, which no model has chosen.
      mean_gap_mislabelled_as_in_paper: the same of the class that the teacher predicts.
      mislabelled_fitted: share of them on which the student predicts the wrong label it was given.

    Raises:
      InputError: as `per_example`.

    Example:
      >>> deviations(teacher_of_seed_0, student_of_seed_0, selector=teacher_of_seed_1)["mean_gap_hard"]
      0.47...
    """
    return summarise(compare(teacher, student, selector, class_from))


def preferred(values: Mapping[str, _Value], name: str) -> _Value:
    """The cross-fitted value of this name, or that of the paper's choice where there is one seed and so no other.

    >>> preferred({"mean_gap_hard": 0.1, "mean_gap_hard_as_in_paper": 0.3}, "mean_gap_hard")
    0.1
    >>> preferred({"mean_gap_hard_as_in_paper": 0.3}, "mean_gap_hard")
    0.3
    """
    return values[name] if name in values else values[f"{name}_as_in_paper"]


def _tenths(points: Points) -> dict[str, float]:
    gap = points.y - points.x
    hard, easy = (gap[part] for part in _hard_and_easy(len(gap)))
    values = (hard < 0).mean(), (easy < 0).mean(), hard.mean(), easy.mean()
    return dict(zip(TENTHS, values, strict=True))


def _confidence(crossed: Points) -> dict[str, float]:
    """How sure teacher and student are, each of its own class, at points that another seed's teacher has chosen.

    Of these the teacher's and the control's most probable classes are two draws of one kind, too.
    """
    gap = crossed.y_top - crossed.x_top
    hard, easy = _hard_and_easy(len(gap))
    is_same = crossed.x >= crossed.x_top - 1e-9  # the class's phi is the greatest
    return dict(zip(CONFIDENCE, (gap[hard].mean(), gap[easy].mean(), is_same[hard].mean()), strict=True))


def _hard_and_easy(count: int) -> tuple[slice, slice]:
    return slice(-(-count // 10)), slice(-(count // 10), None)  # as `np.array_split` does


def tenth(count: int) -> Int[np.ndarray, " N"]:
    """Which tenth of so many examples each is in, from the hardest, 1, to the easiest, 10.

    >>> tenth(12).tolist()
    [1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    return np.repeat(np.arange(1, 11), [len(part) for part in np.array_split(np.arange(count), 10)])


def gap_by_decile(points: Points, rows: Int[np.ndarray, " n"] | None = None) -> Float[np.ndarray, 10]:
    """Mean of Y - X in each tenth of the examples from the hardest to the easiest, float64 [10].

    >>> x, y = np.zeros(20), np.arange(20.0)
    >>> gap_by_decile(Points(np.arange(20), x, y, x, x_top=x, y_top=y)).tolist()
    [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 18.5]
    """
    gap = points.y - points.x
    gap = gap if rows is None else gap[np.sort(rows)]
    return np.array([part.mean() for part in np.array_split(gap, 10)])


def by_who_is_right(examples: PerExample) -> dict[str, Bool[np.ndarray, " N"]]:
    """The four parts of a comparison by who predicts the label (section C.2.2), bool [N] each; no two overlap.

    >>> parts = by_who_is_right(per_example(teacher_of_seed_0, student_of_seed_0))
    >>> list(parts), int(sum(part.sum() for part in parts.values()))
    (['both', 'only_student', 'only_teacher', 'neither'], 40)
    """
    teacher, student = examples.teacher_correct, examples.correct
    return {
        "both": teacher & student,
        "only_student": ~teacher & student,
        "only_teacher": teacher & ~student,
        "neither": ~teacher & ~student,
    }


def inherited_noise(teachers: tuple[Dump, Dump], students: tuple[Dump, Dump]) -> float:
    """How far what differs between two students follows what differs between their teachers, from -1 to 1.

    It is 0 for a student that has none of its teacher's luck. It has no scale: a student with a tenth of that luck and
    no other has 1, one with all of it and as much of its own 0.7. It is the correlation over examples, in phi of the
    true class, of the difference of two seeds' teachers with that of their students; NaN where one of them is constant.

    >>> teachers = teacher_of_seed_0, teacher_of_seed_1
    >>> round(inherited_noise(teachers, teachers), 3), round(inherited_noise(teachers, teachers[::-1]), 3)
    (1.0, -1.0)

    Raises:
      InputError: the dumps are not of the same examples or classes.
    """
    for dump in (teachers[1], *students):
        _check_pair(teachers[0], dump, another_seed=True)
    teacher_difference, student_difference = (
        phi(first.logits, teachers[0].true_label) - phi(second.logits, teachers[0].true_label)
        for first, second in (teachers, students)
    )
    a, b = teacher_difference - teacher_difference.mean(), student_difference - student_difference.mean()
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread else float("nan")


def _named(dump: Dump) -> str:
    text = " ".join(str(dump.attributes.get(k, "")) for k in ("model", "seed", "split"))
    return f"dump ({text})"


def _check_pair(teacher: Dump, other: Dump, another_seed: bool = False) -> None:
    """Checks that two dumps are of the same examples; those of another seed may have other noise in their labels."""

    def pair() -> str:
        return f"teacher {_named(teacher)} and other {_named(other)}"

    if not np.array_equal(teacher.id, other.id) or teacher.logits.shape != other.logits.shape:
        raise InputError(pair(), None, "differ in their examples or classes; give dumps of one split of one data set")
    names = ("true_label",) if another_seed else ("true_label", "label")
    differing = next((name for name in names if not np.array_equal(getattr(teacher, name), getattr(other, name))), None)
    if differing is not None:
        count = int(np.sum(getattr(teacher, differing) != getattr(other, differing)))
        raise InputError(
            pair(),
            None,
            f"have the same ids, but another {differing} in {count} of {len(teacher.id)} examples; give dumps of "
            "one split of one data set",
        )
    if len(teacher.id) < 10:
        raise InputError(pair(), None, f"hold {len(teacher.id)} examples; hard and easy tenths need 10 or more")
