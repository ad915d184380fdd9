"""Figures of means with intervals: the gap by tenth of the examples, and what becomes of wrong labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from distill_jax.plots.style import GUIDE, LABELS, SPLITS, STYLES, bars, grid


def underfitting(gap_by_decile: Mapping[str, Any], models: Sequence[str] = ("one_hot", "kd")) -> Figure:
    """Mean gap Y - X in each tenth of the examples by the teacher's confidence X, with 95% intervals.

    Args:
      gap_by_decile: the summary's, [student][split] a list of ten intervals.
      models: students shown; the control should be among them.
    """
    splits = list(gap_by_decile[models[0]])
    figure, axes = grid(1, len(splits), 4.6, 3.4)
    for axis, split in zip(axes[0], splits, strict=True):
        axis.axhline(0, **GUIDE)
        for place, model in enumerate(models):
            at = np.arange(1, 11) + 0.16 * (place - (len(models) - 1) / 2)
            bars(axis, at, gap_by_decile[model][split], label=LABELS.get(model, model), **STYLES.get(model, {}))
        axis.set_title(SPLITS.get(split, split).capitalize(), fontsize=10.5)
        axis.set_xticks(range(1, 11), ["1\nhard", *map(str, range(2, 10)), "10\neasy"])
        axis.set_xlabel("tenth of the examples, by $X$")
        axis.set_ylabel("mean gap  $Y - X$")
        axis.grid(axis="y", alpha=0.25)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(models), frameon=False)
    return figure


def mislabelled(statistics: Mapping[str, Any], split: str = "train") -> Figure:
    """The gap on mislabelled points and the share of wrong labels reproduced by each student (section 3.1).

    Args:
      statistics: the summary's `deviations`, [student][split][statistic].
      split: a split with mislabelled points.
    """
    titles = {
        "mean_gap_mislabelled": "mean gap  $Y - X$ on mislabelled points",
        "mislabelled_fitted": "share of wrong labels reproduced",
    }
    models = list(statistics)
    figure, axes = grid(1, 2, 4.6, 0.75 + 0.42 * len(models))
    for axis, (name, title) in zip(axes[0], titles.items(), strict=True):
        for place, model in enumerate(models):
            value, style = statistics[model][split][name], STYLES.get(model, {})
            seeds = value["per_seed"]
            axis.plot(seeds, [place + 0.22] * len(seeds), ".", color=style.get("color"), ms=5, alpha=0.6)
            bars(axis, [place], [value], sideways=True, **style)
        axis.set_yticks(range(len(models)), [LABELS.get(m, m) for m in models])
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.set_xlabel(title)
        axis.grid(axis="x", alpha=0.25)
    axes[0, 0].axvline(0, **GUIDE)
    axes[0, 1].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes[0, 1].set_yticklabels([])
    return figure
