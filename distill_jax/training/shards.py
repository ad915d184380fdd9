"""A batch in a fixed number of shards: what is made of it is the same to the bit on any number of devices.

Floating-point sums depend on their order, and what a device computes on the shapes that it is given and on how its
program was compiled. So a batch is always in as many shards; one program of one device computes a shard, whatever the
devices; and the shards' parts are summed in one fixed tree of pairs, of which a device has neighbouring leaves. (One
program over all devices would not do: XLA compiles one for several devices by other passes than one for a single one.
From such a program gradients of a RoBERTa, of the same shards, differed in their last bits.)
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from distill_jax.machine.placement import BATCH

_TILE = (8, 128)  # numbers that a TPU keeps together: what is cut between them it need not lay out anew


@dataclasses.dataclass(frozen=True)
class Vector:
    """A tree of float32 arrays as one vector and back, so that a sum of trees is one addition.

    >>> vector = Vector.like({"a": jnp.zeros(2), "b": jnp.zeros((1, 2))})
    >>> vector.pack({"a": jnp.ones(2), "b": jnp.zeros((1, 2))}).tolist()
    [1.0, 1.0, 0.0, 0.0]

    Attributes:
      tree: shapes.
    """

    tree: Any

    @classmethod
    def like(cls, tree: Any) -> "Vector":
        """That of trees of the same shapes."""
        return cls(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float32), tree))

    def pack(self, tree: Any) -> jax.Array:
        """The vector of a tree."""
        return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(tree)])

    def unpack(self, vector: jax.Array) -> Any:
        """The tree of a vector."""
        leaves, structure = jax.tree.flatten(self.tree)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = jnp.split(vector, ends)
        return jax.tree.unflatten(structure, [part.reshape(a.shape) for part, a in zip(parts, leaves, strict=True)])


def tree_sum(parts: Sequence[Any], add: Callable[[Any, Any], Any] = lambda a, b: a + b) -> Any:
    """The sum of a power of two of parts by pairs, ((a + b) + (c + d)).

    >>> tree_sum(["a", "b", "c", "d"], lambda a, b: f"({a} + {b})")
    '((a + b) + (c + d))'
    """
    while len(parts) > 1:
        parts = [add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


class Exchange:
    """The sum of the vectors of all devices of a mesh that share a batch, in the order of the devices, on each of them.

    Args:
      mesh: the devices, of all processes.
    """

    def __init__(self, mesh: Mesh):
        self.devices = [d for d in mesh.devices.ravel() if d.process_index == jax.process_index()]
        self._mesh, self._by_device = mesh, NamedSharding(mesh, PartitionSpec(BATCH))

        def summed(vector: jax.Array) -> jax.Array:
            """Each sums a part of all numbers, and tells it to all: twice a vector's size is sent, in two exchanges."""
            padded = jnp.pad(vector, (0, -len(vector) % (mesh.size * math.prod(_TILE)))).reshape(
                mesh.size, -1, _TILE[1]
            )
            part = tree_sum(list(jax.lax.all_to_all(padded, BATCH, 0, 0)))
            # As whole numbers: a TPU may gather by a sum with zeros, which would make 0.0 of -0.0.
            bits = jax.lax.all_gather(jax.lax.bitcast_convert_type(part, jnp.int32), BATCH, tiled=True)
            return jax.lax.bitcast_convert_type(bits, jnp.float32).ravel()[: len(vector)]

        specs = {"in_specs": PartitionSpec(BATCH), "out_specs": PartitionSpec(), "check_vma": False}
        self._summed = jax.jit(jax.shard_map(summed, mesh=mesh, **specs))

    def trace(self, vector: jax.ShapeDtypeStruct) -> Any:
        """Its program for vectors of that shape, of all devices of the mesh, traced."""
        size = self._mesh.size * vector.size
        return self._summed.trace(jax.ShapeDtypeStruct((size,), vector.dtype, sharding=self._by_device))

    def __call__(self, of_devices: Sequence[jax.Array]) -> list[jax.Array]:
        """From a vector on each of this process's devices, in their order, to the sum on each."""
        if self._mesh.size == 1:
            return list(of_devices)
        size, of_devices = self._mesh.size * of_devices[0].size, list(of_devices)
        one_after_another = jax.make_array_from_single_device_arrays((size,), self._by_device, of_devices)
        return views(self._summed(one_after_another), self.devices)


