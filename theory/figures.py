"""Figures of the theory, from closed forms alone."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theory import eigenspace
from theory.eigenspace import sparsity

_COLOURS = ("#08264d", "#2f6fae", "#009E73", "#E69F00", "#D55E00")
_EIGENVALUES = (1, 1 / 4, 1 / 16, 1 / 64, 1 / 256)
_KAPPAS = (1 / 2, 1 / 8, 1 / 32)


def eigenvalues() -> Figure:
    """A's eigenvalues over time for teacher and student (T_te = t), in five directions."""
    figure, axis = _axis(6.6, 4.0)
    t = np.logspace(-2, 4, 400)
    for eigenvalue, colour in zip(_EIGENVALUES, _COLOURS, strict=True):
        teacher = np.asarray(sparsity(eigenvalue, t))
        name = "1" if eigenvalue == 1 else f"1/{round(1 / eigenvalue)}"
        axis.plot(t, teacher, color=colour, lw=1.7, label=f"$\\lambda$ = {name}")
        axis.plot(t, teacher**2, color=colour, lw=1.7, ls=(0, (4, 2)))
    axis.plot([], [], color="#555555", lw=1.7, label="teacher, $A(t)$")
    axis.plot([], [], color="#555555", lw=1.7, ls=(0, (4, 2)), label="student, $A(t)^2$")
    axis.set(xscale="log", xlabel="time $t$, in units of $1/\\lambda_1$", ylabel="eigenvalue of the sparsifier")
    axis.set(xlim=(t[0], t[-1]), ylim=(0, 1.02))
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def trade_off() -> Figure:
    """Theorem 4.1: what is fitted along the lower direction when alpha* is fitted along the higher one."""
    figure, axis = _axis(6.6, 4.0)
    # The quantiles of an arcsine law: both curves are steep at alpha* = 1, the student's at 0 too.
    alpha = np.sin(np.linspace(0, np.pi / 2, 600)) ** 2
    for kappa, colour in zip(_KAPPAS, (_COLOURS[0], _COLOURS[2], _COLOURS[4]), strict=True):
        teacher, student = (np.asarray(f(alpha, kappa)) for f in (eigenspace.alpha_teacher, eigenspace.alpha_student))
        axis.fill_between(alpha, student, teacher, color=colour, alpha=0.12, lw=0)
        axis.plot(alpha, teacher, color=colour, lw=1.7, label=f"$\\kappa$ = 1/{round(1 / kappa)}")
        axis.plot(alpha, student, color=colour, lw=1.7, ls=(0, (4, 2)))
    axis.plot([], [], color="#555555", lw=1.7, label="teacher")
    axis.plot([], [], color="#555555", lw=1.7, ls=(0, (4, 2)), label="student")
    axis.set(
        xlabel="top eigenvalue  $\\alpha^*$", ylabel="bottom eigenvalue  $\\alpha_{k_2}$", xlim=(0, 1), ylim=(0, 1)
    )
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {"eigenvalues": eigenvalues, "trade_off": trade_off}


def _axis(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    return figure, axis
