"""Labels beside points, in place of a legend that a reader would have to go to and fro between."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from distill_jax.measures.interval import Interval
from distill_jax.report.plots.style import place

_DISTANCES = (7, 13, 20, 28, 38, 50, 64)  # of a label from its point, in points
_DIRECTIONS = [(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 16, endpoint=False)]
_MARKER, _BAR = 4.0, 1.0  # half of what they are wide, in points
_LABEL_COST, _MARKER_COST, _BAR_COST, _DISTANCE_COST = 30.0, 15.0, 8.0, 0.03
_FAR = 9  # points between a point and its label from which on a line leads to it


def label_points(
    axis: Axes, x: Sequence[float], y: Sequence[Interval], texts: Sequence[str], colors: Sequence[str]
) -> None:
    """Writes each point's label where it lies least on other labels, markers and bars; a line leads to one far away.

    Args:
      axis: of a figure that has all else in it.
      x, y: of the points; the latter with their bars.
      texts, colors: of the labels.
    """
    figure = axis.get_figure()
    assert isinstance(figure, Figure)
    place(figure)
    unit, renderer = figure.dpi / 72, FigureCanvasAgg(figure).get_renderer()
    at, low, high = (
        axis.transData.transform(np.column_stack([x, ends])) / unit
        for ends in zip(*[(b.mean, b.low, b.high) if b.has_ends else (b.mean,) * 3 for b in y], strict=True)
    )
    half = np.array([_BAR, 0.0])
    boxes = np.concatenate([np.hstack([low - half, high + half]), np.hstack([at - _MARKER, at + _MARKER])])
    costs = np.repeat([_BAR_COST, _MARKER_COST], len(at))
    panel = axis.get_window_extent().get_points().ravel() / unit
    paper = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8}  # bars that a label covers fade
    style: dict[str, Any] = {"fontsize": 6.5, "ha": "center", "va": "center", "in_layout": False, "bbox": paper}
    # Those first that have the least room
    for index in np.argsort([np.hypot(*(at - point).T).sum() for point in at]):
        color, line = colors[index], None
        text = axis.annotate(texts[index], (x[index], y[index].mean), **style)
        size = Text.get_window_extent(text, renderer).size / unit
        text.remove()
        box = _best(_candidates(at[index], size, panel), at[index], boxes, costs)
        boxes, costs = np.concatenate([boxes, [box]]), np.append(costs, _LABEL_COST)
        if np.hypot(*(at[index] - np.clip(at[index], box[:2], box[2:]))) > _FAR:
            line = {"arrowstyle": "-", "lw": 0.4, "color": color, "shrinkB": 3}
        where: Any = {"xytext": (box[:2] + box[2:]) / 2 - at[index], "textcoords": "offset points"}
        axis.annotate(texts[index], (x[index], y[index].mean), **where, color=color, arrowprops=line, **style)


def _candidates(at: np.ndarray, size: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """Places of a label around its point that lie within the panel, [C, 4]; the point itself where there is none."""
    centres = at + np.multiply(_DIRECTIONS, size / 2 + np.array(_DISTANCES)[:, None, None]).reshape(-1, 2)
    boxes = np.hstack([centres - size / 2, centres + size / 2])
    within = (boxes[:, :2] >= panel[:2]).all(axis=1) & (boxes[:, 2:] <= panel[2:]).all(axis=1)
    return boxes[within] if within.any() else np.hstack([at - size / 2, at + size / 2])[None]


def _best(candidates: np.ndarray, at: np.ndarray, boxes: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The place, [4], that covers least of other things, in square points, and is not far."""
    shared = np.minimum(candidates[:, None, 2:], boxes[:, 2:]) - np.maximum(candidates[:, None, :2], boxes[:, :2])
    covered = (costs * np.clip(shared, 0, None).prod(axis=-1)).sum(axis=-1)
    away = (((candidates[:, :2] + candidates[:, 2:]) / 2 - at) ** 2).sum(axis=-1)
    return candidates[np.argmin(covered + _DISTANCE_COST * away)]
