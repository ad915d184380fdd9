"""The command: from the theory to the paper's experiment by one departure at a time, with a result and a figure."""

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from distill_jax.statistics import number, over_seeds, quote
from experiments import command_line
from experiments.eigenspace.departures import BridgeSetting, departures
from experiments.eigenspace.setting import validate
from experiments.resumed import pieces

PROG = "python -m experiments.eigenspace.bridge"
DRAWN = slice(2, None, 3)  # of the levels, those whose mean curves are kept for the picture


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    bridge = command_line.parse(BridgeSetting(), PROG, arguments)
    rows = departures(bridge)
    for setting in rows.values():
        validate(setting)
    command_line.check_writable("--json", bridge.json, ".json")
    command_line.check_writable("--figures", bridge.figures)

    from distill_jax import backend
    from distill_jax.environment import environment
    from distill_jax.workdir import write_text
    from experiments.comparison import save
    from experiments.eigenspace.bridge_picture import figure
    from experiments.eigenspace.data import load

    dataset = load(next(iter(rows.values())))
    backend.use_cores(840)
    backend.keep_programs(None)
    choice = {k: v for k, v in dataclasses.asdict(bridge).items() if k not in ("json", "figures", "data_dir")}
    said: dict[str, Any] = {"environment": environment(f"{PROG} {' '.join(arguments)}".strip()), "setting": choice}
    said["rows"] = pieces(bridge.json, said | {"rows": {}}, "rows")
    console = Console(width=None if sys.stdout.isatty() else 160)
    todo, started = [name for name in rows if name not in said["rows"]], time.monotonic()
    for done, name in enumerate(todo, 1):
        began = time.monotonic()
        row = measure(rows[name], dataset)
        said["rows"][name] = {"seconds": time.monotonic() - began, **row}
        left = (time.monotonic() - started) / done * (len(todo) - done)
        more = quote(row["exaggeration_student"], 3, sign=True)
        line = f"{name}: the student's bias less the teacher's {more}"
        console.print(f"[{len(rows) - len(todo) + done}/{len(rows)}, ETA {left / 60:.0f} min] {line}", markup=False)
        if bridge.json is not None:
            write_text(bridge.json, json.dumps(said, indent=1) + "\n")
    said["rows"] = {name: said["rows"][name] for name in rows}
    console.print(_table(said))
    if bridge.figures is not None:
        save({"eigenspace-bridge": figure(said["rows"])}, bridge.figures)


def measure(setting: Any, dataset: Any) -> dict[str, Any]:
    """A row of the result: means over seeds with intervals, and the mean curves.

    Args:
      setting: of the row, a `setting.Setting`.
      dataset: of `data.load`.
    """
    from experiments.collected import collect
    from experiments.comparison import MODELS
    from experiments.eigenspace.population import outcomes

    collected = collect(
        functools.partial(outcomes, setting, dataset), setting.seeds, functools.partial(values, setting)
    )
    found = collected.values
    curves = {name: np.round(found.pop(("curve", name)).mean(0), 4).tolist() for name in (*MODELS, "closed_form")}
    row: dict[str, Any] = {name: over_seeds(of_seeds).as_dict() for name, of_seeds in found.items()}
    for name in [name for name in row if name.startswith("log10_")]:
        row[name.removeprefix("log10_")] = {
            k: 10**v if k in ("mean", "low", "high") and v is not None else v for k, v in row.pop(name).items()
        }
    kept = ("setting", "loss", "optimizer", "initial", "batch_size", "epochs", "learning_rate", "temperature")
    return {
        "setting": {name: getattr(setting, name) for name in kept} | {"steps": setting.steps},
        **row,
        "curves": curves,
    }


