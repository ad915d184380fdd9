"""Figure 18: probabilities, entropy and KL divergence in place of phi."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit
from scipy.stats import spearmanr

from distill_jax.measures import deviations
from distill_jax.measures.interval import quote
from distill_jax.report import plots
from distill_jax.students import label_of
from experiments.paper.figures.drawn import Drawn
from experiments.paper.outcome import CONTROL, KD, Outcome

MEASURES = {"phi": "$\\phi(p)$", "probability": "$p$", "entropy": "entropy (nats)"}


def of_both(examples: deviations.PerExample) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each measure of teacher and student, [N] each."""
    e = examples
    return {
        "phi": (e.x, e.y),
        "probability": (expit(e.x), expit(e.y)),
        "entropy": (e.teacher_entropy, e.student_entropy),
    }


def statistics(comparison: deviations.Comparison) -> dict[str, float]:
    """Of each measure the mean gap on the hard tenth (that of lowest phi) and its rank correlation with the KL.

    The tenth and, for phi and probability, the class are chosen by another seed's teacher where there is one.
    """
    examples, values = comparison.own, {}
    points = comparison.best
    in_tenth = deviations.tenth(len(points.x)) == 1
    hard = np.isin(examples.row, points.row[in_tenth])
    x, y = points.x[in_tenth], points.y[in_tenth]
    gaps = {
        "phi": y - x,
        "probability": expit(y) - expit(x),
        "entropy": (examples.student_entropy - examples.teacher_entropy)[hard],
    }
    for name, (teacher, _) in of_both(examples).items():
        values[f"{name}_gap_hard"] = float(gaps[name].mean())
        values[f"{name}_rank_correlation_with_kl"] = float(spearmanr(teacher, examples.kl).statistic)
    return values | {"kl_hard": float(examples.kl[hard].mean()), "kl_all": float(examples.kl.mean())}


def draw(outcomes: Sequence[Outcome]) -> Drawn:
    """A column for each measure: its student's value against its teacher's, then the KL; control and distilled."""
    (outcome,) = outcomes
    numbers = outcome.over(statistics, "train", crossed=[f"{name}_gap_hard" for name in MEASURES] + ["kl_hard"])
    rows = []
    for kl in (False, True):
        for student in (CONTROL, KD):
            examples, values = outcome.pair(student, "train"), numbers[student]
            row = []
            for name, (teacher, student_values) in of_both(examples).items():
                if kl:
                    line = f"rank correlation {quote(values[f'{name}_rank_correlation_with_kl'], sign=True)}"
                else:
                    line = f"hard gap {quote(values[f'{name}_gap_hard'], 3 if name == 'probability' else 2, sign=True)}"
                cloud = plots.Cloud(
                    teacher,
                    examples.kl if kl else student_values,
                    examples.mislabelled,
                    title=label_of(student),
                    lines=[line],
                    xlabel=f"teacher's {MEASURES[name]}",
                    ylabel="KL(teacher || student) (nats)" if kl else f"student's {MEASURES[name]}",
                    group=(name, kl),
                    diagonal=not kl,
                )
                row.append(cloud)
            rows.append(row)
    hard = {s: quote(numbers[s]["kl_hard"]) for s in (CONTROL, KD)}
    kd, control = numbers[KD], numbers[CONTROL]
    sentences = [
        f"{outcome.plan.title}, training set, hard tenth: mean gap {quote(kd['phi_gap_hard'], sign=True)} in phi, "
        f"{quote(kd['probability_gap_hard'], 3, sign=True)} in probability and "
        f"{quote(kd['entropy_gap_hard'], sign=True)} nats in entropy distilled; control "
        f"{quote(control['phi_gap_hard'], sign=True)}, {quote(control['probability_gap_hard'], 3, sign=True)} and "
        f"{quote(control['entropy_gap_hard'], sign=True)}.",
        f"Mean KL there {hard[KD]} distilled, {hard[CONTROL]} control; over all points "
        f"{quote(kd['kl_all'])} and {quote(control['kl_all'])}.",
    ]
    return Drawn(plots.clouds(rows, 3.7), {outcome.plan.name: numbers}, sentences)
