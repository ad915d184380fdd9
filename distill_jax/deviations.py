"""How a student's probabilities deviate from its teacher's, example by example and summed up (section 3.1).

All of it is in phi space, phi(u) = log(u / (1 - u)). X is phi of the teacher's probability of one class, Y is
phi of the student's probability of that same class; the class is the one the teacher predicts, as in section
3.1, or the true one, as in section C.2.2. Hard examples are the tenth with the lowest X, easy ones the tenth
with the highest. An example is underfit where Y < X; its gap is Y - X.

A hard example is hard by the luck of one teacher too, so another model of the same kind already has Y > X
there on average. No deviation means anything before the same number for the control, a second one-hot model,
is beside it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np

from distill_jax.errors import InputError

if TYPE_CHECKING:
    from distill_jax.dumps import Dump

BINS = 15  # of the calibration error, equally wide in confidence
SLOPE_POINTS = 1000  # half a million pairs; more would change the slope by less than its interval
_BLOCK = 8192  # examples turned to float64 at once


def phi(logits: np.ndarray, index: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of the softmax probability p of one class in each row (section 3.1).

    It is z_k - logsumexp of the other logits, in float64, and so exact where p itself rounds to 0 or 1.

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
        at = np.arange(len(z)), index[start : start + _BLOCK]
        own = z[at]
        z[at] = -np.inf
        top = z.max(axis=1)
        result[start : start + _BLOCK] = own - top - np.log(np.exp(z - top[:, None]).sum(axis=1))
    return result


@dataclasses.dataclass(frozen=True)
class PerExample:
    """Teacher against student, one entry for each example, [N] each, from the hardest to the easiest.

    Attributes:
      id: the example.
      x, y: phi of teacher and of student.
      agree: whether both predict the same class.
      kl: KL(teacher || student), nats.
      confidence: the student's highest probability.
      teacher_entropy, student_entropy: of their probabilities, nats.
      teacher_correct, correct: whether teacher and student predict the label, as training saw it.
      mislabelled: whether that label is not the true one.
    """

    id: np.ndarray
    x: np.ndarray
    y: np.ndarray
    agree: np.ndarray
    kl: np.ndarray
    confidence: np.ndarray
    teacher_entropy: np.ndarray
    student_entropy: np.ndarray
    teacher_correct: np.ndarray
    correct: np.ndarray
    mislabelled: np.ndarray


def per_example(teacher: Dump, student: Dump, class_from: Literal["teacher", "true"] = "teacher") -> PerExample:
    """Compares two dumps of the same split.

    Args:
      teacher, student: dumps with the same ids in the same order.
      class_from: the class X and Y are about: the one the teacher predicts, or the true one (section C.2.2).

    Raises:
      InputError: the dumps are not of the same examples or classes, hold fewer than ten examples, or hold
        logits that are not finite.
    """
    names = [" ".join(str(d.attributes.get(k, "")) for k in ("model", "seed", "split")) for d in (teacher, student)]
    pair = f"teacher dump ({names[0]}) and student dump ({names[1]})"
    if not np.array_equal(teacher.id, student.id) or teacher.logits.shape != student.logits.shape:
        raise InputError(f"{pair} differ in their examples or classes; give two dumps of one split of one data set")
    if len(teacher.id) < 10:
        raise InputError(f"{pair} hold {len(teacher.id)} examples; hard and easy tenths need 10 or more")
    predicted, guess = teacher.logits.argmax(axis=1), student.logits.argmax(axis=1)
    index = predicted if class_from == "teacher" else teacher.true_label
    x, y = phi(teacher.logits, index), phi(student.logits, index)
    kl, confidence, *entropy = (np.empty_like(x) for _ in range(4))
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        log_p, log_q = _log_softmax(teacher.logits[rows]), _log_softmax(student.logits[rows])
        kl[rows] = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
        confidence[rows] = np.exp(log_q.max(axis=1))
        for of_model, log in zip(entropy, (log_p, log_q), strict=True):
            of_model[rows] = -(np.exp(log) * log).sum(axis=1)
    if not np.isfinite(x + y + kl).all():
        raise InputError(f"{pair} hold logits that are not finite; the training behind them has diverged")
    columns = {
        "id": teacher.id,
        "x": x,
        "y": y,
        "agree": predicted == guess,
        "kl": kl,
        "confidence": confidence,
        "teacher_entropy": entropy[0],
        "student_entropy": entropy[1],
        "teacher_correct": predicted == teacher.label,
        "correct": guess == teacher.label,
        "mislabelled": teacher.label != teacher.true_label,
    }
    order = np.argsort(x, kind="stable")
    return PerExample(**{name: column[order] for name, column in columns.items()})


def summarise(examples: PerExample, rows: np.ndarray | None = None) -> dict[str, float]:
    """The statistics of `deviations`, of some rows of a comparison, int [n] [default: all]."""
    e = examples
    if rows is not None:  # sorted rows are sorted by x, as the deciles below need
        rows = np.sort(rows)
        e = PerExample(**{f.name: getattr(e, f.name)[rows] for f in dataclasses.fields(e)})
    gap, under = e.y - e.x, e.y < e.x
    deciles = np.array_split(np.arange(len(gap)), 10)
    hard, easy = deciles[0], deciles[-1]
    bins = np.minimum((e.confidence * BINS).astype(int), BINS - 1)
    excess = np.bincount(bins, weights=e.confidence - e.correct, minlength=BINS)
    result = {
        "underfit_fraction_hard": under[hard].mean(),
        "underfit_fraction_easy": under[easy].mean(),
        "mean_gap_hard": gap[hard].mean(),
        "mean_gap_easy": gap[easy].mean(),
        "slope": theil_sen(e.x, e.y, every=1 if rows is None else 20),
        "agreement": e.agree.mean(),
        "kl": e.kl.mean(),
        "calibration_error": np.abs(excess).sum() / len(gap),
    }
    if e.mislabelled.any():
        result |= {
            "mean_gap_mislabelled": gap[e.mislabelled].mean(),
            "underfit_fraction_mislabelled": under[e.mislabelled].mean(),
            "mislabelled_fitted": e.correct[e.mislabelled].mean(),
        }
    return {name: float(value) for name, value in result.items()}


def deviations(teacher: Dump, student: Dump, class_from: Literal["teacher", "true"] = "teacher") -> dict[str, float]:
    """Statistics of a student's deviations from its teacher on one split (section 3.1; `class_from`: C.2.2).

    Returns:
      underfit_fraction_hard, underfit_fraction_easy: share of hard and of easy examples with Y < X.
      mean_gap_hard, mean_gap_easy: mean of Y - X over them, in phi space (nats).
      slope: Theil-Sen slope of Y on X, over all examples or a fixed draw of `SLOPE_POINTS` of them.
      agreement: share of examples on which both predict the same class.
      kl: mean KL(teacher || student), nats.
      calibration_error: expected calibration error of the student, against the label as training saw it.
      And where some labels are not the true ones:
      mean_gap_mislabelled, underfit_fraction_mislabelled: as above, over the mislabelled examples.
      mislabelled_fitted: share of them on which the student predicts the wrong label it was given.

    Raises:
      InputError: as `per_example`.
    """
    return summarise(per_example(teacher, student, class_from))


def gap_by_decile(examples: PerExample, rows: np.ndarray | None = None) -> np.ndarray:
    """Mean of Y - X in each tenth of the examples from the hardest to the easiest, float64 [10]."""
    gap = examples.y - examples.x
    gap = gap if rows is None else gap[np.sort(rows)]
    return np.array([part.mean() for part in np.array_split(gap, 10)])


def by_who_is_right(examples: PerExample) -> dict[str, np.ndarray]:
    """The four parts of a comparison by who predicts the label (section C.2.2), bool [N] each; no two overlap."""
    teacher, student = examples.teacher_correct, examples.correct
    return {
        "both": teacher & student,
        "only_student": ~teacher & student,
        "only_teacher": teacher & ~student,
        "neither": ~teacher & ~student,
    }


def theil_sen(x: np.ndarray, y: np.ndarray, every: int = 1) -> float:
    """Median slope over the pairs of points; least squares would follow the heavy tails of X and Y.

    Args:
      x, y: float [N]. Above `SLOPE_POINTS` a fixed draw of so many is used.
      every: 1 takes all pairs; n > 1 those whose distance in the order of x is 1, 1 + n, 1 + 2n, ...

    Returns:
      The slope; NaN where all x are equal.
    """
    rows = np.arange(len(x))
    if len(x) > SLOPE_POINTS:
        rows = np.random.default_rng(0).choice(len(x), SLOPE_POINTS, replace=False)
    rows = rows[np.argsort(x[rows], kind="stable")]
    x, y = x[rows], y[rows]
    lags = range(1, len(x), every)
    run = np.concatenate([x[lag:] - x[:-lag] for lag in lags])
    rise = np.concatenate([y[lag:] - y[:-lag] for lag in lags])
    return float(np.median(rise[run > 0] / run[run > 0])) if run.any() else float("nan")


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))
