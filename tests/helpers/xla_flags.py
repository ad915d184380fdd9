"""How XLA compiles in the tests."""

import os
from importlib import metadata

COMPILER, AS_FOR_USERS = "DISTILL_JAX_TEST_COMPILER", "as for users"  # as `test_canary` sets it: no flags of ours


def xla_flags(devices: int) -> str:
    """For so many virtual CPU devices, without the optimisations that programs of milliseconds do not need.

    Compiling takes a quarter of the time so, and was half of the tests' time.
    """
    flags = [f"--xla_force_host_platform_device_count={devices}"]
    if os.environ.get(COMPILER) != AS_FOR_USERS:
        flags.append("--xla_backend_optimization_level=0")
        if metadata.version("jaxlib").startswith("0.10."):  # later ones end the process at a flag that they have not
            flags.append("--xla_cpu_use_fusion_emitters=false")
    return " ".join(flags)
