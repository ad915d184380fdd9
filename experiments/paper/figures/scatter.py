"""Figures 1a, 2, 5 to 11 and 17: every example in phi space, for the control and the distilled student."""

from collections.abc import Sequence
from typing import Any

from distill_jax.measures import deviations
from distill_jax.measures.interval import quote
from distill_jax.report import plots
from distill_jax.students import label_of
from experiments.paper.figures.drawn import Drawn, chooser_sentence, gap_sentence
from experiments.paper.outcome import CONTROL, KD, Outcome

_WHICH = {"train": "hard training points", "test": "hard test points"}


def draw(outcomes: Sequence[Outcome], splits: Sequence[str] = ("train",), class_from: str = "teacher") -> Drawn:
    """A column for each study, and for each split a row of the control and one of the distilled student.

    Of one study alone there is a column for each split.

    Args:
      outcomes: of the studies.
      splits: 'train', 'test' or both.
      class_from: whose class X and Y are about; see `deviations.per_example`.
    """
    numbers: dict[str, Any] = {}
    for outcome in outcomes:
        values_by_split = numbers[outcome.plan.name] = {}
        for split in splits:
            if class_from == "teacher":
                values = {s: outcome.summary.deviations[s][split] for s in (CONTROL, KD)}
            else:
                values = outcome.over(deviations.summarise, split, class_from)
            values_by_split[split] = values
    rows = []
    for split in splits:
        for student in (CONTROL, KD):
            row = []
            for outcome in outcomes:
                values = numbers[outcome.plan.name][split][student]
                lines = [
                    f"{outcome.plan.data}, {plots.SPLITS[split]}",
                    *filter(None, [outcome.plan.variant]),
                    *plots.gap_lines(values),
                    plots.underfit_line(values),
                ]
                if "mean_gap_mislabelled" in values:
                    lines.append(f"wrong labels' gap {quote(values['mean_gap_mislabelled'], sign=True)}")
                cloud = plots.Cloud.of(
                    outcome.pair(student, split, class_from=class_from),
                    title=outcome.plan.networks,
                    lines=lines,
                    xlabel="teacher  $X = \\phi(p)$",
                    ylabel=f"{label_of(student)}  $Y$" if not row else "",
                    group=(outcome.plan.name, split),
                )
                row.append(cloud)
            rows.append(row)
    if len(outcomes) == 1:
        rows = [[cloud for row in rows[student::2] for cloud in row] for student in (0, 1)]
    sentences = []
    for outcome in outcomes:
        for split in splits:
            control, kd = (numbers[outcome.plan.name][split][s] for s in (CONTROL, KD))
            gaps = (deviations.preferred(values, "mean_gap_hard") for values in (kd, control))
            sentences.append(gap_sentence(outcome.plan.title, _WHICH[split], *gaps))
            name = "mean_gap_mislabelled"
            if name in kd:
                sentences.append(gap_sentence(outcome.plan.title, "mislabelled points", kd[name], control[name]))
    sentences += chooser_sentence(outcomes[0].seeds)
    return Drawn(plots.clouds(rows, 3.7, crossed=outcomes[0].seeds > 1), numbers, sentences)
