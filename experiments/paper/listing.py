"""Lists of figures, tables and studies: which are finished, and how long the rest is expected to take."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.compiled.studies import Forecast
from experiments.paper.cost import Expected, Record, expected
from experiments.paper.figures import FIGURES
from experiments.paper.outcome import Outcome
from experiments.paper.published import SETTINGS
from experiments.paper.rows import TABLE_2
from experiments.paper.setting import PUBLISHED, TABLE
from experiments.paper.studies import Planned


def targets() -> dict[str, tuple[str, Sequence[str]]]:
    """Each figure and table: where it is in the paper, and the studies it needs at the paper's scale."""
    figures = {figure.name: (figure.paper or "beyond it", figure.studies) for figure in FIGURES.values()}
    tables = {TABLE: ("Table 2", TABLE_2), PUBLISHED: ("published version", SETTINGS)}
    return figures | {name: (where, tuple(pair.name for pair in pairs)) for name, (where, pairs) in tables.items()}


def show(
    plans: Mapping[str, Planned],
    outcomes: Mapping[str, Outcome],
    seeds: int,
    records: Iterable[Record],
    predicted: Mapping[str, Mapping[str, Forecast]],
    console: Console,
) -> None:
    """Prints two tables: figures and tables by the studies they need, and the studies.

    Args:
      plans: all studies.
      outcomes: those that are finished.
      seeds: repetitions asked for.
      records: what studies have taken.
      predicted: of training by chip, of studies whose programs were compiled for it.
      console: where to.
    """
    records = list(records)
    times = {name: expected(plan, seeds, records) for name, plan in plans.items() if name not in outcomes}
    table = Table(
        "make", "in the paper", "there", "expected for the rest", "studies (* is there)", box=None, pad_edge=False
    )
    for name, (where, studies) in targets().items():
        needed = [study for study in studies if study in plans]
        if not needed:
            table.add_row(name, where, "no stand-in", "", "")
            continue
        missing = [study for study in needed if study not in outcomes]
        marked = " ".join(f"{study}*" if study in outcomes else study for study in needed)
        finished = f"{len(needed) - len(missing)} of {len(needed)}"
        table.add_row(name, where, finished, _rest(missing, times, predicted), marked)
    console.print(table)
    console.print()
    table = Table("study", "what", "models x seeds x steps", "expected", box=None, pad_edge=False)
    for name, plan in plans.items():
        size = f"{plan.models_a_seed} x {seeds} x {plan.steps:,}"
        time = "is there" if name in outcomes else expected_time(plan, seeds, records, predicted)
        table.add_row(name, plan.title, size, time)
    console.print(table)


def expected_time(
    plan: Planned, seeds: int, records: Iterable[Record], predicted: Mapping[str, Mapping[str, Forecast]]
) -> str:
    """How long a study that is not there will take, for a reader; see `show`."""
    time = expected(plan, seeds, records)
    if time is not None:
        return _rest([plan.name], {plan.name: time}, {})
    if not predicted.get(plan.name):
        return "not measured"
    forecasts = [_on(chip, forecast) for chip, forecast in predicted[plan.name].items()]
    return f"predicted, its training alone: {', '.join(forecasts)}"


def rows(
    plans: Mapping[str, Planned],
    outcomes: Mapping[str, Outcome],
    seeds: int,
    records: Iterable[Record],
    predicted: Mapping[str, Mapping[str, Forecast]],
) -> dict[str, list[dict[str, Any]]]:
    """The same for programs, as JSON values; `expected` is null where nothing was measured, and of what is there."""
    records = list(records)
    studies = []
    for name, plan in plans.items():
        time = expected(plan, seeds, records) if name not in outcomes else None
        row = {"study": name, "title": plan.title, "models": plan.models_a_seed, "seeds": seeds, "steps": plan.steps}
        forecasts = {chip: dataclasses.asdict(forecast) for chip, forecast in predicted.get(name, {}).items()}
        row |= {"is_there": name in outcomes, "expected": time and dataclasses.asdict(time), "predicted": forecasts}
        studies.append(row)
    made = [
        {"make": name, "in_the_paper": where, "studies": [study for study in needed if study in plans]}
        for name, (where, needed) in targets().items()
    ]
    return {"make": made, "studies": studies}


def _on(chip: str, forecast: Forecast) -> str:
    """The forecast for a chip as text."""
    if forecast.hours is None:
        needs = "more than there is" if forecast.memory_gib is None else f"{forecast.memory_gib:.1f} GiB"
        return f"does not fit on {chip} ({forecast.too_large} needs {needs}: fewer models at once are taken)"
    return f"at least {duration(3600 * forecast.hours)} on {chip} ({forecast.memory_gib:.1f} GiB of each device)"


def _rest(
    missing: Sequence[str], times: Mapping[str, Expected | None], predicted: Mapping[str, Mapping[str, Forecast]]
) -> str:
    """Time of the missing studies, as measured or as compilers predict it, and how many have neither."""
    known = [time for name in missing if (time := times[name]) is not None]
    forecasts = [predicted[name] for name in missing if times[name] is None and predicted.get(name)]
    devices = dict.fromkeys(time.device for time in known)
    parts = [f"{duration(sum(t.seconds for t in known if t.device == device))} on {device}" for device in devices]
    if forecasts:
        chips = [
            chip
            for chip in forecasts[0]
            if all(chip in by_chip and by_chip[chip].hours is not None for by_chip in forecasts)
        ]
        sums = [
            f"{duration(3600 * sum(by_chip[chip].hours or 0 for by_chip in forecasts))} on {chip}" for chip in chips
        ]
        parts.append(f"{len(forecasts)} predicted: at least {' or '.join(sums) or 'more than these chips have'}")
    if unknown := len(missing) - len(known) - len(forecasts):
        parts.append(f"{unknown} not measured")
    return ", ".join(parts) or "nothing"


def duration(seconds: float) -> str:
    """A time for a reader."""
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
