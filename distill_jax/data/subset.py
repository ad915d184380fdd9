"""Choice of a subset of the examples."""

import numpy as np

from distill_jax.randomness import Stream, generator


def stratified(label: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws examples, the same number of each class as nearly as can be.

    A class that has too few gives all it has. What is left over by division goes to the lowest classes. With
    the same seed a smaller draw is part of a larger one.

    >>> np.bincount(labels).tolist(), np.bincount(labels[stratified(labels, 6, seed=0)]).tolist()
    ([10, 10, 10, 10], [2, 2, 1, 1])

    Args:
      label: int [N].
      count: at most N.
      seed: 0 or more.

    Returns:
      int64 [count], ascending positions.
    """
    order = generator(seed, Stream.SUBSET).permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    grouped = label[order]
    turn = np.arange(len(order)) - np.searchsorted(grouped, grouped)  # place in the class's own shuffled queue
    return np.sort(order[np.lexsort((grouped, turn))[:count]])
