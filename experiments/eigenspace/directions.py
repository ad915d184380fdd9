"""Eigendirections of data, and components of weights along them."""

import jax
import jax.numpy as jnp

_EXACT = jax.lax.Precision.HIGHEST


def eigendirections(x: jax.Array, centred: bool = False) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues and eigendirections of X^T X, from the top, by way of the smaller Gram matrix X X^T.

    If X X^T u = lambda u with |u| = 1, then v = X^T u / sqrt(lambda) has X^T X v = lambda v and |v| = 1.

    Args:
      x: data X, float [N, P].
      centred: whether the mean point is taken away first. In the theory (equation 3) it is not.

    Returns:
      Eigenvalues [N], descending and not below 0, and directions [N, P]. A direction whose eigenvalue is 0 up to
      rounding (N eps times the greatest) is not determined and is given as 0.
    """
    if centred:
        x = x - x.mean(0)
    value, vector = jnp.linalg.eigh(jnp.dot(x, x.T, precision=_EXACT))
    value, vector = value[::-1], vector[:, ::-1]
    determined = value > len(x) * jnp.finfo(x.dtype).eps * value[0]
    length = jnp.sqrt(jnp.where(determined, value, 1.0))
    directions = jnp.dot(vector.T, x, precision=_EXACT) / length[:, None]
    return jnp.where(determined, value, 0.0), jnp.where(determined[:, None], directions, 0.0)


def along(directions: jax.Array, weights: jax.Array) -> jax.Array:
    """W^T v for directions [M, P] and weights of several models [V, P, U]: [V, M, U]."""
    return jnp.einsum("mp,vpu->vmu", directions, weights, precision=_EXACT)
