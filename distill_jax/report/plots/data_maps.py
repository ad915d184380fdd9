"""Data maps of a teacher and its students, side by side."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distill_jax.measures.cartography import DataMap
from distill_jax.measures.interval import number
from distill_jax.report.plots.clouds import WRONG, drawn_rows, point_size
from distill_jax.report.plots.style import GUIDE, grid, heading, in_order, square
from distill_jax.students import label_of

# By the highest share of the dumps in which the label is predicted; each class is without what those before it have.
CLASSES = {
    "never right": (0.0, "#CC79A7", "v"),
    "right in up to half": (0.5, "#7A5195", "s"),
    "right in more than half": (1.0 - 1e-9, "#56B4E9", "D"),
    "always right": (1.0, "#2f6fae", "o"),
}


def data_map(maps: Mapping[str, DataMap]) -> Figure:
    """Confidence against variability of every example, a panel for each model (Swayamdipta et al. 2020, figure 1).

    All examples lie below the line that no mean and standard deviation of numbers in [0, 1] can cross.

    >>> example = DataMap(np.array([0.25]), np.array([0.5]), np.array([1.0]), np.array([False]))
    >>> figure = data_map({"kd": example, "teacher": example})
    >>> [axis.get_title("left") for axis in figure.axes]
    ['Teacher', 'Distilled (KD)']

    Args:
      maps: of one seed's models, by their names in files.
    """
    models = in_order(maps)
    columns = min(len(models), 3)
    figure, axes = grid(-(-len(models) // columns), columns, 3.9, 3.9)
    for axis in axes.flat[len(models) :]:
        axis.axis("off")
    for axis, model in zip(axes.flat, models, strict=False):
        _panel(axis, maps[model])
        heading(axis, label_of(model), _lines(maps[model]))
    for axis in axes[:, 0]:
        axis.set_ylabel("confidence: mean probability of the label")
    dot = {"ls": "", "ms": 5, "mec": "none"}
    handles = [
        Line2D([], [], color=color, marker=marker, label=name, **dot) for name, (_, color, marker) in CLASSES.items()
    ]
    if any(found.mislabelled.any() for found in maps.values()):
        handles.append(Line2D([], [], color=WRONG, marker="x", ls="", ms=5, label="mislabelled example"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    square(figure, axes)
    return figure


def correctness_class(correctness: np.ndarray) -> np.ndarray:
    """The place in `CLASSES` of each example, int [N].

    >>> correctness_class(np.array([0.0, 0.25, 0.5, 0.75, 1.0])).tolist()
    [0, 1, 1, 2, 3]
    """
    return np.searchsorted([most for most, *_ in CLASSES.values()], correctness)


def _panel(axis: Axes, found: DataMap) -> None:
    x, y, rows = found.variability, found.confidence, drawn_rows(len(found.confidence))
    classes = correctness_class(found.correctness)
    for index, (_, color, marker) in enumerate(CLASSES.values()):
        shown = rows[(classes[rows] == index) & ~found.mislabelled[rows]]
        size = point_size(len(shown))  # by their own number: those of a rare class are looked for
        axis.scatter(x[shown], y[shown], s=size, c=color, marker=marker, lw=0, alpha=0.7, rasterized=True)
    marked = rows[found.mislabelled[rows]]
    axis.scatter(
        x[marked], y[marked], s=1.8 * point_size(len(rows)), c=WRONG, marker="x", lw=0.6, alpha=0.75, rasterized=True
    )
    mean = np.linspace(0, 1, 200)
    axis.plot(np.sqrt(mean * (1 - mean)), mean, **GUIDE)
    # Where the line leaves room for it
    for text, y_place, va in (("easy to learn", 1.0, "top"), ("hard to learn", 0.0, "bottom")):
        axis.text(0.55, y_place, text, ha="right", va=va, fontsize=8.5)
    axis.text(0.55, 0.5, "ambiguous", ha="right", va="center", rotation=90, fontsize=8.5)
    axis.set(xlim=(-0.01, 0.56), ylim=(-0.02, 1.02), xlabel="variability: its standard deviation")
    axis.set_xticks(np.arange(0, 0.51, 0.1))


def _lines(found: DataMap) -> list[str]:
    """Mean confidence, of wrong labels by themselves."""
    if not found.mislabelled.any():
        return [f"mean confidence {number(float(found.confidence.mean()))}"]
    right, wrong = (float(found.confidence[rows].mean()) for rows in (~found.mislabelled, found.mislabelled))
    return [f"mean confidence: right labels {number(right)}, wrong labels {number(wrong)}"]
