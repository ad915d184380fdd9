"""Figures of means with intervals: the gap by tenth of the examples, and what becomes of wrong labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distill_jax.measures.findings import Deviations
from distill_jax.measures.study_summary import ByDecile
from distill_jax.report.plots.style import GUIDE, SPLITS, Shares, bars, grid, in_order
from distill_jax.students import CONTROL, KD, TEACHER, label_of, look_of

_MODEL_NAMES = {TEACHER: "teacher", CONTROL: "control"}


def underfitting(
    crossed: ByDecile | None,
    as_in_paper: ByDecile,
    models: Sequence[str] = (CONTROL, KD),
    selecting: str = TEACHER,
) -> Figure:
    """Mean gap Y - X in each tenth of the examples by a teacher's confidence, with 95% intervals.

    A row of panels for each choice of class and tenths, a column for each split.

    Args:
      crossed, as_in_paper: the summary's `gap_by_decile` and `gap_by_decile_as_in_paper`, [student][split] a list of
        ten intervals; the former None with one seed.
      models: students shown; the control should be among them.
      selecting: the model of another seed that has chosen class and tenths.
    """
    chosen = {"chosen by the student's own teacher, as in the paper": as_in_paper}
    chosen |= {} if crossed is None else {f"chosen by another seed's {_MODEL_NAMES[selecting]}": crossed}
    splits = [split for split in SPLITS if split in as_in_paper[models[0]]]
    figure, axes = grid(len(chosen), len(splits), 4.9, 3.4)
    for row, (choice, gaps) in zip(axes, chosen.items(), strict=True):
        for axis, split in zip(row, splits, strict=True):
            axis.axhline(0, **GUIDE)
            for i, model in enumerate(in_order(models)):
                positions = np.arange(1, 11) + 0.16 * (i - (len(models) - 1) / 2)
                bars(axis, positions, gaps[model][split], label=label_of(model), **look_of(model))
            axis.set_title(f"{SPLITS[split].capitalize()}: {choice}", fontsize=9.5)
            axis.set_xticks(range(1, 11), ["1\nhard", *map(str, range(2, 10)), "10\neasy"])
            axis.set_xlabel("tenth of the examples")
            axis.set_ylabel("mean gap  $Y - X$")
            axis.grid(axis="y", alpha=0.25)
    for column in axes.T:  # one scale for both choices
        ends = [end for axis in column for end in axis.get_ylim()]
        for axis in column:
            axis.set_ylim(min(ends), max(ends))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(models), frameon=False)
    return figure


def mislabelled(statistics: Deviations, split: str = "train") -> Figure:
    """The gap on mislabelled points and the share of wrong labels reproduced by each student (section 3.1).

    Args:
      statistics: the summary's `deviations`, [student][split][statistic].
      split: a split with mislabelled points.
    """
    titles = {
        "mean_gap_mislabelled": "mean gap  $Y - X$ of the wrong label",
        "mislabelled_fitted": "share of wrong labels reproduced",
    }
    models = in_order(statistics)
    figure, axes = grid(1, 2, 4.6, 0.75 + 0.42 * len(models))
    for axis, (name, title) in zip(axes[0], titles.items(), strict=True):
        for i, model in enumerate(models):
            value, style = statistics[model][split][name], look_of(model)
            seeds = value.per_seed
            axis.plot(seeds, [i + 0.22] * len(seeds), ".", color=style.get("color"), ms=5, alpha=0.6)
            bars(axis, [i], [value], sideways=True, **style)
        axis.set_yticks(range(len(models)), [label_of(m) for m in models])
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.set_xlabel(title)
        axis.grid(axis="x", alpha=0.25)
    axes[0, 0].axvline(0, **GUIDE)
    axes[0, 1].xaxis.set_major_formatter(Shares())
    axes[0, 1].set_yticklabels([])
    handles = [
        Line2D([], [], color="#666666", marker="o", ms=5.5, lw=1.3, label="mean with its 95% interval"),
        Line2D([], [], color="#666666", marker=".", ms=5, ls="", alpha=0.6, label="one seed"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
