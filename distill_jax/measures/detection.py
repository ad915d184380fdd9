"""Detection of marked examples by a score: of mislabelled ones by what a student underfits."""

import numpy as np

from distill_jax.measures.ranks import average_ranks


def roc(score: np.ndarray, marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve of a score that should be high where an example is marked.

    >>> [share.tolist() for share in roc(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))]
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0]]

    Args:
      score: float [N].
      marked: bool [N], some and not all.

    Returns:
      Shares of the unmarked and of the marked examples above each threshold, float64 [M] each, both from 0 to 1.

    Raises:
      ValueError: none or all are marked.
    """
    _require_both(marked)
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)  # equal scores are passed together
    false, true = (np.cumsum(kind[order])[ends] / kind.sum() for kind in (~marked, marked))
    return np.append(0.0, false), np.append(0.0, true)


def auc(score: np.ndarray, marked: np.ndarray) -> float:
    """The area under `roc`: the chance that a marked example scores higher than an unmarked one, ties counting half.

    >>> auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.875

    Raises:
      ValueError: none or all are marked.
    """
    _require_both(marked)
    ones = int(marked.sum())
    above = average_ranks(score)[marked].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(marked) - ones)))


def _require_both(marked: np.ndarray) -> None:
    if marked.all() or not marked.any():
        raise ValueError(f"{int(marked.sum())} of {len(marked)} examples are marked; some and not all must be")
