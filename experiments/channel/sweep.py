"""When does distillation not help here? Gain, accuracy and signs on a grid of settings."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distill_jax.errors import InputError
from distill_jax.measures.interval import number
from distill_jax.measures.statistics import holm, over_seeds
from distill_jax.report.plots.style import grid as panels
from experiments import json_interval
from experiments.channel import signs
from experiments.channel.population import outcomes
from experiments.channel.setting import Setting, SweepSetting, validate
from experiments.comparison import CONTROL, STUDENT, TEACHER
from experiments.json_interval import quote
from experiments.markdown_table import markdown_table

FIELDS = tuple(field.name for field in dataclasses.fields(SweepSetting))
GAIN = "paired_gain_over_control"
_MAPPED = {
    GAIN: "Test accuracy less the control's (points)",
    "test_accuracy_teacher": "Teacher's test accuracy (%)",
    "one_hot_sign_share": "Right signs, one-hot training (%)",
    "distillation_sign_share": "Right signs, distillation (%)",
}
_AXES = {  # what a swept field is, where its name alone does not say so
    "similar": "similar classes of a point",
    "similar_scale": "factor of similar channels",
    "train_examples": "training examples",
    "epochs": "epochs of the students",
    "teacher_epochs": "epochs of the teacher",
}
_SIGNS = ("one_hot_sign_share", "distillation_sign_share")  # on one scale of colours


def grid(setting: Setting) -> list[dict[str, Any]]:
    """The changes of each cell: all combinations of the swept fields' values; none where no field is swept.

    Raises:
      InputError: a combination that cannot be.
    """
    swept = {name: values for name in FIELDS if (values := getattr(setting.sweep, name))}
    cells = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())] if swept else []
    for cell in cells:
        try:
            validate(dataclasses.replace(setting, **cell))
        except InputError as error:
            raise InputError("--sweep", ", ".join(f"{k} {v}" for k, v in cell.items()), str(error)) from None
    return cells


def of_cell(rows: Sequence[dict[str, Any]], cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `measure` that are of a cell: of all, since a file's may be of a sweep of more fields."""
    return [row for row in rows if {name: row[name] for name in FIELDS if name in row} == cell]


