"""Figures of accuracies: over training, by the step of the switch, by any swept field."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distill_jax.measures.accuracies import Trajectory
from distill_jax.measures.interval import Interval
from distill_jax.measures.sweep_summary import SweepSummary
from distill_jax.report.plots.style import COUNTS, GUIDE, Shares, bars, grid, heading, in_order
from distill_jax.students import SWITCHED, label_of, look_of

Trajectories = Mapping[str, Mapping[str, Trajectory]]  # [model][measure]


@dataclasses.dataclass(frozen=True)
class Switched:
    """A study of which a figure shows the effect of a switch of the loss.

    Attributes:
      title, lines: above its panel.
      trajectories: of its models.
      switch_step: where the switched students change their loss.
    """

    title: str
    lines: Sequence[str]
    trajectories: Trajectories
    switch_step: int


@dataclasses.dataclass(frozen=True)
class BySwitch:
    """A study whose step of the switch is swept.

    Attributes:
      title, lines: above its panel.
      steps: of the switches.
      values: the switched student's final test accuracy for each of them.
      unswitched: that of other models, by name.
    """

    title: str
    lines: Sequence[str]
    steps: Sequence[int]
    values: Sequence[Interval]
    unswitched: Mapping[str, Interval]


def accuracy(trajectories: Trajectories, switch_step: int | None = None) -> Figure:
    """Accuracy against step for all models with 95% bands, the switch marked (Figures 1b and 16).

    A switched student is drawn from the last snapshot before its switch: until then it is the student it
    branches from.

    >>> line = Trajectory(3, step=[0, 600], mean=[0.1, 0.9], low=[0.1, 0.8], high=[0.1, 1.0])
    >>> [axis.get_title() for axis in accuracy({"kd": {"test_accuracy": line}}).axes]
    ['Test set', 'Test set, the end enlarged']

    Args:
      trajectories: the summary's, [model][measure].
      switch_step: where the switched students change their loss.
    """
    titles = {
        "test_accuracy": "Test set",
        "test_zoom": "Test set, the end enlarged",
        "train_accuracy": "Training set",
        "train_accuracy_true": "Training set, against the true labels",
    }
    present = {measure for model in trajectories.values() for measure in model}
    panels = [name for name in titles if name in present or name == "test_zoom"]
    columns = 2 if len(panels) == 4 else len(panels)
    figure, axes = grid(-(-len(panels) // columns), columns, 9.2 / columns, 3.3)
    for axis, name in zip(axes.flat, panels, strict=True):
        first = (switch_step or 0) * 0.9 if name == "test_zoom" else -1
        _over_steps(axis, trajectories, name.replace("test_zoom", "test_accuracy"), switch_step, first)
        axis.set_title(titles[name], fontsize=10.5)
    _legend(figure, axes.flat[0])
    return figure


def trajectories(studies: Sequence[Switched]) -> Figure:
    """Test accuracy against step in several studies, a row for each: all of it, and enlarged from the switch on."""
    figure, axes = grid(len(studies), 2, 4.8, 3.5)
    for row, study in zip(axes, studies, strict=True):
        for axis, first in zip(row, (-1, study.switch_step * 0.9), strict=True):
            _over_steps(axis, study.trajectories, "test_accuracy", study.switch_step, first)
        heading(row[0], study.title, study.lines)
    _legend(figure, axes.flat[0])
    return figure


def _over_steps(axis: Axes, trajectories: Trajectories, measure: str, switch_step: int | None, first: float) -> None:
    """All models' accuracy from some step on, with 95% bands."""
    last = max(max(model[measure].step) for model in trajectories.values())
    for model, values in ((name, trajectories[name]) for name in in_order(trajectories)):
        steps, mean, low, high = (
            np.array(getattr(values[measure], k), np.float64) for k in ("step", "mean", "low", "high")
        )
        start = first
        if switch_step is not None and model in SWITCHED and (steps <= switch_step).any():
            start = max(first, steps[steps <= switch_step].max())
        keep = steps >= start
        style = look_of(model)
        axis.plot(steps[keep], mean[keep], label=label_of(model), markersize=4.5, lw=1.6, **style)
        axis.fill_between(steps[keep], low[keep], high[keep], color=style.get("color"), alpha=0.13, lw=0)
    if switch_step is not None and switch_step < last:
        axis.axvline(switch_step, **GUIDE, label="switch of the loss")
    axis.set_xlabel("training step")
    axis.set_ylabel("accuracy")
    axis.yaxis.set_major_formatter(Shares())
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(COUNTS)
    axis.grid(alpha=0.25)


def switches(studies: Sequence[BySwitch], model: str) -> Figure:
    """Final test accuracy of a switched student by the step of its switch, between the unswitched ones (Figure 4).

    Args:
      studies: a panel for each.
      model: one of `students.SWITCHED`.
    """
    columns = min(len(studies), 2) if len(studies) <= 4 else 4
    figure, axes = grid(-(-len(studies) // columns), columns, 4.6, 3.6)
    for axis in axes.flat[len(studies) :]:
        axis.axis("off")
    for axis, study in zip(axes.flat, studies, strict=False):
        for name in in_order(study.unswitched):
            value = study.unswitched[name]
            style = look_of(name)
            axis.axhline(value.mean, label=label_of(name), color=style["color"], ls=style["linestyle"], lw=1.5)
            if value.has_ends:
                axis.axhspan(value.low, value.high, color=style["color"], alpha=0.1, lw=0)
        bars(axis, study.steps, study.values, label=label_of(model), **look_of(model))
        axis.set_xticks(study.steps, [f"{step:,}" for step in study.steps])
        axis.margins(x=0.15)
        axis.set(xlabel="step of the switch", ylabel="final test accuracy")
        axis.yaxis.set_major_formatter(Shares())
        axis.grid(alpha=0.25)
        heading(axis, study.title, study.lines)
    _legend(figure, axes.flat[0])
    return figure


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9, handlelength=3)


def sweep(summary: SweepSummary, field: str) -> Figure:
    """The effect of a swept field: test accuracy, and the gap on hard training points, less the control's.

    Args:
      summary: of the sweep.
      field: one of its fields; students are shown that have the study's own value of every other.
    """
    study_values = summary.students[0].settings
    others = [f for f in summary.fields if f != field]
    students = [s for s in summary.students if all(s.settings[f] == study_values[f] for f in others)]
    titles = {
        "test_accuracy": "test accuracy less the control's, points",
        "train_mean_gap_hard": "gap, hard training points, less the control's",
    }
    figure, axes = grid(1, 2, 4.8, 3.9)
    for axis, (name, title) in zip(axes[0], titles.items(), strict=True):
        for model in in_order(dict.fromkeys(s.model for s in students)):
            line = sorted((s for s in students if s.model == model), key=lambda s: s.settings[field])
            if len(line) > 1:
                values = [s.statistics[name].against_control for s in line]
                bars(axis, [s.settings[field] for s in line], values, label=label_of(model), **look_of(model))
        axis.axhline(0, **GUIDE)
        axis.axvline(study_values[field], color="#666666", lw=0.8, ls=(0, (1, 2)), zorder=0)
        if field in ("temperature", "learning_rate"):
            axis.set_xscale("log")
        values_shown = sorted({s.settings[field] for s in students})
        axis.set_xticks(values_shown, [f"{value:,g}" for value in values_shown])
        axis.minorticks_off()
        axis.set(xlabel=field.replace("_", " "), ylabel=title)
        axis.grid(alpha=0.25)
    axes[0, 0].yaxis.set_major_formatter(Shares("", sign=True))
    _legend(figure, axes[0, 0])
    return figure
