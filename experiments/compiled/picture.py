"""Picture of the parts of a step's time, program by program: one panel for each chip."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_jax.report.plots.style import Shares, grid
from experiments.comparison import save

# Okabe and Ito's colours, and hatches that say the same in grey.
_LOOKS = [
    ("convolutions, forward", "#56B4E9", ""),
    ("convolutions, input gradients", "#0072B2", ""),
    ("convolutions, kernel gradients", "#003F66", ""),
    ("norms, forward", "#F0E442", "//"),
    ("norms, backward", "#E69F00", "//"),
    ("teacher", "#CC79A7", ""),
    ("optimizer", "#D55E00", "xx"),
    ("augmentation", "#009E73", "\\\\"),
    ("data movement", "#999999", ".."),
]
_LETTER = 0.058  # inches that one takes in a program's name, about
_REST = ("the rest", "#DDDDDD", "")


def draw(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Writes compiled.png and compiled.svg: bars of the parts' shares, the first parts as `_LOOKS` has them.

    Args:
      rows: of programs that fit, one or more.
      folder: made where it is not there.
    """
    chips = list(dict.fromkeys(row["chip"] for row in rows))
    most = max(sum(row["chip"] == chip for row in rows) for chip in chips)
    names = max(len(row["row"]) for row in rows) * _LETTER
    figure, axes = grid(1, len(chips), names + 3.4, 1.1 + 0.24 * most)
    for axis, chip in zip(axes[0], chips, strict=True):
        shown = [row for row in rows if row["chip"] == chip][::-1]
        for position, row in enumerate(shown):
            left, shares = 0.0, {part["what"]: part["share"] for part in row["top"]}
            for name, colour, hatch in (*_LOOKS, _REST):
                share = 1 - left if name == _REST[0] else shares.get(name, 0.0)
                axis.barh(position, share, left=left, height=0.8, color=colour, hatch=hatch, edgecolor="white", lw=0.3)
                left += share
            axis.text(1.01, position, _time(row["step_seconds_predicted"]), va="center", fontsize=7)
        axis.set_yticks(range(len(shown)), [row["row"] for row in shown], fontsize=7)
        axis.set(xlim=(0, 1), xlabel="share of a step's predicted time", ylim=(-0.6, len(shown) - 0.4))
        axis.xaxis.set_major_formatter(Shares())
        axis.set_title(chip, loc="left", fontweight="bold")
    handles = [axes[0, 0].barh(0, 0, color=c, hatch=h, edgecolor="white", label=n) for n, c, h in (*_LOOKS, _REST)]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=int(figure.get_figwidth() / 2.2), frameon=False, fontsize=8
    )
    save({"compiled": figure}, folder)


def _time(seconds: float) -> str:
    """Milliseconds, to three figures or whole ones."""
    milliseconds = 1000 * seconds
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"