def measure(setting: Setting, cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with intervals over the same seeds as all: accuracy, gains, cosines and shares of right signs.

    Its margin is alpha |mu|, by the mean length of class vectors: how far a channel is moved along its own.
    """
    setting = dataclasses.replace(setting, **cell)
    parts_by_name: dict[str, list[np.ndarray]] = {}
    for part in outcomes(setting, range(setting.seeds), selector=False):
        sign_shares = signs.count(setting, part.label, part.own, part.logits[:, TEACHER])
        test, cosine = part.accuracy[:, :, 1, -1].astype(np.float64), part.cosine.astype(np.float64)
        values = {
            "test_accuracy_teacher": test[:, TEACHER],
            "test_accuracy_control": test[:, CONTROL],
            "paired_gain": test[:, STUDENT] - test[:, TEACHER],
            "paired_gain_over_control": test[:, STUDENT] - test[:, CONTROL],
            "cos_gain_over_control": (cosine[:, STUDENT] - cosine[:, CONTROL]).mean(-1),
            "student_cos_higher_share": (cosine[:, STUDENT] > cosine[:, TEACHER]).mean(-1),
            "one_hot_sign_share": sign_shares["one-hot", setting.absent],
            "distillation_sign_share": sign_shares[signs.chosen(setting)],
        }
        for name, seed_values in values.items():
            parts_by_name.setdefault(name, []).append(seed_values)
    numbers = {name: over_seeds(np.concatenate(parts)).as_json() for name, parts in parts_by_name.items()}
    return cell | {"margin": setting.alpha * signs.length(setting)} | numbers


def figure(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Figure:
    """Maps of gain over the control, accuracy and both shares of signs by the first two swept fields.

    A ring marks the cells in which the gain's interval includes 0.

    Args:
      rows: of `measure`.
      names: of the swept fields, one or more; for each combination of those after the second there are four maps.
    """
    down, across = (None, names[0]) if len(names) == 1 else names[:2]
    others = sorted({tuple(row[name] for name in names[2:]) for row in rows})
    shape = (2, 2) if len(others) == 1 else (len(others), len(_MAPPED))
    wide = max(1.8 + 0.85 * len(_values(rows, across)), 4.0)
    high = max(1.4 + 0.55 * len(_values(rows, down)), 2.2)
    canvas, maps = panels(*shape, wide, high)
    axes = iter(maps.flat)
    for other in others:
        shown = [row for row in rows if tuple(row[name] for name in names[2:]) == other]
        suffix = "".join(f"; {_word(name)} {value:,g}" for name, value in zip(names[2:], other, strict=True))
        for measured, title in _MAPPED.items():
            axis = next(axes)
            axis.spines[:].set_visible(True)
            _panel(axis, shown, (down, across), measured, _colors(rows, measured))
            axis.set_title(f"{title}{suffix}", fontsize=10)
    ring = Line2D([], [], **_RING, color="black", label="the 95% interval includes 0 (±: half of it)")
    canvas.legend(handles=[ring], loc="outside lower center", frameon=False, fontsize=9)
    return canvas


_RING = {"marker": "o", "mfc": "none", "mew": 1.1, "ms": 5.5, "ls": "none"}


def _colors(rows: Sequence[dict[str, Any]], measured: str) -> dict[str, Any]:
    """A measure's scale of colours: of the gain around 0; of shares whole tens, so that equal ones look equal."""
    together = _SIGNS if measured in _SIGNS else (measured,)
    means = [100 * row[name]["mean"] for name in together for row in rows]
    if measured == GAIN:
        most = max(map(abs, means)) or 1.0
        return {"vmin": -most, "vmax": most, "cmap": "RdBu"}
    low = 10 * np.floor(min(means) / 10)
    return {"vmin": low, "vmax": max(10 * np.ceil(max(means) / 10), low + 10), "cmap": "cividis"}


def _panel(
    axis: Any, rows: Sequence[dict[str, Any]], fields: tuple[str | None, str], measured: str, colors: Mapping[str, Any]
) -> None:
    """One measure's map: a cell has its mean in points or per cent and, of the gain, half of the interval."""
    down, across = fields
    columns, lines = _values(rows, across), _values(rows, down)
    image = np.full((len(lines), len(columns)), np.nan)
    positions = [(lines.index(row[down] if down else None), columns.index(row[across])) for row in rows]
    for position, row in zip(positions, rows, strict=True):
        image[position] = 100 * row[measured]["mean"]
    drawn = axis.imshow(image, aspect="auto", **colors)
    for position, row in zip(positions, rows, strict=True):
        text, (red, green, blue, _) = number(image[position], 1), drawn.cmap(drawn.norm(image[position]))
        ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        if measured == GAIN:
            gain = json_interval.read(row[measured])
            text = number(image[position], 2, sign=True)
            text += f"\n±{number(50 * (gain.high - gain.low))}" if gain.has_ends else ""
            if gain.includes(0):
                axis.plot(position[1] + 0.38, position[0] - 0.29, color=ink, **_RING)
        axis.text(*position[::-1], text, ha="center", va="center", fontsize=8, color=ink)
    margin = {row[across]: f"\n{number(row['margin'])}" for row in rows} if across == "alpha" else {}
    axis.set_xticks(range(len(columns)), [f"{value:,g}{margin.get(value, '')}" for value in columns])
    axis.set_yticks(range(len(lines)), ["" if value is None else f"{value:,g}" for value in lines])
    axis.set_xlabel("$\\alpha$, and the margin $\\alpha\\,|\\mu|$" if margin else _axis_label(across))
    axis.set_ylabel(_axis_label(down or ""))


def lines(result: Mapping[str, Any]) -> str:
    """The README's map of a result with two swept fields: gain over the control in points; accuracy; signs.

    A gain whose interval is all on one side of 0 is set in bold. The accuracy is the teacher's, the signs are the
    shares of right ones, of one-hot training and of distillation; all three are in per cent.
    """
    rows = result["sweep"]
    down, across = [name for name in rows[0] if name in FIELDS]
    columns = _values(rows, across)
    head = [f"{_word(down)} ↓, {_word(across)} →", *(f"{value:g}" for value in columns)]
    body = []
    for value in _values(rows, down):
        row_by_column = {row[across]: row for row in rows if row[down] == value}
        body.append([f"{value:g}", *(_said(row_by_column[column]) for column in columns)])
    return markdown_table(head, body)


def together(maps: Sequence[Mapping[str, Any]]) -> str:
    """How many gains of several maps are on one side of 0; a setting that is in several of them counts once."""
    gains = {tuple(row[GAIN].items()): row[GAIN] for result in maps for row in result["sweep"]}.values()
    tests = [gain for gain in gains if gain["low"] is not None and gain["high"] > gain["low"]]
    significant, corrected = sum(map(excludes_zero, tests)), sum(holm([json_interval.read(gain) for gain in tests]))
    same = f"; in {len(gains) - len(tests)} more all seeds gain exactly nothing" if len(gains) > len(tests) else ""
    return (
        f"Of {len(tests)} different intervals {significant} exclude zero, {corrected} also by Holm's correction for "
        f"their number{same}.\n"
    )


def excludes_zero(gain: Mapping[str, Any]) -> bool:
    """Whether there is an interval, on one side of 0."""
    return gain["low"] is not None and gain["low"] * gain["high"] > 0


def _said(row: Mapping[str, Any]) -> str:
    gain, text = row[GAIN], quote(row[GAIN], sign=True, scale=100)
    text = f"**{text}**" if excludes_zero(gain) else text
    accuracy, one_hot, distilled = (100 * row[name]["mean"] for name in list(_MAPPED)[1:])
    return f"{text}; {accuracy:.1f}; {one_hot:.1f} → {distilled:.1f}"


def _axis_label(name: str) -> str:
    return _AXES.get(name, _word(name))


def _word(name: str) -> str:
    return name.replace("_", " ")


def _values(rows: Sequence[dict[str, Any]], name: str | None) -> list[Any]:
    return [None] if name is None else sorted({row[name] for row in rows})
