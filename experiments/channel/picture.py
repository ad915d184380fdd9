"""Figure 23 with its control: accuracies over training, cosines by class, and the gain where it comes and goes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from distill_jax.measures.statistics import CONFIDENCE
from distill_jax.report.plots.style import COUNTS, GUIDE, Shares, colored, grid
from distill_jax.students import label_of, look_of
from experiments.comparison import MODELS, NAMES


def figure(values: Mapping[Any, np.ndarray], steps_per_epoch: int) -> Figure:
    """Four panels: accuracy over steps on both splits, gain over steps, cosines of one seed, their differences in all.

    Args:
      values: values of all seeds, of `summary.values`.
      steps_per_epoch: for the marks on the axis of steps.
    """
    accuracy, cosine = values["accuracy"].astype(np.float64), values["cosine"].astype(np.float64)
    steps = np.arange(accuracy.shape[-1])
    canvas, axes = grid(2, 2, 6.05, 3.9)
    (over_steps, gain), (by_class, differences) = axes
    for index, model in enumerate(MODELS):
        style = look_of(NAMES[model])
        for split, width in enumerate((1.0, 1.9)):
            label = label_of(NAMES[model]) if split else None
            _band(over_steps, steps, accuracy[:, index, split], label, style, width, marker=split == 1)
    over_steps.set(xlabel="training step", ylabel="accuracy")
    over_steps.set_title("Accuracy (thin: training set, thick: test set)", fontsize=11)
    over_steps.yaxis.set_major_formatter(Shares())
    for model in ("control", "student"):
        difference = accuracy[:, MODELS.index(model), 1] - accuracy[:, 0, 1]
        _band(gain, steps, difference, None, look_of(NAMES[model]), 1.6, marker=True)
    gain.axhline(0, **GUIDE)
    gain.axhline(0.007, color="#D55E00", lw=1, ls=(0, (1, 2)))
    said = {"ha": "right", "va": "bottom", "fontsize": 8.5, "color": "#D55E00"}
    gain.annotate("the paper's +0.7", (1, 0.007), (0, 2), ("axes fraction", "data"), "offset points", **said)
    gain.set(xlabel="training step", ylabel="difference, points")
    gain.set_title("Test accuracy less the teacher's as far into training", fontsize=11)
    gain.yaxis.set_major_formatter(Shares("", sign=True))
    for axis in (over_steps, gain):
        axis.set_xticks(steps[::steps_per_epoch][:: max(len(steps[::steps_per_epoch]) // 10, 1)])
        axis.xaxis.set_major_formatter(COUNTS)
    _cosines(by_class, differences, cosine)
    for axis in axes.flat:
        axis.grid(alpha=0.25)
    handles, labels = over_steps.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=len(MODELS), frameon=False, fontsize=9)
    return canvas


def _cosines(by_class: Any, differences: Any, cosine: np.ndarray) -> None:
    """Cosines of weights and class vectors, float64 [S, V, K]: of one seed, and in all less the teacher's."""
    classes = np.arange(cosine.shape[-1])
    for index, model in enumerate(MODELS):
        style = look_of(NAMES[model]) | {"linestyle": ""}
        by_class.plot(classes + 0.18 * (index - 1), cosine[0, index], ms=6, **style)
    by_class.set(xlabel="class", ylabel="cosine")
    by_class.set_title("Cosine of weights and class vector, one seed", fontsize=11)
    by_class.set_xticks(classes)
    edges = np.linspace(*np.quantile(cosine[:, 1:] - cosine[:, :1], (0, 1)), 61)
    shares = [("above 0:", "black")]
    for model in ("control", "student"):
        values = (cosine[:, MODELS.index(model)] - cosine[:, 0]).ravel()
        color = look_of(NAMES[model])["color"]
        shares.append((f"{(values > 0).mean():.0%}", color))
        differences.hist(values, edges, density=True, color=color, histtype="stepfilled", lw=0, alpha=0.35)
        differences.hist(values, edges, density=True, color=color, histtype="step", lw=1.3)
    differences.axvline(0, **GUIDE)
    differences.set(xlabel="difference of cosines", ylabel="density")
    differences.set_title(f"Cosine less the teacher's, all classes of {len(cosine):,} seeds", fontsize=11, pad=20)
    colored(differences, shares)


def _band(
    axis: Any,
    steps: np.ndarray,
    values: np.ndarray,
    label: str | None,
    style: Mapping[str, Any],
    width: float,
    marker: bool,
) -> None:
    """A mean over seeds with its 95% interval, [S, steps]."""
    mean, seeds = values.mean(0), len(values)
    line = {"color": style["color"], "linestyle": style["linestyle"], "lw": width}
    if marker:
        line |= {"marker": style["marker"], "ms": 4, "markevery": max(len(steps) // 10, 1)}
    axis.plot(steps, mean, label=label, **line)
    if seeds > 1:
        half = stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * values.std(0, ddof=1) / np.sqrt(seeds)
        axis.fill_between(steps, mean - half, mean + half, color=style["color"], alpha=0.2, lw=0)
