"""Where arrays live: one mesh over every device of every process, with a member axis and a batch axis.

A population's members are spread over the devices of each process as far as they divide evenly, since members need no
communication; what is left of the devices shares each batch. The member axis never crosses processes, so that
every process holds all members and a slice of the batch, and can write its own rows of every dump.
"""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MEMBER, BATCH = "member", "batch"


def make_mesh(members: int) -> Mesh:
    """The mesh for a population of `members`: axes ('member', 'batch')."""
    local = jax.local_device_count()
    across = math.gcd(members, local)
    devices = np.array(
        [[d for d in jax.devices() if d.process_index == process] for process in range(jax.process_count())]
    )
    grid = devices.reshape(jax.process_count(), across, local // across)
    grid = grid.transpose(1, 0, 2).reshape(across, -1)  # batch axis: process by process
    return Mesh(grid, (MEMBER, BATCH), axis_types=(AxisType.Auto, AxisType.Auto))


def place(mesh: Mesh, tree: Any, *axes: str | None) -> Any:
    """Puts host arrays, the same in every process, on the mesh with their leading axes split over `axes`."""
    sharding = NamedSharding(mesh, PartitionSpec(*axes))

    def put(array: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(lambda leaf: put(np.asarray(leaf)), tree)


def on_host(array: jax.Array) -> np.ndarray:
    """This process's part of an array, assembled from its devices' shards."""
    shards = array.addressable_shards
    starts = [min(s.index[d].start or 0 for s in shards) for d in range(array.ndim)]
    stops = [max(n if s.index[d].stop is None else s.index[d].stop for s in shards) for d, n in enumerate(array.shape)]
    whole = np.empty([b - a for a, b in zip(starts, stops, strict=True)], array.dtype)
    for shard in shards:
        at = tuple(
            slice((i.start or 0) - a, (n if i.stop is None else i.stop) - a)
            for i, a, n in zip(shard.index, starts, array.shape, strict=True)
        )
        whole[at] = np.asarray(shard.data)
    return whole
