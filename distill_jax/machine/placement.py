"""Where arrays live: one mesh over every device of every process, with axes for seeds, for students and for the batch.

All models of a population train in one program. In each process seeds are split over the devices first, then students,
as far as they divide evenly, since models need no communication. Devices left over share each batch, as many as divide
it evenly; the others, and all of them for networks too small for that, stay idle. The model axes never cross processes:
every process holds all models and a slice of the batch, and has its own rows of every dump.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Axes = str | tuple[str, ...] | None
SEED, STUDENT, BATCH = "seed", "student", "batch"
MEMBER = (SEED, STUDENT)  # of an axis that has all members, seed by seed
_TILE = 128  # lanes of a TPU's vector registers


def make_mesh(
    seeds: int,
    students: int,
    batch_is_shared: bool = True,
    devices: Sequence[Any] | None = None,
    batch_size: int | None = None,
) -> Mesh:
    """The mesh for a population of so many seeds and students of each: axes ('seed', 'student', 'batch').

    >>> dict(make_mesh(seeds=4, students=2, devices=jax.devices()[:1]).shape)
    {'seed': 1, 'student': 1, 'batch': 1}

    Args:
      seeds: of the population.
      students: of each seed.
      batch_is_shared: whether devices of a process share a batch; else those without whole members are not in the mesh.
      devices: as many of each process; None for all that there are.
      batch_size: examples of a batch, or its shards, which those that share it divide evenly if the processes do; None
        where all share it.
    """
    devices = jax.devices() if devices is None else devices
    numbers = sorted({d.process_index for d in devices})
    local = len(devices) // len(numbers)
    parts = math.gcd if batch_is_shared else largest_divisor
    over_seeds = parts(seeds, local)
    # Students are spread only where each device has one seed: else members, seed by seed, would not be contiguous.
    over_students = parts(students, local // over_seeds) if over_seeds == seeds else 1
    across = over_seeds * over_students
    sharing = local // across if batch_is_shared else 1
    if batch_size is not None and batch_size % len(numbers) == 0:
        sharing = largest_divisor(batch_size // len(numbers), sharing)
    used = across * sharing
    by_process = np.array([[d for d in devices if d.process_index == number][:used] for number in numbers])
    grid = by_process.reshape(len(numbers), across, sharing)
    grid = grid.transpose(1, 0, 2).reshape(over_seeds, over_students, -1)  # batch axis: process by process
    return Mesh(grid, (SEED, STUDENT, BATCH), axis_types=(AxisType.Auto,) * 3)


def largest_divisor(of: int, most: int) -> int:
    """The largest number up to `most` that divides `of` evenly.

    >>> largest_divisor(of=6, most=4), largest_divisor(of=7, most=4)
    (3, 1)
    """
    return max(n for n in range(1, most + 1) if of % n == 0)


def whole_models_per_device(mesh: Mesh) -> bool:
    """Whether there are several devices, and each has whole members.

    >>> whole_models_per_device(make_mesh(seeds=4, students=2, devices=jax.devices()[:1]))
    False
    """
    return mesh.shape[BATCH] == 1 < mesh.size


def evaluating(batch_shards: int | None) -> list[Any]:
    """This process's devices, or its first alone where batches are in shards: of what each process computes by itself.

    >>> len(evaluating(batch_shards=4))
    1
    """
    return jax.local_devices()[: None if batch_shards is None else 1]


def place(mesh: Mesh, tree: Any, *axes: Axes) -> Any:
    """Puts host arrays, the same in every process, on the mesh with their leading axes split over `axes`.

    >>> mesh = make_mesh(seeds=4, students=2, devices=jax.devices()[:1])
    >>> place(mesh, {"x": np.arange(3)}, BATCH)["x"].sharding.spec == PartitionSpec(BATCH)
    True
    """
    sharding = NamedSharding(mesh, PartitionSpec(*axes))

    def put(array: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(lambda leaf: put(np.asarray(leaf)), tree)


def on_host(array: jax.Array) -> np.ndarray:
    """This process's part of an array, assembled from its devices' shards.

    >>> mesh = make_mesh(seeds=4, students=2, devices=jax.devices()[:1])
    >>> on_host(place(mesh, np.arange(3), BATCH)).tolist()
    [0, 1, 2]
    """
    shards = list({str(shard.index): shard for shard in array.addressable_shards}.values())  # one of each replica
    for shard in shards:
        shard.data.copy_to_host_async()
    starts = [min(s.index[d].start or 0 for s in shards) for d in range(array.ndim)]
    stops = [max(n if s.index[d].stop is None else s.index[d].stop for s in shards) for d, n in enumerate(array.shape)]
    assembled = np.empty([b - a for a, b in zip(starts, stops, strict=True)], array.dtype)
    for shard in shards:
        index = tuple(
            slice((i.start or 0) - a, (n if i.stop is None else i.stop) - a)
            for i, a, n in zip(shard.index, starts, array.shape, strict=True)
        )
        assembled[index] = np.asarray(shard.data)
    return assembled


def row_length(values: int, platform: str) -> int:
    """Values of a row on a device, in a table of which rows are gathered: the first are its own, the rest fill it up.

    A TPU copies a table whose rows do not fill its tiles into another layout at every call.

    >>> row_length(100, "tpu"), row_length(100, "cpu")
    (128, 100)
    """
    return -(-values // _TILE) * _TILE if platform == "tpu" else values


def over_devices(f: Callable[..., Any], mesh: Mesh, in_axes: Sequence[Axes], out_axes: Axes) -> Callable[..., Any]:
    """`f` of the members of one device as a function of all, where every device has whole members.

    Left to itself XLA does not split a grouped convolution, which is what one mapped over members becomes, by members:
    on two devices such a program was slower than on one. Here each device runs the program of its own members.

    >>> mesh = make_mesh(seeds=4, students=2, devices=jax.devices()[:1])
    >>> over_devices(lambda x, y: x + y, mesh, [MEMBER, None], MEMBER)(np.arange(3), 10).tolist()
    [10, 11, 12]

    Args:
      f: from and to arrays of one device's members.
      mesh: whose batch axis has size 1.
      in_axes: of each argument the mesh axes over which its leading axis is split; None for none.
      out_axes: of all results.
    """
    specs = tuple(PartitionSpec() if axes is None else PartitionSpec(axes) for axes in in_axes)
    return jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(out_axes), check_vma=False)
