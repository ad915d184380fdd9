"""Figure 23 with its control: accuracies over training, cosines by class, and the gain where it comes and goes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy import stats

from distill_jax.measures.statistics import CONFIDENCE
from distill_jax.students import label_of, look_of
from experiments.comparison import MODELS, NAMES


def figure(found: Mapping[Any, np.ndarray], steps_per_epoch: int) -> Figure:
    """Four panels: accuracy over steps on both splits, gain over steps, cosines of one seed, their differences in all.

    Args:
      found: values of all seeds, of `summary.values`.
      steps_per_epoch: for the marks on the axis of steps.
    """
    accuracy, cosine = found["accuracy"].astype(np.float64), found["cosine"].astype(np.float64)
    seeds, steps = len(accuracy), np.arange(accuracy.shape[-1])
    canvas = Figure(figsize=(12.5, 8.2), dpi=150, layout="constrained")
    (over_steps, gain), (by_class, differences) = canvas.subplots(2, 2)
    for index, model in enumerate(MODELS):
        style = look_of(NAMES[model])
        for split, (name, width) in enumerate((("training set", 1.0), ("test set", 1.9))):
            label = f"{label_of(NAMES[model])}, {name}"
            _band(over_steps, steps, accuracy[:, index, split], label, style, width, marker=split == 1)
    over_steps.set(title="Accuracy (thin: training, thick: test)", xlabel="training step", ylabel="accuracy")
    over_steps.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for model in ("control", "student"):
        difference = accuracy[:, MODELS.index(model), 1] - accuracy[:, 0, 1]
        _band(gain, steps, difference, label_of(NAMES[model]), look_of(NAMES[model]), 1.6, marker=True)
    gain.axhline(0, color="#666666", lw=1, ls=(0, (4, 3)), zorder=0)
    gain.axhline(0.007, color="#D55E00", lw=1, ls=(0, (1, 2)), label="the paper's +0.7 points")
    gain.set(title="Test accuracy less the teacher's as far into training", xlabel="training step", ylabel="difference")
    gain.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    for axis in (over_steps, gain):
        axis.set_xticks(steps[::steps_per_epoch][:: max(len(steps[::steps_per_epoch]) // 10, 1)])
    classes = np.arange(cosine.shape[-1])
    for index, model in enumerate(MODELS):
        style = look_of(NAMES[model]) | {"linestyle": ""}
        by_class.plot(classes + 0.18 * (index - 1), cosine[0, index], label=label_of(NAMES[model]), ms=6, **style)
    by_class.set(title="Cosine of weights and class vector, one seed", xlabel="class", ylabel="cosine")
    by_class.set_xticks(classes)
    edges = np.linspace(*np.quantile(cosine[:, 1:] - cosine[:, :1], (0, 1)), 61)
    for model in ("control", "student"):
        values = (cosine[:, MODELS.index(model)] - cosine[:, 0]).ravel()
        label = f"{label_of(NAMES[model])}: above 0 in {(values > 0).mean():.0%}"
        color = look_of(NAMES[model])["color"]
        differences.hist(values, edges, density=True, label=label, color=color, alpha=0.35)
        differences.hist(values, edges, density=True, color=color, histtype="step", lw=1.3)
    differences.axvline(0, color="#666666", lw=1, ls=(0, (4, 3)))
    title = f"Cosine less the teacher's, all classes of {seeds:,} seeds"
    differences.set(title=title, xlabel="difference of cosines", ylabel="density")
    for axis in (over_steps, gain, by_class, differences):
        axis.title.set_fontsize(11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, fontsize=8.5)
    return canvas


def _band(
    axis: Any, steps: np.ndarray, values: np.ndarray, label: str, style: Mapping[str, Any], width: float, marker: bool
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
