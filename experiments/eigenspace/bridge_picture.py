"""One figure from the theory to the paper's experiment: mean curves of every row, and its numbers with intervals."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distill_jax.report.plots.style import GUIDE
from distill_jax.students import label_of, look_of
from experiments.comparison import MODELS, NAMES
from experiments.eigenspace.bias import LEVELS
from experiments.eigenspace.bridge_summary import DRAWN

_COLUMNS = 6
_CLOSED = {"color": "#999999", "lw": 4, "alpha": 0.5, "zorder": 0}


def figure(rows: Mapping[str, Any]) -> Figure:
    """Mean curves of bottom over top progress for each row; below, distances, exaggerations and relative times.

    Args:
      rows: of the result, by name.
    """
    canvas = Figure(figsize=(14, 4.4 + 0.36 * len(rows) + 2.3), dpi=150, layout="constrained")
    above, below = canvas.subfigures(2, 1, height_ratios=[4.4, 0.36 * len(rows) + 1.6])
    panels = above.subplots(-(-len(rows) // _COLUMNS), _COLUMNS, sharex=True, sharey=True).ravel()
    for axis, (name, row) in zip(panels, rows.items(), strict=False):
        _curves(axis, name, row["curves"])
    for axis in panels[len(rows) :]:
        axis.set_axis_off()
    above.suptitle(
        "Share of the way along the bottom direction over that along the top one", fontsize=11, x=0.01, ha="left"
    )
    axes = below.subplots(1, 3, sharey=True)
    shown: tuple[tuple[str, dict[str, str]], ...] = (
        ("distance from the nearest closed form", {"teacher": "distance_teacher", "student": "distance_student"}),
        ("bias less the teacher's", {"control": "exaggeration_control", "student": "exaggeration_student"}),
        ("student's end time over the teacher's", {"student": "longer"}),
    )
    for axis, (title, names) in zip(axes, shown, strict=True):
        _points(axis, rows, names)
        axis.set_title(title, fontsize=10)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].invert_yaxis()
    axes[1].axvline(0, **GUIDE)
    axes[2].axvline(1, **GUIDE)
    axes[2].set_xscale("log")
    axes[2].set_xticks([0.5, 1, 2, 4], ["1/2", "1", "2", "4"])
    axes[2].set_xlim(left=0.45)
    axes[2].minorticks_off()
    handles = [Line2D([], [], **look_of(NAMES[model]), ms=5, label=label_of(NAMES[model])) for model in MODELS]
    handles.append(Line2D([], [], **_CLOSED, label="closed form nearest to the teacher"))
    canvas.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return canvas


def _curves(axis: Any, name: str, curves: Mapping[str, Any]) -> None:
    u = [0.0, *LEVELS[DRAWN], 1.0]
    for model in ("teacher", "student"):
        style = look_of(NAMES[model])
        line = {"color": style["color"], "linestyle": style["linestyle"], "lw": 1.8}
        axis.plot(u, [0.0, *curves[model], 1.0], **line)
    axis.plot(u, [0.0, *curves["closed_form"], 1.0], **_CLOSED)
    axis.set_title(name, fontsize=9)
    axis.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axis.tick_params(labelsize=7.5)
    axis.set_aspect("equal")


def _points(axis: Any, rows: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """A point with its interval for each row and model, models slightly apart."""
    for index, (model, name) in enumerate(names.items()):
        style = look_of(NAMES[model])
        positions = [row + (index - (len(names) - 1) / 2) * 0.28 for row in range(len(rows))]
        mean, low, high = ([row[name][k] for row in rows.values()] for k in ("mean", "low", "high"))
        for x, a, b, y in zip(mean, low, high, positions, strict=True):
            axis.plot([x if a is None else a, x if b is None else b], [y, y], color=style["color"], lw=1.4)
        axis.plot(mean, positions, style["marker"], color=style["color"], ms=5, ls="none")
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
