"""float64 where theory is computed, and only there: JAX's default stays as the rest of a program wants it."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

_P = ParamSpec("_P")
_R = TypeVar("_R")


def float64(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Runs a function with 64-bit JAX.

    Its result is in float64. Outside such a function JAX takes it for float32 and some of its methods fail, so turn it
    into NumPy (`np.asarray`) or go on within `jax.enable_x64(True)`.

    >>> float64(jnp.zeros)(1).dtype, jnp.zeros(1).dtype
    (dtype('float64'), dtype('float32'))
    """

    @functools.wraps(function)
    def wide(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wide
