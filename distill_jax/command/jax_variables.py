"""Variables by which a shell sets JAX's options, and which a command takes from none: numbers are the setting's alone.

With some of them the same command has other numbers, with others it does not run. Read before JAX is imported.
"""

import contextlib
import os
import sys

NOT_TAKEN = (
    "JAX_THREEFRY_PARTITIONABLE",
    "JAX_DEFAULT_PRNG_IMPL",
    "JAX_RANDOM_SEED_OFFSET",
    "JAX_ENABLE_X64",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_NUMPY_DTYPE_PROMOTION",
    "JAX_NUMPY_RANK_PROMOTION",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_JIT",
    "JAX_DEBUG_NANS",
    "JAX_DEBUG_INFS",
    "JAX_TRANSFER_GUARD",
)
_DEVICES = "JAX_NUM_CPU_DEVICES"


def drop() -> None:
    """Removes them from the environment, and says which were there."""
    no_number = () if os.environ.get(_DEVICES, "0").isdigit() else (_DEVICES,)  # at which JAX's import would fail
    for name in (*NOT_TAKEN, *no_number):
        if (value := os.environ.pop(name, None)) is not None and sys.stderr is not None:
            with contextlib.suppress(OSError):
                print(f"{name}={value!a} is not taken from the environment", file=sys.stderr)
