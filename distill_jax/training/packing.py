"""A step's many small arrays as few large ones: the time of an accelerator's operation hardly depends on its size.

A ResNet-20 has 65 trained arrays, most of them of 16 to 64 numbers. Packed, an update of any number of them is one
operation; it is the same arithmetic, element by element.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from distill_jax.machine.backend import PackingKind

_TOGETHER = 64  # arrays in one: XLA gives a GPU's kernel 96 operands at most, and what is between these and it others


@dataclasses.dataclass(frozen=True)
class Packing:
    """How the arrays of a tree are packed.

    A packed tree is {'vectors': [[n], ...], 'matrices': [[1, m], ...], 'others': [...]}: the arrays of up to one axis
    one after another; where `kind` is 'all' those of more axes likewise, but in a row, so that they still have more
    than one axis (by which weight decay knows them); else these as they are.

    >>> tree = {"a": jnp.ones(2), "b": jnp.zeros(3), "c": jnp.ones((2, 2))}
    >>> packed = Packing("all", tree).pack(tree)
    >>> packed["vectors"][0].tolist(), packed["matrices"][0].tolist()
    ([1.0, 1.0, 0.0, 0.0, 0.0], [[1.0, 1.0, 1.0, 1.0]])

    Attributes:
      kind: 'none' packs nothing, 'small' arrays of up to one axis, 'all' all.
      tree: shapes and dtypes, float32.
    """

    kind: PackingKind
    tree: Any

    def pack(self, tree: Any) -> Any:
        """A tree of these shapes, packed."""
        if self.kind == "none":
            return tree
        small, large = _split(jax.tree.leaves(tree))
        vectors = [jnp.concatenate([jnp.ravel(a) for a in part]) for part in _parts(small)]
        if self.kind == "small":
            return {"vectors": vectors, "matrices": [], "others": large}
        rows = [jnp.concatenate([jnp.ravel(_outputs_first(a)) for a in part])[None] for part in _parts(large)]
        return {"vectors": vectors, "matrices": rows, "others": []}

    def unpack(self, packed: Any) -> Any:
        """The tree of a packed one."""
        if self.kind == "none":
            return packed
        leaves, structure = jax.tree.flatten(self.tree)
        small, large = _split(leaves)
        small_arrays = _cut(packed["vectors"], [a.shape for a in small])
        if self.kind == "small":
            large_arrays = iter(packed["others"])
        else:
            shapes = [jax.eval_shape(_outputs_first, a).shape for a in large]
            large_arrays = map(_outputs_last, _cut([row[0] for row in packed["matrices"]], shapes))
        return jax.tree.unflatten(structure, [next(small_arrays if a.ndim < 2 else large_arrays) for a in leaves])


class StatePacking:
    """How a `step.TrainState` of one model is packed.

    >>> from distill_jax.training.step import TrainState
    >>> state = TrainState({"bias": jnp.ones(2), "kernel": jnp.ones((2, 3))}, collections={}, opt_state=())
    >>> jax.tree.map(jnp.shape, StatePacking("all", state).pack(state).params)
    {'matrices': [(1, 6)], 'others': [], 'vectors': [(2,)]}

    Args:
      kind: see `Packing`.
      state: its shapes and dtypes.

    Attributes:
      params, collections: of these parts. An optimizer's state is packed as the parameters are, wherever it has a tree
        like theirs.
    """

    def __init__(self, kind: PackingKind, state: Any):
        self.params, self.collections = Packing(kind, state.params), Packing(kind, state.collections)

    def pack(self, state: Any) -> Any:
        """The state with its parts packed."""
        return _over(state, self.params.pack, self.collections.pack)

    def unpack(self, state: Any) -> Any:
        """The state as it was before `pack`."""
        return _over(state, self.params.unpack, self.collections.unpack)


def _over(state: Any, map_params: Callable[[Any], Any], map_collections: Callable[[Any], Any]) -> Any:
    """A state with the functions applied to its parts, and to the optimizer's where it has a tree like parameters."""
    structure = jax.tree.structure(state.params)

    def is_like(part: Any) -> bool:
        return jax.tree.structure(part) == structure

    opt_state = jax.tree.map(lambda part: map_params(part) if is_like(part) else part, state.opt_state, is_leaf=is_like)
    return state.replace(
        params=map_params(state.params), collections=map_collections(state.collections), opt_state=opt_state
    )


def _split(leaves: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Those of up to one axis, and those of more."""
    return [a for a in leaves if a.ndim < 2], [a for a in leaves if a.ndim >= 2]


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _TOGETHER] for start in range(0, len(items), _TOGETHER)]


def _cut(packed: Sequence[jax.Array], shapes: Sequence[tuple[int, ...]]) -> Iterator[jax.Array]:
    """The arrays of these shapes of which `packed` was made."""
    for flat, part in zip(packed, _parts(shapes), strict=True):
        start = 0
        for shape in part:
            stop = start + math.prod(shape)
            yield jax.lax.slice(flat, (start,), (stop,)).reshape(shape)
            start = stop


def _outputs_first(kernel: jax.Array) -> jax.Array:
    """A convolution's kernel [h, w, in, out] as cuDNN has it, [out, h, w, in]; others as they are."""
    return kernel.transpose(3, 0, 1, 2) if kernel.ndim == 4 else kernel


def _outputs_last(kernel: jax.Array) -> jax.Array:
    return kernel.transpose(1, 2, 3, 0) if kernel.ndim == 4 else kernel
