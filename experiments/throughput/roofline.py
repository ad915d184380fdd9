"""The device's limits, measured: a large copy for its bandwidth, a large matrix product for its arithmetic.

A program of I = FLOPs / bytes cannot be faster than min(peak, I x bandwidth) (Williams, Waterman and Patterson 2009,
"Roofline: an insightful visual performance model for multicore architectures").
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


@dataclasses.dataclass(frozen=True)
class Roofs:
    """The two limits of this machine's devices.

    Attributes:
      bandwidth: bytes/s read and written.
      peak: FLOP/s by dtype; float32 is true float32, without TF32, as in our networks.
    """

    bandwidth: float
    peak: dict[str, float]

    def attainable(self, dtype: str, flops: float, accessed: float) -> float:
        """FLOP/s that a program of so many FLOPs and bytes could reach."""
        return min(self.peak[dtype], flops / accessed * self.bandwidth)


def measure_roofs(dtypes: Sequence[str], repeats: int = 5) -> Roofs:
    """Both limits of all devices together; the best of several tries, since a limit is what is sought."""
    cpu = jax.default_backend() == "cpu"
    devices = jax.device_count()
    mesh = jax.make_mesh((devices,), ("device",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("device"))
    words = 2**25 if cpu else devices * 2**28
    # One addition an element, since XLA's CPU backend copies on one thread but adds on all; in place, since memory that
    # is new costs an operating system's work, which on a CPU is most of the time.
    added = _fastest(
        jax.jit(lambda a: a + 1, donate_argnums=0), jax.device_put(jnp.zeros(words, jnp.float32), sharding), repeats
    )
    side = 2048 if cpu else 8192  # by which products are divided, so that ones remain ones
    peak = {}
    for dtype in dtypes:
        precision = jax.lax.Precision.HIGHEST if dtype == "float32" else None
        product = jax.jit(lambda a, precision=precision: jnp.matmul(a, a, precision=precision) / side)
        factor = jax.device_put(jnp.ones((devices, side, side), dtype), sharding)
        peak[dtype] = devices * 2 * side**3 / _fastest(product, factor, repeats)
    return Roofs(2 * 4 * words / added, peak)


def _fastest(f: Callable[[Any], Any], x: Any, repeats: int) -> float:
    """Seconds of the fastest call, each given what the one before gave."""
    x = jax.block_until_ready(f(x))
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        x = jax.block_until_ready(f(x))
        seconds.append(time.perf_counter() - started)
    return min(seconds)
