"""The result as tables in Markdown."""

from collections.abc import Mapping
from typing import Any

from experiments.json_interval import quote
from experiments.markdown_table import markdown_table

_HEAD = ["chip", "seeds", "chips", "hours, a study a claim", "a part of three seeds", "a portion"]
_HEAD += ["lower bound, hours", "busy", "cost, $", "idle machines given back, $", "bound by"]


def lines(said: Mapping[str, Any]) -> str:
    """Hours, cost and bounds; the same with machines that are lost; what the storage is asked for; prices."""
    return "\n".join([_schedules(said), _losses(said), _storage(said), _prices(said)])


def rate_text(rate: float) -> str:
    """Losses for a chip and an hour, as once in so many.

    >>> rate_text(0.25)
    'once in 4 chip-hours'
    """
    return f"once in {1 / rate:g} chip-hours"


def _schedules(said: Mapping[str, Any]) -> str:
    rows = []
    larger = {(*_case(row), row["claimed"]): row for row in said["rows"]}
    for row in _portions(said):
        marked = "*" if row["may_not_fit"] else ""
        cells = [f"{larger[*_case(row), claimed]['hours']:,.1f}" for claimed in ("study", "part", "portion")]
        cells += [f"{row['lower_bound_hours']:,.1f}", f"{row['efficiency']:.0%}"]
        cells += [" or ".join(f"{usd:,.0f}" for usd in row[name]) for name in ("usd", "usd_given_back")]
        chip, seeds, chips = _case(row)
        rows.append([chip, str(seeds), f"{chips}{marked}", *cells, _bound(row)])
    unsure = sorted({name for row in said["rows"] for name in row["may_not_fit"]})
    reason = "one model alone needs more memory than a chip has, by its share of its program's"
    note = f"\\* {', '.join(unsure)} may not fit there: {reason}.\n"
    return markdown_table(_HEAD, rows) + (f"\n{note}" if unsure else "")


def _bound(row: Mapping[str, Any]) -> str:
    chain = row["chain"]
    if row["bound_by"] == "chips":
        return f"chips ({row['busy_chip_hours']:,.0f} chip-hours of work)"
    parts = f"teachers {chain['first_hours']:.1f} h, students {chain['hours'] - chain['first_hours']:.1f} h"
    return f"longest chain: {chain['study']}, {parts}"


def _losses(said: Mapping[str, Any]) -> str:
    rates = list(dict.fromkeys(row["losses_a_chip_hour"] for row in said["losses"]))
    by_case = {(*_case(row), row["losses_a_chip_hour"]): row for row in said["losses"]}
    head = ["chip", "seeds", "chips", "hours, no machine lost"]
    for rate in rates:
        head += [f"hours, {rate_text(rate)}", "machines lost", "chip-hours again"]
    rows = []
    for row in _portions(said):
        cells = [*map(str, _case(row)), f"{row['hours']:,.1f}"]
        for rate in rates:
            lost = by_case[(*_case(row), rate)]
            again = lost["chip_hours_again"]["mean"]
            share = again / (again + row["busy_chip_hours"])
            cells += [quote(lost["hours"], 1), f"{lost['machines_lost']['mean']:,.0f}", f"{again:,.1f} ({share:.1%})"]
        rows.append(cells)
    return markdown_table(head, rows)


def _storage(said: Mapping[str, Any]) -> str:
    head = ["chip", "seeds", "chips", "machines", "portions", "claims tried at once at the beginning", "in all"]
    head += ["checkpoints a second", "starting and compiling, chip-hours", "chain of single models, hours"]
    rows = []
    for row in _portions(said):
        cells = [f"{row[name]:,}" for name in ("machines", "tasks", "claims_tried_first", "claims_tried")]
        cells += [f"{row['checkpoints_a_second']:.2g}"]
        cells += [f"{row['starting_chip_hours']:,.0f} ({row['starting_chip_hours'] / row['busy_chip_hours']:.1%})"]
        rows.append([*map(str, _case(row)), *cells, f"{row['chain_of_single_models_hours']:.1f}"])
    return markdown_table(head, rows)


def _prices(said: Mapping[str, Any]) -> str:
    rows = [
        [chip, f"{price['usd']:.2f}", price["where"], price["source"], price["via"], price["read"]]
        for chip, prices in said["prices"].items()
        for price in prices
    ]
    return markdown_table(
        ["chip", "$ a chip-hour, on demand", "where", "the seller's page", "transcribed by", "on"], rows
    )


def _portions(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in said["rows"] if row["claimed"] == "portion"]


def _case(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["chip"], row["seeds"], row["chips"]
