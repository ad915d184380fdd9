"""How XLA compiles in the tests."""

import functools
import mmap
import os
from importlib import util
from pathlib import Path

COMPILER, AS_FOR_USERS = "DISTILL_JAX_TEST_COMPILER", "as for users"  # as `test_canary` sets it: no flags of ours


def xla_flags(devices: int) -> str:
    """For so many virtual CPU devices, without the optimisations that programs of milliseconds do not need.

    Compiling takes a quarter of the time so, and was half of the tests' time.
    """
    flags = [f"--xla_force_host_platform_device_count={devices}"]
    if os.environ.get(COMPILER) != AS_FOR_USERS:
        flags += ["--xla_backend_optimization_level=0"]
        flags += ["--xla_cpu_use_fusion_emitters=false"] * _is_known("xla_cpu_use_fusion_emitters")
    return " ".join(flags)


@functools.cache
def _is_known(flag: str) -> bool:
    """Whether this jaxlib has a flag: XLA ends the process at one that it has not."""
    found = util.find_spec("jaxlib")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).with_name("libjax_common.so")
    if not library.exists():
        return False
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(flag.encode()) >= 0
