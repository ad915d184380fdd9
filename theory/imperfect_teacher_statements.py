"""The proof of Theorem B.4, (35) to (50), its last chain, and whether its assumptions can be met.

(37) and (48) follow or precede lines that are here; (38), (44), (47) and (50) are empty. Squared lengths along mu_k are
in the unit of m^2 tau^2, those across in the unit of m. In (45) the condition on gamma- has p+te where p-te is meant,
and in (46) a bracket is missing; both are read as meant.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from theory import gradient_space, grid, imperfect_teacher, simulation
from theory.early_stopped import EXAMPLE, tried
from theory.gradient_space import probabilities
from theory.precision import float64
from theory.registry import Statement, Verdict

_STOPPED = "0 ≤ α, αᵗᵉτ ≤ log(K − 2), κ ≥ 0, αᵗᵉ − α ≥ (2/τ) log(3/(1 − κ))"
_EPSILONS = np.concatenate([[0.0], np.logspace(-4, 0, 9)])
_COUNTS = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 1000.0])
_SUMS = {"m": np.arange(1.0, 41), "gamma_plus": np.linspace(0, 1, 51), "gamma_minus": np.linspace(0, 1, 51)}


@float64
def parallel(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, epsilon: Array, share: Array = 0.5
) -> tuple[Array, Array]:
    """(36): least squared length along mu_k where gamma = (epsilon/2) kappa pte, and as printed, over m^2 tau^2.

    The least is of q = pte - gamma on every example; the left side of the line is nowhere less.

    >>> [round(float(term), 3) for term in parallel(**EXAMPLE, epsilon=1 / 32)]
    [0.209, 0.229]
    """
    c, d = gradient_space.distilled(classes, tau, alpha, alpha_te)
    plus, minus = probabilities(classes, tau, alpha_te)
    part = epsilon / 2 * kappa
    return ((c - part * plus) + share * (d - part * minus)) ** 2, (c + d) ** 2 * (1 - epsilon / 2) ** 2


@float64
def parallel_corrected(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, epsilon: Array
) -> tuple[Array, Array]:
    """(36) by the definitions: d / 2 in place of d.

    >>> [round(float(term), 3) for term in parallel_corrected(**EXAMPLE, epsilon=1 / 32)]
    [0.209, 0.206]
    """
    c, d = gradient_space.distilled(classes, tau, alpha, alpha_te)
    least = parallel(classes, tau, alpha, alpha_te, kappa, epsilon)[0]
    return least, (c + d / 2) ** 2 * (1 - epsilon / 2) ** 2


@float64
def absolute_sum(m: Array, gamma_plus: Array, gamma_minus: Array) -> tuple[Array, Array, Array]:
    """(42): the limit of the sum of A_j, the expectation as the text has it, and the bound.

    >>> [round(float(term), 3) for term in absolute_sum(1, 1, 1)]
    [3.273, 4.546, 6.0]
    """
    square = gamma_plus**2 + gamma_minus**2
    written = m * square + m**2 * 2 / jnp.pi * (gamma_plus + gamma_minus) ** 2
    return imperfect_teacher.absolute_sum(m, gamma_plus, gamma_minus), written, 3 * m**2 * square


@float64
def absolute_step(m: Array, gamma_plus: Array, gamma_minus: Array) -> tuple[Array, Array]:
    """A step below (42): (2/pi) m^2 (gamma+ + gamma-)^2, and its bound there, m^2 (gamma+^2 + gamma-^2).

    >>> [round(float(term), 3) for term in absolute_step(1, 1, 1)]
    [2.546, 2.0]
    """
    return m**2 * 2 / jnp.pi * (gamma_plus + gamma_minus) ** 2, m**2 * (gamma_plus**2 + gamma_minus**2)


@float64
def cross_sum(
    m: Array, gamma_plus: Array, gamma_minus: Array, gap_plus: Array, gap_minus: Array
) -> tuple[Array, Array]:
    """(43): the limit of the sum of B_j, and m (gamma- + gamma+) times the sum of pte - p over all 2 m examples.

    >>> [round(float(term), 3) for term in cross_sum(1, 1, 1, 1, 1)]
    [3.273, 4.0]
    """
    printed = m * (gamma_minus + gamma_plus) * (m * gap_plus + m * gap_minus)
    return imperfect_teacher.cross_sum(m, gamma_plus, gamma_minus, gap_plus, gap_minus), printed


@float64
def across(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, epsilon: Array, m: Array
) -> tuple[Array, Array]:
    """(45)-(46): the greatest limit of |across|^2 where sqrt(m) gamma = (epsilon/4) kappa pte, as printed; over m.

    >>> [round(float(term), 3) for term in across(**EXAMPLE, epsilon=1, m=1)]
    [0.247, 0.235]
    """
    c, d = gradient_space.distilled(classes, tau, alpha, alpha_te)
    plus, minus = kappa * probabilities(classes, tau, alpha_te)[0], kappa * probabilities(classes, tau, alpha_te)[1]
    part = epsilon / 4 / jnp.sqrt(m)
    printed = c**2 + d**2 + 3 / 16 * epsilon**2 * (plus**2 + minus**2) + epsilon / 4 * (plus + minus) * (c + d)
    return (c + part * plus) ** 2 + (d + part * minus) ** 2, printed


@float64
def across_corrected(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, epsilon: Array
) -> tuple[Array, Array]:
    """(45)-(46) corrected: the same with gamma = (epsilon/4) kappa pte, for any m, and (c^2 + d^2)(1 + epsilon/4)^2.

    >>> [round(float(term), 3) for term in across_corrected(**EXAMPLE, epsilon=1)]
    [0.247, 0.3]
    """
    c, d = gradient_space.distilled(classes, tau, alpha, alpha_te)
    greatest = across(classes, tau, alpha, alpha_te, kappa, epsilon, jnp.ones_like(c))[0]
    return greatest, (c**2 + d**2) * (1 + epsilon / 4) ** 2


@float64
def across_end(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, epsilon: Array, m: Array
) -> tuple[Array, Array]:
    """(49): the greater of the limit in (45) and of (48)'s right side, and (49)'s, over m.

    >>> [round(float(term), 3) for term in across_end(**EXAMPLE, epsilon=1, m=1)]
    [0.276, 0.384]
    """
    c, d = gradient_space.distilled(classes, tau, alpha, alpha_te)
    line_48 = (c**2 + d**2) * (1 + 3 * epsilon**2 / 16 + epsilon / 4)
    limit = across(classes, tau, alpha, alpha_te, kappa, epsilon, m)[0]
    return jnp.maximum(limit, line_48), (c**2 + d**2) * (1 + epsilon)


@float64
def last_chain(tau: Array, kappa: Array, part: Array) -> tuple[Array, ...]:
    """B.4's last chain from its second term on, over m, where epsilon' = part kappa^2 / 8.

    >>> [round(float(term), 3) for term in last_chain(2, 0.5, 1)]
    [4.697, 1.173, 4.688, 4.5, 1.125]
    """
    epsilon = part * kappa**2 / 8
    up = 1 + kappa**2
    return (
        tau**2 * up * (1 - epsilon) / (1 + epsilon),
        up * (1 - epsilon) ** 2,
        tau**2 * up * (1 - 2 * epsilon),
        tau**2 * (up - 4 * epsilon),
        1 + kappa**2 / 2,
    )


@float64
def last_chain_corrected(tau: Array, kappa: Array, part: Array) -> tuple[Array, ...]:
    """The same with tau^2 in every term, over m tau^2.

    >>> [round(float(term), 3) for term in last_chain_corrected(2, 0.5, 1)]
    [1.174, 1.173, 1.172, 1.125, 1.125]
    """
    terms = last_chain(tau, kappa, part)
    squares = (tau**2, 1, tau**2, tau**2, 1)
    return tuple(term / square for term, square in zip(terms, squares, strict=True))


@float64
def feasible(scale_te: Array, tau: Array, excess: Array) -> tuple[Array, Array]:
    """kappa^3 at its greatest, alpha = 0, and what B.4 asks of it, for alpha_te tau and eps = excess / (m tau^2).

    >>> [round(float(term), 3) for term in feasible(2 * np.log(6), 2000, 1)]
    [0.125, 0.344]
    """
    kappa = gradient_space.greatest_kappa(1.0, 0.0, scale_te)
    return kappa**3, imperfect_teacher.printed_need(1.0, 1.0, scale_te, excess / tau**2)


def _feasible(least: float, growing: bool) -> Verdict:
    """(scale_te, tau, excess) with scale_te >= least, and tau huge or, if growing, from the least tau on."""
    scale = least + np.concatenate([[0.0], np.logspace(-2, np.log10(60), 60)])
    excess = np.concatenate([[1.0], np.logspace(0.001, 3, 40)])
    times = np.concatenate([[1.0], np.logspace(1e-9, 6, 45)])
    scale, excess, times = (a.ravel() for a in np.meshgrid(scale[growing:], excess, times))
    tau = np.asarray(imperfect_teacher.least_tau(scale, excess)) * times if growing else 1e12 * times
    base = {"scale_te": scale, "tau": tau, "excess": excess}
    plain = ({"scale_te": imperfect_teacher.LOG_3, "tau": 1e12, "excess": 2.0},)
    return tried(feasible, (">=",), () if growing else plain, base=base)


def _sampled(cross: bool) -> Verdict:
    """Limits of the sums of A_j or B_j, on Gaussian coordinates."""
    gamma, gap = (0.2, 0.05), (0.4, 0.1)
    if cross:
        sums, limit = simulation.coordinate_sums(gap, gamma), imperfect_teacher.cross_sum(3, *gamma, *gap)
    else:
        sums, limit = simulation.coordinate_sums(gamma, gamma), imperfect_teacher.absolute_sum(3, *gamma)
    return simulation.tends_to(sums, float(limit))


def _absolute_sum() -> Verdict:
    sampled = _sampled(cross=False)
    closed = grid.check(absolute_sum, ("<=", "<="), _SUMS, {name: [1.0] for name in _SUMS})
    return sampled if closed.holds else closed


def _cross_sum(relation: str) -> Verdict:
    axes = {name: axis[::5] for name, axis in _SUMS.items()}
    gaps = {"gap_plus": np.linspace(0, 1, 11), "gap_minus": np.linspace(0, 1, 11)}
    return grid.check(cross_sum, (relation,), axes | gaps, {name: [1.0] for name in axes | gaps})


def _cross_sum_corrected() -> Verdict:
    sampled, closed = _sampled(cross=True), _cross_sum("<=")
    return sampled if closed.holds else closed


def _last_chain(values, relations) -> Verdict:
    axes = {"tau": np.array([1.0, 1.5, 2.0, 10.0, 2000.0]), "kappa": grid.unit(160), "part": grid.unit(130)}
    return grid.check(values, relations, axes, {"tau": [2.0], "kappa": [0.5], "part": [1.0]})


_CHAIN = (">=", ">=", ">=", ">=")

STATEMENTS = (
    Statement(
        id="eq-36",
        where="Appendix B.1, proof of Theorem B.4, (35)-(36)",
        says="the part of an imperfect teacher's update along μ_k, from below",
        printed="‖ũ‖² ≥ m²τ²((p₊ᵗᵉ − p₊) + (p₋ᵗᵉ − p₋))²(1 − ε′/2)², if γ± ≤ (ε′/2)κp±ᵗᵉ",
        domain=f"{_STOPPED}, 0 ≤ ε′ ≤ 1, in units of m²τ²; it would hold were x·μ = τ on S₋",
        values=parallel,
        relations=(">=",),
        check=lambda: tried(parallel, (">=",), (EXAMPLE | {"epsilon": 1 / 32},), {"epsilon": _EPSILONS}),
        recorded="fails",
        corrected="‖ũ^∥‖² ≥ m²τ²((p₊ᵗᵉ − p₊) + (p₋ᵗᵉ − p₋)/2)²(1 − ε′/2)²",
        corrected_check=lambda: tried(parallel_corrected, (">=",), (), {"epsilon": _EPSILONS}),
    ),
    Statement(
        id="eq-42-a",
        where="Appendix B.1, (42) and below",
        says="the sum of A_j, in the limit",
        printed="lim Σ_j A_j = m(γ₊² + γ₋²) + m²(2/π)(γ₊ + γ₋)² (read as ≤) ≤ 3m²(γ₊² + γ₋²)",
        domain="m ≤ 40, 0 ≤ γ± ≤ 1, closed form of the limit; the limit itself at m = 3, D to 1024",
        values=absolute_sum,
        relations=("<=", "<="),
        check=_absolute_sum,
        recorded="holds",
    ),
    Statement(
        id="eq-43-b",
        where="Appendix B.1, (43) and below",
        says="the sum of B_j, in the limit",
        printed="lim B_j = m(γ₋ + γ₊) Σ_x (p_kᵗᵉ(x) − p_k(x)), B_j read as Σ_j B_j",
        domain="m ≤ 40, 0 ≤ γ± ≤ 1, 0 ≤ p±ᵗᵉ − p± ≤ 1, closed form; corrected also sampled at m = 3, D to 1024",
        values=cross_sum,
        relations=("=",),
        check=lambda: _cross_sum("="),
        recorded="misprint",
        corrected="lim Σ_j B_j ≤ m(γ₋ + γ₊) Σ_x (p_kᵗᵉ(x) − p_k(x))",
        corrected_check=_cross_sum_corrected,
    ),
    Statement(
        id="eq-45-46",
        where="Appendix B.1, (45)-(46)",
        says="the part of an imperfect teacher's update across μ_k, from above",
        printed="lim ‖ũ^⊥‖² ≤ m(c² + d²) + 3m(ε′²/16)((κp₊ᵗᵉ)² + (κp₋ᵗᵉ)²) + m(ε′/4)(κp₊ᵗᵉ + κp₋ᵗᵉ)(c + d), "
        "if √m γ± ≤ (ε′/4)κp±ᵗᵉ; c = p₊ᵗᵉ − p₊, d = p₋ᵗᵉ − p₋",
        domain=f"{_STOPPED}, 0 ≤ ε′ ≤ 1, m from 1 to 1000, in units of m",
        values=across,
        relations=("<=",),
        check=lambda: tried(
            across, ("<=",), (EXAMPLE | {"epsilon": 1.0, "m": 1.0},), {"epsilon": _EPSILONS, "m": _COUNTS}
        ),
        recorded="fails",
        corrected="lim ‖ũ^⊥‖² ≤ m((c + γ₊)² + (d + γ₋)²) ≤ m(c² + d²)(1 + ε′/4)², if γ± ≤ (ε′/4)κp±ᵗᵉ, any m",
        corrected_check=lambda: tried(across_corrected, ("<=",), (), {"epsilon": _EPSILONS}),
    ),
    Statement(
        id="eq-49",
        where="Appendix B.1, (48)-(49)",
        says="the same, in short",
        printed="lim ‖ũ^⊥‖² ≤ m(c² + d²)(1 + ε′), as is (48)'s right side",
        domain=f"as (45), {_STOPPED}, 0 ≤ ε′ ≤ 1, in units of m",
        values=across_end,
        relations=("<=",),
        check=lambda: tried(across_end, ("<=",), (), {"epsilon": _EPSILONS, "m": _COUNTS}),
        recorded="holds",
    ),
    Statement(
        id="b4-final-chain",
        where="Appendix B.1, proof of Theorem B.4, after (50)",
        says="from (36) and (49) to the bound; its first link rests on (32) and is judged with (33)",
        printed="mτ²(1 + κ²)(1 − ε′)/(1 + ε′) ≥ m(1 + κ²)(1 − ε′)² ≥ mτ²(1 + κ²)(1 − 2ε′) "
        "≥ mτ²(1 + κ² − 4ε′) ≥ m(1 + κ²/2)",
        domain="0 ≤ κ ≤ 1, ε′ = part·κ²/8 with 0 ≤ part ≤ 1, τ ≥ 1; in units of m, corrected of mτ²",
        values=last_chain,
        relations=_CHAIN,
        check=lambda: _last_chain(last_chain, _CHAIN),
        recorded="misprint",
        corrected="the same with τ² in the second and in the last term",
        corrected_check=lambda: _last_chain(last_chain_corrected, _CHAIN),
    ),
    Statement(
        id="b4-feasible",
        where="Appendix B.1, Theorem B.4 and the end of its proof",
        says="for large τ there are α and κ that meet the assumptions",
        printed="αᵗᵉ ≥ (1/τ) log 3 and τ sufficiently large: there are α ∈ [0, αᵗᵉ], κ > 0 with "
        "κ³ ≥ 192αᵗᵉτ√(mεᵗᵉ) and αᵗᵉ − α ≥ (2/τ) log(3/(1 − κ))",
        domain="scale_te = αᵗᵉτ ≥ log 3, τ ≥ 10¹², εᵗᵉ = excess/(mτ²); κ³ at its greatest, against what is asked",
        values=feasible,
        relations=(">=",),
        check=lambda: _feasible(imperfect_teacher.LOG_3, growing=False),
        recorded="misprint",
        corrected="αᵗᵉ > (2/τ) log 3, so K ≥ 12; then for τ ≥ 192√(mτ²εᵗᵉ) αᵗᵉτ/(1 − 3e^(−αᵗᵉτ/2))³ and no less",
        corrected_check=lambda: _feasible(2 * imperfect_teacher.LOG_3, growing=True),
    ),
)
