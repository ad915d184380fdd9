"""Fidelity of a student to all of its teacher's probabilities; `deviations` is about those of one class.

Two models trained alike on one data set agree on much, whoever taught them. So no value here says anything of
distillation by itself, only its difference from that of the control, a second one-hot student. Fidelity in this sense
is Stanton et al.'s (2021, "Does knowledge distillation really work?"), whose measures agreement and KL are.

Where the teacher is right and where it is wrong is said by the student's own teacher, unlike hard and easy points. What
is asked is whether a teacher's mistakes are passed on more readily than what it knows, and these are this teacher's
own: where one of another seed is wrong it is often right, so that the two would be mixed. Its luck is chosen with them,
and so any other model agrees less where it is wrong. But a control has nothing of that luck: whatever the teacher says,
its agreement is what is to be expected of a model that was not taught, and a student that is one more draw of the
control's kind has a difference of 0. Where the teacher is right there is less to gain over the control than where it is
wrong: compare each difference with 1 less the control's agreement. On training points with wrong labels a teacher's
mistakes are mostly these labels, which the control has been given too.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from distill_jax.measures.ranks import average_ranks

if TYPE_CHECKING:
    from distill_jax.dumps import Dump

TOP = 5  # classes of the top-k overlap
_BLOCK = 8192  # examples turned to float64 at once
_FLOATS = (
    *("top_k_overlap", "kl", "jensen_shannon", "rank_correlation"),
    *("confidence", "teacher_entropy", "student_entropy"),
)


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """Agreement and divergence of a student's and its teacher's probabilities, one entry for each example, [N] each.

    >>> bool(per_example(teacher_of_seed_0, teacher_of_seed_0).agree.all())
    True

    Attributes:
      agree: whether both predict the same class.
      top_k_overlap: share of the teacher's k most probable classes that are among the student's; see `top_k`.
      kl: KL(teacher || student), nats.
      jensen_shannon: their Jensen-Shannon divergence, nats, at most log 2.
      rank_correlation: Spearman's, of both models' probabilities of the classes that are not the label as training saw
        it; NaN with fewer than four classes, or where all of these are equally probable to a model.
      blocked: whether the student gives none of these classes more than the teacher does.
      teacher_right: whether the teacher predicts the true label.
      confidence: the student's highest probability.
      teacher_entropy, student_entropy: of their probabilities, nats.
    """

    agree: Bool[np.ndarray, " N"]
    top_k_overlap: Float[np.ndarray, " N"]
    kl: Float[np.ndarray, " N"]
    jensen_shannon: Float[np.ndarray, " N"]
    rank_correlation: Float[np.ndarray, " N"]
    blocked: Bool[np.ndarray, " N"]
    teacher_right: Bool[np.ndarray, " N"]
    confidence: Float[np.ndarray, " N"]
    teacher_entropy: Float[np.ndarray, " N"]
    student_entropy: Float[np.ndarray, " N"]


def top_k(classes: int) -> int:
    """How many classes the top-k overlap is of: 5, or half of them where that is fewer, so that chance is below it.

    >>> top_k(100), top_k(4), top_k(2)
    (5, 2, 1)
    """
    return max(min(TOP, classes // 2), 1)


def per_example(teacher: Dump, student: Dump) -> Fidelity:
    """Compares two dumps of the same examples in the same order, a block of them at a time.

    >>> from distill_jax.dumps import Dump
    >>> sure, even = (Dump.of([[z, 0.0, 0.0, 0.0]], [0], model="mine") for z in (50.0, 0.0))
    >>> per_example(sure, even).kl.round(3).tolist()  # log 4
    [1.386]
    """
    predicted = teacher.logits.argmax(axis=1)
    result = Fidelity(
        agree=predicted == student.logits.argmax(axis=1),
        teacher_right=predicted == teacher.true_label,
        blocked=np.empty(len(predicted), bool),
        **{name: np.empty(len(predicted)) for name in _FLOATS},
    )
    for start in range(0, len(predicted), _BLOCK):
        rows = slice(start, start + _BLOCK)
        logits = teacher.logits[rows], student.logits[rows]
        label = teacher.label[rows]
        log_p, log_q = (_log_softmax(z) for z in logits)
        p, q = np.exp(log_p), np.exp(log_q)
        middle = np.logaddexp(log_p, log_q) - np.log(2)
        wrong = np.arange(log_p.shape[1]) != label[:, None]
        result.kl[rows] = (p * (log_p - log_q)).sum(axis=1)
        result.jensen_shannon[rows] = (p * (log_p - middle) + q * (log_q - middle)).sum(axis=1) / 2
        result.blocked[rows] = ((log_q <= log_p) | ~wrong).all(axis=1)
        result.confidence[rows] = q.max(axis=1)
        result.teacher_entropy[rows] = -(p * log_p).sum(axis=1)
        result.student_entropy[rows] = -(q * log_q).sum(axis=1)
        result.top_k_overlap[rows] = _top_k_overlap(*logits)
        result.rank_correlation[rows] = _rank_correlation(*logits, wrong)
    return result


def summarise(e: Fidelity) -> dict[str, float]:
    """Means over examples; NaN over none.

    >>> means = summarise(per_example(teacher_of_seed_0, teacher_of_seed_0))
    >>> means["agreement"], means["kl"], round(means["rank_correlation"], 3)
    (1.0, 0.0, 1.0)

    Returns:
      agreement: share of examples on which both predict the same class (Stanton et al. 2021).
      agreement_teacher_right, agreement_teacher_wrong: the same of those whose true label the teacher predicts, and of
        the others; see above. That mistakes are passed on more readily than knowledge is what Mason-Williams et al.
        (2025, arXiv:2510.12615) report.
      top_k_agreement: mean share of the teacher's k most probable classes that are among the student's, k of `top_k`.
        With two or three classes it is the agreement. No source known; ours.
      kl: mean KL(teacher || student), nats (Stanton et al. 2021).
      kl_teacher_right, kl_teacher_wrong: the same of these examples.
      jensen_shannon: mean Jensen-Shannon divergence, nats (Lin 1991): symmetric, and unlike KL bounded, so that a few
        examples do not decide it.
      rank_correlation: mean of Spearman's over the classes that are not the label as training saw it; NaN with fewer
        than four classes. It is of the order in which a teacher thinks an example similar to other classes, Hinton et
        al.'s (2015) dark knowledge, however sure it is. Niu et al. (2024, arXiv:2410.06561) train students for one of
        all classes.
      imitation_blocked: share of examples on which the student gives no class but that label more than the teacher
        does. What it takes from them it gives to the label, and so does the label's loss, which there leads further
        away from the teacher in every class. No source known; ours.
    """
    teacher_right = e.teacher_right
    return {
        "agreement": _mean(e.agree),
        "agreement_teacher_right": _mean(e.agree[teacher_right]),
        "agreement_teacher_wrong": _mean(e.agree[~teacher_right]),
        "top_k_agreement": _mean(e.top_k_overlap),
        "kl": _mean(e.kl),
        "kl_teacher_right": _mean(e.kl[teacher_right]),
        "kl_teacher_wrong": _mean(e.kl[~teacher_right]),
        "jensen_shannon": _mean(e.jensen_shannon),
        "rank_correlation": _mean(e.rank_correlation[np.isfinite(e.rank_correlation)]),
        "imitation_blocked": _mean(e.blocked),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _log_softmax(logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def _top_k_overlap(*logits: np.ndarray) -> np.ndarray:
    k = top_k(logits[0].shape[1])
    among = [np.zeros(z.shape, bool) for z in logits]
    for mask, z in zip(among, logits, strict=True):  # of equal logits the first, as argmax takes them
        np.put_along_axis(mask, np.argsort(-z, axis=1, kind="stable")[:, :k], True, axis=1)
    return (among[0] & among[1]).sum(axis=1) / k


def _rank_correlation(teacher: np.ndarray, student: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    n, classes = teacher.shape
    if classes < 4:
        return np.full(n, np.nan)
    # Without the label the mean of the ranks 1 to K - 1 is K / 2, with ties too.
    a, b = (average_ranks(z[wrong].reshape(n, classes - 1)) - classes / 2 for z in (teacher, student))
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), spread, out=np.full(n, np.nan), where=spread > 0)
