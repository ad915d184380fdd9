"""Common style of all figures: names and looks of models, axes, means with intervals."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from distill_jax.files import write_result
from distill_jax.measures.interval import Interval

SPLITS = {"train": "training set", "test": "test set"}
GUIDE = {"color": "#666666", "lw": 1, "ls": (0, (4, 3)), "zorder": 0}  # lines that are no data


class _Shown(Figure):
    """A figure that a notebook shows; Matplotlib's own are shown where pyplot has made them."""

    def _repr_png_(self) -> bytes:
        return encode(self, "shown")["png"]


def grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """An empty figure of panels, each so many inches wide and high.

    >>> figure, axes = grid(1, 2, width=3.0, height=2.0)
    >>> axes.shape, figure.get_size_inches().tolist()
    ((1, 2), [6.4, 2.4])
    """
    figure = _Shown(
        figsize=(width * columns + 0.4, height * rows + 0.4),
        dpi=150,
        layout=ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.05),
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def encode(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure as 'svg' and 'png'; the same figure of the same name gives the same bytes."""
    # By the canvases themselves: `savefig` places and draws a figure twice for each format.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    svg, png, dpi = io.BytesIO(), io.BytesIO(), figure.dpi
    FigureCanvasAgg(figure).print_png(png)
    with matplotlib.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # which leaves the figure with 72 dots per inch
    figure.set_dpi(dpi)
    return {"svg": svg.getvalue(), "png": png.getvalue()}


def save(figure: Figure, folder: Path, name: str) -> dict[str, bytes]:
    """Writes the figure as NAME.svg and NAME.png, each whole or not at all; gives both, see `encode`.

    Args:
      folder: is made where it is not there.

    Raises:
      RunError: it cannot be written.
    """
    encoded = encode(figure, name)
    for suffix, data in encoded.items():
        write_result(folder / f"{name}.{suffix}", data)
    return encoded


def heading(axis: Axes, title: str, lines: Sequence[str] = (), small: bool = False) -> None:
    """A bold title with lines of numbers below it.

    >>> figure, axes = grid(1, 1, 3.0, 2.0)
    >>> heading(axes[0, 0], "Distilled", ["hard gap 0.5"])
    >>> axes[0, 0].get_title("left"), [text.get_text() for text in axes[0, 0].texts]
    ('Distilled', ['hard gap 0.5'])
    """
    size, line = (9.5, 10) if small else (11, 12)
    axis.set_title(title, fontsize=size, fontweight="bold", loc="left", pad=(5 if small else 8) + line * len(lines))
    text = "\n".join(lines)
    axis.annotate(text, (0, 1), (0, 4 if small else 6), "axes fraction", "offset points", fontsize=size - 2)


def bars(axis: Axes, at: Any, values: Sequence[Interval], sideways: bool = False, **style: Any) -> None:
    """Means with their 95% intervals, at places on the other axis.

    >>> figure, axes = grid(1, 1, 3.0, 2.0)
    >>> bars(axes[0, 0], [1, 2], [Interval(0.5, 0.25, 0.75, 3, "seeds")] * 2)
    >>> [line.tolist() for line in axes[0, 0].collections[0].get_segments()]
    [[[1.0, 0.25], [1.0, 0.75]], [[2.0, 0.25], [2.0, 0.75]]]
    """
    mean, low, high = (np.array([getattr(v, k) for v in values]) for k in ("mean", "low", "high"))
    error = np.nan_to_num(np.stack([mean - low, high - mean]))
    style = style | {"capsize": 3, "ms": 5.5, "elinewidth": 1.3}
    if sideways:
        axis.errorbar(mean, at, xerr=error, **style)
    else:
        axis.errorbar(at, mean, yerr=error, **style, lw=1.2)
