"""Theorem B.4, (33) and (34), and Theorem 4.2.

Qualities are |parallel|^2 / |across|^2 in the unit of m tau^2, by the definitions of Section 4.2. A counterexample
meets every assumption of Theorem B.4 (`imperfect_teacher.is_admitted`); its teacher's part across mu_k is drawn
without regard to the data. The corrected theorem holds for every teacher that Lemma B.2 admits.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from theory import early_stopped, gradient_space, imperfect_teacher
from theory import gradient_space_certificates as certificates
from theory.early_stopped import tried
from theory.precision import float64
from theory.registry import Statement, Verdict

# B = 40, alpha = 0, K - 2 = B^2: kappa = 1 - 3/40, kappa^3 = 0.791, 192 alpha_te tau sqrt(m eps) = 0.743.
ADMITTED = {"classes": 1602.0, "tau": 2000.0, "m": 1.0, "alpha": 0.0, "alpha_te": float(np.log(40)) / 1000}
ADMITTED |= {"kappa": 0.925, "eps_te": 1.1 / 2000**2}
_PRINTED = (
    "Theorem B.4's assumptions: 0 ≤ α, αᵗᵉτ ≤ log(K − 2), κ > 0, αᵗᵉ − α ≥ (2/τ) log(3/(1 − κ)), "
    "εᵗᵉ > 1/(mτ²), 4αᵗᵉτεᵗᵉ ≤ 1, κ³ ≥ 192αᵗᵉτ√(mεᵗᵉ)"
)
_LARGE = (
    "0 ≤ α, αᵗᵉτ ≤ log(K − 2), κ > 0, αᵗᵉ − α ≥ (2/τ) log(3/(1 − κ)), εᵗᵉ > 1/(mτ²), and τ so large that "
    "κ³ ≥ 576(αᵗᵉτ)²εᵗᵉe^(αᵗᵉτ/2)"
)


@float64
def upper(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array]:
    """(33), upper: the one-hot quality, and 1 - exp(-alpha tau)/9.

    >>> [round(float(term), 3) for term in upper(38, 2, 0)]
    [0.972, 0.889]
    """
    return (
        gradient_space.one_hot_quality(classes, tau, alpha),
        gradient_space.printed_one_hot_bound(tau, alpha),
    )


@float64
def lower(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array, eps_te: Array
) -> tuple[Array, Array]:
    """(33), lower: 1 + kappa^2/2, and the distillation quality.

    >>> [round(float(term), 3) for term in lower(1602, 2000, 0, np.log(40) / 1000, 0.925, 1.1 / 2000**2)]
    [1.428, 1.023]
    """
    quality = imperfect_teacher.distilled_quality(classes, tau, alpha, alpha_te, eps_te)
    return gradient_space.printed_distilled_bound(kappa, imperfect=True), quality


@float64
def order(classes: Array, tau: Array, alpha: Array, alpha_te: Array, eps_te: Array) -> tuple[Array, Array]:
    """(33), order: the one-hot quality and the distillation quality.

    >>> [round(float(term), 3) for term in order(1602, 2000, 0, np.log(40) / 1000, 1.1 / 2000**2)]
    [0.999, 1.023]
    """
    quality = imperfect_teacher.distilled_quality(classes, tau, alpha, alpha_te, eps_te)
    return gradient_space.one_hot_quality(classes, tau, alpha), quality


@float64
def teacher(
    classes: Array, tau: Array, m: Array, alpha: Array, alpha_te: Array, kappa: Array, eps_te: Array
) -> tuple[Array, Array, Array]:
    """(34), in units of m tau^2: 1 / eps, 1 + kappa^2/2, and the distillation quality.

    >>> [round(float(term), 3) for term in teacher(**ADMITTED)]
    [0.909, 1.428, 1.023]
    """
    bound, quality = lower(classes, tau, alpha, alpha_te, kappa, eps_te)
    return 1 / (eps_te * m * tau**2), bound, quality


@float64
def cosines(classes: Array, tau: Array, m: Array, alpha: Array, alpha_te: Array, eps_te: Array) -> tuple[Array, Array]:
    """(6): the greater of the cosines of the one-hot update and of the teacher's weights, and distillation's.

    >>> [round(float(term), 3) for term in cosines(38, 2, 1, 0, np.log(6), 0.36)]
    [0.892, 0.906]
    """
    one_hot, distilled = order(classes, tau, alpha, alpha_te, eps_te)
    unit = m * tau**2
    others = jnp.maximum(jnp.sqrt(one_hot * unit / (1 + one_hot * unit)), jnp.sqrt(1 - eps_te))
    return others, jnp.sqrt(distilled * unit / (1 + distilled * unit))


def admitted() -> dict[str, np.ndarray]:
    """Points that meet Theorem B.4's assumptions as printed, at the least tau for eps = 1.1 / (m tau^2), m = 1.

    >>> bool(imperfect_teacher.is_admitted(**admitted()).all())
    True
    """
    points = {name: value[early_stopped.points()["kappa"] > 1e-7] for name, value in early_stopped.points().items()}
    scale, scale_te = points["tau"] * points["alpha"], points["tau"] * points["alpha_te"]
    tau = 192 * np.sqrt(1.1) * scale_te / points["kappa"] ** 3 * (1 + 1e-9)
    return points | {
        "tau": tau,
        "alpha": scale / tau,
        "alpha_te": scale_te / tau,
        "m": np.ones_like(tau),
        "eps_te": 1.1 / tau**2,
    }


def _order() -> Verdict:
    return early_stopped.proved(certificates.order(), certificates.upper(), certificates.imperfect())


def _lower() -> Verdict:
    return early_stopped.proved(certificates.imperfect(), certificates.lower(), certificates.supervision())


STATEMENTS = (
    Statement(
        id="eq-33-upper",
        where="Appendix B.1, Theorem B.4, (33)",
        says="printed upper bound on the one-hot quality",
        printed="lim ‖u_k‖²/‖u_k^⊥‖² ≤ mτ²(1 − e^(−ατ)/9)",
        domain=f"{_PRINTED}; it also fails were x·μ = τ on S₋",
        values=upper,
        relations=("<=",),
        check=lambda: tried(upper, ("<=",), (ADMITTED,), base=admitted()),
        recorded="fails",
        corrected="lim ‖u_k^∥‖²/‖u_k^⊥‖² ≤ mτ²(K − 2)/(K − 2 + e^(ατ/2)) < mτ²",
        corrected_check=lambda: early_stopped.proved(certificates.upper()),
    ),
    Statement(
        id="eq-33-lower",
        where="Appendix B.1, Theorem B.4, (33)",
        says="printed lower bound on the quality of distillation from an imperfect teacher",
        printed="mτ²(1 + κ²/2) ≤ lim ‖ũ_k‖²/‖ũ_k^⊥‖²",
        domain=f"{_PRINTED}; it also fails were x·μ = τ on S₋; corrected: {_LARGE}",
        values=lower,
        relations=("<=",),
        check=lambda: tried(lower, ("<=",), (ADMITTED,), base=admitted()),
        recorded="fails",
        corrected="mτ² < mτ²(1 + κ/(4(1 + e^(αᵗᵉτ/2)))) ≤ lim ‖ũ_k^∥‖²/‖ũ_k^⊥‖²",
        corrected_check=_lower,
    ),
    Statement(
        id="eq-33-order",
        where="Appendix B.1, Theorem B.4, (33)",
        says="distillation from an imperfect teacher is better than one-hot",
        printed="for sufficiently large τ: lim ‖u_k‖²/‖u_k^⊥‖² < lim ‖ũ_k‖²/‖ũ_k^⊥‖²",
        domain=_LARGE,
        values=order,
        relations=("<",),
        check=_order,
        recorded="holds",
    ),
    Statement(
        id="eq-34",
        where="Appendix B.1, Theorem B.4, (34)",
        says="the update of distillation is better than the teacher's weights",
        printed="1/εᵗᵉ ≤ mτ²(1 + κ²/2) ≤ lim ‖ũ_k‖²/‖ũ_k^⊥‖²",
        domain=f"{_PRINTED}; in units of mτ²; corrected: {_LARGE}",
        values=teacher,
        relations=("<=", "<="),
        check=lambda: tried(teacher, ("<=", "<="), (ADMITTED,), base=admitted()),
        recorded="fails",
        corrected="1/εᵗᵉ < mτ² < mτ²(1 + κ/(4(1 + e^(αᵗᵉτ/2)))) ≤ lim ‖ũ_k^∥‖²/‖ũ_k^⊥‖²",
        corrected_check=_lower,
    ),
    Statement(
        id="thm-4.2",
        where="Section 4.2, Theorem 4.2, (6)",
        says="distillation's update is closer to μ_k than the one-hot update and than the teacher's weights",
        printed="cos(ṽ_k, μ_k) > max(cos(v_k, μ_k), cos(w_kᵗᵉ, μ_k)) for α ≪ αᵗᵉ ≤ O((1/τ) log K), large τ and D",
        domain=f"{_LARGE}; the teacher imperfect: ‖w_k^⊥‖²/‖w_k‖² = εᵗᵉ",
        values=cosines,
        relations=("<",),
        check=_order,
        recorded="holds",
    ),
)
