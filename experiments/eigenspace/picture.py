"""Figures 20 to 22 with their control: trajectories of one seed, biases and exaggerations of all, accuracies."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from distill_jax.students import label_of, look_of
from experiments.comparison import MODELS, NAMES
from experiments.eigenspace.bias import area
from experiments.eigenspace.population import PROJECTIONS, Outcome
from experiments.eigenspace.setting import Setting
from experiments.eigenspace.summary import trajectories
from experiments.many_seeds.seed_store import Values

_COLUMNS = 5
_SIZES = {"norm": "$|W^T v|$", "displacement": "$|(W - W_0)^T v|$"}


def paths(setting: Setting, outcome: Outcome, seed: int = 0) -> Figure:
    """Figures 20 and 21: a panel for each pair of a seed, top direction across, bottom upward; stars are the ends."""
    assert setting.projection is not None
    top, bottom = (a[seed] for a in trajectories(outcome, PROJECTIONS.index(setting.projection)))  # [V, pairs, T + 1]
    bias, (top_index, bottom_index) = area(top, bottom), outcome.drawn.pairs[seed]
    rows = -(-top.shape[1] // _COLUMNS)
    canvas = Figure(figsize=(2.7 * _COLUMNS, 2.6 * rows + 0.6), dpi=150, layout="constrained")
    panels = canvas.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for pair, axis in enumerate(panels[: top.shape[1]]):
        for index, model in enumerate(MODELS):
            style = look_of(NAMES[model])
            line = {"color": style["color"], "linestyle": style["linestyle"], "lw": 1.0 if model == "control" else 1.8}
            axis.plot(top[index, pair], bottom[index, pair], label=label_of(NAMES[model]), **line)
            axis.plot(
                top[index, pair, -1], bottom[index, pair, -1], "*", color=style["color"], ms=9, mec="black", mew=0.4
            )
        bias_text = ", ".join(f"{value:+.2f}" for value in bias[:, pair])
        axis.set_title(f"directions {top_index[pair] + 1} and {bottom_index[pair] + 1}\nB {bias_text}", fontsize=8.5)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in panels[top.shape[1] :]:
        axis.set_axis_off()
    canvas.supxlabel(f"along the top direction, {_SIZES[setting.projection]}", fontsize=10)
    canvas.supylabel("along the bottom direction", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    title = f"Seed {seed}; B (area) of {', '.join(label_of(NAMES[model]) for model in MODELS)} above each panel"
    canvas.suptitle(title, fontsize=10)
    canvas.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return canvas


def distributions(setting: Setting, found: Values) -> Figure:
    """Three panels: biases, exaggerations over the teacher, and Figure 22, all over all seeds."""
    canvas = Figure(figsize=(13, 4.2), dpi=150, layout="constrained")
    bias_panel, exaggeration_panel, accuracy_panel = canvas.subplots(1, 3)
    choice = setting.projection, setting.definition
    bias = found["own", *choice]
    _histograms(bias_panel, {model: bias[:, index].ravel() for index, model in enumerate(MODELS)})
    bias_panel.set(title=f"Bias towards the top direction ({setting.definition})", xlabel="bias", ylabel="density")
    _histograms(exaggeration_panel, {model: found["more", *choice, model].ravel() for model in ("control", "student")})
    exaggeration_panel.set(title="Bias more than the teacher's", xlabel="difference", ylabel="density")
    mean = found["accuracy"].mean(0)  # [V, times, 2]
    for index, model in enumerate(MODELS):
        accuracy_panel.plot(*mean[index].T, label=label_of(NAMES[model]), ms=3, **look_of(NAMES[model]))
    accuracy_panel.set(title="Mean accuracies over training", xlabel="training accuracy", ylabel="test accuracy")
    for axis in (accuracy_panel.xaxis, accuracy_panel.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for panel in (bias_panel, exaggeration_panel, accuracy_panel):
        panel.title.set_fontsize(11)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.legend(frameon=False, fontsize=8.5)
    return canvas


def _histograms(axis: Any, values: dict[str, np.ndarray]) -> None:
    all_values = np.concatenate(list(values.values()))
    edges = np.linspace(*np.nanquantile(all_values, (0.005, 0.995)), 61)
    for model, model_values in values.items():
        style, label = look_of(NAMES[model]), f"{label_of(NAMES[model])}: above 0 in {np.mean(model_values > 0):.0%}"
        axis.hist(model_values, edges, density=True, color=style["color"], alpha=0.25)
        line = {"color": style["color"], "linestyle": style["linestyle"], "lw": 1.4}
        axis.hist(model_values, edges, density=True, histtype="step", label=label, **line)
    axis.axvline(0, color="#666666", lw=1, ls=(0, (4, 3)))
