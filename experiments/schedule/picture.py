"""Picture of hours against chips: a panel for each number of seeds, both chips, beside the work shared evenly."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from distill_jax.report.plots.style import COUNTS, grid
from experiments.schedule.table import rate_text

_COLORS = {"v5e": ("#0072B2", "o"), "h100": ("#D55E00", "D")}
_LABELS = {"v5e": "TPU v5e", "h100": "H100"}


def figure(said: Mapping[str, Any]) -> Figure:
    """The picture of a result."""
    seeds = list(dict.fromkeys(row["seeds"] for row in said["rows"]))
    canvas, axes = grid(1, len(seeds), 3.6, 3.9)
    for axis, number in zip(axes[0], seeds, strict=True):
        for chip in dict.fromkeys(row["chip"] for row in said["rows"]):
            _draw(axis, said, chip, number)
        axis.set(xscale="log", yscale="log", xlabel="chips", title=f"{number} seeds")
        chips = sorted({row["chips"] for row in said["rows"]})
        axis.set_xticks(chips, [f"{n:,}" for n in chips])
        axis.yaxis.set_major_formatter(COUNTS)
        axis.yaxis.set_major_locator(LogLocator())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.minorticks_off()
        axis.grid(alpha=0.25)
    for axis in axes[0]:
        axis.set_ylim(min(a.get_ylim()[0] for a in axes[0]), max(a.get_ylim()[1] for a in axes[0]))
    axes[0, 0].set_ylabel("hours until all studies are done")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return canvas


def _draw(axis: Any, said: Mapping[str, Any], chip: str, seeds: int) -> None:
    color, marker = _COLORS[chip]

    def of(claimed: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        rows = [row for row in said["rows"] if (row["chip"], row["seeds"], row["claimed"]) == (chip, seeds, claimed)]
        return np.array([row["chips"] for row in rows]), np.array([row[name] for row in rows])

    label = _LABELS[chip]
    axis.plot(*of("portion", "hours"), color=color, marker=marker, ms=5, label=f"{label}, a portion a claim")
    axis.plot(*of("part", "hours"), color=color, ls="-.", lw=1, marker=".", label=f"{label}, three seeds a claim")
    axis.plot(
        *of("study", "hours"), color=color, ls=":", marker=marker, ms=4, mfc="none", label=f"{label}, a study a claim"
    )
    axis.plot(
        *of("portion", "shared_evenly_hours"), color=color, ls=(0, (4, 3)), lw=1, alpha=0.7, label=f"{label}, ideal"
    )
    often = max((row["losses_a_chip_hour"] for row in said["losses"]), default=None)
    lost = [r for r in said["losses"] if (r["chip"], r["seeds"], r["losses_a_chip_hour"]) == (chip, seeds, often)]
    if lost and often is not None:
        chips, hours = [row["chips"] for row in lost], [row["hours"]["mean"] for row in lost]
        axis.plot(
            chips, hours, color=color, ls="none", marker="_", ms=13, label=f"{label}, one lost {rate_text(often)}"
        )
