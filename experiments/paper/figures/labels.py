"""Labels beside points, in place of a legend that a reader would have to go to and fro between."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

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
    unit = figure.dpi / 72
    to_points = axis.transData.transform
    at = [to_points((a, b.mean)) / unit for a, b in zip(x, y, strict=True)]
    bars = []
    for a, b in zip(x, y, strict=True):
        (left, low), (_, high) = (
            to_points((a, end)) / unit for end in ((b.low, b.high) if b.has_ends else (b.mean,) * 2)
        )
        bars.append(Bbox.from_extents(left - _BAR, low, left + _BAR, high))
    markers = [Bbox.from_extents(*(p - _MARKER), *(p + _MARKER)) for p in at]
    panel = Bbox(axis.get_window_extent().get_points() / unit)
    renderer = FigureCanvasAgg(figure).get_renderer()
    labels: list[Bbox] = []
    # Those first that have the least room
    order = sorted(range(len(at)), key=lambda i: sum(np.hypot(*(at[i] - p)) for p in at))
    for index in order:
        text = axis.annotate(texts[index], (x[index], y[index].mean), fontsize=6.5, color=colors[index], ha="center")
        text.set(va="center", in_layout=False)
        size = text.get_window_extent(renderer).size / unit
        boxes = _candidates(at[index], size, panel)
        costs = [_cost(box, at[index], labels, markers, bars) for box in boxes]
        best = boxes[int(np.argmin(costs))]
        labels.append(best)
        text.remove()
        centre = (best.min + best.max) / 2
        far = np.hypot(*(at[index] - np.clip(at[index], best.min, best.max))) > _FAR
        axis.annotate(
            texts[index],
            (x[index], y[index].mean),
            centre - at[index],
            textcoords="offset points",
            fontsize=6.5,
            color=colors[index],
            ha="center",
            va="center",
            in_layout=False,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": colors[index], "shrinkB": 3} if far else None,
        )


def _candidates(at: np.ndarray, size: np.ndarray, panel: Bbox) -> list[Bbox]:
    """Places of a label around its point that lie within the panel; the point itself where there is none."""
    boxes = []
    for distance, direction in itertools.product(_DISTANCES, _DIRECTIONS):
        centre = at + np.array(direction) * (size / 2 + distance)
        box = Bbox.from_extents(*(centre - size / 2), *(centre + size / 2))
        if panel.containsx(box.x0) and panel.containsx(box.x1) and panel.containsy(box.y0) and panel.containsy(box.y1):
            boxes.append(box)
    return boxes or [Bbox.from_extents(*(at - size / 2), *(at + size / 2))]


def _cost(box: Bbox, at: np.ndarray, labels: list[Bbox], markers: list[Bbox], bars: list[Bbox]) -> float:
    """What a place covers of other things, in square points, and how far it is."""
    centre = (box.min + box.max) / 2
    covered = (
        weight * _area(Bbox.intersection(box, other))
        for weight, others in ((_LABEL_COST, labels), (_MARKER_COST, markers), (_BAR_COST, bars))
        for other in others
    )
    return sum(covered) + _DISTANCE_COST * float(np.hypot(*(centre - at))) ** 2


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else float(box.width * box.height)