def views(tree: Any, devices: Sequence[Any]) -> list[Any]:
    """What each of these devices has of a tree of arrays; what is no array of JAX's stays as it is."""
    leaves, structure = jax.tree.flatten(tree)
    by_device: list[list[Any]] = [[] for _ in devices]
    for leaf in leaves:
        parts = {s.device: s.data for s in leaf.addressable_shards} if isinstance(leaf, jax.Array) else None
        for device, parts_of_device in zip(devices, by_device, strict=True):
            parts_of_device.append(leaf if parts is None else parts[device])
    return [jax.tree.unflatten(structure, leaves_of_device) for leaves_of_device in by_device]


@dataclasses.dataclass(frozen=True)
class Jitted:
    """A program of one device, with shapes and dtypes of its arguments, for whichever device it is compiled.

    Attributes:
      function: jitted.
      like: of its arguments.
    """

    function: Any
    like: tuple[Any, ...]

    def trace(self, device: Any) -> Any:
        """It traced, to be lowered for a device."""
        one = SingleDeviceSharding(device)
        put = functools.partial(jax.tree.map, lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one))
        return self.function.trace(*put(self.like))


class JittedShards:
    """The programs that a step of a population calls whose batches are in shards. They ask no device anything.

    Args:
      of_shard: (state, per_member, per_seed, shared, step, number of the shard) -> a tree of float32 arrays, of which a
        step has the mean over shards; the state is without the optimizer's, and streamed batches are the shard's own.
      moved: (state, per_member, that mean, step) -> the state after the step, and its metrics [P].
      like: of the arguments of a call, as `Programs.arguments_like` has them.
      shards: how many, a power of two.
      mesh: the devices that share a batch, a divisor of them.

    Attributes:
      on_device: shards of each device.
      exchange: sums the vectors of devices.
      vector: shape and dtype of what a shard gives.
      of_shard: gives it.
      add: the sum of two of them.
      moved: the state and metrics after a step, from the sum over all.
      beside: bytes of a device that are taken beside a shard's program: the optimizer's state, and what the other
        shards gave, as if there were one device.
    """

    def __init__(self, of_shard: Callable[..., Any], moved: Callable[..., Any], like: Any, shards: int, mesh: Mesh):
        self.mesh, self.on_device, self.exchange = mesh, shards // mesh.size, Exchange(mesh)
        state, per_member, per_seed, shared = self._on_one(like)
        number = jax.ShapeDtypeStruct((), jnp.int32)
        if not isinstance(per_seed.batches, dict):  # of which a shard is given its own
            seeds, _, examples, values = per_seed.batches.shape
            one = jax.ShapeDtypeStruct((seeds, 1, examples // self.on_device, values), per_seed.batches.dtype)
            per_seed = dataclasses.replace(per_seed, batches=one)
        known = dataclasses.replace(state, opt_state=()), per_member, per_seed, shared, number, number
        vector = Vector.like(jax.eval_shape(of_shard, *known))

        def packed(*known: Any) -> jax.Array:
            return vector.pack(of_shard(*known))

        def after(state: Any, per_member: Any, total: jax.Array, step: jax.Array) -> Any:
            # A product with a power of two, which rounds nothing.
            return moved(state, per_member, vector.unpack(total * (1 / shards)), step)

        size = sum(leaf.size for leaf in jax.tree.leaves(vector.tree))
        self.vector = jax.ShapeDtypeStruct((size,), jnp.float32)
        self.of_shard = Jitted(jax.jit(packed), known)
        self.add = Jitted(jax.jit(lambda a, b: a + b), (self.vector, self.vector))
        self.moved = Jitted(jax.jit(after, donate_argnums=0), (state, per_member, self.vector, number))
        beside = [*jax.tree.leaves(state.opt_state), *[self.vector] * (shards - 1)]
        self.beside = sum(a.size * a.dtype.itemsize for a in beside)

    def _on_one(self, like: Any) -> Any:
        """What one device has of arguments."""

        def of(a: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(a.sharding.shard_shape(a.shape), a.dtype)

        return jax.tree.map(of, like)


class ShardedSteps:
    """Steps of a population whose batches are in shards, compiled for this process's devices.

    Args:
      jitted: their programs.

    Attributes:
      beside: as of these.
    """

    def __init__(self, jitted: JittedShards):
        self._exchange, self._mesh, self._on_device = jitted.exchange, jitted.mesh, jitted.on_device
        self.beside = jitted.beside
        self._first = {d: i * self._on_device for i, d in enumerate(self._mesh.devices.ravel())}
        self._of_shard, self._moved = self._compiled(jitted.of_shard), self._compiled(jitted.moved)
        self._add = jitted.add.function

    @property
    def largest(self) -> Any:
        """The compiled program that takes most memory."""
        return self._of_shard[self._exchange.devices[0]]

    def _compiled(self, jitted: Jitted) -> dict[Any, Any]:
        """The same program for each device of this process."""
        devices = self._exchange.devices
        programs = [jitted.trace(device).lower() for device in devices]  # here: threads would not know JAX's settings
        with ThreadPoolExecutor() as pool:
            return dict(zip(devices, pool.map(lambda program: program.compile(), programs), strict=True))

    def _sum(self, device: Any, state: Any, known: Any, first: int, step: int) -> jax.Array:
        """The sum of a device's shards, in a step of a call that begins with the step `first`."""
        per_member, per_seed, shared = known
        shared = dataclasses.replace(shared, first_step=jax.device_put(np.int32(first), device))
        vectors = []
        for i in range(self._on_device):
            of_seed = per_seed
            if not isinstance(per_seed.batches, dict):
                size = per_seed.batches.shape[2] // self._on_device
                own = per_seed.batches[:, step - first : step - first + 1, i * size : (i + 1) * size]
                of_seed = dataclasses.replace(per_seed, batches=own)
            numbers = jax.device_put((np.int32(step), np.int32(self._first[device] + i)), device)
            vectors.append(self._of_shard[device](state, per_member, of_seed, shared, *numbers))
        return tree_sum(vectors, self._add)

    def __call__(
        self, state: Any, per_member: Any, per_seed: Any, shared: Any, steps: int
    ) -> tuple[Any, dict[str, jax.Array]]:
        """The state after so many steps from `shared.first_step` on, and metrics [P, steps]."""
        devices = self._exchange.devices
        like = jax.tree.map(lambda a: a.sharding, state)
        states = views(state, devices)
        known = views((per_member, per_seed, shared), devices)
        first, metrics = int(shared.first_step), []
        for step in range(first, first + steps):
            trained = [dataclasses.replace(state_there, opt_state=()) for state_there in states]
            there = list(zip(devices, trained, known, strict=True))
            totals = self._exchange([self._sum(*of_device, first, step) for of_device in there])
            moved = [
                self._moved[device](state_there, own, total, jax.device_put(np.int32(step), device))
                for device, state_there, (own, *_), total in zip(devices, states, known, totals, strict=True)
            ]
            states, of_step = [after for after, _ in moved], moved[0][1]
            metrics.append(of_step)
        together = [jax.tree.leaves(after) for after in states]
        arrays = [
            jax.make_array_from_single_device_arrays(of_devices[0].shape, sharding, list(of_devices))
            for sharding, *of_devices in zip(jax.tree.leaves(like), *together, strict=True)
        ]
        state = jax.tree.unflatten(jax.tree.structure(states[0]), arrays)
        return state, jax.tree.map(lambda *of_steps: jnp.stack(of_steps, axis=1), *metrics)
