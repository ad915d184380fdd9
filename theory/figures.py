"""Figures of the theory: closed forms, and one with sampled points on them."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from theory import eigenspace, gradient_space, imperfect_teacher, simulation
from theory.eigenspace import sparsity

# As in the figures of studies, of which nothing is imported here
FONT = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
}
_ONE_HOT, _DISTILLATION = "#E69F00", "#0072B2"
_COLOURS = ("#08264d", "#2f6fae", "#009E73", "#E69F00", "#D55E00")
_EIGENVALUES = (1, 1 / 4, 1 / 16, 1 / 64, 1 / 256)
_KAPPAS = (1 / 2, 1 / 8, 1 / 32)


def eigenvalues() -> Figure:
    """A's eigenvalues over time for teacher and student (T_te = t), in five directions.

    >>> top = eigenvalues().axes[0].lines[0]  # the teacher's, eigenvalue 1
    >>> round(float(np.interp(np.log(2), *top.get_data())), 2)
    0.5
    """
    figure, axis = _axis(6.6, 4.0)
    t = np.logspace(-2, 4, 400)
    for eigenvalue, colour in zip(_EIGENVALUES, _COLOURS, strict=True):
        teacher = np.asarray(sparsity(eigenvalue, t))
        name = "1" if eigenvalue == 1 else f"1/{round(1 / eigenvalue)}"
        axis.plot(t, teacher, color=colour, lw=1.7, label=f"$\\lambda$ = {name}")
        axis.plot(t, teacher**2, color=colour, lw=1.7, ls=(0, (4, 2)))
    axis.plot([], [], color="#666666", lw=1.7, label="teacher, $A(t)$")
    axis.plot([], [], color="#666666", lw=1.7, ls=(0, (4, 2)), label="student, $A(t)^2$")
    axis.set(xscale="log", xlabel="time $t$, in units of $1/\\lambda_1$", ylabel="eigenvalue of the sparsifier")
    axis.set(xlim=(t[0], t[-1]), ylim=(0, 1.02))
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def trade_off() -> Figure:
    """Theorem 4.1: what is fitted along the lower direction when alpha* is fitted along the higher one.

    >>> teacher_and_student = trade_off().axes[0].lines[:2]  # kappa = 1/2
    >>> [round(float(np.interp(0.75, *line.get_data())), 2) for line in teacher_and_student]
    [0.5, 0.4]
    """
    figure, axis = _axis(6.6, 4.0)
    # The quantiles of an arcsine law: both curves are steep at alpha* = 1, the student's at 0 too.
    alpha = np.sin(np.linspace(0, np.pi / 2, 600)) ** 2
    for kappa, colour in zip(_KAPPAS, (_COLOURS[0], _COLOURS[2], _COLOURS[4]), strict=True):
        teacher, student = (np.asarray(f(alpha, kappa)) for f in (eigenspace.alpha_teacher, eigenspace.alpha_student))
        axis.fill_between(alpha, student, teacher, color=colour, alpha=0.12, lw=0)
        axis.plot(alpha, teacher, color=colour, lw=1.7, label=f"$\\kappa$ = 1/{round(1 / kappa)}")
        axis.plot(alpha, student, color=colour, lw=1.7, ls=(0, (4, 2)))
    axis.plot([], [], color="#666666", lw=1.7, label="teacher")
    axis.plot([], [], color="#666666", lw=1.7, ls=(0, (4, 2)), label="student")
    axis.set(
        xlabel="top eigenvalue  $\\alpha^*$", ylabel="bottom eigenvalue  $\\alpha_{k_2}$", xlim=(0, 1), ylim=(0, 1)
    )
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def feasible_region() -> Figure:
    """Theorem B.4: the tau at which its assumptions can be met, as printed and as corrected, at eps = 1 / (m tau^2).

    >>> round(float(feasible_region().axes[0].lines[0].get_ydata().min()))  # the least tau, as printed
    1786
    """
    figure, axis = _axis(6.6, 4.2)
    scale = 2 * imperfect_teacher.LOG_3 + np.concatenate([np.logspace(-4, -1, 60), np.linspace(0.1, 14, 400)])
    least = np.asarray(imperfect_teacher.least_tau(scale))
    axis.fill_between(scale, least, 1e7, color=_COLOURS[0], alpha=0.12, lw=0)
    axis.plot(scale, least, color=_COLOURS[0], lw=1.9, label="as printed, any $m$")
    for m, colour in ((1, _COLOURS[4]), (100, _COLOURS[3]), (10_000, _COLOURS[2])):
        corrected = np.sqrt(np.asarray(imperfect_teacher.least_m_tau2(scale)) / m)
        axis.plot(
            scale, np.maximum(corrected, 1), color=colour, lw=1.5, ls=(0, (4, 2)), label=f"corrected, $m$ = {m:,}"
        )
    axis.axvspan(imperfect_teacher.LOG_3, 2 * imperfect_teacher.LOG_3, color="#999999", alpha=0.25, lw=0)
    axis.text(1.5 * imperfect_teacher.LOG_3, 3e3, "no $\\kappa > 0$", rotation=90, ha="center", va="center", fontsize=9)
    axis.set(yscale="log", ylim=(1, 1e6), xlim=(1, 15), ylabel="least $\\tau$")
    axis.set(xlabel="teacher's scale  $\\alpha^{te}\\tau$, at most $\\log(K - 2)$")
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def gradient_quality() -> Figure:
    """One-hot and distillation quality over alpha for K = 102 and a perfect teacher with exp(alpha_te tau / 2) = 10.

    >>> gradient_quality().savefig("gradient_quality.png")  # doctest: +SKIP
    """
    figure, axis = _axis(7.2, 4.6)
    classes, tau, m, dim = 102, simulation.TAU, 4, 1024
    alpha_te = float(np.log(10))
    alpha = np.linspace(0, alpha_te, 400)[:-1]
    kappa = np.asarray(gradient_space.greatest_kappa(tau, alpha, alpha_te))
    sampled_at = np.linspace(0, 0.95 * alpha_te, 8)
    one_hot, distilled = np.asarray(simulation.updates(1, dim, classes, m, sampled_at, alpha_te, 3))
    dashes = (0, (4, 2))
    for name, colour, closed, sampled in (
        ("one-hot", _ONE_HOT, gradient_space.one_hot_quality(classes, tau, alpha), one_hot),
        ("distillation", _DISTILLATION, gradient_space.distilled_quality(classes, tau, alpha, alpha_te), distilled),
    ):
        quality = sampled[..., 0] ** 2 / sampled[..., 1] / (m * tau**2)
        spread = quality.std(axis=-1, ddof=1)
        axis.plot(tau * alpha, np.asarray(closed), color=colour, lw=1.9, label=name)
        axis.errorbar(tau * sampled_at, quality.mean(-1), spread, color=colour, fmt="o", ms=3.5, lw=0.8, capsize=2)
    axis.errorbar([], [], [], color="#666666", fmt="o", ms=3.5, lw=0.8, capsize=2, label=f"sampled, $D$ = {dim:,}")
    # What is printed is black, what is corrected has the colour of what it bounds
    bound = np.asarray(gradient_space.one_hot_bound(classes, tau, alpha))
    axis.plot(tau * alpha, bound, color=_ONE_HOT, lw=1.1, ls=dashes, label="corrected upper bound")
    stopped = kappa > 0
    bound = np.asarray(gradient_space.distilled_bound(tau, alpha_te, kappa))[stopped]
    axis.plot(tau * alpha[stopped], bound, color=_DISTILLATION, lw=1.1, ls=dashes, label="corrected lower bound")
    bound = np.asarray(gradient_space.printed_one_hot_bound(tau, alpha))
    axis.plot(tau * alpha, bound, color="black", lw=1.3, ls=(0, (5, 1.5, 1, 1.5)), label="printed upper bound")
    for imperfect, style in ((False, dashes), (True, (0, (1, 1.5)))):
        bound = np.asarray(gradient_space.printed_distilled_bound(kappa, imperfect))[stopped]
        name = "printed lower bound, " + ("(33)" if imperfect else "(24)")
        axis.plot(tau * alpha[stopped], bound, color="black", lw=1.3, ls=style, label=name)
    axis.set(xlabel="student's scale  $\\alpha\\tau$", ylabel="quality of the update, in units of $m\\tau^2$")
    axis.set(xlim=(-0.06, tau * alpha_te), ylim=(0.78, 1.52))
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "eigenvalues": eigenvalues,
    "trade_off": trade_off,
    "feasible_region": feasible_region,
    "gradient_quality": gradient_quality,
}


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG in `FONT`, whatever the session's is.

    >>> save(trade_off(), Path("trade_off.png"))  # doctest: +SKIP
    """
    with matplotlib.rc_context(FONT):
        for text in figure.findobj(Text):
            text.set(fontfamily=FONT["font.family"], math_fontfamily=FONT["mathtext.fontset"])
        figure.savefig(path)


def _axis(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    return figure, axis
