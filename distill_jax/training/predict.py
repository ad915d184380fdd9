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
from distill_jax.training.shards import Shards, apart
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
      shards: where what an example's logits are must not depend on the devices: a call is then of as many blocks as a
        batch has shards, each of the same examples and by the same operations on any number of devices.
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
        shards: Shards | None = None,
    ):
        across = mesh.shape[BATCH]
        self._mesh, self._batch, self._shards = mesh, -(-batch // across) * across, shards

        def forward(
            length: int | None, gathers: bool, variables: Any, x: jax.Array, chosen: jax.Array | None
        ) -> jax.Array:
            if gathers:
                raw = x[chosen].reshape(-1, *input_shape) if length is None else x[chosen, :length]
            else:
                raw = x.reshape(-1, *input_shape) if length is None else x[:, :length]
            inputs = normalise(raw, mean, std, jnp.float32)
            if not whole_models_per_device(mesh):
                inputs = jax.lax.with_sharding_constraint(inputs, NamedSharding(mesh, PartitionSpec(BATCH)))
            return evaluate(variables, inputs)

        @functools.cache
        def compiled(length: int | None, gathers: bool = True) -> Any:
            mapped = over_mesh(functools.partial(forward, length, gathers), (0, None, None), members, mesh)
            return jax.jit(mapped, out_shardings=NamedSharding(mesh, PartitionSpec(MEMBER, BATCH)))

        self.compiled = compiled

        def of_block(buckets: Buckets | None, variables: Any, raw: jax.Array, bucket: jax.Array | None) -> jax.Array:
            inputs = normalise(raw.reshape(-1, *input_shape), mean, std, jnp.float32)
            of_inputs = functools.partial(evaluate, variables)
            return of_inputs(inputs) if buckets is None else buckets.cut(of_inputs, inputs, bucket)

        @functools.cache
        def by_blocks(buckets: Buckets | None, gathers: bool) -> Any:
            assert shards is not None
            of_members = over_members(functools.partial(of_block, buckets), (0, None, None), members)
            return _by_blocks(of_members, mesh, shards, gathers)

        self.by_blocks = by_blocks

    def batch(self, examples: int) -> int:
        """Rows of a call for a split of so many examples: no more than those, so that a small one is not padded far."""
        across = self._mesh.shape[BATCH]
        if self._shards is None:
            return min(self._batch, -(-examples // across) * across)
        # Blocks are powers of two up to a dump's shard: processes begin at whole shards, and so at whole blocks.
        count = self._shards.count
        most, enough = max(self._batch // count, 1), -(-examples // count)
        return count * min(1 << most.bit_length() - 1, 1 << (enough - 1).bit_length(), SHARD_EXAMPLES)

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
        rows = [process_rows(len(x), p, processes) for p in range(processes)]
        most = max(r.stop - r.start for r in rows)
        local = self.batch(most * processes if self._shards is None else len(x)) // processes
        mine = rows[jax.process_index()]
        orders = [np.arange(r.start, r.stop) for r in rows]
        if buckets is not None:
            # Of blocks, each is of a dump's shard alone.
            units = [order // SHARD_EXAMPLES if self._shards else np.zeros_like(order) for order in orders]
            orders = [o[np.lexsort((buckets.bucket[o], unit))] for o, unit in zip(orders, units, strict=True)]
        parts: list[np.ndarray] = []
        under_way: jax.Array | None = None
        for start in range(0, most, local):
            # Past its last row a process repeats one: all must take part in every call.
            rows_by_process = [order[start : start + local] for order in orders]
            chosen = np.concatenate(
                [np.pad(o, (0, local - len(o)), constant_values=len(x) - 1) for o in rows_by_process]
            )
            logits = self._of_rows(variables, x, chosen, buckets)
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

    def _of_rows(
        self, variables: Any, x: jax.Array | np.ndarray, chosen: np.ndarray, buckets: Buckets | None
    ) -> jax.Array:
        """Logits of a call's rows, [P, rows, K]."""
        if isinstance(x, np.ndarray):
            inputs, on_devices = rows_on_devices(x, chosen, self._mesh), None
        else:
            inputs, on_devices = x, place(self._mesh, chosen.astype(np.int32), BATCH)
        if self._shards is None:
            length = None if buckets is None else buckets.lengths[buckets.bucket[chosen].max()]
            return self.compiled(length, gathers=on_devices is not None)(variables, inputs, on_devices)
        bucket = None
        if buckets is not None:
            longest = buckets.bucket[chosen].reshape(self._shards.count, -1).max(1)
            bucket = place(self._mesh, longest, BATCH)
        return self.by_blocks(buckets, on_devices is not None)(variables, inputs, on_devices, bucket)


def _by_blocks(of_members: Callable[..., jax.Array], mesh: Mesh, shards: Shards, gathers: bool) -> Any:
    """The jitted (variables, x, chosen, buckets) -> [P, rows, K]: a call's rows, in a block for each shard of a batch.

    Args:
      of_members: (variables, raw inputs, bucket) -> logits of a block, [P, n, K].
      gathers: whether a block's rows are `chosen` of all x; else x has the call's rows alone, and `chosen` is None.
    """

    def on_device(variables: Any, x: jax.Array, chosen: jax.Array | None, buckets: jax.Array | None) -> jax.Array:
        rows = x if chosen is None else chosen
        size = len(rows) // shards.on_device

        def logits(shard: jax.Array) -> jax.Array:
            number = shard % shards.on_device
            block = jax.lax.dynamic_slice_in_dim(rows, number * size, size)
            bucket = None if buckets is None else buckets[number]
            return apart(of_members(*apart((variables, x[block] if gathers else block, bucket))))

        return jnp.concatenate(shards.each(logits), axis=1)

    everywhere, rows = PartitionSpec(), PartitionSpec(BATCH)
    in_specs = (everywhere, everywhere if gathers else rows, rows, rows)
    out_specs = PartitionSpec(None, BATCH)
    mapped = jax.shard_map(on_device, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
    return jax.jit(mapped, out_shardings=NamedSharding(mesh, PartitionSpec(MEMBER, BATCH)))
