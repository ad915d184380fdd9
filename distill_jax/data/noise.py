"""Symmetric label noise."""

import numpy as np

from distill_jax.randomness import Stream, generator


def corrupt_labels(label: np.ndarray, share: float, num_classes: int, seed: int, repetition: int = 0) -> np.ndarray:
    """Replaces a share of the labels by another class, drawn uniformly.

    With the same seed, the labels that a smaller share replaces are replaced by a larger one too, and alike.

    >>> int(corrupt_labels(np.zeros(10, np.int32), 0.3, num_classes=2, seed=0).sum())
    3

    Args:
      label: int32 [N], in [0, num_classes).
      share: in [0, 1); exactly round(share * N) labels change.
      num_classes: at least 2.
      seed: 0 or more.
      repetition: 0 or more; each has a draw of its own.

    Returns:
      int32 [N], a new array.
    """
    rng = generator(seed, Stream.NOISE, repetition)
    order = rng.permutation(len(label))
    shift = rng.integers(1, num_classes, size=len(label), dtype=np.int32)
    replaced = order[: round(share * len(label))]
    noisy = label.copy()
    noisy[replaced] = (label[replaced] + shift[: len(replaced)]) % num_classes
    return noisy
