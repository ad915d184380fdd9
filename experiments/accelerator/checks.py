"""Does it compute the same? The checks of one process on a device, each with what it has found in numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distill_jax.models.attention import attend
from experiments.accelerator.losses import POPULATION, apart, losses, reference
from experiments.accelerator.networks import NETWORKS, PRECISIONS

# Greatest relative difference of the first loss, which no gradient has touched, and of one in 20 steps. Deep networks
# turn a last bit of their inputs into a percent of a loss within these (BUILD_NOTES.md, "The first minutes on an
# accelerator"), so that of them the first says most.
FIRST_LOSS = {"float32": 1e-5, "bfloat16": 1e-2}
TOLERANCE = {"float32": 1e-3, "bfloat16": 1e-2}
_UNSTEADY = dict.fromkeys(("resnet-bottleneck", "resnet-keras"), 1e-2)
_UNSTEADY |= dict.fromkeys(("resnet18", "resnet50", "mobilenet-v2", "roberta"), 5e-2) | {"resnet50-v1": 1e-1}
# The least and the most by which bfloat16 moves the losses: none at all would mean that it was not used.
_ROUNDED = (1e-7, 1e-1)
_SHARDS = 4  # of a batch, which are to give the same losses to the bit on any number of devices
_ATTENTION = 2e-2  # of the greatest value: bfloat16 has 8 bits
FIRST = ("resnet-basic", "mlp", "roberta", "mobilenet-v2")
REHEARSED = ("mlp", "resnet-basic")

Piece = dict[str, Any]


def checks(rehearsal: bool) -> Iterator[tuple[str, Callable[[], Piece]]]:
    """By name, the dearest last."""
    networks = REHEARSED if rehearsal else (*FIRST, *(name for name in NETWORKS if name not in FIRST))
    cache: dict[tuple[str, str], np.ndarray] = {}

    def measured_losses(network: str, precision: str) -> np.ndarray:
        if (network, precision) not in cache:
            cache[network, precision] = losses(network, precision)
        return cache[network, precision]

    def as_reference(network: str, precision: str) -> Piece:
        measured, expected = measured_losses(network, precision)[0], reference(network, precision)
        first, most = apart(measured[:1], expected[:1]), FIRST_LOSS[precision]
        piece = _within(apart(measured, expected), tolerance(network, precision))
        passed = piece["passed"] and first <= most
        return piece | {"passed": passed, "first_differs": first, "first_at_most": most, "losses": measured.tolist()}

    def rounded(network: str) -> Piece:
        difference = apart(*(measured_losses(network, precision)[0] for precision in reversed(PRECISIONS)))
        least, most = _ROUNDED
        return {"passed": least < difference < most, "difference": difference, "between": [least, most]}

    def devices(network: str) -> Piece:
        if jax.device_count() == 1:
            return _not_here("there is one device")
        on_one_device = losses(network, "float32", one_device=True)
        return _within(apart(measured_losses(network, "float32"), on_one_device), tolerance(network, "float32")) | {
            "devices": jax.device_count()
        }

    def in_shards(network: str) -> Piece:
        if jax.device_count() == 1:
            return _not_here("there is one device")
        on_all, on_one = (losses(network, "float32", one_device=one, shards=_SHARDS) for one in (False, True))
        return _within(apart(on_all, on_one), 0.0) | {"devices": min(jax.device_count(), _SHARDS)}

    def population(network: str, precision: str) -> Piece:
        together = losses(network, precision, POPULATION)
        alone = np.concatenate([losses(network, precision, (member,)) for member in POPULATION])
        return _within(apart(together, alone), tolerance(network, precision)) | {"members": len(POPULATION)}

    for network in networks:
        for precision in PRECISIONS:
            yield f"losses/{network}/{precision}", lambda n=network, p=precision: as_reference(n, p)
        yield f"bfloat16 beside float32/{network}", lambda n=network: rounded(n)
        if network == networks[0]:
            yield "attention/cudnn", attention
            yield "attention/cudnn of a population", lambda: attention(members=3)
        if network in networks[: 1 if rehearsal else 2]:
            yield f"one device and all/{network}", lambda n=network: devices(n)
            yield f"one device and all, in shards/{network}", lambda n=network: in_shards(n)
            yield f"population and alone/{network}", lambda n=network: population(n, "float32")


def tolerance(network: str, precision: str) -> float:
    """By how much a loss in 20 steps may differ."""
    return max(TOLERANCE[precision], _UNSTEADY.get(network, 0.0))


def attention(members: int | None = None) -> Piece:
    """cuDNN's attention beside XLA's in bfloat16: what it gives, and its gradient; also of several models at once."""
    if jax.default_backend() not in ("gpu", "cuda"):
        return _not_here("cuDNN is NVIDIA's")
    query, key, value, drawn = (
        jax.random.normal(jax.random.key(seed), (8, 128, 8, 64), jnp.bfloat16) for seed in range(4)
    )
    length = jnp.arange(16, 144, 16, dtype=jnp.int32)

    def output_and_gradients(implementation: Any) -> tuple[jax.Array, ...]:
        def weighed(*of: jax.Array) -> tuple[jax.Array, jax.Array]:
            output = attend(*of, length, implementation=implementation)
            return jnp.sum(output.astype(jnp.float32) * drawn), output

        differentiated = jax.grad(weighed, argnums=(0, 1, 2), has_aux=True)
        if members is not None:  # whose queries differ, while keys and lengths are the same
            differentiated = jax.vmap(differentiated, (0, None, None))
        queries = query if members is None else jnp.stack([query * n for n in range(1, members + 1)])
        gradients, output = jax.jit(differentiated)(queries, key, value)
        return output, *gradients

    pairs = zip(output_and_gradients("cudnn"), output_and_gradients("xla"), strict=True)
    scaled = [jnp.max(jnp.abs(a - b).astype(jnp.float32)) / jnp.max(jnp.abs(b).astype(jnp.float32)) for a, b in pairs]
    return _within(max(map(float, scaled)), _ATTENTION)


def _within(difference: float, most: float) -> Piece:
    return {"passed": bool(difference <= most), "difference": difference, "at_most": most}


def _not_here(why: str) -> Piece:
    return {"passed": None, "why": why}
