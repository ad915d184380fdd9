"""Known wrong results of XLA's compilers, and the flag that keeps clear of those on CPUs.

`distill_jax` and `theory` call `avoid` when they are imported, which is before they use JAX. It stands beside them,
since `theory` imports nothing of `distill_jax`.

jaxlib 0.10.2, the newest for Python 3.11, computes some rows of `jit(vmap(lambda x: sum((M @ x) ** 2)))` wrongly from
32,769 rows of float32 or 16,385 of float64 on (https://github.com/jax-ml/jax/issues/39103): reductions that it hands to
the library YNNPACK are at fault. Greatest and least values that this library finds leave out NaN, in later versions
too. With the flag products and convolutions alone are handed over, as before.

On GPUs it has some concatenations of concatenations wrong, which is said, since no flag is known that helps.
"""

import os
from importlib import metadata

FAULTY = ("0.10.2",)
"""Versions of jaxlib with the fault; `wrong_rows` finds none in 0.10.1, 0.11.0, 0.11.1, 0.11.2 and 0.12.0.1."""
NAN_LOST = (*FAULTY, "0.11.0", "0.11.1", "0.11.2", "0.12.0.1")
"""Versions of jaxlib in which max and min leave out NaN, see `loses_nan`; the newest tried is the last."""
FAULTY_ON_GPUS = ("0.10.2", "0.11.0")
"""Versions with https://github.com/jax-ml/jax/issues/40588, by its reports; mended in 0.11.1, for Python 3.12."""
OPTION = "--xla_cpu_experimental_ynn_fusion_type"
FLAG = f"{OPTION}=individual_dot,individual_convolution"
ISSUE = "jax-ml/jax#39103"


def avoid() -> None:
    """Adds the flag to XLA_FLAGS where this jaxlib needs it, unless the user has set that option in any way.

    XLA reads XLA_FLAGS when JAX opens its backend, at the first computation: to be called before. What does not begin
    with "--" is to XLA the name of a file of flags, to which none can be added here.
    """
    if metadata.version("jaxlib") in NAN_LOST:
        add(FLAG)


def add(flag: str) -> None:
    """Adds --OPTION=VALUE to XLA_FLAGS, unless that option is there, or flags are in a file; when, see `avoid`."""
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if flag.partition("=")[0] not in flags and not _names_a_file(flags):
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()


def _names_a_file(flags: str) -> bool:
    return flags != "" and not flags.startswith("--")


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


def loses_nan() -> bool:
    """Whether the greatest value of numbers with a NaN among them is one of the others; False on other devices."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    if jax.default_backend() != "cpu":
        return False
    rows = np.array([[0.0, np.nan, 1.0, 2.0]] * 40_000, np.float32)
    return not np.isnan(jax.jit(lambda x: jnp.max(x, -1))(rows)).all()


def warning() -> str | None:
    """One line where this process computes with a fault: a GPU's, or since JAX was in use too early or flags leave it.

    None where it does not, which other versions than those listed are trusted for.
    """
    import jax

    version = metadata.version("jaxlib")
    if version in FAULTY_ON_GPUS and jax.default_backend() == "gpu":
        return (
            f"jaxlib {version} computes some concatenations wrongly on GPUs (jax-ml/jax#40588); 0.11.1 and later, for "
            "Python 3.12, do not"
        )
    if version in FAULTY and wrong_rows():
        what = f"computes some sums wrongly on CPUs ({ISSUE})"
    elif version in NAN_LOST and loses_nan():
        what = "leaves NaN out of greatest and least values on CPUs"
    else:
        return None
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if OPTION in flags.replace(FLAG, ""):
        why = f"XLA_FLAGS sets {OPTION} otherwise"
    elif _names_a_file(flags):
        why = f"XLA_FLAGS names the file {flags}, which does not set {OPTION}"
    else:
        why = "JAX was in use before distill_jax was imported"
    return (
        f"jaxlib {version} {what} and {why}; import distill_jax first, with {FLAG} in XLA_FLAGS or without that option"
    )
