"""Node k's probabilities and how a teacher's differ from them: (17) to (20), Lemmas B.1 and B.2, (23).

(21) is Lemma B.2's conclusion and (22) a step of (23). The unnumbered displays on S+ in Lemma B.1's proof are its
S+ part; their last is printed with >= where <= is meant.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from theory import early_stopped, grid, imperfect_teacher
from theory import gradient_space_certificates as certificates
from theory.gradient_space import probabilities
from theory.precision import float64
from theory.registry import Statement, Verdict

_EARLY = "0 ≤ α, αᵗᵉτ ≤ log(K − 2), αᵗᵉ − α ≥ (2/τ) log(3/(1 − κ))"


@float64
def minus_probability(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array]:
    """(17): the softmax of node k's logit alpha tau / 2 on S-, and the printed form.

    >>> [round(float(term), 3) for term in minus_probability(4, 2, np.log(2))]
    [0.25, 0.25]
    """
    other_logit, logit = jnp.asarray(alpha * tau), alpha * tau / 2
    total = jnp.logaddexp(jnp.logaddexp(other_logit, logit), jnp.log(classes - 2))
    return jnp.exp(logit - total), jnp.exp(logit) / (jnp.exp(other_logit) + jnp.exp(logit) + classes - 2)


@float64
def plus_probability(classes: Array, tau: Array, alpha: Array) -> tuple[Array, Array]:
    """(20): the softmax of node k's logit alpha tau on S+, and the printed form.

    >>> [round(float(term), 3) for term in plus_probability(4, 2, np.log(2))]
    [0.5, 0.5]
    """
    logit, other_logit = jnp.asarray(alpha * tau), alpha * tau / 2
    total = jnp.logaddexp(jnp.logaddexp(other_logit, logit), jnp.log(classes - 2))
    return jnp.exp(logit - total), jnp.exp(logit) / (jnp.exp(logit) + jnp.exp(other_logit) + classes - 2)


@float64
def minus_ratio(classes: Array, tau: Array, alpha: Array, alpha_te: Array) -> tuple[Array, Array]:
    """(18): p- / p-te, and as printed.

    >>> [round(float(term), 3) for term in minus_ratio(20, 2, 0, np.log(3))]
    [0.5, 0.5]
    """
    ratio = probabilities(classes, tau, alpha)[1] / probabilities(classes, tau, alpha_te)[1]
    teacher, student = jnp.exp(alpha_te * tau / 2), jnp.exp(alpha * tau / 2)
    return ratio, (teacher + 1 + (classes - 2) / teacher) / (student + 1 + (classes - 2) / student)


@float64
def minus_chain(
    classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array
) -> tuple[Array, Array, Array, Array]:
    """(19): its four terms.

    >>> [round(float(term), 3) for term in minus_chain(38, 2, 0, np.log(6), 0.5)]
    [0.342, 0.5, 0.5, 0.5]
    """
    teacher, student = jnp.exp(alpha_te * tau / 2), jnp.exp(alpha * tau / 2)
    middle = 3 * ((classes - 2) / teacher) / ((classes - 2) / student)
    ratio = minus_ratio(classes, tau, alpha, alpha_te)[0]
    return ratio, middle, 3 * jnp.exp((alpha - alpha_te) * tau / 2), 1 - kappa


@float64
def minus_gain(classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array) -> tuple[Array, Array]:
    """Lemma B.1 on S-: (p-te - p-) / p-te, and kappa.

    >>> [round(float(term), 3) for term in minus_gain(38, 2, 0, np.log(6), 0.5)]
    [0.658, 0.5]
    """
    return 1 - minus_ratio(classes, tau, alpha, alpha_te)[0], kappa


@float64
def plus_gain(classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array) -> tuple[Array, Array]:
    """Lemma B.1 on S+: (p+te - p+) / p+te, and kappa.

    >>> [round(float(term), 3) for term in plus_gain(38, 2, 0, np.log(6), 0.5)]
    [0.943, 0.5]
    """
    return 1 - probabilities(classes, tau, alpha)[0] / probabilities(classes, tau, alpha_te)[0], kappa


@float64
def plus_chain(classes: Array, tau: Array, alpha: Array, alpha_te: Array, kappa: Array) -> tuple[Array, Array, Array]:
    """The last display of Lemma B.1's proof: p+ / p+te, 3 exp((alpha - alpha_te) tau), 1 - kappa; printed >=, <=.

    >>> [round(float(term), 3) for term in plus_chain(38, 2, 0, np.log(6), 0.5)]
    [0.057, 0.083, 0.5]
    """
    ratio = 1 - plus_gain(classes, tau, alpha, alpha_te, kappa)[0]
    return ratio, 3 * jnp.exp((alpha - alpha_te) * tau), 1 - kappa


@float64
def supervision(classes: Array, tau: Array, alpha_te: Array, eps_te: Array) -> tuple[Array, Array]:
    """Lemma B.2: the worst |q_k - p_k| / p_k, and 12 alpha_te tau sqrt(eps).

    >>> [round(float(term), 3) for term in supervision(3, 1.25, 20, 0.01)]
    [57.116, 30.0]
    """
    return (
        imperfect_teacher.supervision_error(classes, tau, alpha_te, eps_te),
        imperfect_teacher.supervision_bound(tau, alpha_te, eps_te),
    )


@float64
def logit_error(tau: Array, alpha_te: Array, eps_te: Array) -> tuple[Array, Array, Array]:
    """(23): the worst |w_k . x_k - alpha_te x_k . mu_k|, and the two printed bounds.

    >>> [round(float(term), 3) for term in logit_error(2, 1, 0.36)]
    [1.0, 1.32, 2.4]
    """
    root = jnp.sqrt(eps_te)
    error = imperfect_teacher.logit_error(tau, alpha_te, eps_te)
    return error, alpha_te * tau * eps_te + alpha_te * root, 2 * alpha_te * tau * root


def _probability(values: Any) -> Verdict:
    axes = {
        "classes": 2 + np.concatenate([[1.0, 2.0, 3.0], np.logspace(1, 15, 57)]),
        "tau": np.array([1.0, 2.0, 30.0, 2000.0]),
        "alpha": np.concatenate([[0.0], np.logspace(-6, -0.3, 499)]),
    }
    plain = {"classes": [3.0, 38.0], "tau": [2.0], "alpha": [0.0, 1.0]}
    return grid.check(values, ("=",), axes, plain, lambda classes, tau, alpha: alpha * tau < 600)


_TEACHERS = {
    "tau": np.array([1.001, 1.25, 2, 5, 20, 200]),
    "alpha_te": np.concatenate([[0.0], np.logspace(-4, 2, 60)]),
    "eps_te": np.concatenate([[0.0], np.logspace(-10, -0.001, 60)]),
}
_PLAIN_TEACHERS = {"tau": [2.0, 1.25], "alpha_te": [1.0, 20.0], "eps_te": [0.01]}


def _admissible(tau: Any, alpha_te: Any, eps_te: Any, classes: Any = None) -> Any:
    return 4 * alpha_te * tau * eps_te <= 1


def _rooted(classes: Any, tau: Any, alpha_te: Any, eps_te: Any) -> Any:
    return 4 * alpha_te * tau * np.sqrt(eps_te) <= 1


def _supervision_as_printed() -> Verdict:
    classes = 2 + np.array([1, 2, 10, 1e3, 1e6, 1e12])
    return grid.check(
        supervision, ("<=",), {"classes": classes} | _TEACHERS, {"classes": [3.0]} | _PLAIN_TEACHERS, _admissible
    )


def _supervision() -> Verdict:
    classes = 2 + np.array([1, 2, 10, 1e3, 1e6, 1e12, 1e15])
    plain = {"classes": [3.0]} | _PLAIN_TEACHERS
    verdict = grid.check(supervision, ("<=",), {"classes": classes} | _TEACHERS, plain, _rooted)
    last = early_stopped.proved(certificates.supervision())
    return verdict if last.holds else last


def _logit_error() -> Verdict:
    axes = _TEACHERS | {"tau": np.concatenate([[1.0], np.geomspace(1.001, 1e4, 40)])}
    return grid.check(logit_error, ("<=", "<="), axes, _PLAIN_TEACHERS, _admissible)


STATEMENTS = (
    Statement(
        id="eq-17",
        where="Appendix B.1, (17)",
        says="node k's probability on S₋, of the student and, with αᵗᵉ, of a perfect teacher",
        printed="p_k(x) = e^(ατ/2) / (e^(ατ) + e^(ατ/2) + K − 2)",
        domain="3 ≤ K ≤ 10¹⁵, ατ from 0 to 600",
        values=minus_probability,
        relations=("=",),
        check=lambda: _probability(minus_probability),
        recorded="holds",
    ),
    Statement(
        id="eq-18",
        where="Appendix B.1, (18)",
        says="the ratio of the two on S₋",
        printed="p_k(x)/p_kᵗᵉ(x) = (e^(αᵗᵉτ/2) + 1 + (K − 2)e^(−αᵗᵉτ/2)) / (e^(ατ/2) + 1 + (K − 2)e^(−ατ/2))",
        domain=_EARLY,
        values=minus_ratio,
        relations=("=",),
        check=lambda: early_stopped.tried(minus_ratio, ("=",)),
        recorded="holds",
    ),
    Statement(
        id="eq-19",
        where="Appendix B.1, (19)",
        says="the same, from above",
        printed="p_k/p_kᵗᵉ ≤ 3(K − 2)e^(−αᵗᵉτ/2) / ((K − 2)e^(−ατ/2)) ≤ 3e^((α − αᵗᵉ)τ/2) ≤ 1 − κ",
        domain=_EARLY,
        values=minus_chain,
        relations=("<=", "<=", "<="),
        check=lambda: early_stopped.tried(minus_chain, ("<=", "<=", "<=")),
        recorded="holds",
    ),
    Statement(
        id="eq-20",
        where="Appendix B.1, (20)",
        says="node k's probability on S₊, of the student and, with αᵗᵉ, of a perfect teacher",
        printed="p_k(x) = e^(ατ) / (e^(ατ) + e^(ατ/2) + K − 2)",
        domain="3 ≤ K ≤ 10¹⁵, ατ from 0 to 600",
        values=plus_probability,
        relations=("=",),
        check=lambda: _probability(plus_probability),
        recorded="holds",
    ),
    Statement(
        id="lemma-b1-s-minus",
        where="Appendix B.1, Lemma B.1 on S₋",
        says="an early-stopped perfect teacher gives node k more than the student does, by a fraction κ",
        printed="(p_kᵗᵉ(x) − p_k(x)) / p_kᵗᵉ(x) ≥ κ for x in S₋",
        domain=f"{_EARLY}, κ > 0",
        values=minus_gain,
        relations=(">=",),
        check=lambda: early_stopped.proved(certificates.lemma_minus()),
        recorded="holds",
    ),
    Statement(
        id="lemma-b1-s-plus",
        where="Appendix B.1, Lemma B.1 on S₊",
        says="the same on S₊",
        printed="(p_kᵗᵉ(x) − p_k(x)) / p_kᵗᵉ(x) ≥ κ for x in S₊",
        domain=f"{_EARLY}, κ > 0",
        values=plus_gain,
        relations=(">=",),
        check=lambda: early_stopped.proved(certificates.lemma_plus()),
        recorded="holds",
    ),
    Statement(
        id="lemma-b2",
        where="Appendix B.1, Lemma B.2, (21)",
        says="an imperfect teacher's probabilities against a perfect one's",
        printed="|p_kᵗᵉ(x) − q_kᵗᵉ(x)| ≤ 12αᵗᵉτ√εᵗᵉ p_kᵗᵉ(x), assuming 4αᵗᵉτεᵗᵉ ≤ 1",
        domain="K ≥ 3, τ > 1, ε < 1, D → ∞, the worst teacher with w_k·μ_k > 0; the two sides over p_kᵗᵉ",
        values=supervision,
        relations=("<=",),
        check=_supervision_as_printed,
        recorded="misprint",
        corrected="the same, assuming 4αᵗᵉτ√εᵗᵉ ≤ 1",
        corrected_check=_supervision,
    ),
    Statement(
        id="eq-23",
        where="Appendix B.1, (22)-(23)",
        says="an imperfect teacher's logits against a perfect one's",
        printed="|w_k·x_k − αᵗᵉ(x_k·μ_k)| ≤ αᵗᵉτεᵗᵉ + αᵗᵉ√εᵗᵉ ≤ 2αᵗᵉτ√εᵗᵉ",
        domain="τ ≥ 1, ε < 1, D → ∞, the worst teacher with w_k·μ_k > 0 and 4αᵗᵉτεᵗᵉ ≤ 1",
        values=logit_error,
        relations=("<=", "<="),
        check=_logit_error,
        recorded="holds",
    ),
)
