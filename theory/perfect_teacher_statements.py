"""Lemma B.3 and its proof's chain, (27) to (32) and (24): one-hot updates and updates from a perfect teacher.

Qualities are |parallel|^2 / |across|^2 in the unit of m tau^2, by the definitions of Section 4.2: x . mu is tau / 2 on
S-. The proof puts tau there. Every `values` takes `share`, the x . mu on S- in units of tau; 1 gives what the proof
writes. Where a line holds in one reading and fails in the other, its domain says so. (25) and (26) are steps of (27).
The display before (27) lacks the square of |u_across|.
"""

import jax.numpy as jnp
from jax import Array

from theory import early_stopped, gradient_space, simulation
from theory import gradient_space_certificates as certificates
from theory.early_stopped import tried
from theory.gradient_space import probabilities
from theory.precision import float64
from theory.registry import Statement, Verdict

_EARLY = "0 ≤ α, ατ ≤ log(K − 2)"
_STOPPED = "0 ≤ α, αᵗᵉτ ≤ log(K − 2), κ ≥ 0, αᵗᵉ − α ≥ (2/τ) log(3/(1 − κ))"
_UNIT = "in units of mτ², D → ∞"


@float64
def one_hot_limit(classes: Array, tau: Array, alpha: Array, share: Array = 0.5) -> tuple[Array, Array, Array]:
    """(27): the one-hot quality, the printed fraction, the printed right side.

    >>> [round(float(term), 3) for term in one_hot_limit(3, 2, 0)]
    [0.45, 0.2, 0.2]
    """
    plus, minus = probabilities(classes, tau, alpha)
    a, b = gradient_space.one_hot(classes, tau, alpha)
    printed = ((1 - plus) - minus) ** 2 / ((1 - plus) ** 2 + minus**2)
    return gradient_space.quality((a, b), share), printed, 1 + 2 * a * b / (a**2 + b**2)


@float64
def one_hot_step(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array]:
    """(28): the right sides of (27) and of (28).

    >>> [round(float(term), 3) for term in one_hot_step(3, 2, 0)]
    [0.2, 0.0]
    """
    plus, minus = probabilities(classes, tau, alpha)
    return one_hot_limit(classes, tau, alpha)[2], 1 - (minus / plus) ** 2


@float64
def one_hot_step_corrected(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array, Array]:
    """(28) as it was meant, with p- / (1 - p+) in place of p- / p+: the right sides of (27) and of it, and 1 above it.

    >>> [round(float(term), 3) for term in one_hot_step_corrected(3, 2, 0)]
    [0.2, 0.75, 1.0]
    """
    a, b = gradient_space.one_hot(classes, tau, alpha)
    return one_hot_limit(classes, tau, alpha)[2], 1 - (b / a) ** 2, jnp.ones_like(a)


@float64
def probability_ratio(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array, Array, Array]:
    """(29): p- / p+, and the printed terms.

    >>> [round(float(term), 3) for term in probability_ratio(4, 2, np.log(2))]
    [0.5, 0.5, 0.167, 0.167]
    """
    plus, minus = probabilities(classes, tau, alpha)
    root = jnp.exp(alpha * tau / 2)
    printed = (1 + (classes - 2) / root**2 + 1 / root) / (1 + (classes - 2) / root + root)
    return minus / plus, printed, ((classes - 2) / root**2) / (3 * (classes - 2) / root), 1 / root / 3


@float64
def one_hot_bound(classes: Array, tau: Array, alpha: Array, share: Array = 0.5) -> tuple[Array, Array]:
    """(30): the one-hot quality, and 1 - exp(-alpha tau)/9.

    >>> [round(float(term), 3) for term in one_hot_bound(38, 2, 0)]
    [0.972, 0.889]
    """
    quality = gradient_space.one_hot_quality(classes, tau, alpha, share)
    return quality, gradient_space.printed_one_hot_bound(tau, alpha)


@float64
def one_hot_bound_corrected(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array]:
    """(30) corrected: the one-hot quality, and (K - 2) / (K - 2 + exp(alpha tau / 2)).

    >>> [round(float(term), 3) for term in one_hot_bound_corrected(38, 2, 0)]
    [0.972, 0.973]
    """
    return (
        gradient_space.one_hot_quality(classes, tau, alpha),
        gradient_space.one_hot_bound(classes, tau, alpha),
    )


@float64
def distilled_limit(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, share: Array = 0.5
) -> tuple[Array, Array, Array]:
    """(31): the distillation quality, the printed fraction without its square, the printed right side.

    >>> [round(float(term), 3) for term in distilled_limit(38, 2, 0, np.log(6))]
    [1.105, 2.531, 1.229]
    """
    c, d = gradient_space.distilled(classes, tau, alpha, alpha_te)
    return gradient_space.quality((c, d), share), (c + d) / (c**2 + d**2), 1 + 2 * c * d / (c**2 + d**2)


