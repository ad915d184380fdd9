"""When does distillation not help here? The gain in test accuracy over the control on a grid of settings."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from distill_jax.errors import InputError
from distill_jax.statistics import over_seeds, quote
from experiments.channel.population import outcomes
from experiments.channel.setting import Setting, SweepSetting, validate
from experiments.comparison import CONTROL, STUDENT, TEACHER

FIELDS = tuple(field.name for field in dataclasses.fields(SweepSetting))


def grid(setting: Setting) -> list[dict[str, Any]]:
    """What each cell changes: all combinations of the swept fields' values; nothing where none is swept.

    Raises:
      InputError: a combination that cannot be.
    """
    swept = {name: values for name in FIELDS if (values := getattr(setting.sweep, name))}
    cells = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())] if swept else []
    for cell in cells:
        try:
            validate(dataclasses.replace(setting, **cell))
        except InputError as error:
            raise InputError(f"--sweep, {', '.join(f'{k} {v}' for k, v in cell.items())}: {error}") from None
    return cells


def of_cell(rows: Sequence[dict[str, Any]], cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `measure` that are of a cell: of all, since a file's may be of a sweep of more fields."""
    return [row for row in rows if {name: row[name] for name in FIELDS if name in row} == cell]


def measure(setting: Setting, cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with intervals over the same seeds as all: gain over teacher and control, and that of the cosine."""
    parts = list(outcomes(dataclasses.replace(setting, **cell), range(setting.seeds)))
    test = np.concatenate([part.accuracy[:, :, 1, -1] for part in parts]).astype(np.float64)
    cosine = np.concatenate([part.cosine.mean(-1) for part in parts]).astype(np.float64)
    values = {
        "test_accuracy_teacher": test[:, TEACHER],
        "test_accuracy_control": test[:, CONTROL],
        "paired_gain": test[:, STUDENT] - test[:, TEACHER],
        "paired_gain_over_control": test[:, STUDENT] - test[:, CONTROL],
        "cos_gain_over_control": cosine[:, STUDENT] - cosine[:, CONTROL],
    }
    return cell | {name: over_seeds(of_seeds).as_dict() for name, of_seeds in values.items()}


def figure(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Figure:
    """The gain over the control by the first two swept fields; a panel for each combination of the others.

    Args:
      rows: of `measure`.
      names: of the swept fields, one or more.
    """
    down, across = ([None], names[0]) if len(names) == 1 else (_values(rows, names[0]), names[1])
    others = sorted({tuple(row[name] for name in names[2:]) for row in rows})
    columns = _values(rows, across)
    size = (1.6 + 1.25 * len(columns)) * len(others), 1.5 + 0.7 * len(down)
    canvas = Figure(figsize=(max(size[0], 5), max(size[1], 2.6)), dpi=150, layout="constrained")
    axes = canvas.subplots(1, len(others), squeeze=False)[0]
    most = 100 * max(abs(row["paired_gain_over_control"]["mean"]) for row in rows) or 1.0
    for axis, other in zip(axes, others, strict=True):
        shown = [row for row in rows if tuple(row[name] for name in names[2:]) == other]
        image = np.full((len(down), len(columns)), np.nan)
        for row in shown:
            at = down.index(row[names[0]] if len(names) > 1 else None), columns.index(row[across])
            gain = row["paired_gain_over_control"]
            image[at] = 100 * gain["mean"]
            half = "" if gain["low"] is None else f"\n±{50 * (gain['high'] - gain['low']):.2f}"
            color = "white" if abs(image[at]) > 0.6 * most else "black"
            axis.text(at[1], at[0], f"{image[at]:+.2f}{half}", ha="center", va="center", fontsize=8.5, color=color)
        drawn = axis.imshow(image, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
        axis.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
        axis.set_yticks(range(len(down)), ["" if value is None else f"{value:g}" for value in down])
        axis.set_xlabel(across.replace("_", " "))
        axis.set_ylabel(names[0].replace("_", " ") if len(names) > 1 else "")
        title = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in zip(names[2:], other, strict=True))
        axis.set_title(title, fontsize=10)
    canvas.colorbar(drawn, ax=list(axes), label="gain over the control, points")
    return canvas


def lines(said: Mapping[str, Any]) -> str:
    """The README's map of a result with two swept fields: gains over the control in points.

    A gain whose interval is all on one side of 0 is set in bold.
    """
    rows = said["sweep"]
    down, across = [name for name in rows[0] if name in FIELDS]
    columns = _values(rows, across)
    head = [f"{down.replace('_', ' ')} ↓, {across.replace('_', ' ')} →", *(f"{value:g}" for value in columns)]
    body = [head, ["---"] * len(head)]
    for value in _values(rows, down):
        of_row = {row[across]: row["paired_gain_over_control"] for row in rows if row[down] == value}
        body.append([f"{value:g}", *(_said(of_row[column]) for column in columns)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in body)


def _said(gain: Mapping[str, Any]) -> str:
    text = quote(gain, sign=True, scale=100)
    return f"**{text}**" if gain["low"] is not None and gain["low"] * gain["high"] > 0 else text


def _values(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return sorted({row[name] for row in rows})
