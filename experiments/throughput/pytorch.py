"""PyTorch's side of the benchmark, where it is installed and can use this device."""

from types import ModuleType

import jax


def find() -> tuple[ModuleType | None, str]:
    """The module `peer`; or None and what follows "without PyTorch" in a line on why."""
    if jax.default_backend() != "cpu" and jax.device_count() > 1:
        return None, f": it would use one device of the {jax.device_count()}"
    try:
        from experiments.throughput import peer
    except ImportError:
        return None, ", which is not installed: pip install 'distill-jax[bench]'"
    why = peer.comparable()
    return (peer, "") if why is None else (None, f": {why}")