@float64
def distilled_steps(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array
) -> tuple[Array, Array, Array]:
    """(32): the right side of (31), and the two printed terms.

    >>> [round(float(term), 3) for term in distilled_steps(38, 2, 0, np.log(6), 0.5)]
    [1.229, 1.081, 1.25]
    """
    plus, minus = probabilities(classes, tau, alpha_te)
    middle = 1 + 2 * kappa**2 * plus * minus / (plus**2 + minus**2)
    return distilled_limit(classes, tau, alpha, alpha_te)[2], middle, 1 + kappa**2


@float64
def distilled_bound(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, share: Array = 0.5
) -> tuple[Array, Array]:
    """(24), lower: 1 + kappa^2, and the distillation quality.

    >>> [round(float(term), 3) for term in distilled_bound(38, 2, 0, np.log(6), 0.5)]
    [1.25, 1.105]
    """
    quality = gradient_space.distilled_quality(classes, tau, alpha, alpha_te, share)
    return gradient_space.printed_distilled_bound(kappa), quality


@float64
def distilled_bound_corrected(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array
) -> tuple[Array, Array]:
    """(24), lower, corrected: 1 + kappa / (1 + exp(alpha_te tau / 2)), and the distillation quality.

    >>> [round(float(term), 3) for term in distilled_bound_corrected(38, 2, 0, np.log(6), 0.5)]
    [1.071, 1.105]
    """
    quality = gradient_space.distilled_quality(classes, tau, alpha, alpha_te)
    return gradient_space.distilled_bound(tau, alpha_te, kappa), quality


@float64
def order(classes: Array, tau: Array, alpha: Array, alpha_te: Array, share: Array = 0.5) -> tuple[Array, Array]:
    """(24), order: the one-hot quality and the distillation quality.

    >>> [round(float(term), 3) for term in order(38, 2, 0, np.log(6))]
    [0.972, 1.105]
    """
    return (
        gradient_space.one_hot_quality(classes, tau, alpha, share),
        gradient_space.distilled_quality(classes, tau, alpha, alpha_te, share),
    )


def _both(first: Verdict, second: Verdict) -> Verdict:
    """The first, if the second holds; else the second."""
    return first if second.holds else second


_K3 = {"classes": 3.0, "tau": 2.0, "alpha": 0.0}

