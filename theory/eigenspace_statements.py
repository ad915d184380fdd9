"""The statements of section 4.1 and of the proof of Theorem 4.1, each with its printed form, check and correction.

In all of them kappa = lambda_k2 / lambda_k1, which the paper calls f from (13) on, and time is in the unit of
1 / lambda_k1, so that lambda_k1 = 1 and lambda_k2 = kappa. (1) and (2) are definitions; (5) is Theorem 4.1's
conclusion; (7), (8), (10) and (11) are steps of (9) and (12), and are checked with them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from theory import eigenspace, eigenspace_certificates, grid
from theory.eigenspace import sparsity
from theory.intervals import Certificate
from theory.precision import float64
from theory.registry import Statement, Verdict

_OPEN = "0 < α* < 1, 0 < κ < 1"
_TIMES = np.concatenate([[0.0], np.logspace(-9, 3, 62), [np.inf]])
_SHAPES = ((1, 1), (2, 2), (2, 5), (4, 4), (4, 7))  # an invertible Gram matrix has no more rows than columns
_DRAWS = 40
_MATRIX_TOLERANCE = 1e-10  # relative; Gram matrices of condition 100 lose two digits or three


@float64
def flow(x: Array, y: Array, t: Array) -> tuple[Array, Array]:
    """(3) for one example and one parameter: speed of beta(t) as printed, and what gradient descent's would be.

    >>> [round(float(term), 3) for term in flow(2.0, 6.0, np.log(2) / 4)]
    [6.0, 6.0]
    """
    beta = sparsity(x**2, t) * y / x
    return x * jnp.exp(-(x**2) * t) * y, -x * (x * beta - y)


@float64
def distilled(x: Array, y: Array, t_student: Array, t_teacher: Array, t: Array) -> tuple[Array, Array]:
    """(4) for one example and one parameter: by (3) with the teacher's prediction as target, and as printed.

    There the student's time is called t and is not the t_student on the left.

    >>> [round(float(term), 3) for term in distilled(1.0, 1.0, t_student=1.0, t_teacher=1.0, t=2.0)]
    [0.4, 0.547]
    """
    prediction = sparsity(x**2, t_teacher) * y
    return sparsity(x**2, t_student) * prediction / x, sparsity(x**2, t) * sparsity(x**2, t_teacher) * y / x


@float64
def conclusion(alpha_star: Array, kappa: Array, t: Array) -> tuple[Array, Array]:
    """(5): the student's component along k2 at its extremal time, and the teacher's at time t.

    >>> [round(float(term), 3) for term in conclusion(0.75**2, 0.5, np.log(4))]
    [0.25, 0.5]
    """
    return sparsity(kappa, eigenspace.student_time_to_fit(1, alpha_star)) ** 2, sparsity(kappa, t)


@float64
def teacher_bound(alpha_star: Array, kappa: Array, t: Array) -> tuple[Array, Array]:
    """(9): the teacher's component along k2 at time t, and the printed bound.

    >>> [round(float(term), 3) for term in teacher_bound(0.75, 0.5, np.log(4))]
    [0.5, 0.5]
    """
    return sparsity(kappa, t), 1 - (1 - alpha_star) ** kappa


@float64
def student_component(alpha_star: Array, kappa: Array) -> tuple[Array, Array, Array]:
    """(10), (11), (12): the student's component along k2 at its extremal time, in three forms.

    >>> [round(float(term), 3) for term in student_component(0.75**2, 0.5)]
    [0.25, 0.25, 0.25]
    """
    t = eigenspace.student_time_to_fit(1, alpha_star)
    return sparsity(kappa, t) ** 2, (1 - jnp.exp(-t) ** kappa) ** 2, (1 - (1 - jnp.sqrt(alpha_star)) ** kappa) ** 2


@float64
def difference(alpha_star: Array, kappa: Array, t: Array) -> tuple[Array, Array]:
    """(13): left and right side.

    >>> [round(float(term), 3) for term in difference(0.25, 0.5, 1.0)]
    [0.308, 0.048]
    """
    student, teacher = conclusion(alpha_star, kappa, t)
    return teacher - student, expansion(alpha_star, kappa)[0]


@float64
def expansion(alpha_star: Array, kappa: Array) -> tuple[Array, Array]:
    """(14): the right sides of (13) and of (14), which are the same number.

    >>> [round(float(term), 3) for term in expansion(0.25, 0.5)]
    [0.048, 0.048]
    """
    u = 1 - jnp.sqrt(alpha_star)
    before = 1 - (1 - alpha_star) ** kappa - (1 - u**kappa) ** 2
    return before, 1 - (1 - alpha_star) ** kappa - 1 - (u**2) ** kappa + 2 * u**kappa


@float64
def collection(alpha_star: Array, kappa: Array) -> tuple[Array, Array]:
    """(15): the right sides of (14) and of (15), which are the same number.

    >>> [round(float(term), 3) for term in collection(0.25, 0.5)]
    [0.048, 0.048]
    """
    u = 1 - jnp.sqrt(alpha_star)
    return expansion(alpha_star, kappa)[1], 2 * u**kappa - (u**2) ** kappa - (1 - alpha_star) ** kappa


@float64
def end(alpha_star: Array, kappa: Array) -> tuple[Array, Array, Array]:
    """(16): the right side of (15), the middle as printed, and 0.

    >>> [round(float(term), 3) for term in end(0.25, 0.5)]
    [0.048, 2.0, 0.0]
    """
    u = 1 - jnp.sqrt(alpha_star)
    return collection(alpha_star, kappa)[1], 2 - u * (u**kappa - u**kappa), jnp.zeros_like(u)


@float64
def factored(alpha_star: Array, kappa: Array) -> tuple[Array, Array]:
    """(16) as it was meant: the right side of (15), and (1 - s)^kappa (2 - (1 - s)^kappa - (1 + s)^kappa).

    >>> [round(float(term), 3) for term in factored(0.25, 0.5)]
    [0.048, 0.048]
    """
    s = jnp.sqrt(alpha_star)
    return collection(alpha_star, kappa)[1], (1 - s) ** kappa * (2 - (1 - s) ** kappa - (1 + s) ** kappa)


def _admissible(alpha_star: np.ndarray, kappa: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(sparsity(1, t)) >= alpha_star


def _on_grid(values: Callable[..., Any], relations: Any, timed: bool = False) -> Verdict:
    """A chain in alpha* and kappa, and t where it is timed, on a grid."""
    points = 70 if timed else 400
    # The root of alpha* is laid out: rounding it would show in 1 - sqrt(alpha*) near alpha* = 1.
    axes = {"alpha_star": grid.unit(points) ** 2, "kappa": grid.unit(points)}
    plain = {"alpha_star": [0.25, 0.5, 0.75], "kappa": [0.5, 0.25]}
    if timed:
        return grid.check(values, relations, axes | {"t": _TIMES}, plain | {"t": [1.0, 2.0]}, _admissible)
    return grid.check(values, relations, axes, plain)


def _certified(
    certificate: Certificate, values: Callable[..., Any], relations: Any, parameters_at: Callable[..., Any]
) -> Verdict:
    point = certificate.counterexample
    broken = (
        None
        if point is None
        else grid.first_break(values, relations, {k: np.array([v]) for k, v in parameters_at(*point)})
    )
    return Verdict(certificate.proved, "certified", certificate.boxes, broken)


def _gap() -> Verdict:
    def at(s: float, kappa: float) -> Any:
        return {"alpha_star": s**2, "kappa": kappa, "t": float(eigenspace.time_to_fit(1, s**2))}.items()

    return _certified(eigenspace_certificates.theorem(), conclusion, ("<",), at)


def _teacher_bound(values: Callable[..., Any] = teacher_bound) -> Verdict:
    def at(v: float, kappa: float, alpha_star: float = 0.5) -> Any:
        t = -np.log1p(-alpha_star) - np.log1p(-v)
        return {"alpha_star": alpha_star, "kappa": kappa, "t": float(t)}.items()

    return _certified(eigenspace_certificates.lower_bound(), values, (">=",), at)


def _theorem() -> Verdict:
    parts = [_gap(), _teacher_bound()]  # at the extremal time, and from there to any admissible one
    counterexample = next((part.counterexample for part in parts if part.counterexample is not None), None)
    return Verdict(all(part.holds for part in parts), "certified", sum(part.points for part in parts), counterexample)


def _end() -> Verdict:
    same = _on_grid(factored, ("=",))
    return _gap() if same.holds else same


def _matrices() -> list[tuple[np.ndarray, np.ndarray]]:
    """Data [draws, n, p] with singular values from 0.3 to 3, and targets [draws, n], of each shape."""
    rng = np.random.default_rng(0)
    data = []
    for n, p in _SHAPES:
        left, right = (np.linalg.qr(rng.normal(size=(_DRAWS, size, n)))[0] for size in (n, p))
        singular = np.exp(rng.uniform(np.log(0.3), np.log(3), (_DRAWS, 1, n)))
        data.append((left * singular @ right.swapaxes(1, 2), rng.normal(size=(_DRAWS, n))))
    return data


@float64
def _on_matrices(defect: Callable[[Array, Array, Array, Array], Array], times: np.ndarray) -> Verdict:
    """Whether a relative defect of (x, y, t, t_teacher) is 0 up to rounding, for many data and pairs of times."""
    over_times = jax.vmap(defect, (None, None, 0, 0))
    worst = [float(jax.jit(jax.vmap(over_times, (0, 0, None, None)))(x, y, *times).max()) for x, y in _matrices()]
    return Verdict(bool(np.max(worst) <= _MATRIX_TOLERANCE), "grid", len(_SHAPES) * _DRAWS * times.shape[1])


def _flow() -> Verdict:
    def defect(x: Array, y: Array, t: Array, _: Array) -> Array:
        beta = eigenspace.weights(x, y, t)
        printed = x.T @ jnp.linalg.solve(x @ x.T, eigenspace.sparsifier(x @ x.T, t) @ y)
        errors = [jnp.abs(beta - printed), jnp.abs(eigenspace.flow_defect(x, y, t))]
        start = jnp.abs(eigenspace.weights(x, y, 0.0))
        return jnp.concatenate([*errors, start]).max() / jnp.linalg.norm(y)

    times = np.concatenate([[0.0], np.logspace(-9, 3, 511)])
    return _on_matrices(defect, np.stack([times, times]))


def _distilled() -> Verdict:
    def defect(x: Array, y: Array, t: Array, t_teacher: Array) -> Array:
        predictions = x @ eigenspace.weights(x, y, t_teacher)
        reached = eigenspace.weights(x, predictions, t)
        return jnp.abs(reached - eigenspace.student_weights(x, y, t, t_teacher)).max() / jnp.linalg.norm(y)

    times = np.concatenate([[0.0], np.logspace(-9, 3, 22), [np.inf]])
    return _on_matrices(defect, np.stack(np.meshgrid(times, times)).reshape(2, -1))


def _distilled_as_printed() -> Verdict:
    times = np.array([0, 1e-3, 0.1, 0.5, 1, 2, 5, 20, np.inf])
    axes = {"x": np.linspace(0.2, 3, 13), "y": np.linspace(-2, 2, 11)}
    plain = {"x": [1.0], "y": [1.0], "t_student": [1.0], "t_teacher": [1.0], "t": [1.0, 2.0]}
    return grid.check(distilled, ("=",), axes | dict.fromkeys(("t_student", "t_teacher", "t"), times), plain)


STATEMENTS = (
    Statement(
        id="eq-3",
        where="Section 4.1, (3)",
        says="weights of linear regression by gradient flow at time t",
        printed="β(t) = Xᵀ(XXᵀ)⁻¹A(t)y with A(t) = I − exp(−t XXᵀ)",
        domain="XXᵀ invertible, β(0) = 0, t ≥ 0; 200 data sets up to 4×7, condition of XXᵀ ≤ 100, 512 times each",
        values=flow,
        relations=("=",),
        check=_flow,
        recorded="holds",
    ),
    Statement(
        id="eq-4",
        where="Section 4.1, (4)",
        says="weights of a student distilled from the teacher of time Tᵗᵉ, at its own time t̃",
        printed="β̃(t̃) = Xᵀ(XXᵀ)⁻¹Ã(t̃)y with Ã(t̃) := A(t)A(Tᵗᵉ)",
        domain="all t̃, Tᵗᵉ, t ≥ 0; as printed n = p = 1, corrected the data of (3)",
        values=distilled,
        relations=("=",),
        check=_distilled_as_printed,
        recorded="misprint",
        corrected="Ã(t̃) := A(t̃)A(Tᵗᵉ)",
        corrected_check=_distilled,
    ),
    Statement(
        id="thm-4.1",
        where="Section 4.1, Theorem 4.1, (5)",
        says="with Tᵗᵉ = t̃ extremal the student fits the lower direction less than the teacher at any admissible t",
        printed="α̃_k2(t̃) < α_k2(t) for any t with α_k1(t) ≥ α*, while α̃_k1(t̃) ≥ α*",
        domain=f"{_OPEN} (XXᵀ invertible), all t with α_k1(t) ≥ α*",
        values=conclusion,
        relations=("<",),
        check=_theorem,
        recorded="holds",
    ),
    Statement(
        id="eq-9",
        where="Appendix B, (7)-(9)",
        says="the teacher's component along the lower direction, from below",
        printed="α_k2(t) ≥ 1 − (1 − α*)^κ",
        domain=f"{_OPEN}, all t with α_k1(t) ≥ α*",
        values=teacher_bound,
        relations=(">=",),
        check=_teacher_bound,
        recorded="holds",
    ),
    Statement(
        id="eq-12",
        where="Appendix B, (10)-(12)",
        says="the student's component along the lower direction at the extremal time",
        printed="α̃_k2(t̃) = (1 − (1 − √α*)^κ)²",
        domain="0 ≤ α* ≤ 1, 0 ≤ κ ≤ 1, Tᵗᵉ = t̃ with α̃_k1(t̃) = α*",
        values=student_component,
        relations=("=", "="),
        check=lambda: _on_grid(student_component, ("=", "=")),
        recorded="holds",
    ),
    Statement(
        id="eq-13",
        where="Appendix B, (13)",
        says="teacher's minus student's component, from (9) and (12)",
        printed="α_k2(t) − α̃_k2(t̃) ≤ 1 − (1 − α*)^f − (1 − (1 − √α*)^f)²",
        domain=f"{_OPEN}, f = κ, all t with α_k1(t) ≥ α*",
        values=difference,
        relations=("<=",),
        check=lambda: _on_grid(difference, ("<=",), timed=True),
        recorded="misprint",
        corrected="α_k2(t) − α̃_k2(t̃) ≥ 1 − (1 − α*)^κ − (1 − (1 − √α*)^κ)²",
        corrected_check=lambda: _teacher_bound(difference),
    ),
    Statement(
        id="eq-14",
        where="Appendix B, (14)",
        says="the square in (13), expanded",
        printed="(13)'s right side ≤ 1 − (1 − α*)^f − 1 − ((1 − √α*)²)^f + 2(1 − √α*)^f",
        domain="0 ≤ α* ≤ 1, 0 ≤ f ≤ 1",
        values=expansion,
        relations=("<=",),
        check=lambda: _on_grid(expansion, ("<=",)),
        recorded="holds",
    ),
    Statement(
        id="eq-15",
        where="Appendix B, (15)",
        says="(14), collected",
        printed="(14)'s right side ≤ 2(1 − √α*)^f − ((1 − √α*)²)^f − (1 − α*)^f",
        domain="0 ≤ α* ≤ 1, 0 ≤ f ≤ 1",
        values=collection,
        relations=("<=",),
        check=lambda: _on_grid(collection, ("<=",)),
        recorded="holds",
    ),
    Statement(
        id="eq-16",
        where="Appendix B, (16)",
        says="(15), factored, and its sign",
        printed="(15)'s right side ≤ 2 − (1 − √α*)((1 − √α*)^f − (1 − √α*)^f) ≤ 0",
        domain="0 ≤ α* ≤ 1, 0 ≤ f ≤ 1; corrected: both open",
        values=end,
        relations=("<=", "<="),
        check=lambda: _on_grid(end, ("<=", "<=")),
        recorded="fails",
        corrected="(15)'s right side = (1 − √α*)^κ (2 − (1 − √α*)^κ − (1 + √α*)^κ) > 0",
        corrected_check=_end,
    ),
)
