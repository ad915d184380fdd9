"""Ranks of numbers, without the second that importing scipy.stats takes."""

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 along the last axis, of equal values the mean of theirs, as scipy.stats.rankdata gives them.

    >>> average_ranks(np.array([30.0, 10.0, 20.0, 20.0])).tolist()
    [4.0, 1.0, 2.5, 2.5]

    Args:
      values: [..., K], finite.

    Returns:
      float64 [..., K].
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    positions, changes = np.arange(values.shape[-1]), ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones_like(changes[..., :1], shape=(*values.shape[:-1], 1))
    first = np.where(np.concatenate([edge, changes], axis=-1), positions, 0)
    last = np.where(np.concatenate([changes, edge], axis=-1), positions, values.shape[-1])
    start = np.maximum.accumulate(first, axis=-1)
    end = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (start + end) / 2 + 1, axis=-1)
    return ranks
