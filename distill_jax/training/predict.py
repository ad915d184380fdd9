"""Logits of a whole split in float32, without augmentation, in evaluation mode, for every member of a population."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Float32, Shaped

from distill_jax.data.augment import normalise
from distill_jax.dumps import SHARD_EXAMPLES
from distill_jax.machine.placement import BATCH, MEMBER, on_host, place, whole_models_per_device
from distill_jax.training.buckets import Buckets
from distill_jax.training.population import over_members, over_mesh
from distill_jax.training.shards import views
from distill_jax.training.streaming import rows_on_devices


def process_rows(examples: int, process: int, processes: int) -> slice:
    """The rows a process answers for: whole shards of a dump, contiguous, as even as whole shards allow.

    >>> process_rows(10_000, 0, 2), process_rows(10_000, 1, 2)
    (slice(0, 8192, None), slice(8192, 10000, None))
    """
    shards = -(-examples // SHARD_EXAMPLES)
    each = -(-shards // processes) * SHARD_EXAMPLES
    return slice(min(process * each, examples), min((process + 1) * each, examples))


class Predictor:
    """The compiled forward pass over a split, for texts one of every length that they are cut to.

    Args:
      evaluate: (variables, x) -> float32 logits [B, K], of `models.evaluation`.
      mesh: the devices.
      members: of a population.
      mean, std: of the inputs, by channel or feature, in raw units.
      input_shape: of one example.
      batch: most examples of a call.
      shards: of a batch. With them an example's logits do not depend on the devices: it is in the same block of
        examples on any number of them, and one program of one device evaluates a block, see `shards`.
    """

    def __init__(
        self,
        evaluate: Callable[[Any, jax.Array], jax.Array],
        mesh: Mesh,
        members: int,
        *,
        mean: ArrayLike | None,
        std: ArrayLike | None,
        input_shape: tuple[int, ...],
        batch: int,
        shards: int | None = None,
    ):
        across = mesh.shape[BATCH]
        self._mesh, self._batch, self._shards = mesh, -(-batch // across) * across, shards
        self._block = max(batch // (shards or 1), 1)

        def forward(
            length: int | None, gathers: bool, variables: Any, x: jax.Array, chosen: jax.Array | None
        ) -> jax.Array:
            if gathers:
                raw = x[chosen].reshape(-1, *input_shape) if length is None else x[chosen, :length]
            else:
                raw = x.reshape(-1, *input_shape) if length is None else x[:, :length]
            inputs = normalise(raw, mean, std, jnp.float32)
            if shards is None and not whole_models_per_device(mesh):
                inputs = jax.lax.with_sharding_constraint(inputs, NamedSharding(mesh, PartitionSpec(BATCH)))
            return evaluate(variables, inputs)

        @functools.cache
        def compiled(length: int | None, gathers: bool = True) -> Any:
            if shards is not None:
                return jax.jit(over_members(functools.partial(forward, length, gathers), (0, None, None), members))
            mapped = over_mesh(functools.partial(forward, length, gathers), (0, None, None), members, mesh)
            return jax.jit(mapped, out_shardings=NamedSharding(mesh, PartitionSpec(MEMBER, BATCH)))

        self.compiled = compiled

    def halve(self, examples: int) -> bool:
        """Makes a call for a split of so many examples half as large; False where it can be no smaller."""
        before, across = self.batch(examples), self._mesh.shape[BATCH]
        if self._shards is None:
            self._batch = max(before // 2 // across, 1) * across
        else:
            self._block = max(before // 2, 1)
        return self.batch(examples) < before

    def batch(self, examples: int) -> int:
        """Rows of a call for a split of so many examples: no more than those, so that a small one is not padded far."""
        if self._shards is not None:  # a power of two up to a dump's shard, with which a process's rows begin
            most, enough = self._block, -(-examples // self._shards)
            return min(1 << most.bit_length() - 1, 1 << (enough - 1).bit_length(), SHARD_EXAMPLES)
        across = self._mesh.shape[BATCH]
        return min(self._batch, -(-examples // across) * across)

    def __call__(
        self, variables: Any, x: Shaped[jax.Array | np.ndarray, "N ..."], buckets: Buckets | None = None
    ) -> tuple[Float32[np.ndarray, "P n K"], int]:
        """Logits of this process's rows.

        Args:
          variables: the models', with a leading member axis.
          x: raw inputs on every device, flat [N, values]; or on the host, from which each call's are taken.
          buckets: of texts, the lengths they are cut to.

        Returns:
          float32 [P, n, K] on the host, and the number of the first row.
        """
        processes = jax.process_count()
        if self._shards is not None:
            mine = process_rows(len(x), jax.process_index(), processes)
            return self._by_blocks(variables, x, np.arange(mine.start, mine.stop), buckets), mine.start
        rows = [process_rows(len(x), p, processes) for p in range(processes)]
        most = max(r.stop - r.start for r in rows)
        local = self.batch(most * processes) // processes
        mine = rows[jax.process_index()]
        orders = [np.arange(r.start, r.stop) for r in rows]
        if buckets is not None:
            orders = [order[np.argsort(buckets.bucket[order], kind="stable")] for order in orders]
        parts: list[np.ndarray] = []
        under_way: jax.Array | None = None
        for start in range(0, most, local):
            # Past its last row a process repeats one: all must take part in every call.
            rows_by_process = [order[start : start + local] for order in orders]
            chosen = np.concatenate(
                [np.pad(o, (0, local - len(o)), constant_values=len(x) - 1) for o in rows_by_process]
            )
            length = None if buckets is None else buckets.lengths[buckets.bucket[chosen].max()]
            if isinstance(x, np.ndarray):
                batch = rows_on_devices(x, chosen, self._mesh)
                logits = self.compiled(length, gathers=False)(variables, batch, None)
            else:
                logits = self.compiled(length)(variables, x, place(self._mesh, chosen.astype(np.int32), BATCH))
            logits.copy_to_host_async()
            if under_way is not None:  # fetched while the devices are at the next
                parts.append(on_host(under_way))
            under_way = logits
        if under_way is not None:
            parts.append(on_host(under_way))
        ordered_logits = np.concatenate(parts, axis=1)[:, : mine.stop - mine.start]
        if buckets is None:
            return ordered_logits, mine.start
        logits = np.empty_like(ordered_logits)
        logits[:, orders[jax.process_index()] - mine.start] = ordered_logits
        return logits, mine.start

    def _by_blocks(self, variables: Any, x: Any, rows: np.ndarray, buckets: Buckets | None) -> np.ndarray:
        """Logits of some rows, float32 [P, rows, K], block by block, each on one of this process's devices in turn."""
        order = rows
        if buckets is not None:  # by their lengths within each shard of a dump, of which a process has whole ones
            order = rows[np.lexsort((buckets.bucket[rows], rows // SHARD_EXAMPLES))]
        size, gathers = self.batch(len(x)), not isinstance(x, np.ndarray)
        devices = [d for d in self._mesh.devices.ravel() if d.process_index == jax.process_index()]
        there = list(zip(devices, views((variables, x if gathers else None), devices), strict=True))
        parts: list[np.ndarray] = []
        under_way: list[jax.Array] = []
        for number, start in enumerate(range(0, max(len(order), 1), size)):
            block = order[start : start + size]
            chosen = np.pad(block, (0, size - len(block)), constant_values=len(x) - 1)
            length = None if buckets is None else buckets.lengths[buckets.bucket[chosen].max()]
            device, (known, inputs) = there[number % len(devices)]
            if gathers:
                logits = self.compiled(length)(known, inputs, jax.device_put(chosen.astype(np.int32), device))
            else:
                logits = self.compiled(length, gathers=False)(known, jax.device_put(x[chosen], device), None)
            logits.copy_to_host_async()
            under_way.append(logits)
            if len(under_way) > 2 * len(devices):
                parts.append(np.asarray(under_way.pop(0)))
        ordered = np.concatenate([*parts, *map(np.asarray, under_way)], axis=1)[:, : len(order)]
        logits_of_rows = np.empty_like(ordered)
        logits_of_rows[:, np.searchsorted(rows, order)] = ordered
        return logits_of_rows
