"""Linear regression by gradient flow in closed form (section 4.1): teacher, distilled student, their sparsifiers.

The flow is d beta / dt = -X^T (X beta - y) from beta(0) = 0, the gradient of (1/2) |X beta - y|^2. Its solution is
equation (3), beta(t) = X^T (X X^T)^-1 A(t) y with the sparsifier A(t) = I - exp(-t X X^T). The distilled student is
the same flow towards the teacher's predictions X beta(T_te) in place of y, which gives equation (4) with
A(t) A(T_te), t now the student's own time.

X is [n, p], n examples with p parameters each. The paper takes the Gram matrix X X^T to be invertible, hence
p >= n. Nothing here needs it: where the Gram matrix is singular (p < n, or dependent examples) its inverse is read
as the pseudo-inverse, and then
- A(t) has eigenvalue 0 on the null space at all times: that part of y is never fitted, by teacher or student;
- beta(inf) is the least-squares solution of least norm, and no longer interpolates y;
- a direction of eigenvalue 0 has no time at which it is fitted (`time_to_fit` is infinite).

Times are in the unit of 1 / eigenvalue of X X^T, from 0 to infinity, both included. All results are float64;
arguments outside their range give NaN.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from theory.precision import float64


@float64
def weights(x: ArrayLike, y: ArrayLike, t: ArrayLike) -> Array:
    """Weights [p] that gradient flow from 0 has reached at time t (equation 3).

    Computed from the singular values s of X, as V ((1 - exp(-s^2 t)) / s) U^T y: the same as equation (3), without
    squaring the condition number.

    >>> [round(float(weights([[2.0]], [6.0], t)[0]), 3) for t in (np.log(2) / 4, np.inf)]
    [1.5, 3.0]

    Args:
      x: data [n, p].
      y: targets [n].
      t: time, scalar.

    Raises:
      ValueError: x is not a matrix or y has not one entry for each of its rows.
    """
    x, y = _data(x, y)
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    s = jnp.where(s > max(x.shape) * jnp.finfo(s.dtype).eps * s.max(initial=0.0), s, 0.0)
    gain = jnp.where(s > 0, sparsity(s**2, t) / jnp.where(s > 0, s, 1.0), 0.0)
    return vt.T @ (gain * (u.T @ y))


@float64
def student_weights(x: ArrayLike, y: ArrayLike, t: ArrayLike, t_teacher: ArrayLike) -> Array:
    """Weights [p] of a student at its time t, distilled from the teacher of time t_teacher (equation 4, corrected).

    By the formula, X^T (X X^T)^+ A(t) A(t_teacher) y. That this is `weights` towards the teacher's predictions is
    what the statement eq-4 says and checks.

    >>> round(float(student_weights([[2.0]], [6.0], np.inf, np.log(2) / 4)[0]), 3)
    1.5

    Args:
      x: data [n, p].
      y: the teacher's targets [n].
      t, t_teacher: times, scalars.

    Raises:
      ValueError: as `weights`.
    """
    x, y = _data(x, y)
    return weights(x, sparsifier(x @ x.T, t_teacher) @ y, t)


@float64
def flow_defect(x: ArrayLike, y: ArrayLike, t: ArrayLike) -> Array:
    """How far `weights` is from solving its flow at time t, [p]: d beta / dt + X^T (X beta - y).

    >>> float(np.abs(flow_defect([[1.0, 2.0], [0.0, 3.0]], [4.0, 5.0], 0.5)).max().round(9))
    0.0

    Raises:
      ValueError: as `weights`.
    """
    x, y = _data(x, y)
    t = jnp.asarray(t, jnp.float64)
    beta, speed = jax.jvp(lambda at: weights(x, y, at), (t,), (jnp.ones_like(t),))
    return speed + x.T @ (x @ beta - y)


@float64
def sparsity(eigenvalue: ArrayLike, t: ArrayLike) -> Array:
    """Eigenvalue of A(t) in a direction where the Gram matrix has this eigenvalue: 1 - exp(-eigenvalue t), broadcast.

    It is 0 where the eigenvalue is 0, at infinite t too.

    >>> np.asarray(sparsity([0, 1, 2], np.log(2))).round(3).tolist()
    [0.0, 0.5, 0.75]
    """
    eigenvalue, t = jnp.asarray(eigenvalue, jnp.float64), jnp.asarray(t, jnp.float64)
    flat = eigenvalue == 0
    return jnp.where(flat, 0.0, -jnp.expm1(-jnp.where(flat, 1.0, eigenvalue) * t))


@float64
def spectrum(gram: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues [n], from the top, and their eigenvectors as columns [n, n] of a symmetric positive Gram matrix.

    Eigenvalues within rounding of 0 (n eps times the greatest) are 0.

    >>> np.asarray(spectrum([[1.0, 1.0], [1.0, 1.0]])[0]).round(3).tolist()
    [2.0, 0.0]

    Raises:
      ValueError: gram is not a square matrix.
    """
    gram = jnp.asarray(gram, jnp.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"a Gram matrix is square, not of shape {gram.shape}")
    value, vector = jnp.linalg.eigh(gram)
    floor = len(gram) * jnp.finfo(gram.dtype).eps * value.max(initial=0.0)
    return jnp.where(value > floor, value, 0.0)[::-1], vector[:, ::-1]


