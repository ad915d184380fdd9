"""Beyond the paper: is what distillation does another where the teacher interpolates, that is, fits all its points?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from distill_jax.report.plots.style import GUIDE, bars, grid, heading
from experiments import json_interval
from experiments.json_interval import quote
from experiments.paper import published
from experiments.paper.figures.drawn import Drawn, looks
from experiments.paper.outcome import Outcome
from experiments.paper.studies import Planned

_LEVEL = {"slope_train": 1.0, "slope_test": 1.0}  # of no effect; 0 elsewhere
_LABELS = {
    "gain": "distilled: test accuracy\nless the control's, points",
    "slope_train": "slope of $Y$ on $X$,\ntraining points",
    "slope_test": "slope of $Y$ on $X$,\ntest points",
    "one_hot_to_kd": "one-hot → KD: test accuracy\nless the control's, points",
    "kd_to_one_hot": "KD → one-hot: test accuracy\nless the control's, points",
}
_TICKS = (50, 80, 95, 99, 99.9, 99.99)


def draw(outcomes: Sequence[Outcome]) -> Drawn:
    """A panel for each of `published.AXES` against the teacher's training accuracy, a marker for each setting.

    Accuracies go by the logarithm of the share that is wrong; one of 100% is drawn as if half an example were.
    """
    measurements = [published.measured(outcome) for outcome in outcomes]
    correlations = published.correlations(measurements)
    sizes = [outcome.summary.study.train_examples for outcome in outcomes]
    figure = picture(measurements, correlations, [outcome.plan for outcome in outcomes], sizes)
    names = [outcome.plan.name for outcome in outcomes]
    numbers = {"settings": dict(zip(names, measurements, strict=True)), "rank_correlations": correlations}
    text = published.quoted(correlations, len(outcomes))
    sentences = (
        [f"Rank correlation of the teacher's training accuracy, n = {len(outcomes)}, with {text}."] if text else []
    )
    sentences.append(
        "Slopes of settings whose student is another network are also of what that network's logits are like. Settings "
        "that share data or a teacher are not independent: the intervals are too narrow for that."
    )
    return Drawn(figure, numbers, sentences)


def picture(
    measurements: Sequence[Mapping[str, Any]],
    correlations: Mapping[str, Any],
    plans: Sequence[Planned],
    sizes: Sequence[int],
) -> Picture:
    """The panels, from `draw`'s numbers, what is drawn and the training examples of each."""
    figure, axes = grid(2, 3, 4.0, 3.6)
    axes[1, 2].set_axis_off()
    styles = looks(plans)
    for axis, name in zip(axes.flat, published.AXES, strict=False):
        for measurement, size, style in zip(measurements, sizes, styles, strict=True):
            position = _place(min(measurement["teacher_train_accuracy"]["mean"], 100 - 50 / size))
            bars(axis, [position], [json_interval.read(published.value_on(name, measurement))], **style)
        axis.axhline(_LEVEL.get(name, 0.0), **GUIDE)
        axis.axvline(_place(published.INTERPOLATES), **GUIDE)
        axis.set(xlabel="teacher's training accuracy, %", ylabel=_LABELS[name])
        _ticks(axis)
        axis.grid(alpha=0.25)
        lines = [f"rank correlation {quote(correlations[name], sign=True)}"] if correlations else []
        heading(axis, "", lines)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    # In the empty place, where it takes nothing from the panels
    axes[1, 2].legend(handles, labels, loc="center", frameon=False, fontsize=6.5)
    return figure


def _place(accuracy: float) -> float:
    return -np.log10(100 - accuracy)


def _ticks(axis: Axes) -> None:
    low, high = axis.get_xlim()
    places = {f"{tick:g}": _place(tick) for tick in _TICKS}
    shown = {label: place for label, place in places.items() if low <= place <= high}
    axis.set_xticks(list(shown.values()), list(shown), fontsize=8)
