"""A function as XLA compiles it, against the same function computed operation by operation; it imports JAX alone."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives

WITH_KINKS = 1e-3  # by which the greatest value of an array may differ where there is a ReLU, see `canary_programs`


def both(program: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    """What a function gives that is jitted, or has jitted ones in it, and what it gives in `single_operations`."""
    compiled = jax.block_until_ready(program(*args))
    with single_operations():
        return compiled, program(*args)


def differences(found: Any, right: Any) -> dict[str, float]:
    """Of each array of a tree the greatest difference, by the greatest absolute value of the right one.

    Infinite where a number is finite in one of the two alone.
    """
    paths = jax.tree_util.tree_leaves_with_path(right)
    pairs = zip(jax.tree.leaves(found), paths, strict=True)
    return {jax.tree_util.keystr(path): _difference(np.asarray(a), np.asarray(b)) for a, (path, b) in pairs}


def _difference(found: np.ndarray, right: np.ndarray) -> float:
    assert (found.shape, found.dtype) == (right.shape, right.dtype)
    there = np.isfinite(right)
    if not np.array_equal(there, np.isfinite(found)):
        return float("inf")
    off = np.abs(found[there].astype(np.float64) - right[there]).max(initial=0.0)
    return float(off / np.abs(right[there]).max(initial=0.0)) if off else 0.0


@contextlib.contextmanager
def single_operations() -> Iterator[None]:
    """Within it nothing is jitted: operations are computed one by one, most of them by NumPy, the others by JAX.

    JAX would compile each of them for each shape, which takes longer than all else.
    """
    known = {name: getattr(primitives, f"{name}_p") for name in _NUMPY}
    of_jax = {name: primitive.impl for name, primitive in known.items()}

    def of_numpy(name: str) -> Callable[..., jax.Array]:
        def compute(*args: Any, **how: Any) -> jax.Array:
            if any(jnp.issubdtype(jax.typeof(arg).dtype, jax.dtypes.extended) for arg in args):
                return of_jax[name](*args, **how)  # random keys
            with np.errstate(all="ignore"):
                return jax.device_put(_NUMPY[name](*map(np.asarray, args), **how))

        return compute

    try:
        for name, primitive in known.items():
            primitive.impl = of_numpy(name)
        with jax.disable_jit():
            yield
    finally:
        for name, primitive in known.items():
            primitive.impl = of_jax[name]


def _alone(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A function of arrays alone: how precise its result is to be is left to NumPy."""
    return lambda *args, **_: function(*args)


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)


def _spread(x: np.ndarray, shape: tuple[int, ...], broadcast_dimensions: tuple[int, ...], **_: Any) -> np.ndarray:
    own = np.ones(len(shape), int)
    own[list(broadcast_dimensions)] = x.shape
    return np.broadcast_to(x.reshape(own), shape)


def _product(a: np.ndarray, b: np.ndarray, dimension_numbers: Any, **_: Any) -> np.ndarray:
    (summed, summed_of_b), (shared, shared_of_b) = dimension_numbers
    names = itertools.count()
    of_a, of_b = [next(names) for _ in a.shape], [next(names) for _ in b.shape]
    for axis, axis_of_b in zip((*summed, *shared), (*summed_of_b, *shared_of_b), strict=True):
        of_b[axis_of_b] = of_a[axis]
    first, gone = [of_a[axis] for axis in shared], {of_a[axis] for axis in summed}
    rest = [name for name in of_a + of_b if name not in gone.union(first)]
    # By numbers of axes, which NumPy takes beside the words that it is typed for.
    einsum: Any = np.einsum
    return einsum(a.astype(np.float64), of_a, b.astype(np.float64), of_b, first + rest, optimize=True).astype(a.dtype)


_NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "add": _alone(np.add),
    "and": np.bitwise_and,
    "broadcast_in_dim": _spread,
    "concatenate": lambda *parts, dimension: np.concatenate(parts, dimension),
    "convert_element_type": lambda x, new_dtype, **_: x.astype(new_dtype),
    "div": _alone(_divided),
    "dot_general": _product,
    "eq": np.equal,
    "exp": _alone(np.exp),
    "gt": np.greater,
    "integer_pow": lambda x, y: x**y,
    "log": _alone(np.log),
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": _alone(np.multiply),
    "ne": np.not_equal,
    "neg": np.negative,
    "or": np.bitwise_or,
    "reduce_max": lambda x, axes, **_: x.max(axes),
    "reduce_sum": lambda x, axes, **_: x.sum(axes, np.float64).astype(x.dtype),
    "reshape": lambda x, new_sizes, **_: x.reshape(new_sizes),
    "rsqrt": _alone(lambda x: 1 / np.sqrt(x)),
    "select_n": lambda which, *cases: np.choose(which.astype(int), cases),
    "slice": lambda x, start_indices, limit_indices, strides: x[
        tuple(map(slice, start_indices, limit_indices, strides or [1] * x.ndim))
    ],
    "sqrt": _alone(np.sqrt),
    "square": np.square,
    "squeeze": lambda x, dimensions: x.squeeze(dimensions),
    "sub": _alone(np.subtract),
    "transpose": lambda x, permutation: x.transpose(permutation),
}
