"""Passes over arrays that may be too large to convert at once."""

from collections.abc import Iterator

import numpy as np

_CHUNK = 2**18  # elements: 2 MiB as float64, which stays in the processor's cache


def chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive parts of x [N, ...] along its first axis.

    >>> [len(part) for part in chunks(np.zeros((5, 2**17)))]
    [2, 2, 1]
    """
    rows = max(1, _CHUNK // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]


def filled_batches(x: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Batches of one size, each with its first row's number; the last is filled up with the last row.

    >>> [(start, batch.tolist()) for start, batch in filled_batches(np.arange(3), 2)]
    [(0, [0, 1]), (2, [2, 2])]
    """
    for start in range(0, len(x), size):
        batch = np.asarray(x[start : start + size])
        yield start, np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def margin(side: int) -> int:
    """Pixels by which images of so many a side are cropped at most (He et al. 2015, section 4.2: 4 for 32).

    >>> margin(32), margin(28)
    (4, 3)
    """
    return side // 8


def mean_and_std(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation over all axes but the last.

    >>> [array.tolist() for array in mean_and_std(np.array([[0, 5], [4, 5]], np.uint8))]
    [[2.0, 5.0], [2.0, 1.0]]

    Args:
      x: [N, ..., C] of any real dtype, N >= 1.

    Returns:
      float32 [C] each. A standard deviation of 0, or too small beside the mean for float32, is given as 1.
    """

    def average(center: np.ndarray | None) -> np.ndarray:
        """Of x, or of its squared distance from a center."""
        # Examples are summed whole, since that runs along memory, and only then their positions.
        total = np.zeros(x.shape[1:])
        for chunk in chunks(x):
            values = chunk.astype(np.float64)
            if center is not None:
                values -= center
                values *= values
            total += values.sum(axis=0)
        return (total / len(x)).reshape(-1, x.shape[-1]).mean(axis=0)

    mean = average(None)
    std = np.sqrt(average(np.broadcast_to(mean, x.shape[1:]).copy()))
    std[std <= np.finfo(np.float32).eps * np.abs(mean)] = 1
    return mean.astype(np.float32), std.astype(np.float32)


def block_mean(x: np.ndarray, size: int) -> np.ndarray:
    """Images averaged over square blocks.

    >>> block_mean(np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1), 2)[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]

    Args:
      x: uint8 or float32 [N, S, S, C].
      size: pixels a side of the result; divides S.

    Returns:
      [N, size, size, C] of x's dtype; uint8 is rounded to nearest.
    """
    block = x.shape[1] // size
    result = np.empty((len(x), size, size, x.shape[3]), x.dtype)
    done = 0
    for chunk in chunks(x):
        blocks = chunk.reshape(len(chunk), size, block, size, block, -1)
        mean = blocks.mean(axis=(2, 4), dtype=np.float32)
        result[done : done + len(chunk)] = np.rint(mean) if x.dtype == np.uint8 else mean
        done += len(chunk)
    return result