STATEMENTS = (
    Statement(
        id="eq-27",
        where="Appendix B.1, (25)-(27)",
        says="quality of the one-hot update, and a bound on it",
        printed="lim ‖u_k‖²/‖u_k^⊥‖² = m²τ²((1 − p₊) − p₋)² / (m((1 − p₊)² + p₋²)) "
        "≤ mτ²(1 − 2(1 − p₊)p₋ / ((1 − p₊)² + p₋²))",
        domain=f"{_EARLY}, {_UNIT}; ‖u_k‖ read as ‖u_k^∥‖; were x·μ = τ on S₋, both links would hold, with equality",
        values=one_hot_limit,
        relations=("=", "<="),
        check=lambda: tried(one_hot_limit, ("=", "<="), (_K3,)),
        recorded="fails",
        corrected="lim ‖u_k^∥‖²/‖u_k^⊥‖² = mτ²((1 − p₊) − p₋/2)² / ((1 − p₊)² + p₋²) ≤ mτ²(1 − p₋/(1 − p₊))",
        corrected_check=lambda: _both(
            simulation.quality_limit(distilled=False), early_stopped.proved(certificates.upper())
        ),
    ),
    Statement(
        id="eq-28",
        where="Appendix B.1, (28)",
        says="(27)'s bound, from above",
        printed="(27)'s right side ≤ mτ²(1 − (p₋/p₊)²)",
        domain=f"{_EARLY}, {_UNIT}",
        values=one_hot_step,
        relations=("<=",),
        check=lambda: tried(one_hot_step, ("<=",), (_K3,)),
        recorded="fails",
        corrected="(27)'s right side ≤ mτ²(1 − (p₋/(1 − p₊))²) ≤ mτ²; by the definitions: (27) corrected",
        corrected_check=lambda: tried(one_hot_step_corrected, ("<=", "<="), (_K3,)),
    ),
    Statement(
        id="eq-29",
        where="Appendix B.1, (29)",
        says="the ratio of node k's probabilities, from below; it is e^(−ατ/2)",
        printed="p₋/p₊ = (1 + (K − 2)e^(−ατ) + e^(−ατ/2)) / (1 + (K − 2)e^(−ατ/2) + e^(ατ/2)) "
        "≥ (K − 2)e^(−ατ) / (3(K − 2)e^(−ατ/2)) ≥ e^(−ατ/2)/3",
        domain=_EARLY,
        values=probability_ratio,
        relations=("=", ">=", ">="),
        check=lambda: tried(probability_ratio, ("=", ">=", ">="), (_K3,)),
        recorded="holds",
    ),
    Statement(
        id="eq-30",
        where="Appendix B.1, (30)",
        says="the one-hot quality, from above",
        printed="lim ‖u_k‖²/‖u_k^⊥‖² ≤ mτ²(1 − e^(−ατ)/9)",
        domain=f"{_EARLY}, {_UNIT}; it also fails were x·μ = τ on S₋",
        values=one_hot_bound,
        relations=("<=",),
        check=lambda: tried(one_hot_bound, ("<=",)),
        recorded="fails",
        corrected="lim ‖u_k^∥‖²/‖u_k^⊥‖² ≤ mτ²(1 − p₋/(1 − p₊)) = mτ²(K − 2)/(K − 2 + e^(ατ/2)) < mτ²",
        corrected_check=lambda: _both(
            early_stopped.proved(certificates.upper()), tried(one_hot_bound_corrected, ("<=",))
        ),
    ),
    Statement(
        id="eq-31",
        where="Appendix B.1, (31)",
        says="quality of the update from a perfect teacher, and a bound on it",
        printed="lim ‖ũ‖²/‖ũ^⊥‖² := m²τ²((p₊ᵗᵉ − p₊) + (p₋ᵗᵉ − p₋)) / (m((p₊ᵗᵉ − p₊)² + (p₋ᵗᵉ − p₋)²)) "
        "≥ mτ²(1 + 2(p₊ᵗᵉ − p₊)(p₋ᵗᵉ − p₋) / ((p₊ᵗᵉ − p₊)² + (p₋ᵗᵉ − p₋)²))",
        domain=f"{_STOPPED}, {_UNIT}; were x·μ = τ on S₋, only the square of the numerator would be missing",
        values=distilled_limit,
        relations=("=", ">="),
        check=lambda: tried(distilled_limit, ("=", ">=")),
        recorded="fails",
        corrected="with c = p₊ᵗᵉ − p₊, d = p₋ᵗᵉ − p₋: lim ‖ũ^∥‖²/‖ũ^⊥‖² = mτ²(c + d/2)²/(c² + d²) "
        "= mτ²(1 + (cd − 3d²/4)/(c² + d²))",
        corrected_check=lambda: simulation.quality_limit(distilled=True),
    ),
    Statement(
        id="eq-32",
        where="Appendix B.1, (32)",
        says="(31)'s bound, from below",
        printed="(31)'s right side ≥ mτ²(1 + 2κ²p₊ᵗᵉp₋ᵗᵉ/((p₊ᵗᵉ)² + (p₋ᵗᵉ)²)) ≥ mτ²(1 + κ²)",
        domain=f"{_STOPPED}, {_UNIT}",
        values=distilled_steps,
        relations=(">=", ">="),
        check=lambda: tried(distilled_steps, (">=", ">=")),
        recorded="fails",
        corrected="lim ‖ũ^∥‖²/‖ũ^⊥‖² ≥ mτ²(1 + κ/(1 + e^(αᵗᵉτ/2))), κ > 0",
        corrected_check=lambda: _both(
            early_stopped.proved(certificates.lower()), tried(distilled_bound_corrected, ("<=",))
        ),
    ),
    Statement(
        id="eq-24-upper",
        where="Appendix B.1, Lemma B.3, (24)",
        says="printed upper bound on the one-hot quality",
        printed="lim ‖u_k‖²/‖u_k^⊥‖² ≤ mτ²(1 − e^(−ατ)/9)",
        domain=f"{_STOPPED}, {_UNIT}; it also fails were x·μ = τ on S₋",
        values=one_hot_bound,
        relations=("<=",),
        check=lambda: tried(one_hot_bound, ("<=",)),
        recorded="fails",
        corrected="lim ‖u_k^∥‖²/‖u_k^⊥‖² ≤ mτ²(K − 2)/(K − 2 + e^(ατ/2)) < mτ²",
        corrected_check=lambda: early_stopped.proved(certificates.upper()),
    ),
    Statement(
        id="eq-24-lower",
        where="Appendix B.1, Lemma B.3, (24)",
        says="printed lower bound on the quality of distillation from a perfect teacher",
        printed="mτ²(1 + κ²) ≤ lim ‖ũ_k‖²/‖ũ_k^⊥‖²",
        domain=f"{_STOPPED}, {_UNIT}; it also fails were x·μ = τ on S₋",
        values=distilled_bound,
        relations=("<=",),
        check=lambda: tried(distilled_bound, ("<=",)),
        recorded="fails",
        corrected="mτ² < mτ²(1 + κ/(1 + e^(αᵗᵉτ/2))) ≤ lim ‖ũ_k^∥‖²/‖ũ_k^⊥‖², κ > 0",
        corrected_check=lambda: early_stopped.proved(certificates.lower()),
    ),
    Statement(
        id="eq-24-order",
        where="Appendix B.1, Lemma B.3, (24)",
        says="distillation from a perfect teacher is better than one-hot",
        printed="lim ‖u_k‖²/‖u_k^⊥‖² < lim ‖ũ_k‖²/‖ũ_k^⊥‖²",
        domain=f"0 ≤ α < αᵗᵉ, K ≥ 3 (more than {_STOPPED}), D → ∞; also were x·μ = τ on S₋",
        values=order,
        relations=("<",),
        check=lambda: early_stopped.proved(certificates.order()),
        recorded="holds",
    ),
)
