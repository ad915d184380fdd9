"""Figures of single examples: teacher against student, as clouds whose density can be seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from distill_jax.errors import InputError
from distill_jax.measures import deviations
from distill_jax.measures.interval import Interval, number, quote
from distill_jax.report.plots.style import SPLITS, grid, heading, in_order, square
from distill_jax.students import SWITCHED, label_of

if TYPE_CHECKING:
    from distill_jax.dumps import Dump
    from distill_jax.measures.findings import Deviations

DRAWN = 20_000  # most points drawn in one panel
MIDDLE = 0.99  # share of a group's values that its axes are made for; see `limits_of`
WRONG = "#D55E00"
_PLAIN = "#2f6fae"
_DENSITY = LinearSegmentedColormap.from_list("density", ["#7fb2dc", "#4384c4", "#24569b"])  # seen on white and on black
_DIAGONAL = {"color": "black", "lw": 1, "ls": (0, (5, 3))}
_OUTWARD = {"above": "▲", "below": "▼", "left": "◀", "right": "▶"}
_MARKERS = {"above": "^", "below": "v", "left": "<", "right": ">"}
Limits = tuple[tuple[float, float], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Cloud:
    """The points of one panel.

    >>> cloud = Cloud.of(deviations.per_example(teacher_of_seed_0, student_of_seed_0))
    >>> int((cloud.x < cloud.hard).sum()), len(cloud.x)
    (4, 40)

    Attributes:
      x, y: float [N].
      marked: bool [N], points drawn as crosses: the mislabelled ones.
      title: bold, above the panel.
      lines: numbers, below the title.
      xlabel, ylabel: of the axes.
      group: panels of one group have the same axes, so that they can be compared; see `limits_of`.
      hard: X below which examples are hard ones; None where that is not shown.
      diagonal: whether the line X = Y means anything; X and Y have the same axis then.
    """

    x: np.ndarray
    y: np.ndarray
    marked: np.ndarray
    title: str = ""
    lines: Sequence[str] = ()
    xlabel: str = ""
    ylabel: str = ""
    group: Any = None
    hard: float | None = None
    diagonal: bool = True

    @classmethod
    def of(cls, examples: deviations.PerExample, **fields: Any) -> Cloud:
        """X and Y of a comparison, the hard tenth shaded."""
        return cls(examples.x, examples.y, examples.mislabelled, hard=examples.x[len(examples.x) // 10], **fields)


def clouds(rows: Sequence[Sequence[Cloud | None]], width: float = 4.4, crossed: bool = False) -> Figure:
    """A grid of square panels, of rows of one length; None leaves a place empty.

    Every example is a point within its panel, or a triangle at the edge beyond which it lies; these are counted.

    >>> cloud = Cloud.of(deviations.per_example(teacher_of_seed_0, student_of_seed_0))
    >>> [axis.axison for axis in clouds([[cloud, None]]).axes]
    [True, False]

    Args:
      rows: the panels.
      width: of a panel, inches; below 3 it is drawn with small type.
      crossed: whether the numbers are of points that another teacher has chosen, not of the shaded ones.
    """
    small = width < 3
    drawn = [cloud for row in rows for cloud in row if cloud is not None]
    figure, axes = grid(len(rows), len(rows[0]), width, width)
    limits = {group: limits_of([c for c in drawn if c.group == group]) for group in {c.group for c in drawn}}
    signs: dict[str, Line2D] = {}
    for axis, cloud in zip(axes.flat, (cloud for row in rows for cloud in row), strict=True):
        if cloud is None:
            axis.axis("off")
            continue
        _panel(axis, cloud, limits[cloud.group], small)
        for sign in _signs(cloud, limits[cloud.group], crossed):
            axis.add_line(sign)  # draws nothing, and says which signs a panel has
            signs.setdefault(str(sign.get_label()), sign)
    handles = sorted(signs.values(), key=lambda sign: sign.get_zorder())
    columns = 2 if crossed else int(figure.get_figwidth() / 2.2)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    square(figure, axes)
    return figure


def scatter(teachers: Sequence[Dump], students: Sequence[Dump], statistics: Deviations | None = None) -> Figure:
    """Teacher against students in phi space: a row for each split, a column for each student (Figures 1, 2).

    >>> [axis.get_title("left") for axis in scatter([teacher_of_seed_0], [student_of_seed_0]).axes]
    ['mine, test set']

    Args:
      teachers: the teacher's dump of each split shown, all of one seed.
      students: dumps of the same splits, of any number of students.
      statistics: the summary's `deviations`, [student][split][statistic], printed above the panels; without
        it, the statistics of the very dumps shown, without intervals.

    Raises:
      InputError: as `deviations.per_example`; or there is no dump, or two cannot be told apart by their attributes.
    """
    models, splits = _names(students, "model"), _names(teachers, "split")
    teacher_by_split, student_by_model_and_split = _by(teachers, "split"), _by(students, "model", "split")
    rows, crossed = [], False
    for split in splits:
        rows.append([])
        for model in models:
            if (model, split) not in student_by_model_and_split:
                rows[-1].append(None)
                continue
            examples = deviations.per_example(teacher_by_split[split,], student_by_model_and_split[model, split])
            values = (statistics or {}).get(model, {}).get(split)
            if values is None:
                without_intervals = deviations.summarise(deviations.Comparison(examples))
                values = {k: Interval(v, math.nan, math.nan, 1, "seeds") for k, v in without_intervals.items()}
            lines = gap_lines(values)
            crossed = crossed or "mean_gap_hard" in values
            if "mean_gap_mislabelled" in values:
                lines.append(f"wrong labels' gap {quote(values['mean_gap_mislabelled'], sign=True)}")
            title = f"{label_of(model)}, {SPLITS.get(split, split)}"
            ylabel = "student  $Y = \\phi(p)$" if model == models[0] else ""
            fields = {"title": title, "lines": lines, "xlabel": "teacher  $X = \\phi(p)$", "ylabel": ylabel}
            rows[-1].append(Cloud.of(examples, group=split, **fields))
    return clouds(rows, crossed=crossed)


def evolution(
    teacher: Dump,
    students: Sequence[Dump],
    switch_step: int | None = None,
    gaps: Mapping[tuple[str, int], Interval] | None = None,
) -> Figure:
    """Final teacher against snapshots of students: a column for each step, a row for each student (Figure 3).

    Args:
      teacher: the teacher's last dump.
      students: dumps of the same split at several steps; a snapshot that is not there leaves its panel empty.
      switch_step: named in the titles of the rows of switched students.
      gaps: mean gap of the hard examples as an interval, by model and step, printed in the panels; without it that
        of the examples shaded, which the teacher shown finds hard, without an interval.

    Raises:
      InputError: as `scatter`.
    """
    models, steps = in_order(_names(students, "model")), sorted({d.attributes.get("step", 0) for d in students})
    compared = {key: deviations.per_example(teacher, d) for key, d in _by(students, "model", "step").items()}
    rows = []
    for model in models:
        rows.append([])
        for step in steps:
            if (model, step) not in compared:
                rows[-1].append(None)
                continue
            examples = compared[model, step]
            shaded_gap = f"(shaded: {number(deviations.gap_by_decile(examples)[0], sign=True)})"
            gap = shaded_gap if gaps is None else f"hard gap {quote(gaps[model, step], 1, sign=True)}"
            switched = switch_step is not None and model in SWITCHED
            name = label_of(model) + (f"\n(switch at {switch_step:,})" if switched else "")
            cloud = Cloud.of(
                examples,
                title=f"step {step:,}" if model == models[0] else "",
                lines=[gap],
                ylabel=f"{name}\n$Y$" if step == steps[0] else "",
                xlabel="$X$ (final teacher)" if model == models[-1] else "",
                group=step,  # early on Y goes far below what it is later
            )
            rows[-1].append(cloud)
    return clouds(rows, 2.2, crossed=gaps is not None)


def gap_lines(values: Mapping[str, Interval]) -> list[str]:
    """Lines above a panel: gap on the hard tenth, chosen by another seed's teacher and as drawn, and the slope.

    They are wanted with `clouds(..., crossed=True)` where there is another seed, which says so in the legend.

    >>> gap, slope = Interval(0.5, 0.4, 0.6, 3, "seeds"), Interval(1.2, 1.1, 1.3, 3, "seeds")
    >>> gap_lines({"mean_gap_hard_as_in_paper": gap, "slope_least_squares": slope})
    ['hard gap +0.50 [+0.40, +0.60]', 'slope 1.20 [1.10, 1.30] (least squares)']
    """
    as_drawn = quote(values["mean_gap_hard_as_in_paper"], sign=True)
    if "mean_gap_hard" not in values:
        return [f"hard gap {as_drawn}", f"slope {quote(values['slope_least_squares'])} (least squares)"]
    return [
        f"hard gap {quote(values['mean_gap_hard'], sign=True)}",
        f"(shaded: {as_drawn})",
        f"slope {quote(values['slope_instrumented'])}",
    ]


def underfit_line(values: Mapping[str, Interval]) -> str:
    """A line above a panel: the share of hard points that is underfit, by the choice of `gap_lines`' first line.

    >>> underfit_line({"underfit_fraction_hard": Interval(0.75, 0.6, 0.9, 3, "seeds")})
    'hard underfit 75 [60, 90]%'
    """
    return f"hard underfit {quote(deviations.preferred(values, 'underfit_fraction_hard'), 0, scale=100)}%"


def _names(dumps: Sequence[Dump], attribute: str) -> list[str]:
    return list(dict.fromkeys(d.attributes.get(attribute, "") for d in dumps))


def _by(dumps: Sequence[Dump], *attributes: str) -> dict[tuple[Any, ...], Dump]:
    """Dumps by these of their attributes, in which each must differ from the others: it would not be shown."""
    by_key: dict[tuple[Any, ...], Dump] = {}
    for dump in dumps:
        key = tuple(dump.attributes.get(name, 0 if name == "step" else "") for name in attributes)
        if key in by_key:
            description = " and ".join(f"{name} {value!r}" for name, value in zip(attributes, key, strict=True))
            raise InputError(
                "dumps", None, f"two have the {description} among their attributes; must differ, so that both are shown"
            )
        by_key[key] = dump
    if not by_key:
        raise InputError("dumps", None, "are none; must be one or more")
    return by_key


def limits_of(panels: Sequence[Cloud]) -> Limits:
    """Ends of the X and the Y axis that all panels of one group share, by the middle of what they show.

    An axis reaches over the middle 99% of the values of all panels, and a quarter of that further on either side; it
    ends earlier where the values do. So of a cloud without long tails next to nothing is left out (of a normal one, one
    example in 9,000), while a few examples far away do not squeeze all others into a corner. The 99% are much more than
    the hard tenth leaves to the others: most of it is always shown. Both sides are treated alike, and where the line
    X = Y is drawn X and Y are too: they have one axis, of both's values.

    >>> near, far = np.linspace(0, 1, 1000), np.append(np.linspace(0, 1, 999), -50.0)
    >>> x_axis, y_axis = limits_of([Cloud(near, far, far < 0)])
    >>> x_axis == y_axis, [round(end, 1) for end in x_axis]
    (True, [-0.3, 1.0])

    Args:
      panels: of one group.

    Returns:
      The ends of both axes, a little beyond the values.
    """
    values = [np.concatenate([getattr(cloud, name) for cloud in panels]) for name in "xy"]
    if any(cloud.diagonal for cloud in panels):
        values = [np.concatenate(values)] * 2
    return _ends(values[0]), _ends(values[1])


def _ends(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, ((1 - MIDDLE) / 2, (1 + MIDDLE) / 2))
    margin = (high - low) / 4
    if margin:
        low, high = max(values.min(), low - margin), min(values.max(), high + margin)
    else:  # nearly all values are the same
        low, high = values.min(), values.max()
    pad = 0.03 * (high - low) or 1.0
    return float(low - pad), float(high + pad)


def beyond(cloud: Cloud, limits: Limits) -> dict[str, np.ndarray]:
    """Which examples lie beyond each edge of a panel, bool [N]; one beyond two edges is above or below.

    >>> beyond(Cloud(np.array([0.0, 5.0]), np.array([0.0, 9.0]), np.zeros(2, bool)), ((0, 1), (0, 1)))["above"].tolist()
    [False, True]
    """
    (left, right), (below, above) = limits
    found = {"above": cloud.y > above, "below": cloud.y < below}
    inside = ~(found["above"] | found["below"])
    return found | {"left": inside & (cloud.x < left), "right": inside & (cloud.x > right)}


def _density(x: np.ndarray, y: np.ndarray, limits: Limits) -> np.ndarray:
    """How crowded the place of each point is, in [0, 1], on a log scale: a smoothed histogram, looked up."""
    bins = 120
    counts, *edges = np.histogram2d(x, y, bins, limits)
    cells = [np.clip(np.searchsorted(e, v, "right") - 1, 0, bins - 1) for e, v in zip(edges, (x, y), strict=True)]
    level = np.log1p(gaussian_filter(counts, 1.5)[cells[0], cells[1]])
    return level / max(level.max(initial=0), 1e-12)


def _panel(axis: Axes, cloud: Cloud, limits: Limits, small: bool) -> None:
    rows = drawn_rows(len(cloud.x))
    outside = beyond(cloud, limits)
    within = rows[~np.logical_or.reduce(list(outside.values()))[rows]]
    plain, marked = within[~cloud.marked[within]], within[cloud.marked[within]]
    size = point_size(len(rows)) * (0.4 if small else 1.0)
    axis.set(xlim=limits[0], ylim=limits[1])
    if cloud.hard is not None:
        axis.axvspan(limits[0][0], max(cloud.hard, limits[0][0]), color="black", alpha=0.05, lw=0, zorder=0)
    density = _density(cloud.x[plain], cloud.y[plain], limits)
    order = np.argsort(density, kind="stable")  # the crowded places on top
    points, colors = plain[order], {"c": density[order], "cmap": _DENSITY, "vmin": 0, "vmax": 1}
    axis.scatter(cloud.x[points], cloud.y[points], s=size, **colors, lw=0, rasterized=True)
    cross = {"c": WRONG, "marker": "x", "lw": 0.6, "alpha": 0.75}
    axis.scatter(cloud.x[marked], cloud.y[marked], s=size * 1.8, **cross, rasterized=True)
    _outside(axis, cloud, outside, rows, small)
    if cloud.diagonal:
        axis.axline((0, 0), slope=1, **_DIAGONAL)
    axis.set_xlabel(cloud.xlabel, fontsize=9.5 if small else None)
    axis.set_ylabel(cloud.ylabel, fontsize=9.5 if small else None)
    integer = max(end - start for start, end in limits) > 4
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(4 if small else 6, integer=integer))
    heading(axis, cloud.title, cloud.lines, small)
    if small:
        axis.tick_params(labelsize=8)


def drawn_rows(examples: int) -> np.ndarray:
    """The rows that a panel draws of so many examples: all of them, or a fixed draw of `DRAWN`."""
    return np.arange(examples) if examples <= DRAWN else np.random.default_rng(0).choice(examples, DRAWN, replace=False)


def point_size(points: int) -> float:
    """The area of each of so many points, in square points."""
    return float(np.clip(9000 / max(points, 1), 2.0, 9.0))


def _outside(axis: Axes, cloud: Cloud, outside: Mapping[str, np.ndarray], rows: np.ndarray, small: bool) -> None:
    """A triangle at the edge for each example drawn that lies beyond it, and how many of all examples do."""
    (left, right), (below, above) = axis.get_xlim(), axis.get_ylim()
    inset_x, inset_y = 0.012 * (right - left), 0.012 * (above - below)
    x, y = np.clip(cloud.x, left + inset_x, right - inset_x), np.clip(cloud.y, below + inset_y, above - inset_y)
    for side, mask in outside.items():
        shown = rows[mask[rows]]
        colors = np.where(cloud.marked[shown], WRONG, _PLAIN).tolist()
        axis.scatter(x[shown], y[shown], s=6 if small else 12, c=colors, marker=_MARKERS[side], lw=0, zorder=3)
    size = 7.5 if small else 8.5
    # In the corners that are farthest from the line
    corners = ((0.07, 0.94), "left", "top", ("above", "left")), ((0.95, 0.07), "right", "bottom", ("right", "below"))
    for corner, ha, va, sides in corners:
        counts = [f"{outside[side].sum():,} {_OUTWARD[side]}" for side in sides if outside[side].any()]
        axis.annotate("\n".join(counts), corner, xycoords="axes fraction", fontsize=size, ha=ha, va=va)


def _signs(cloud: Cloud, limits: Limits, crossed: bool) -> list[Line2D]:
    """The signs that are in a panel, as its legend has them; they are in the order of `zorder`."""
    dot = {"color": _PLAIN, "ls": "", "ms": 5, "mec": "none"}
    shade = {"color": "black", "alpha": 0.13, "marker": "s", "ms": 9, "ls": "", "mec": "none"}
    hard = "hard tenth of this teacher (numbers: of another's, but in brackets)" if crossed else "hard tenth"
    signs = [
        (cloud.diagonal, {**_DIAGONAL, "label": "$X = Y$"}),
        (True, {"marker": "o", "label": "example (darker: more of them)", **dot}),
        (cloud.marked.any(), {"color": WRONG, "marker": "x", "ls": "", "ms": 5, "label": "mislabelled example"}),
        (
            any(side.any() for side in beyond(cloud, limits).values()),
            {"marker": "v", "label": "beyond the edge (how many)", **dot},
        ),
        (cloud.hard is not None, {"label": hard, **shade}),
    ]
    return [Line2D([], [], zorder=place, **style) for place, (there, style) in enumerate(signs) if there]
