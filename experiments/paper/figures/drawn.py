"""Figures of the paper as data: the studies one needs, and how it and its caption come from them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure as Picture

from distill_jax.measures.findings import verdict
from distill_jax.measures.interval import Interval, quote
from experiments.paper.outcome import Outcome
from experiments.paper.studies import Planned

_SHAPES = "osD^vP*Xh"  # of data sets


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A drawn figure.

    Attributes:
      picture: itself.
      numbers: all that the caption says, and more of the kind, in mappings by name.
      sentences: the caption's, after the one that says what is shown.
    """

    picture: Picture
    numbers: Any
    sentences: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
      name: as the command line and files have it.
      paper: where it is in the paper; empty for what goes beyond it.
      shows: a sentence.
      studies: names of the studies it needs.
      draw: from their outcomes.
    """

    name: str
    paper: str
    shows: str
    studies: tuple[str, ...]
    draw: Callable[[Sequence[Outcome]], Drawn]

    def caption(self, drawn: Drawn, seeds: Sequence[int]) -> str:
        """The caption, written from the numbers and from how many seeds each of its studies has."""
        least, most = min(seeds), max(seeds)
        n = f"means and 95% intervals over {least if least == most else f'{least} to {most}'} seeds"
        if most == 1:
            n = "one seed, so that there are no intervals"
        return " ".join(
            [
                f"{self.paper}." if self.paper else "Beyond the paper.",
                self.shows,
                *drawn.sentences,
                f"({n.capitalize()}.)",
            ]
        )


def looks(plans: Sequence[Planned]) -> list[dict[str, Any]]:
    """How settings are marked where each is one point.

    A shape for each data set, a colour for residual networks and one for others as students, filled where the teacher
    is the same network.
    """
    shapes = dict(zip(dict.fromkeys(plan.row.dataset for plan in plans), _SHAPES, strict=False))
    styles = []
    for plan in plans:
        row = plan.row
        style = {"marker": shapes[row.dataset], "ls": "", "label": plan.title}
        style["color"] = "#0072B2" if row.student.startswith("ResNet") else "#D55E00"
        styles.append(style | ({} if row.teacher == row.student else {"mfc": "white"}))
    return styles


def chooser_sentence(seeds: int) -> list[str]:
    """Who has chosen the hard points that a caption's numbers are of, where it is not the teacher that is drawn."""
    return ["The hard points of these numbers, and their class, are chosen by another seed's teacher."] * (seeds > 1)


def gap_sentence(title: str, which: str, kd: Interval, control: Interval) -> str:
    """How far the student is below the line on some points, by itself and against the control."""
    difference = kd.against_control
    judgement = verdict(difference, -1)
    text = {
        "supported": "distillation underfits them more than another one-hot model does",
        "contradicted": "distillation underfits them less than another one-hot model does",
        "not supported": "distillation underfits them no more than another one-hot model, as far as these seeds tell",
        "undecided": "undecided",
    }[judgement]
    if judgement == "supported" and kd.mean >= 0:
        text += ", though it does not underfit them in itself"
    return (
        f"{title}, {which}: mean gap {quote(kd, sign=True)} distilled, {quote(control, sign=True)} control, "
        f"{quote(difference, sign=True)} paired: {text}."
    )
