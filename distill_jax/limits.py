"""The largest sizes that are taken: above them is a slip, or more than the machine has, said before any work."""

import os
from pathlib import Path

from distill_jax.errors import InputError

LAYERS = 2000
UNITS = 2**20  # of a layer, channels or features
WORDS = 2**24  # of a vocabulary
TOKENS = 2**16  # of a text
STEPS = 2**24  # of a training; weights and rates are tables of as many
SEEDS = 2**16

# Where Linux says a control group's limit in bytes, in its second version and its first.
_CONTAINER_S = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def host_memory() -> float:
    """Bytes of memory that this process may have: the machine's, or its container's where that has less."""
    memory = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _CONTAINER_S:
        try:
            memory = min(memory, float(Path(path).read_text()))
        except (OSError, ValueError):  # another system's, or "max"
            continue
    return memory


def check_fits(field: str, value: object, what: str, size: float) -> None:
    """Checks that so many bytes fit into this machine's memory.

    >>> check_fits("data.data_dir", "work", "2^70 pixels", 2.0**70)
    Traceback (most recent call last):
    distill_jax.errors.InputError: data.data_dir work: 2^70 pixels need 1.1e+12 GiB...

    Args:
      field, value: of what was asked for, for the message.
      what: needs them, in the plural.

    Raises:
      InputError: they do not.
    """
    if size > (memory := host_memory()):
        fault = f"{what} need {size / 2**30:.3g} GiB; must fit into this machine's {memory / 2**30:.3g}"
        raise InputError(field, value, fault)
