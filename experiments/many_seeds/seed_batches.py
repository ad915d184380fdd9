"""Seeds by the hundred through compiled programs, in portions of one shape that the devices share."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from distill_jax.machine.placement import SEED, make_mesh, over_devices
from distill_jax.training.population import over_members


class SeedBatches:
    """Seeds in portions, in order; iterating gives each as (its numbers int32 [size], how many of them count).

    The last portion is filled up with its last seed, so that there is one shape to compile.

    Attributes:
      size: seeds of a portion on all devices together.
      mesh: of the devices, over which a portion is spread.
    """

    def __init__(self, seeds: range, most: int):
        """Batches of at most `most` seeds on each device."""
        devices = jax.local_device_count()
        self._seeds = seeds
        self.size = devices * min(most, -(-len(seeds) // devices))
        self.mesh = make_mesh(self.size, 1)

    def program(self, one: Callable[..., Any], arguments: int) -> Callable[..., Any]:
        """A function of one seed, compiled for a portion: arguments and results have a leading axis of seeds.

        A device takes its seeds one after another in a loop, so that no more than one is in its cache.
        """
        on_each = self.size // self.mesh.size
        batch_function = over_members(one, (0,) * arguments, on_each, in_turn=True)
        return jax.jit(over_devices(batch_function, self.mesh, (SEED,) * arguments, SEED))

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        for start in range(0, len(self._seeds), self.size):
            portion = self._seeds[start : start + self.size]
            yield np.array([*portion, *[portion[-1]] * (self.size - len(portion))], np.int32), len(portion)
