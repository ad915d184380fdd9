"""Inputs that are too large to lie on the devices: a call is given its batches alone, read from the host ahead of it.

The order is that by which inputs on a device are gathered, and they are augmented on the device as those are: a model
is given the same numbers at every step. What they cost is in docs/benchmarks.md.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Shaped

from distill_jax.data.dataset import Dataset
from distill_jax.extras import needed
from distill_jax.machine.backend import cores
from distill_jax.machine.placement import BATCH, SEED

Option = Literal["auto", "always", "never"]
_Part = tuple[tuple[int | None, int | None], tuple[int | None, int | None]]
_RESIDENT_SHARE = 0.25  # of a device's memory, up to which the inputs of both splits lie there
_CALL_SHARE = 1 / 64  # of a device's memory, for the batches of one call; two calls' are there at a time
_AHEAD = 2**30  # bytes of the host's memory, for batches that are read ahead
_MOST_AHEAD = 64  # steps
_SPREAD = PartitionSpec(SEED, None, BATCH)  # of a call's batches, [S, steps, B, values]


def is_streamed(option: Option, dataset: Dataset, memory: float) -> bool:
    """Whether inputs stay on the host: as asked for, or where they would take a quarter of a device's memory.

    >>> from distill_jax.data.dataset import Split
    >>> split = Split(np.zeros((1024, 32, 32, 1), np.uint8), *[np.arange(1024)] * 3)
    >>> data = Dataset("mine", split, split, 2, None, None)
    >>> [is_streamed("auto", data, memory=mib * 2**20) for mib in (16, 4)]  # of two splits of 1 MiB
    [False, True]
    """
    size = dataset.train.x.nbytes + dataset.test.x.nbytes
    return option == "always" or (option == "auto" and size > _RESIDENT_SHARE * memory)


def steps_that_fit(step_bytes: float, memory: float) -> int:
    """Most steps of a call, of whose batches so many bytes a step lie on a device; at least one.

    >>> steps_that_fit(2**20, 2**30), steps_that_fit(2**30, 2**30)
    (16, 1)
    >>> steps_that_fit(2**20, float("inf")) > 2**20  # of a device that does not say what it has
    True
    """
    return max(int(min(_CALL_SHARE * memory / step_bytes, 2**31 - 1)), 1)


def batches_like(shape: tuple[int, int, int, int], dtype: Any, mesh: Mesh) -> jax.ShapeDtypeStruct:
    """Shape, dtype and sharding of a call's batches, [S, steps, B, values]."""
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, _SPREAD))


def require(option: Option) -> Any:
    """The module Grain.

    Raises:
      InputError: the extra `stream` is not installed.
    """
    return needed("grain", "stream", "run.streaming", option)


class Stream:
    """The batches of the seeds of a population, in the order of training.

    Grain reads those to come while the devices are at work. Each process reads what its own devices need.

    Args:
      x: inputs on the host, flat [N, values], which may be a file's.
      order: from an epoch to each seed's order of the examples in it, int32 [S, N or fewer].
      mesh: the devices.
      seeds: of the population, S.
      batch_size: examples a step, B.
      steps_per_epoch, total_steps: of the training.
    """

    def __init__(
        self,
        x: Shaped[np.ndarray, "N values"],
        order: Callable[[int], np.ndarray],
        mesh: Mesh,
        *,
        seeds: int,
        batch_size: int,
        steps_per_epoch: int,
        total_steps: int,
    ):
        self._grain = require("always")
        self._x, self._mesh, self._seeds, self._batch_size = x, mesh, seeds, batch_size
        self._steps_per_epoch, self._total = steps_per_epoch, total_steps
        self._order = functools.lru_cache(maxsize=4)(order)
        self._iterator: Any = None
        self._next = -1

    def __call__(self, first: int, steps: int) -> jax.Array:
        """The batches of these steps on the devices, [S, steps, B, values]."""
        if first != self._next:
            self.close()
            self._iterator = self._ahead(first)
        of_steps = [next(self._iterator) for _ in range(steps)]
        self._next = first + steps
        by_part = {part: np.stack([of_step[part] for of_step in of_steps], axis=1) for part in of_steps[0]}
        like = self._like(steps)
        return jax.make_array_from_callback(like.shape, like.sharding, lambda index: by_part[_part(index)])

    def close(self) -> None:
        """Ends the reading ahead."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator, self._next = None, -1

    def _like(self, steps: int) -> jax.ShapeDtypeStruct:
        return batches_like((self._seeds, steps, self._batch_size, self._x.shape[1]), self._x.dtype, self._mesh)

    def _ahead(self, first: int) -> Iterator[dict[_Part, np.ndarray]]:
        """What this process's devices need of each step's batches from `first` on."""
        like = self._like(1)
        parts = {_part(index) for index in like.sharding.addressable_devices_indices_map(like.shape).values()}
        step_bytes = len(parts) * math.prod(like.sharding.shard_shape(like.shape)) * self._x.itemsize
        ahead = min(max(_AHEAD // step_bytes, 1), _MOST_AHEAD)
        steps = self._grain.MapDataset.range(first, self._total).map(functools.partial(self._read, parts))
        options = self._grain.ReadOptions(num_threads=min(cores(), ahead), prefetch_buffer_size=ahead)
        return iter(steps.to_iter_dataset(options))

    def _read(self, parts: Iterable[_Part], step: int) -> dict[_Part, np.ndarray]:
        epoch, within = divmod(int(step), self._steps_per_epoch)
        chosen = self._order(epoch)[:, within * self._batch_size : (within + 1) * self._batch_size]
        # Unlike indexing, `take` lets other threads work.
        return {part: np.take(self._x, chosen[slice(*part[0]), slice(*part[1])], axis=0) for part in parts}


def _part(index: Any) -> _Part:
    """The seeds and the examples of a device's part of [S, steps, B, values]; slices are no keys before Python 3.12."""
    seeds, _, examples, _ = index
    return (seeds.start, seeds.stop), (examples.start, examples.stop)


def rows_on_devices(x: np.ndarray, chosen: np.ndarray, mesh: Mesh) -> jax.Array:
    """Rows of x [N, values] on the host, int [n], spread over the devices that share a batch.

    >>> from distill_jax.machine.placement import make_mesh
    >>> rows_on_devices(np.eye(3), np.array([2, 0]), make_mesh(1, 1, devices=jax.devices()[:1])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    sharding = NamedSharding(mesh, PartitionSpec(BATCH))

    def rows(index: Any) -> np.ndarray:
        return np.take(x, chosen[index[0]], axis=0)

    return jax.make_array_from_callback((len(chosen), x.shape[1]), sharding, rows)
