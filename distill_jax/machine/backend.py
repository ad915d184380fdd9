"""Measured defaults for each backend and kind of network."""

import dataclasses
import math
import os
from typing import Literal

import jax

from distill_jax.errors import InputError
from distill_jax.limits import host_memory
from distill_jax.machine.placement import largest_divisor

_OPTIONS = {  # of JAX, those that would give a setting other numbers, or let it train no more
    "jax_threefry_partitionable": True,
    "jax_default_prng_impl": "threefry2x32",
    "jax_random_seed_offset": 0,
    "jax_enable_x64": False,
    "jax_disable_jit": False,
}
PackingKind = Literal["none", "small", "all"]  # see `training.packing`
_EVALUATED_SIDE = 64  # pixels, up to which the numbers of images evaluated at once were chosen
_MOST_CPU_DEVICES = 8  # measured with 2; more than this would share a batch of 128 into small pieces


@dataclasses.dataclass(frozen=True)
class Defaults:
    """How to run a network on a backend.

    Attributes:
      population: most members in one program.
      steps_per_dispatch: training steps in one call; a request to stop waits for the call under way and the next.
      evaluation_batch: examples in one evaluation call, over all members and devices; see `examples_at_once`.
      seeds_in_turn: whether a device trains its seeds one after another within a call, and not all at once.
      in_turn_from: positions of a batch's images in the first layers (`models.first_positions`) from which on a device
        trains seeds, and the students of each within a step, one after another and not mapped.
      batch_is_shared: whether devices of a process that are left over share a member's batch, see `placement`.
      teacher_is_shared: whether devices that have students of one seed share their teacher's work, and tell each other
        its logits in each step.
      packed: which arrays of a model's state are one within a call, see `packing`.
    """

    population: int
    steps_per_dispatch: int
    evaluation_batch: int
    seeds_in_turn: bool = False
    in_turn_from: float = math.inf
    batch_is_shared: bool = True
    teacher_is_shared: bool = False
    packed: PackingKind = "none"

    def examples_at_once(self, input_shape: tuple[int, ...], members: int = 1) -> int:
        """Examples of each member in one evaluation call; of images of more than 64x64 pixels as many fewer.

        >>> network = Defaults(population=4, steps_per_dispatch=20, evaluation_batch=4096)
        >>> [network.examples_at_once((side, side, 3), members=2) for side in (32, 64, 224)]
        [2048, 2048, 167]
        """
        pixels = math.prod(input_shape[:2]) if len(input_shape) == 3 else 0
        return max(self.evaluation_batch * _EVALUATED_SIDE**2 // (max(pixels, _EVALUATED_SIDE**2) * members), 1)


def defaults(kind: Literal["convolutional", "text", "dense"], platform: str | None = None) -> Defaults:
    """The defaults for a backend: on CPUs measured (docs/optimisation-log.md), elsewhere not yet.

    Args:
      kind: of network: with convolutions, for texts, or another, which is small.
      platform: of the devices [default: this process's].
    """
    platform = platform or jax.default_backend()
    if platform == "cpu":
        if kind == "text":
            # Between calls of one step the embeddings, most of a small RoBERTa, are moved; members gain nothing.
            return Defaults(population=1, steps_per_dispatch=10, evaluation_batch=512)
        if kind == "convolutional":
            # Mapped over members a convolution becomes a grouped one, which XLA's CPU backend runs slowly, and
            # its gradient inside a loop is slower still: one model at a time, one step a call.
            return Defaults(population=1, steps_per_dispatch=1, evaluation_batch=512)
        # In turn, since the state of a few small networks stays in the cache and that of all does not. A batch is not
        # shared: the devices would wait for each other longer than one of them takes for it.
        return Defaults(
            population=32, steps_per_dispatch=50, evaluation_batch=65536, seeds_in_turn=True, batch_is_shared=False
        )
    # A TPU draws the update of a kernel into the product that gives its gradient, a GPU has a call of cuDNN there.
    packed: PackingKind = "small" if platform == "tpu" else "all"
    if kind != "dense":
        # Mapped over members a GPU's convolutions are grouped ones, around which activations are transposed; in turn
        # each member has kernels, and so launches, of its own. By the compilers (docs/optimisation-log.md) the former
        # costs more from here on, on TPUs too; of texts it never does.
        in_turn_from = math.inf if kind == "text" else 2**20 if platform == "tpu" else 2**19
        # Chosen to fit: ResNet-56 at batch 1024 keeps up to 7 GB for each mapped member's gradient.
        # A GPU takes a launch for each array that a call unpacks: of 20 steps of a ResNet-20 at batch 128 that is 3.7%.
        steps = 20 if platform == "tpu" else 50
        return Defaults(
            population=4,
            steps_per_dispatch=steps,
            evaluation_batch=4096,
            in_turn_from=in_turn_from,
            teacher_is_shared=True,
            packed=packed,
        )
    return Defaults(population=64, steps_per_dispatch=100, evaluation_batch=65536, packed=packed)


def cores() -> int:
    """This process's CPU cores, or the machine's where the system does not say which are its own (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(batch_size: int) -> None:
    """Makes this machine's cores so many CPU devices, unless JAX was told how many there are.

    A population then has a thread for each of its members on a core, and a large model alone shares its batch among
    them, where one device would leave all but products and convolutions to one core. To be called before JAX is used.

    Args:
      batch_size: divided evenly by the number of devices, which is made smaller for it.
    """
    devices_option: int = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    if devices_option < 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", largest_divisor(batch_size, min(cores(), _MOST_CPU_DEVICES)))


def check_options() -> None:
    """Checks JAX's own options, which a notebook may have set: with others the same setting has other numbers.

    Raises:
      InputError: one is not as a study needs it.
    """
    for name, required in _OPTIONS.items():
        if (value := getattr(jax.config, name, required)) != required:
            raise InputError(
                f"jax.config.{name}", value, f"must be {required}, since a study's numbers are its setting's"
            )


def memory_limit(gib: float | None = None) -> float:
    """Bytes of a device's memory that programs may take.

    Args:
      gib: what the user allows, in GiB [default: what the device reports; of a CPU the machine's memory, shared by
        its virtual devices].
    """
    if gib is not None:
        return gib * 2**30
    reported = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if reported:
        return reported
    if jax.default_backend() != "cpu":
        return float("inf")
    return host_memory() / jax.local_device_count()
