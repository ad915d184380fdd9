"""Common style of all figures: the font, the order of models, axes and their numbers, means with intervals.

Text, axes and lines that are no model's are black, or a share of it: a page that is dark replaces one colour.
"""

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import Formatter, StrMethodFormatter

from distill_jax.files import write_result
from distill_jax.measures.interval import Interval, number
from distill_jax.students import MODELS

# In an SVG text stays text. The first font comes with Matplotlib; where a reader has it not, the second is as wide.
FONT: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
}
_FAMILY = b"font-family: 'DejaVu Sans', 'Verdana', sans-serif"
COUNTS = StrMethodFormatter("{x:,.0f}")  # of an axis of steps, as in 1,000
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


class Shares(Formatter):
    """Numbers of an axis that are shares, in per cent or in points, with as many digits as they need.

    >>> Shares().format_ticks([0.85, 0.9, 0.95]), Shares("", sign=True).format_ticks([-0.005, 0.0])
    (['85%', '90%', '95%'], ['\N{MINUS SIGN}0.5', '0.0'])
    """

    def __init__(self, unit: str = "%", sign: bool = False):
        """With a unit after each number, and with the sign of positive ones too where it is a difference."""
        self._unit, self._sign, self._digits = unit, sign, 0

    def format_ticks(self, values: Iterable[float]) -> list[str]:
        """All numbers of an axis, with equally many digits."""
        shown = list(values)
        exact = (n for n in range(4) if all(abs(round(100 * v, n) - 100 * v) < 1e-6 for v in shown))
        self._digits = next(exact, 4)
        return [self(value) for value in shown]

    def __call__(self, x: float, pos: int | None = None) -> str:
        """One number, with as many digits as those it is among."""
        return number(100 * x, self._digits, self._sign and x > 0) + self._unit


def in_order(models: Iterable[str]) -> list[str]:
    """Models as every legend has them: teacher, control, distilled, the two switched ones, then others as they come.

    >>> in_order(["mine", "kd_to_one_hot", "kd", "teacher"])
    ['teacher', 'kd', 'kd_to_one_hot', 'mine']
    """
    return sorted(models, key=lambda name: MODELS.index(name) if name in MODELS else len(MODELS))


def encode(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure as 'svg' and 'png', in `FONT`; the same figure of the same name gives the same bytes."""
    svg, png, dpi = io.BytesIO(), io.BytesIO(), figure.dpi
    # By the canvases themselves: `savefig` places and draws a figure twice for each format.
    place(figure)
    figure.set_layout_engine("none")
    settings: dict[Any, Any] = FONT | {"svg.hashsalt": name}
    with matplotlib.rc_context(settings):
        FigureCanvasAgg(figure).print_png(png)
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # which leaves the figure with 72 dots per inch
    figure.set_dpi(dpi)
    # Formulas name one font alone, so that a reader who has it not would see them in another kind than the rest
    return {"svg": re.sub(rb"font-family: 'DejaVu Sans'(?!,)", _FAMILY, svg.getvalue()), "png": png.getvalue()}


def place(figure: Figure) -> None:
    """Sets a figure in `FONT`, and places what is in it where that is not done yet."""
    with matplotlib.rc_context(FONT):
        for text in figure.findobj(Text):  # which have been made in the family that the session has
            text.set(fontfamily=FONT["font.family"], math_fontfamily=FONT["mathtext.fontset"])
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)


def square(figure: Figure, axes: np.ndarray) -> None:
    """Makes the panels of a figure squares of the width that they have, by its height.

    >>> figure, axes = grid(1, 2, width=3.0, height=2.0)
    >>> square(figure, axes)
    >>> width, height = figure.get_size_inches() * axes[0, 0].get_position().size
    >>> bool(abs(width - height) < 0.02), axes[0, 0].get_box_aspect()
    (True, 1.0)

    Args:
      figure: of `grid`, with everything in it.
      axes: its panels.
    """
    # Only then as a property of the panels: what is beside those that are not yet square would be placed wrong
    place(figure)
    width, height = figure.get_size_inches() * axes[0, 0].get_position().size
    figure.set_figheight(figure.get_figheight() + len(axes) * (width - height))
    place(figure)
    for axis in axes.flat:
        axis.set_box_aspect(1)
    figure.set_layout_engine("none")


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
    axis.annotate(
        text, (0, 1), (0, 4 if small else 6), "axes fraction", "offset points", fontsize=size - (1.5 if small else 2)
    )


def colored(axis: Axes, parts: Sequence[tuple[str, str]], fontsize: float = 9) -> None:
    """A line above a panel, its parts in colours of their own: numbers that a legend would have to tell apart.

    >>> figure, axes = grid(1, 1, 3.0, 2.0)
    >>> colored(axes[0, 0], [("above 0:", "black"), ("50%", "#0072B2")])
    >>> [(text.get_text(), text.get_color()) for text in axes[0, 0].texts]
    [('above 0:', 'black'), ('50%', '#0072B2')]

    Args:
      axis: the panel.
      parts: texts with their colours; those that are not 'black' are bold.
      fontsize: of all of them.
    """
    after: Any = {"xy": (0, 1), "xytext": (0, 5), "xycoords": "axes fraction"}
    for text, color in parts:
        style: dict[str, Any] = {"color": color, "fontsize": fontsize, "va": "bottom", "annotation_clip": False}
        style["fontweight"] = "normal" if color == "black" else "bold"
        written = axis.annotate(text, textcoords="offset points", **after, **style)
        after = {"xy": (1, 0), "xytext": (0.6 * fontsize, 0), "xycoords": written}


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