def values(setting: Any, outcome: Any) -> dict[Any, np.ndarray]:
    """The values of a portion's seeds by name, a number for each seed, and mean curves ('curve', model), [S, drawn].

    distance_*      mean distance of the model's curves from the closed form of the nearest end time
    log10_end_*     that end time, in units of 1 / the greatest eigenvalue
    bias_*          mean area over pairs, and exaggeration_* that of the model less the teacher's
    share_*         of pairs in which the model is more biased than the teacher
    log10_longer    end time of the student over that of the teacher
    off_known       of gradient descent on squared loss with the linear model, whose end time is known: the greatest
                    distance from the closed form of that time, of any pair and level, of teacher and student
    """
    from experiments.comparison import CONTROL, MODELS, STUDENT, TEACHER
    from experiments.eigenspace.bias import LEVELS, biases, exaggerations
    from experiments.eigenspace.closed_form import ENDS, curve, distances, shares
    from experiments.eigenspace.population import PROJECTIONS
    from experiments.eigenspace.summary import trajectories

    top, bottom = trajectories(outcome, PROJECTIONS.index("displacement"))
    own = biases(top, bottom)
    eigenvalue = outcome.eigenvalue.astype(np.float64)
    eigenvalue /= eigenvalue[:, :1]
    of_pairs = np.take_along_axis(eigenvalue[:, None], outcome.drawn.pairs, -1)  # [S, 2, pairs]
    way = shares(top, bottom)  # [S, V, pairs, levels]
    found: dict[Any, np.ndarray] = {}
    nearest = np.array(
        [
            [distances(of_model, *pair, ENDS) for of_model in of_seed]
            for of_seed, pair in zip(way, of_pairs, strict=True)
        ]
    )
    end = ENDS[nearest.argmin(-1)]  # [S, V]
    for model, name in enumerate(MODELS):
        found[f"distance_{name}"] = nearest.min(-1)[:, model]
        found[f"log10_end_{name}"] = np.log10(end[:, model])
        found[f"bias_{name}"] = np.nanmean(own["area"][:, model], -1)
        found["curve", name] = np.nanmean(way[:, model], 1)[:, DRAWN]
    pairs = of_pairs[..., None]
    fitted = curve(LEVELS, pairs[:, 0], pairs[:, 1], end[:, TEACHER, None, None])
    found["curve", "closed_form"] = np.nanmean(fitted, 1)[:, DRAWN]
    for model in (STUDENT, CONTROL):
        more = exaggerations(own, top, bottom, model)["area"]
        found[f"exaggeration_{MODELS[model]}"] = np.nanmean(more, -1)
        found[f"share_{MODELS[model]}"] = np.mean(more > 0, -1)
    found["log10_longer"] = np.log10(end[:, STUDENT] / end[:, TEACHER])
    if (setting.setting, setting.loss, setting.optimizer) == ("random-features", "squared", "gradient-descent"):
        known = curve(LEVELS, pairs[:, 0], pairs[:, 1], np.float64(setting.steps * setting.learning_rate))
        found["off_known"] = np.nanmax(np.abs(way[:, [TEACHER, STUDENT]] - known[:, None]), (1, 2, 3))
    return found


def lines(said: Mapping[str, Any]) -> str:
    """The README's table of a result, and how near the theory's own row is to the closed form of its known time."""
    head = [
        "| trained by | teacher's distance from the nearest closed form | student's | student's bias less the teacher's"
        " | control's | pairs: student, control | student's time over teacher's |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    body = [f"| {' | '.join(_cells(name, row))} |" for name, row in said["rows"].items()]
    theory = said["rows"]["theory"]
    off = (
        "From the closed form of its known time no curve of the theory's own row is further than "
        f"{quote(theory['off_known'], 3)} anywhere (n = {theory['off_known']['n']}, means of the greatest distance)."
    )
    return "\n".join([*head, *body, "", off]) + "\n"


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    distances = [quote(row[f"distance_{model}"], 3) for model in ("teacher", "student")]
    more = [quote(row[f"exaggeration_{model}"], 3, sign=True) for model in ("student", "control")]
    share = ", ".join(number(100 * row[f"share_{model}"]["mean"], 0) + "%" for model in ("student", "control"))
    return [name, *distances, *more, share, quote(row["longer"], 1) + " x"]


def _table(said: Mapping[str, Any]) -> Table:
    head = ("", "distance: teacher", "student", "bias less teacher's: student", "control", "pairs", "time")
    table = Table(*head, box=None, pad_edge=False)
    for name, row in said["rows"].items():
        table.add_row(*_cells(name, row))
    return table


if __name__ == "__main__":
    command_line.run(main)
