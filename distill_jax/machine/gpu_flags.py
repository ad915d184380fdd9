"""XLA's options for GPUs without which a run that goes on is not the same to the bit.

A gradient of an embedding is a sum over tokens, which a GPU adds up in whatever order they arrive, unless it is told to
sort them first; some of cuDNN's algorithms do likewise. An H100's RoBERTa of two layers takes by its compiler at least
0.46 ms a step with the option, 0.41 without, a ResNet-20 0.63 and 0.62 (docs/optimisation-log.md).
"""

import importlib.util
from pathlib import Path

import compiler_faults

DETERMINISTIC = "--xla_gpu_exclude_nondeterministic_ops"
# Each process alone chooses kernels by timing them. Shared among processes the one waits for the others' timings, who
# may have the program from their cache and compile nothing.
EACH_ALONE = "--xla_gpu_shard_autotuning"


def add(option: str, value: str) -> None:
    """Adds an option to XLA_FLAGS where JAX has a plugin for GPUs, as `compiler_faults.add` does."""
    if _has_plugin():
        compiler_faults.add(f"{option}={value}")


def _has_plugin() -> bool:
    """Whether a plugin for GPUs is installed: elsewhere the option does nothing, and a later XLA may not know it."""
    spec = importlib.util.find_spec("jax_plugins")
    folders = [] if spec is None else spec.submodule_search_locations or []
    return any(True for folder in folders for _ in Path(folder).glob("xla_cuda*"))
