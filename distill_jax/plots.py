"""The figures of a study, each a function from dumps or from a report's summary to a Matplotlib figure.

Colours are Okabe and Ito's, told apart by colour-blind readers; marker and line style say the same in grey.
Nothing here touches pyplot's global state, and no display is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.ndimage import gaussian_filter

from distill_jax import deviations
from distill_jax.statistics import quote

if TYPE_CHECKING:
    from distill_jax.dumps import Dump

LABELS = {
    "teacher": "Teacher",
    "one_hot": "One-hot (control)",
    "kd": "Distilled (KD)",
    "one_hot_to_kd": "One-hot → KD",
    "kd_to_one_hot": "KD → one-hot",
}
STYLES = {
    "teacher": {"color": "#000000", "marker": "s", "linestyle": (0, (1, 1.5))},
    "one_hot": {"color": "#E69F00", "marker": "o", "linestyle": "-"},
    "kd": {"color": "#0072B2", "marker": "^", "linestyle": "-"},
    "one_hot_to_kd": {"color": "#009E73", "marker": "D", "linestyle": (0, (6, 2))},
    "kd_to_one_hot": {"color": "#CC79A7", "marker": "v", "linestyle": (0, (5, 1.5, 1, 1.5))},
}
SPLITS = {"train": "training set", "test": "test set"}
DRAWN = 20_000  # most points drawn in one panel
_DENSITY = LinearSegmentedColormap.from_list("density", ["#7fb2dc", "#2f6fae", "#08264d"])
_WRONG = "#D55E00"


def scatter(teachers: Sequence[Dump], students: Sequence[Dump], statistics: Mapping[str, Any] | None = None) -> Figure:
    """Teacher against students in phi space: a row for each split, a column for each student (Figures 1, 2).

    Args:
      teachers: the teacher's dump of each split shown, all of one seed.
      students: dumps of the same splits, of any number of students.
      statistics: the summary's `deviations`, [student][split][statistic], printed above the panels; without
        it, the statistics of the very dumps shown, without intervals.

    Raises:
      InputError: as `deviations.per_example`.
    """
    models, splits = _names(students, "model"), _names(teachers, "split")
    figure, axes = _grid(len(splits), len(models), 4.4, 4.1)
    by_split = {d.attributes.get("split"): d for d in teachers}
    for row, split in enumerate(splits):
        shown = {
            d.attributes.get("model"): deviations.per_example(by_split[split], d)
            for d in students
            if d.attributes.get("split") == split
        }
        limits = _limits(shown.values())
        for column, model in enumerate(models):
            if model not in shown:
                axes[row, column].axis("off")
                continue
            _panel(axes[row, column], shown[model], limits)
            values = (statistics or {}).get(model, {}).get(split)
            if values is None:
                plain = deviations.summarise(shown[model])
                values = {k: {"mean": v, "low": None, "high": None} for k, v in plain.items()}
            lines = [
                f"hard gap {quote(values['mean_gap_hard'], sign=True)}",
                f"slope {quote(values['slope'])}",
            ]
            if "mean_gap_mislabelled" in values:
                lines.append(f"mislabelled gap {quote(values['mean_gap_mislabelled'], sign=True)}")
            _title(axes[row, column], f"{LABELS.get(model, model)}, {SPLITS.get(split, split)}", lines)
            axes[row, column].set_ylabel("student  $Y = \\phi(p)$" if column == 0 else "")
            axes[row, column].set_xlabel("teacher  $X = \\phi(p)$")
    wrong = any((d.label != d.true_label).any() for d in teachers)
    _scatter_legend(figure, wrong)
    return figure


def evolution(teacher: Dump, students: Sequence[Dump], switch_step: int | None = None) -> Figure:
    """Final teacher against snapshots of students: a column for each step, a row for each student (Figure 3).

    Args:
      teacher: the teacher's last dump.
      students: dumps of the same split at several steps; a snapshot that is not there leaves its panel empty.
      switch_step: named in the titles of the rows of switched students.

    Raises:
      InputError: as `deviations.per_example`.
    """
    models, steps = _names(students, "model"), sorted({d.attributes["step"] for d in students})
    shown = {(d.attributes["model"], d.attributes["step"]): deviations.per_example(teacher, d) for d in students}
    figure, axes = _grid(len(models), len(steps), 2.2, 2.1)
    limits = _limits(shown.values())
    for row, model in enumerate(models):
        for column, step in enumerate(steps):
            axis = axes[row, column]
            if (model, step) not in shown:
                axis.axis("off")
                continue
            _panel(axis, shown[model, step], limits, small=True)
            axis.label_outer()
            if row == 0:
                axis.set_title(f"step {step:,}", fontsize=10)
            if column == 0:
                switched = switch_step is not None and "_to_" in model
                name = LABELS.get(model, model) + (f"\n(switch at {switch_step:,})" if switched else "")
                axis.set_ylabel(f"{name}\n$Y$", fontsize=9.5)
            if row == len(models) - 1:
                axis.set_xlabel("$X$ (final teacher)", fontsize=9.5)
    _scatter_legend(figure, bool((teacher.label != teacher.true_label).any()))
    return figure


def accuracy(trajectories: Mapping[str, Any], switch_step: int | None = None) -> Figure:
    """Accuracy against step for all models with 95% bands, the switch marked (Figures 1b and 16).

    A switched student is drawn from the last snapshot before its switch: until then it is the student it
    branches from.

    Args:
      trajectories: the summary's, [model][measure] with lists step, mean, low, high.
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
    figure, axes = _grid(-(-len(panels) // columns), columns, 9.2 / columns, 3.3)
    for axis, name in zip(axes.flat, panels, strict=True):
        measure = name.replace("test_zoom", "test_accuracy")
        last = max(max(model[measure]["step"]) for model in trajectories.values())
        first = (switch_step or 0) * 0.9 if name == "test_zoom" else -1
        for model, values in trajectories.items():
            steps, mean, low, high = (np.array(values[measure][k], np.float64) for k in ("step", "mean", "low", "high"))
            start = first
            if switch_step is not None and "_to_" in model and (steps <= switch_step).any():
                start = max(first, steps[steps <= switch_step].max())
            keep = steps >= start
            style = STYLES.get(model, {})
            axis.plot(steps[keep], mean[keep], label=LABELS.get(model, model), markersize=4.5, lw=1.6, **style)
            axis.fill_between(steps[keep], low[keep], high[keep], color=style.get("color"), alpha=0.13, lw=0)
        if switch_step is not None and switch_step < last:
            axis.axvline(switch_step, color="#666666", lw=1, ls=(0, (4, 3)), zorder=0)
            axis.annotate("switch", (switch_step, 0), (3, 4), ("data", "axes fraction"), "offset points", fontsize=8.5)
        axis.set_title(titles[name], fontsize=10.5)
        axis.set_xlabel("training step")
        axis.set_ylabel("accuracy")
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.grid(alpha=0.25)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9, handlelength=3)
    return figure


def underfitting(gap_by_decile: Mapping[str, Any], models: Sequence[str] = ("one_hot", "kd")) -> Figure:
    """Mean gap Y - X in each tenth of the examples by the teacher's confidence X, with 95% intervals.

    Args:
      gap_by_decile: the summary's, [student][split] a list of ten intervals.
      models: students shown; the control should be among them.
    """
    splits = list(gap_by_decile[models[0]])
    figure, axes = _grid(1, len(splits), 4.6, 3.4)
    for axis, split in zip(axes[0], splits, strict=True):
        axis.axhline(0, color="#666666", lw=1, ls=(0, (4, 3)))
        for place, model in enumerate(models):
            at = np.arange(1, 11) + 0.16 * (place - (len(models) - 1) / 2)
            _bars(axis, at, gap_by_decile[model][split], label=LABELS.get(model, model), **STYLES.get(model, {}))
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
    figure, axes = _grid(1, 2, 4.6, 0.75 + 0.42 * len(models))
    for axis, (name, title) in zip(axes[0], titles.items(), strict=True):
        for place, model in enumerate(models):
            value, style = statistics[model][split][name], STYLES.get(model, {})
            seeds = value["per_seed"]
            axis.plot(seeds, [place + 0.22] * len(seeds), ".", color=style.get("color"), ms=5, alpha=0.6)
            _bars(axis, [place], [value], sideways=True, **style)
        axis.set_yticks(range(len(models)), [LABELS.get(m, m) for m in models])
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.set_xlabel(title)
        axis.grid(axis="x", alpha=0.25)
    axes[0, 0].axvline(0, color="#666666", lw=1, ls=(0, (4, 3)), zorder=0)
    axes[0, 1].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes[0, 1].set_yticklabels([])
    return figure


def sweep(summary: Mapping[str, Any], field: str) -> Figure:
    """What a swept field changes: test accuracy, and the gap on hard training points, less the control's.

    Args:
      summary: of `sweep_summary.summarise`.
      field: one of its fields; students are shown that have the study's own value of every other.
    """
    students = summary["students"]
    own = students[0]
    shown = [s for s in students if all(s[f] == own[f] for f in summary["fields"] if f != field)]
    titles = {
        "test_accuracy": "test accuracy less the control's",
        "train_mean_gap_hard": "gap, hard training points, less the control's",
    }
    figure, axes = _grid(1, 2, 4.8, 3.9)
    for axis, (name, title) in zip(axes[0], titles.items(), strict=True):
        for model in dict.fromkeys(s["model"] for s in shown):
            line = sorted((s for s in shown if s["model"] == model), key=lambda s: s[field])
            if len(line) > 1:
                values = [s["statistics"][name]["minus_control"] for s in line]
                _bars(axis, [s[field] for s in line], values, label=LABELS[model], **STYLES[model])
        axis.axhline(0, color="#666666", lw=1, ls=(0, (4, 3)), zorder=0)
        axis.axvline(own[field], color="#666666", lw=0.8, ls=(0, (1, 2)), zorder=0)
        if field in ("temperature", "learning_rate"):
            axis.set_xscale("log")
        tried = sorted({s[field] for s in shown})
        axis.set_xticks(tried, [f"{value:g}" for value in tried])
        axis.minorticks_off()
        axis.set(xlabel=field.replace("_", " "), ylabel=title)
        axis.grid(alpha=0.25)
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _names(dumps: Sequence[Dump], attribute: str) -> list[str]:
    return list(dict.fromkeys(d.attributes.get(attribute, "") for d in dumps))


def _grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width * columns + 0.4, height * rows + 0.4), dpi=150, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.07, w_pad=0.05)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(axis: Axes, title: str, lines: Sequence[str]) -> None:
    axis.set_title(title, fontsize=11, fontweight="bold", loc="left", pad=8 + 12 * len(lines))
    axis.annotate("\n".join(lines), (0, 1), (0, 6), "axes fraction", "offset points", fontsize=9, linespacing=1.3)


