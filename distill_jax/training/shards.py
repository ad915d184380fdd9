"""A batch in a fixed number of shards: what is made of it is the same to the bit on any number of devices.

Floating-point sums depend on their order, and what a device computes depends on the shapes that it is given. So a batch
is always in as many shards, whatever the devices: each shard's part is computed by operations of the same shapes, and
the parts are summed in one fixed tree of pairs. A device has some neighbouring leaves of that tree; the devices' sums
go on as the tree does.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

from distill_jax.machine.placement import BATCH


@dataclasses.dataclass(frozen=True)
class Shards:
    """The shards of a batch, and who has them; for a function that is mapped over the devices of the mesh's batch axis.

    >>> Shards(count=8, devices=2, in_loop=True).on_device
    4

    Attributes:
      count: of all shards, a power of two, so that each device has a whole subtree of the sum.
      devices: that share a batch, a divisor of it; each has as many neighbouring shards.
      in_loop: whether a device computes its shards in a loop, so that a program is as long as for one, or each by
        operations of its own.
    """

    count: int
    devices: int
    in_loop: bool

    @property
    def on_device(self) -> int:
        """Shards of a device."""
        return self.count // self.devices

    def each(self, of_shard: Callable[[jax.Array], Any]) -> list[Any]:
        """What is made of each of this device's shards, of the shards' numbers from 0."""
        first = jax.lax.axis_index(BATCH) * self.on_device
        if not self.in_loop or self.on_device == 1:
            return [of_shard(first + i) for i in range(self.on_device)]
        made = jax.lax.map(of_shard, first + jnp.arange(self.on_device))
        return [jax.tree.map(lambda a, i=i: a[i], made) for i in range(self.on_device)]

    def mean(self, of_shard: Callable[[jax.Array], Any]) -> Any:
        """The mean over all shards, on every device, of a tree of float32 arrays that is made of each.

        What comes of it is the sum in a tree of pairs, times one over the number of shards.
        """
        total = tree_sum(self.each(of_shard))
        if self.devices > 1:
            total = self._over_devices(total)
        return jax.tree.map(lambda a: a * (1 / self.count), apart(total))

    def _over_devices(self, tree: Any) -> Any:
        """The sum of the devices' trees in the order of the devices.

        Each sums a part of all numbers, and tells it to all: twice the size of the tree is sent, in two exchanges.
        """
        leaves, structure = jax.tree.flatten(tree)
        sizes = [leaf.size for leaf in leaves]
        flat = jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
        flat = jnp.pad(flat, (0, -len(flat) % self.devices)).reshape(self.devices, -1)
        of_devices = jax.lax.all_to_all(flat, BATCH, 0, 0)
        summed = jax.lax.all_gather(tree_sum(list(of_devices)), BATCH, tiled=True)
        parts = jnp.split(summed[: sum(sizes)], [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)])
        return jax.tree.unflatten(
            structure, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        )


def tree_sum(parts: Sequence[Any]) -> Any:
    """The sum of some trees of arrays, a power of two of them, by pairs: ((a + b) + (c + d)).

    >>> tree_sum([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}])
    {'a': 10}
    """
    while len(parts) > 1:
        parts = [jax.tree.map(lambda a, b: a + b, *pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def apart(tree: Any) -> Any:
    """A tree of arrays as it is; no compiler draws what is before it and what comes after it into one operation.

    Within one operation a product and a sum are rounded once, and in two twice: so what is computed on one side would
    depend on what is on the other. XLA's CPU compiler takes `jax.lax.optimization_barrier` away too early for this; it
    leaves calls of functions alone that are said not to be for inlining.
    """
    return jax.lax.platform_dependent(tree, cpu=_called, default=jax.lax.optimization_barrier)


def _called(tree: Any) -> Any:
    with set_xla_metadata(inlineable="false"):
        return _same(tree)


@functools.partial(jax.jit, inline=False)
def _same(tree: Any) -> Any:
    return jax.lax.optimization_barrier(tree)
