"""Known wrong results of XLA's CPU compiler, and the flag that keeps clear of them.

`distill_jax` and `theory` call `avoid` when they are imported, which is before they use JAX. It stands beside them,
since `theory` imports nothing of `distill_jax`.

jaxlib 0.10.2, the newest for Python 3.11, computes some rows of `jit(vmap(lambda x: sum((M @ x) ** 2)))` wrongly from
32,769 rows of float32 or 16,385 of float64 on (https://github.com/jax-ml/jax/issues/39103): reductions that it hands to
the library YNNPACK are at fault. With the flag products and convolutions alone are handed over, as before.
"""

import os
from importlib import metadata

FAULTY = ("0.10.2",)
"""Versions of jaxlib with the fault; `wrong_rows` finds none in 0.10.1, 0.11.0, 0.11.1, 0.11.2 and 0.12.0.1."""
OPTION = "--xla_cpu_experimental_ynn_fusion_type"
FLAG = f"{OPTION}=individual_dot,individual_convolution"
ISSUE = "jax-ml/jax#39103"


def avoid() -> None:
    """Adds the flag to XLA_FLAGS where this jaxlib needs it, unless the user has set that option in any way.

    XLA reads XLA_FLAGS when JAX opens its backend, at the first computation: to be called before.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if metadata.version("jaxlib") in FAULTY and OPTION not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}".strip()


def wrong_rows() -> int:
    """How many rows of the pattern, in two sizes, this process's compiler gets wrong: 0 where it is sound.

    0 on other devices than CPUs too.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    if jax.default_backend() != "cpu":
        return 0
    matrix = np.asarray([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.5, 0.0, 1.0]], np.float32)
    pattern = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))
    wrong = 0
    for rows in (32_769, 40_000):
        x = np.linspace(0.0, 1.0, 3 * rows, dtype=np.float32).reshape(rows, 3)
        right = ((x.astype(np.float64) @ matrix.T) ** 2).sum(1)
        wrong += int((np.abs(np.asarray(pattern(x)) - right) > 1e-3 * right.max()).sum())
    return wrong


def warning() -> str | None:
    """One line where this process computes with the fault, since JAX was in use too early or the user's flags leave it.

    None where it does not, which other versions than those listed are trusted for.
    """
    if metadata.version("jaxlib") not in FAULTY or not wrong_rows():
        return None
    others = OPTION in os.environ.get("XLA_FLAGS", "").replace(FLAG, "")
    why = f"XLA_FLAGS sets {OPTION} otherwise" if others else "JAX was in use before distill_jax was imported"
    return (
        f"jaxlib {metadata.version('jaxlib')} computes some sums wrongly on CPUs ({ISSUE}) and {why}; "
        f"import distill_jax first, with {FLAG} in XLA_FLAGS or without that option"
    )
