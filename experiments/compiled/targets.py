"""The devices that --for names, as the compilers describe them."""

import functools
import os
import re
from typing import TYPE_CHECKING, Any

from distill_jax.errors import InputError
from experiments.compiled.chips import CHIPS, Chip

if TYPE_CHECKING:
    from distill_jax.training.programs import Target

# libtpu then asks no cloud which machine this is, nor complains that it is none; and several processes may load it.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


_NEEDED = "pip install 'distill-jax[compile]', with all packages of one version of jax"


def prepare() -> None:
    """Makes this process one that looks for no accelerator; to be called before JAX is used."""
    import jax

    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")
    # It is the compiler that is asked, and how long it takes.
    jax.config.update("jax_enable_compilation_cache", False)


def parse(name: str) -> tuple[Chip, str]:
    """The chip and the slice of a name such as v5e:1, v5e:4x4, h100 or h100:8.

    Raises:
      InputError: there is no such chip, or no slice of such a shape.
    """
    kind, _, shape = name.partition(":")
    if kind not in CHIPS:
        raise InputError("--for", name, f"must be one of {', '.join(CHIPS)}, with a number or a slice as in v5e:2x2")
    chip, shape = CHIPS[kind], shape or "1"
    sides = len(chip.slice_of.split("x"))
    pattern = rf"1|\d+(x\d+){{{sides - 1}}}" if chip.platform == "tpu" else r"[1-8]"
    if not re.fullmatch(pattern, shape):
        slices = f"1 or a slice such as {chip.slice_of}" if chip.platform == "tpu" else "1 to 8, GPUs of a machine,"
        raise InputError("--for", name, f"must have {slices} after the colon")
    return chip, shape


@functools.cache
def target(name: str) -> "Target":
    """The devices of a name, for `Programs`.

    Raises:
      InputError: as `parse`; or the compiler is not installed, or does not know such a slice.
    """
    from jax.experimental import topologies

    from distill_jax.training.programs import Target

    chip, shape = parse(name)
    try:
        if chip.platform == "tpu":
            slice_shape = chip.slice_of if shape == "1" else shape
            devices: list[Any] = topologies.get_topology_desc(
                topology_name=f"{chip.name}:{slice_shape}", platform="tpu"
            ).devices
            devices = devices[:1] if shape == "1" else devices
        else:
            options = {"target_config": chip.target, "topology": f"1x1x{shape}"}
            devices = topologies.get_topology_desc(topology_name="", platform="cuda", **options).devices
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError("--for", name, f"the compiler does not do it ({reason}); needs: {_NEEDED}") from error
    return Target(devices, chip.platform, chip.memory)