@float64
def sparsifier(gram: ArrayLike, t: ArrayLike) -> Array:
    """A(t) = I - exp(-t gram), [n, n], for a Gram matrix of any rank (equation 3).

    >>> np.asarray(sparsifier([[1.0, 1.0], [1.0, 1.0]], np.log(2) / 2)).round(3).tolist()
    [[0.25, 0.25], [0.25, 0.25]]

    Raises:
      ValueError: as `spectrum`.
    """
    value, vector = spectrum(gram)
    return (vector * sparsity(value, t)) @ vector.T


@float64
def student_sparsifier(gram: ArrayLike, t: ArrayLike, t_teacher: ArrayLike) -> Array:
    """A(t) A(t_teacher), [n, n], for a student at its time t (equation 4, corrected).

    >>> np.asarray(student_sparsifier([[1.0, 1.0], [1.0, 1.0]], np.log(2) / 2, np.log(2) / 2)).round(3).tolist()
    [[0.125, 0.125], [0.125, 0.125]]

    Raises:
      ValueError: as `spectrum`.
    """
    return sparsifier(gram, t) @ sparsifier(gram, t_teacher)


@float64
def teacher_eigenvalues(gram: ArrayLike, t: ArrayLike) -> Array:
    """alpha_k(t): eigenvalues [n] of A(t), from the top.

    >>> np.asarray(teacher_eigenvalues([[1.0, 0.0], [0.0, 2.0]], np.log(2))).round(3).tolist()
    [0.75, 0.5]

    Raises:
      ValueError: as `spectrum`.
    """
    return sparsity(spectrum(gram)[0], t)


@float64
def student_eigenvalues(gram: ArrayLike, t: ArrayLike, t_teacher: ArrayLike) -> Array:
    """tilde alpha_k(t): eigenvalues [n] of A(t) A(t_teacher), from the top.

    >>> np.asarray(student_eigenvalues([[1.0, 0.0], [0.0, 2.0]], np.log(2), np.log(2))).round(4).tolist()
    [0.5625, 0.25]

    Raises:
      ValueError: as `spectrum`.
    """
    value = spectrum(gram)[0]
    return sparsity(value, t) * sparsity(value, t_teacher)


@float64
def time_to_fit(eigenvalue: ArrayLike, alpha_star: ArrayLike) -> Array:
    """The smallest t with alpha_k(t) >= alpha_star in a direction of this eigenvalue, broadcast; infinite if none.

    >>> (np.asarray(time_to_fit([1, 2, 0], 0.75)) / np.log(2)).round(3).tolist()
    [2.0, 1.0, inf]
    """
    eigenvalue, alpha_star = jnp.asarray(eigenvalue, jnp.float64), jnp.asarray(alpha_star, jnp.float64)
    return jnp.where(alpha_star == 0, 0.0, -jnp.log1p(-alpha_star) / eigenvalue)


@float64
def student_time_to_fit(eigenvalue: ArrayLike, alpha_star: ArrayLike) -> Array:
    """The smallest tilde t with tilde alpha_k(tilde t) >= alpha_star where T_te = tilde t; as `time_to_fit`.

    >>> (np.asarray(student_time_to_fit([1, 2, 0], 0.25)) / np.log(2)).round(3).tolist()
    [1.0, 0.5, inf]
    """
    return time_to_fit(eigenvalue, jnp.sqrt(jnp.asarray(alpha_star, jnp.float64)))


@float64
def alpha_teacher(alpha_star: ArrayLike, kappa: ArrayLike) -> Array:
    """The teacher's eigenvalue along k2 when it is alpha_star along k1: 1 - (1 - alpha_star)^kappa (equation 9).

    >>> round(float(alpha_teacher(0.75, 0.5)), 3)
    0.5

    Args:
      alpha_star: in [0, 1].
      kappa: lambda_k2 / lambda_k1, in [0, 1]. At 0 the result is 0.
    """
    alpha_star, kappa = jnp.asarray(alpha_star, jnp.float64), jnp.asarray(kappa, jnp.float64)
    flat = kappa == 0
    return jnp.where(flat, 0.0, -jnp.expm1(jnp.where(flat, 1.0, kappa) * jnp.log1p(-alpha_star)))


@float64
def alpha_student(alpha_star: ArrayLike, kappa: ArrayLike) -> Array:
    """The student's along k2 when it is alpha_star along k1 and T_te = tilde t: (1 - (1 - sqrt alpha_star)^kappa)^2.

    Equation (12); arguments as for `alpha_teacher`.

    >>> round(float(alpha_student(0.75**2, 0.5)), 3)
    0.25
    """
    return alpha_teacher(jnp.sqrt(jnp.asarray(alpha_star, jnp.float64)), kappa) ** 2


def _data(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    x, y = jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"data are [n, p] and targets [n], not of shapes {x.shape} and {y.shape}")
    return x, y
