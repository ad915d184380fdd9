"""A teacher whose weights are a little off (Lemma B.2, Theorem B.4), for large D, and the feasible region of B.4.

The teacher has |w_k| = alpha_te and |w_k across mu_k|^2 <= eps |w_k|^2 for every k. This leaves the sign of w_k . mu_k
open. We take it as positive, which Theorem 4.2 says (its cosine is at least 1 - eps); with w_k = -alpha_te mu_k, which
is 0-imperfect, Lemma B.2 would fail at once. The part across may depend on the data, as a trained teacher's does.

For D -> infinity an example's part across mu_k has length 1, and those of different examples are orthogonal. So
whatever the teacher does, |sum over examples of e_x x_k across|^2 tends to sum of e_x^2: no bound through absolute
values of coordinates, as (41) to (43) have it, is needed. Everything broadcasts, in float64; qualities are in the unit
of m tau^2.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from theory import gradient_space
from theory.precision import float64

LOG_3 = float(np.log(3))


@float64
def extreme_logits(margin: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike) -> tuple[Array, Array]:
    """Least and greatest w_k . x_k of such a teacher on an example with x_k . mu_k = margin and a part across of 1.

    With |w across| = alpha_te s, s^2 <= eps, it is alpha_te (sqrt(1 - s^2) margin +- s). The margin is 0 or more.

    >>> [round(float(logit), 3) for logit in extreme_logits(0.5, 1.0, 0.36)]  # 0.8 margin -+ 0.6
    [-0.2, 1.0]
    """
    margin, alpha_te = jnp.asarray(margin, jnp.float64), jnp.asarray(alpha_te, jnp.float64)
    low, high = jnp.sqrt(eps_te), jnp.minimum(jnp.sqrt(eps_te), 1 / jnp.sqrt(1 + margin**2))
    return (
        alpha_te * (jnp.sqrt(1 - low**2) * margin - low),
        alpha_te * (jnp.sqrt(1 - high**2) * margin + high),
    )


@float64
def logit_error(tau: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike) -> Array:
    """The greatest |w_k . x_k - alpha_te x_k . mu_k| on S+ and S-: what (23) bounds.

    >>> round(float(logit_error(2.0, 1.0, 0.36)), 3)  # 2 - (0.8 * 2 - 0.6)
    1.0
    """
    errors = []
    for margin in (jnp.asarray(tau, jnp.float64), jnp.asarray(tau, jnp.float64) / 2):
        low, high = extreme_logits(margin, alpha_te, eps_te)
        errors += [jnp.asarray(alpha_te, jnp.float64) * margin - low, high - jnp.asarray(alpha_te) * margin]
    return jnp.stack(jnp.broadcast_arrays(*errors)).max(0)


@float64
def supervision_error(classes: ArrayLike, tau: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike) -> Array:
    """The greatest |q_k - p_k| / p_k on S+ and S- over all such teachers, all nodes off at once (Lemma B.2).

    By logarithms: where alpha_te tau is above 1,400 the probabilities' inverses are beyond float64.

    >>> round(float(supervision_error(3, 1.25, 20, 0.01)))
    57
    """
    tau, alpha_te = jnp.asarray(tau, jnp.float64), jnp.asarray(alpha_te, jnp.float64)
    others = jnp.log(jnp.asarray(classes, jnp.float64) - 2)

    def log_inverse(logit: Array, other_logit: Array) -> Array:
        """-log of the probability of a node with this logit, where one other has the second and all others 0."""
        return jnp.logaddexp(jnp.logaddexp(0.0, other_logit - logit), others - logit)

    errors = []
    for margin, other_margin in ((tau, tau / 2), (tau / 2, tau)):
        logits, other_logits = extreme_logits(margin, alpha_te, eps_te), extreme_logits(other_margin, alpha_te, eps_te)
        perfect = log_inverse(alpha_te * margin, alpha_te * other_margin)
        for i in (0, 1):
            errors.append(abs(jnp.expm1(perfect - log_inverse(logits[i], other_logits[1 - i]))))
    return jnp.stack(jnp.broadcast_arrays(*errors)).max(0)


@float64
def supervision_bound(tau: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike) -> Array:
    """(21)'s bound on it, 12 alpha_te tau sqrt(eps).

    >>> round(float(supervision_bound(1.25, 20, 0.01)), 3)
    30.0
    """
    return 12 * jnp.asarray(alpha_te, jnp.float64) * tau * jnp.sqrt(eps_te)


@float64
def distilled_quality(
    classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike, share: ArrayLike = 0.5
) -> Array:
    """Quality of the distillation update where the teacher's part across does not see the data.

    So it is for D -> infinity with a part across that is drawn independently of the data: the teacher then gives the
    probabilities of a perfect one of scale alpha_te sqrt(1 - eps).

    >>> round(float(distilled_quality(38, 2, 0, np.log(6) / 0.8, 0.36)), 3)  # that of a perfect one of scale log 6
    1.105
    """
    scale = jnp.asarray(alpha_te, jnp.float64) * jnp.sqrt(1 - jnp.asarray(eps_te, jnp.float64))
    return gradient_space.distilled_quality(classes, tau, alpha, scale, share)


@float64
def absolute_sum(m: ArrayLike, gamma_plus: ArrayLike, gamma_minus: ArrayLike) -> Array:
    """The limit of the sum over j of A_j in (42).

    E |x_j|^2 is 1/D, and E |x_j| |x'_j| is (2/pi)/D for two examples.

    >>> round(float(absolute_sum(1, 1, 0)), 3), round(float(absolute_sum(1, 1, 1)), 3)  # 1 and 2 + 4/pi
    (1.0, 3.273)
    """
    m = jnp.asarray(m, jnp.float64)
    same = m * (jnp.asarray(gamma_plus, jnp.float64) ** 2 + jnp.asarray(gamma_minus, jnp.float64) ** 2)
    return (1 - 2 / jnp.pi) * same + 2 / jnp.pi * (m * (jnp.asarray(gamma_plus, jnp.float64) + gamma_minus)) ** 2


@float64
def cross_sum(
    m: ArrayLike, gamma_plus: ArrayLike, gamma_minus: ArrayLike, gap_plus: ArrayLike, gap_minus: ArrayLike
) -> Array:
    """The limit of the sum over j of B_j in (43), with pte - p equal to gap_plus on S+ and gap_minus on S-.

    >>> round(float(cross_sum(1, 1, 0, 2, 0)), 3), round(float(cross_sum(1, 1, 1, 1, 1)), 3)  # 2 and 2 + 4/pi
    (2.0, 3.273)
    """
    m, gap_plus = jnp.asarray(m, jnp.float64), jnp.asarray(gap_plus, jnp.float64)
    same = m * (gap_plus * gamma_plus + jnp.asarray(gap_minus, jnp.float64) * gamma_minus)
    total = m**2 * (gap_plus + gap_minus) * (jnp.asarray(gamma_plus, jnp.float64) + gamma_minus)
    return (1 - 2 / jnp.pi) * same + 2 / jnp.pi * total


@float64
def printed_need(tau: ArrayLike, m: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike) -> Array:
    """The least kappa^3 that Theorem B.4 allows: 192 alpha_te tau sqrt(m eps).

    >>> round(float(printed_need(10.0, 4.0, 0.25, 1e-6)), 3)
    0.96
    """
    return 192 * jnp.asarray(alpha_te, jnp.float64) * tau * jnp.sqrt(jnp.asarray(m, jnp.float64) * eps_te)


@float64
def need(tau: ArrayLike, alpha_te: ArrayLike, eps_te: ArrayLike) -> Array:
    """The least kappa^3 that the corrected theorem allows: 576 (alpha_te tau)^2 eps exp(alpha_te tau / 2).

    >>> round(float(need(19.0, 4 / 19, 1 / (1000 * 19**2))), 3)  # kappa^3 can be 0.21 there
    0.189
    """
    scale = jnp.asarray(alpha_te, jnp.float64) * tau
    return 576 * scale**2 * jnp.asarray(eps_te, jnp.float64) * jnp.exp(scale / 2)


@float64
def is_admitted(
    classes: ArrayLike,
    tau: ArrayLike,
    m: ArrayLike,
    alpha: ArrayLike,
    alpha_te: ArrayLike,
    kappa: ArrayLike,
    eps_te: ArrayLike,
    corrected: bool = False,
) -> Array:
    """Whether all assumptions of Theorem B.4 hold, Assumption B.1 included, as printed or in the corrected theorem.

    Up to rounding where equality is allowed.

    >>> [bool(is_admitted(1602, tau, 1, 0, 2 * np.log(40) / tau, 0.925, 1.1 / tau**2)) for tau in (2000, 1800)]
    [True, False]
    """
    tau, alpha, alpha_te = (jnp.asarray(v, jnp.float64) for v in (tau, alpha, alpha_te))
    kappa, eps_te = jnp.asarray(kappa, jnp.float64), jnp.asarray(eps_te, jnp.float64)
    slack = 1e-12
    early = alpha_te * tau <= jnp.log(jnp.asarray(classes, jnp.float64) - 2) + slack
    stopped = (kappa > 0) & (kappa <= gradient_space.greatest_kappa(tau, alpha, alpha_te) + slack)
    required = need(tau, alpha_te, eps_te) if corrected else printed_need(tau, m, alpha_te, eps_te)
    enough = (kappa**3 >= required - slack) & (eps_te * m * tau**2 > 1) & (eps_te < 1) & (tau > 1)
    scaled = (4 * alpha_te * tau * eps_te <= 1) & (alpha_te * tau >= LOG_3)
    return (alpha >= 0) & early & stopped & enough & scaled


@float64
def least_tau(scale: ArrayLike, excess: ArrayLike = 1.0) -> Array:
    """The least tau for B.4's assumptions as printed, for alpha_te tau = scale and eps = excess / (m tau^2).

    kappa is greatest at alpha = 0, 1 - 3 exp(-scale/2), and must be positive: infinite for scale <= 2 log 3.

    >>> float(least_tau(2.0)), round(float(least_tau(7.11)))
    (inf, 1786)
    """
    return 192 * jnp.sqrt(jnp.asarray(excess, jnp.float64)) * jnp.asarray(scale, jnp.float64) / _cube(scale)


@float64
def least_m_tau2(scale: ArrayLike, excess: ArrayLike = 1.0) -> Array:
    """The least m tau^2 at which those of the corrected theorem can hold.

    >>> round(float(least_m_tau2(4.0)), -3)
    325000.0
    """
    scale = jnp.asarray(scale, jnp.float64)
    return 576 * jnp.asarray(excess, jnp.float64) * scale**2 * jnp.exp(scale / 2) / _cube(scale)


def _cube(scale: ArrayLike) -> Array:
    return jnp.maximum(1 - 3 * jnp.exp(-jnp.asarray(scale, jnp.float64) / 2), 0.0) ** 3
