"""The rates as tables, and as a picture: own against independent selection."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from distill_jax.measures.interval import number
from distill_jax.report.plots.style import GUIDE, Shares, bars, grid
from experiments import json_interval
from experiments.json_interval import quote
from experiments.markdown_table import markdown_table
from experiments.null_world.rates import NOMINAL, SELECTIONS, VERDICTS

_HEADS = {
    "below_hard": "hard points underfit",
    "underfits_hard": "more than by the control",
    "underfit_share": "the same, by the share",
    "exaggerates": "slope above 1",
    "exaggerates_more": "slope above the control's",
}
_CHOSEN = {"cross-fitted": "another seed's teacher", "as_in_paper": "the student's own teacher, as in the paper"}
_STYLES = {
    "cross-fitted": {"color": "#0072B2", "marker": "o", "linestyle": "none"},
    "as_in_paper": {"color": "#D55E00", "marker": "D", "linestyle": "none"},
}


def tables(content: Mapping[str, Any]) -> list[Table]:
    """The rates of false verdicts of a result, and of right ones, for the terminal."""
    result = []
    for head, *rows in (_null_cells(content), _power_cells(content)):
        result.append(Table(*head, box=None, pad_edge=False))
        for row in rows:
            result[-1].add_row(*row)
    return result


def summary(result: Mapping[str, Any]) -> str:
    """How many cross-fitted rates lie above the nominal one, and what chance would do."""
    above, nominal = result["above_nominal"], f"{100 * NOMINAL:.0f}%"
    which = f" ({'; '.join(above['above'])})" if above["above"] else ""
    return (
        f"Of {above['rates']} cross-fitted rates {len(above['above'])} have an interval above {nominal}{which}, "
        f"{len(above['above_corrected'])} also by Bonferroni's correction for their number; "
        f"were each exactly {nominal}, chance would put {above['most_expected_by_chance']:.1f} there at most."
    )


def lines(result: Mapping[str, Any]) -> str:
    """The page's tables of a result: false verdicts without, and right ones with a deviation."""
    parts = [_markdown(_null_cells(result)), summary(result) + "\n", _markdown(_power_cells(result))]
    return "\n".join(parts)


def figure(result: Mapping[str, Any]) -> Figure:
    """The rate of false verdicts in each world without deviation, a panel for each claim, by who chose the points."""
    rates = _rates(result["worlds"], "false_positive_rate")
    names = [row["world"] for row in result["control_check"]]
    canvas, axes = grid(1, len(VERDICTS), 2.5, 0.9 + 0.27 * len(names))
    for axis, verdict in zip(axes[0], VERDICTS, strict=True):
        axis.axvline(NOMINAL, **GUIDE, label=f"{NOMINAL:.0%}, as the intervals promise")
        for shift, selection in zip((0.13, -0.13), reversed(SELECTIONS), strict=True):
            values = [json_interval.read(rates[name, verdict, selection]) for name in names]
            bars(
                axis,
                [index + shift for index in range(len(names))],
                values,
                sideways=True,
                label=_CHOSEN[selection],
                **_STYLES[selection],
            )
        axis.set_title(_HEADS[verdict], fontsize=9.5)
        axis.set_xlim(-0.05, 1.05)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.xaxis.set_major_formatter(Shares())
        axis.set_yticks(range(len(names)), names if axis is axes[0, 0] else [])
        axis.grid(axis="x", alpha=0.25)
    text = "studies of a world without deviation whose verdict is 'supported' or 'contradicted'"
    axes[0, len(VERDICTS) // 2].set_xlabel(text)  # of the middle one: one of the figure would lie on the legend
    handles, labels = axes[0, 0].get_legend_handles_labels()
    names_of = [label if label not in _CHOSEN.values() else f"class and points chosen by {label}" for label in labels]
    canvas.legend(handles, names_of, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return canvas


def _rates(rows: Sequence[Mapping[str, Any]], name: str) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    return {(row["world"], row["verdict"], row["selection"]): row[name] for row in rows}


def _cell(rates: Mapping[tuple[str, str, str], Mapping[str, Any]], world: str, verdict: str) -> str:
    """The rate by another seed's choice with its interval, and by the own teacher's."""
    if (world, verdict, SELECTIONS[0]) not in rates:
        return ""
    crossed, own_choice = (rates[world, verdict, selection] for selection in SELECTIONS)
    return f"{quote(crossed, 1, scale=100)} / {number(100 * own_choice['mean'], 0)}"


def _null_cells(result: Mapping[str, Any]) -> list[list[str]]:
    rates = _rates(result["worlds"], "false_positive_rate")
    rows = [["false verdicts, %", *_HEADS.values(), "control found off"]]
    for row in result["control_check"]:
        check = quote(row["failure_rate"], 1, scale=100)
        rows.append([row["world"], *(_cell(rates, row["world"], verdict) for verdict in VERDICTS), check])
    return rows


def _power_cells(result: Mapping[str, Any]) -> list[list[str]]:
    rates = _rates(result["power"], "supported")
    rows = [["right verdicts, %", *_HEADS.values()]]
    for world in dict.fromkeys(row["world"] for row in result["power"]):
        rows.append([world, *(_cell(rates, world, verdict) for verdict in VERDICTS)])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(rows[0], rows[1:])
