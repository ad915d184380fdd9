"""Rows of the bridge from the theory to the paper's experiment: numbers with intervals, and mean curves."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

from distill_jax.data import Dataset
from distill_jax.measures.interval import number
from distill_jax.measures.statistics import over_seeds
from experiments.comparison import CONTROL, MODELS, STUDENT, TEACHER
from experiments.eigenspace.bias import LEVELS, area, shares
from experiments.eigenspace.closed_form import ENDS, curve, distances
from experiments.eigenspace.population import PROJECTIONS, Outcome, outcomes
from experiments.eigenspace.setting import Setting
from experiments.eigenspace.summary import trajectories
from experiments.json_interval import quote
from experiments.many_seeds.seed_store import Values, collect

DRAWN = slice(2, None, 3)  # of the levels, those whose mean curves are kept for the picture


def measure(setting: Setting, dataset: Dataset) -> dict[str, Any]:
    """A row of the result: means over seeds with intervals, and the mean curves.

    Args:
      setting: of the row.
      dataset: of `data.load`.
    """
    collected = collect(
        functools.partial(outcomes, setting, dataset, selector=False), setting.seeds, functools.partial(values, setting)
    )
    arrays = collected.values
    curves = {name: np.round(arrays.pop(("curve", name)).mean(0), 4).tolist() for name in (*MODELS, "closed_form")}
    row: dict[str, Any] = {name: over_seeds(seed_values).as_json() for name, seed_values in arrays.items()}
    for name in [name for name in row if name.startswith("log10_")]:
        row[name.removeprefix("log10_")] = {
            k: 10**v if k in ("mean", "low", "high") and v is not None else v for k, v in row.pop(name).items()
        }
    setting_fields = ("setting", "loss", "optimizer", "initial", "batch_size", "epochs", "learning_rate", "temperature")
    return {
        "setting": {name: getattr(setting, name) for name in setting_fields} | {"steps": setting.steps},
        **row,
        "curves": curves,
    }


def values(setting: Setting, outcome: Outcome) -> Values:
    """The values of a portion's seeds by name, a number for each seed, and mean curves ('curve', model), [S, drawn].

    distance_*      mean distance of the model's curves from the closed form of the nearest end time
    log10_end_*     that end time, in units of 1 / the greatest eigenvalue
    bias_*          mean area over pairs, and exaggeration_* that of the model less the teacher's
    share_*         of pairs in which the model is more biased than the teacher
    log10_longer    end time of the student over that of the teacher
    off_known       of gradient descent on squared loss with the linear model, whose end time is known: the greatest
                    distance from the closed form of that time, of any pair and level, of teacher and student
    """
    top, bottom = trajectories(outcome, PROJECTIONS.index("displacement"))
    bias = area(top, bottom)  # [S, V, pairs]
    eigenvalue = outcome.eigenvalue.astype(np.float64)
    eigenvalue /= eigenvalue[:, :1]
    pair_eigenvalues = np.take_along_axis(eigenvalue[:, None], outcome.drawn.pairs, -1)  # [S, 2, pairs]
    curves = shares(top, bottom)  # [S, V, pairs, levels]
    values_by_name: Values = {}
    nearest = np.array(
        [
            [distances(model_curves, *pair, ENDS) for model_curves in seed_curves]
            for seed_curves, pair in zip(curves, pair_eigenvalues, strict=True)
        ]
    )
    end = ENDS[nearest.argmin(-1)]  # [S, V]
    for model, name in enumerate(MODELS):
        values_by_name[f"distance_{name}"] = nearest.min(-1)[:, model]
        values_by_name[f"log10_end_{name}"] = np.log10(end[:, model])
        values_by_name[f"bias_{name}"] = np.nanmean(bias[:, model], -1)
        values_by_name["curve", name] = np.nanmean(curves[:, model], 1)[:, DRAWN]
    pairs = pair_eigenvalues[..., None]
    fitted = curve(LEVELS, pairs[:, 0], pairs[:, 1], end[:, TEACHER, None, None])
    values_by_name["curve", "closed_form"] = np.nanmean(fitted, 1)[:, DRAWN]
    for model in (STUDENT, CONTROL):
        exaggeration = bias[:, model] - bias[:, TEACHER]
        values_by_name[f"exaggeration_{MODELS[model]}"] = np.nanmean(exaggeration, -1)
        values_by_name[f"share_{MODELS[model]}"] = np.mean(exaggeration > 0, -1)
    values_by_name["log10_longer"] = np.log10(end[:, STUDENT] / end[:, TEACHER])
    if (setting.setting, setting.loss, setting.optimizer) == ("random-features", "squared", "gradient-descent"):
        known = curve(LEVELS, pairs[:, 0], pairs[:, 1], np.float64(setting.steps * setting.learning_rate))
        values_by_name["off_known"] = np.nanmax(np.abs(curves[:, [TEACHER, STUDENT]] - known[:, None]), (1, 2, 3))
    return values_by_name


def lines(result: Mapping[str, Any]) -> str:
    """The README's table of a result, and how near the theory's own row is to the closed form of its known time."""
    head = [
        "| trained by | teacher's distance from the nearest closed form | student's | student's bias less the teacher's"
        " | control's | pairs: student, control | student's time over teacher's |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    body = [f"| {' | '.join(_cells(name, row))} |" for name, row in result["rows"].items()]
    theory = result["rows"]["theory"]
    off = (
        "From the closed form of its known time no curve of the theory's own row is further than "
        f"{quote(theory['off_known'], 3)} anywhere (n = {theory['off_known']['n']}, means of the greatest distance)."
    )
    return "\n".join([*head, *body, "", off]) + "\n"


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    distances = [quote(row[f"distance_{model}"], 3) for model in ("teacher", "student")]
    exaggerations = [quote(row[f"exaggeration_{model}"], 3, sign=True) for model in ("student", "control")]
    share = ", ".join(number(100 * row[f"share_{model}"]["mean"], 0) + "%" for model in ("student", "control"))
    return [name, *distances, *exaggerations, share, quote(row["longer"], 1) + " x"]


def table(result: Mapping[str, Any]) -> Table:
    """The same for the terminal."""
    head = ("", "distance: teacher", "student", "bias less teacher's: student", "control", "pairs", "time")
    table = Table(*head, box=None, pad_edge=False)
    for name, row in result["rows"].items():
        table.add_row(*_cells(name, row))
    return table