def _limits(shown: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the X and Y axes that all panels of one split share, so that they can be compared."""
    ends = []
    for name in "xy":
        low = min(float(getattr(e, name).min()) for e in shown)
        high = max(float(getattr(e, name).max()) for e in shown)
        pad = 0.03 * (high - low) or 1.0
        ends.append((low - pad, high + pad))
    return ends[0], ends[1]


def _density(x: np.ndarray, y: np.ndarray, limits: tuple[Any, Any]) -> np.ndarray:
    """How crowded the place of each point is, in [0, 1], on a log scale: a smoothed histogram, looked up."""
    bins = 120
    counts, *edges = np.histogram2d(x, y, bins, limits)
    place = [np.clip(np.searchsorted(e, v, "right") - 1, 0, bins - 1) for e, v in zip(edges, (x, y), strict=True)]
    level = np.log1p(gaussian_filter(counts, 1.5)[place[0], place[1]])
    return level / max(level.max(initial=0), 1e-12)


def _panel(axis: Axes, e: deviations.PerExample, limits: tuple[Any, Any], small: bool = False) -> None:
    rows = np.arange(len(e.x))
    if len(rows) > DRAWN:
        rows = np.random.default_rng(0).choice(len(rows), DRAWN, replace=False)
    clean, wrong = rows[~e.mislabelled[rows]], rows[e.mislabelled[rows]]
    size = float(np.clip(9000 / max(len(rows), 1), 2.0, 9.0)) * (0.4 if small else 1.0)
    tenth = len(e.x) // 10
    axis.axvspan(limits[0][0], e.x[tenth], color="#000000", alpha=0.05, lw=0, zorder=0)
    density = _density(e.x[clean], e.y[clean], limits)
    order = np.argsort(density, kind="stable")  # the crowded places on top
    points = clean[order]
    axis.scatter(
        e.x[points],
        e.y[points],
        s=size,
        c=density[order],
        cmap=_DENSITY,
        vmin=0,
        vmax=1,
        lw=0,
        rasterized=True,
    )
    axis.scatter(e.x[wrong], e.y[wrong], s=size * 1.8, c=_WRONG, marker="x", lw=0.6, alpha=0.75, rasterized=True)
    axis.axline((0, 0), slope=1, color="#222222", lw=1, ls=(0, (5, 3)))
    axis.set(xlim=limits[0], ylim=limits[1])
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(4 if small else 6, integer=True))
    if small:
        axis.tick_params(labelsize=8)


def _scatter_legend(figure: Figure, wrong: bool) -> None:
    dot = {"marker": "o", "ls": "", "ms": 5, "mec": "none"}
    handles = [
        Line2D([], [], color="#222222", lw=1, ls=(0, (5, 3)), label="$X = Y$"),
        Line2D([], [], color="#2f6fae", label="example (darker: more of them)", **dot),
        Line2D([], [], color="#000000", alpha=0.13, marker="s", ms=9, ls="", mec="none", label="hard tenth"),
    ]
    if wrong:
        handles.insert(2, Line2D([], [], color=_WRONG, marker="x", ls="", ms=5, label="mislabelled example"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def _bars(axis: Axes, at: Any, values: Sequence[Mapping[str, Any]], sideways: bool = False, **style: Any) -> None:
    mean, low, high = (np.array([v[k] for v in values], np.float64) for k in ("mean", "low", "high"))
    error = np.nan_to_num(np.stack([mean - low, high - mean]))
    style = style | {"capsize": 3, "ms": 5.5, "elinewidth": 1.3}
    if sideways:
        axis.errorbar(mean, at, xerr=error, **style)
    else:
        axis.errorbar(at, mean, yerr=error, **style, lw=1.2)
