"""All readings side by side: the paper's numbers under each, and where each departs from the text."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from experiments.channel.population import outcomes
from experiments.channel.readings import described
from experiments.channel.setting import Setting
from experiments.channel.summary import rows, summarise, values
from experiments.many_seeds.seed_store import collect

_MET = ("reproduced", "supported", "so")


def measure(setting: Setting) -> dict[str, Any]:
    """A reading: what it is, its setting, and all its numbers."""
    arrays, _, seconds = collect(
        lambda seeds: outcomes(setting, seeds), setting.seeds, lambda part: values(setting, part)
    )
    numbers = summarise(setting, arrays)
    return {"reading": described(setting), "setting": setting.said(), "seconds": seconds, **numbers}


def cells(content: Mapping[str, Any]) -> list[list[str]]:
    """The table, its head first: a row for each claim, a column for the paper and each reading, ✓ where it is so."""
    rows_by_reading = [rows(result) for result in content["readings"]]
    table = [["of the paper", "there", *(result["reading"]["name"] for result in content["readings"])]]
    for claims in zip(*rows_by_reading, strict=True):
        here = [f"✓ {claim.here}" if claim.verdict in _MET else claim.here for claim in claims]
        table.append([claims[0].what, claims[0].paper, *here])
    return table


def statements(content: Mapping[str, Any]) -> list[str]:
    """A sentence for each reading: where it departs from the text."""
    return [statement(result["reading"]) for result in content["readings"]]


def statement(reading: Mapping[str, Any]) -> str:
    """A reading, as `readings.described` has it, as a sentence."""
    changed = "; ".join(f"--{name.replace('_', '-')} {value}" for name, value in reading["changed"].items())
    return f"{reading['name']}: {reading['departures']}{f'; changed by {changed}' if changed else ''}."


def table(result: Mapping[str, Any]) -> Table:
    """The table for the terminal."""
    head, *body = cells(result)
    shown = Table(*head, box=None, pad_edge=False)
    for row in body:
        shown.add_row(*row)
    return shown


def lines(result: Mapping[str, Any]) -> str:
    """The README's table and sentences."""
    head, *body = cells(result)
    ruled = [head, ["---"] * len(head), *body]
    table = "".join(f"| {' | '.join(row)} |\n" for row in ruled)
    return table + "\n" + "".join(f"- {line}\n" for line in statements(result))
