"""Figures 20 to 22 with their control: trajectories of one seed, biases and exaggerations of all, accuracies."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from distill_jax.measures.interval import number
from distill_jax.report.plots.style import GUIDE, Shares, colored, grid
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
    canvas, axes = grid(rows, _COLUMNS, 2.6, 2.6)
    panels = axes.ravel()
    for pair, axis in enumerate(panels[: top.shape[1]]):
        for index, model in enumerate(MODELS):
            style = look_of(NAMES[model])
            line = {"color": style["color"], "linestyle": style["linestyle"], "lw": 1.0 if model == "control" else 1.8}
            axis.plot(top[index, pair], bottom[index, pair], label=label_of(NAMES[model]), **line)
            axis.plot(
                top[index, pair, -1], bottom[index, pair, -1], "*", color=style["color"], ms=9, mec="black", mew=0.4
            )
        colors = [look_of(NAMES[model])["color"] for model in MODELS]
        biases = [number(float(value), sign=True) for value in bias[:, pair]]
        colored(axis, [("B", "black"), *zip(biases, colors, strict=True)], fontsize=8.5)
        name = f"directions {top_index[pair] + 1} and {bottom_index[pair] + 1}"
        axis.set_title(name, fontsize=8.5, loc="left", pad=19)
        axis.tick_params(labelsize=7)
    for axis in panels[top.shape[1] :]:
        axis.set_axis_off()
    # Of the middle ones: a title of all panels would lie on the legend
    axes[-1, _COLUMNS // 2].set_xlabel(f"along the top direction, {_SIZES[setting.projection]}", fontsize=10)
    axes[rows // 2, 0].set_ylabel("along the bottom direction", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    canvas.suptitle(f"Seed {seed}; stars: the ends; B: bias by area, in the curves' colours", fontsize=10)
    canvas.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return canvas


def distributions(setting: Setting, values: Values) -> Figure:
    """Three panels: biases, exaggerations over the teacher, and Figure 22, all over all seeds."""
    canvas, axes = grid(1, 3, 4.2, 4.2)
    bias_panel, exaggeration_panel, accuracy_panel = axes[0]
    choice = setting.projection, setting.definition
    bias = values["own", *choice]
    _histograms(bias_panel, {model: bias[:, index].ravel() for index, model in enumerate(MODELS)})
    bias_panel.set_title(f"Bias towards the top direction ({setting.definition})", fontsize=11, pad=20)
    bias_panel.set(xlabel="bias", ylabel="density")
    _histograms(exaggeration_panel, {model: values["more", *choice, model].ravel() for model in ("control", "student")})
    exaggeration_panel.set_title("Bias less the teacher's", fontsize=11, pad=20)
    exaggeration_panel.set(xlabel="difference", ylabel="density")
    mean = values["accuracy"].mean(0)  # [V, times, 2]
    for index, model in enumerate(MODELS):
        accuracy_panel.plot(*mean[index].T, label=label_of(NAMES[model]), ms=3.5, **look_of(NAMES[model]))
    accuracy_panel.set_title("Mean accuracies over training", fontsize=11, pad=20)
    accuracy_panel.set(xlabel="training accuracy", ylabel="test accuracy")
    for axis in (accuracy_panel.xaxis, accuracy_panel.yaxis):
        axis.set_major_formatter(Shares())
    for panel in axes[0]:
        panel.grid(alpha=0.25)
    handles, labels = accuracy_panel.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return canvas


def _histograms(axis: Any, values: dict[str, np.ndarray]) -> None:
    """Densities of the middle 99% of the values, and of each model the share of all of them that is above 0."""
    edges = np.linspace(*np.nanquantile(np.concatenate(list(values.values())), (0.005, 0.995)), 61)
    shares = [("above 0:", "black")]
    for model, model_values in values.items():
        style = look_of(NAMES[model])
        shares.append((f"{np.mean(model_values > 0):.0%}", style["color"]))
        axis.hist(model_values, edges, density=True, color=style["color"], histtype="stepfilled", lw=0, alpha=0.25)
        line = {"color": style["color"], "linestyle": style["linestyle"], "lw": 1.4}
        axis.hist(model_values, edges, density=True, histtype="step", **line)
    axis.axvline(0, **GUIDE)
    colored(axis, shares)
