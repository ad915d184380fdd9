"""Figure 12: test points by which of teacher and student has them right."""

from collections.abc import Sequence

import numpy as np

from distill_jax.measures import deviations
from distill_jax.measures.interval import quote
from distill_jax.report import plots
from distill_jax.students import label_of
from experiments.paper.figures.drawn import Drawn
from experiments.paper.outcome import CONTROL, KD, Outcome

GROUPS = {"both": "Both right", "only_student": "Only student", "only_teacher": "Only teacher", "neither": "Neither"}


def statistics(comparison: deviations.Comparison) -> dict[str, float]:
    """Of each part its share of the points, and the share of it that is underfit; NaN where it is empty."""
    examples = comparison.own
    is_underfit, shares = examples.y < examples.x, {}
    for name, rows in deviations.by_who_is_right(examples).items():
        shares[f"share_{name}"] = float(rows.mean())
        shares[f"underfit_{name}"] = float(is_underfit[rows].mean()) if rows.any() else float("nan")
    return shares


def draw(outcomes: Sequence[Outcome]) -> Drawn:
    """For each study a row of the control and one of the distilled student, with a column for each of four parts."""
    numbers = {outcome.plan.name: outcome.over(statistics, "test") for outcome in outcomes}
    rows, sentences = [], []
    for outcome in outcomes:
        intervals = numbers[outcome.plan.name]
        for student in (CONTROL, KD):
            examples = outcome.pair(student, "test")
            row = []
            for group, mask in deviations.by_who_is_right(examples).items():
                lines = [
                    f"{quote(intervals[student][f'share_{group}'], 1, scale=100)}% of the points",
                    f"underfit {quote(intervals[student][f'underfit_{group}'], 0, scale=100)}%",
                ]
                cloud = plots.Cloud(
                    examples.x[mask],
                    examples.y[mask],
                    np.zeros(mask.sum(), bool),
                    title=GROUPS[group],
                    lines=["" if row else outcome.plan.title, *lines],
                    xlabel="teacher  $X = \\phi(p)$",
                    ylabel=f"{label_of(student)}  $Y$" if not row else "",
                    group=outcome.plan.name,
                )
                row.append(cloud)
            rows.append(row)
        kd, control = (intervals[s]["underfit_only_student"] for s in (KD, CONTROL))
        underfit_both = [quote(intervals[s]["underfit_both"], 0, scale=100) for s in (KD, CONTROL)]
        sentences.append(
            f"{outcome.plan.title}: of the points that only the student has right {quote(kd, 0, scale=100)}% are "
            f"underfit distilled and {quote(control, 0, scale=100)}% by the control (each of its own such points; "
            f"{quote(kd.against_control, 0, sign=True, scale=100)} points paired by seed); of those that both "
            f"have right {underfit_both[0]}% and {underfit_both[1]}%."
        )
    sentences.append("The class is the one that the student's own teacher predicts, whose luck is in it.")
    return Drawn(plots.clouds(rows, 3.1), numbers, sentences)
