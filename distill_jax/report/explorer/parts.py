"""Arrays as text that a script can read: quantised, bytes of one place together, deflated, in base64."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

LEVELS = 4095  # of X and Y; the largest error is the range of a seed's values in a split over twice as many
MISSING = 65535  # in place of a value that is not finite
_NAMES = {"uint8": "u1", "uint16": "u2", "int64": "i8"}


def quantised(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values in [low, high] as uint16 in 0 to `LEVELS`.

    >>> quantised(np.array([-1.0, 0.0, 1.0, np.nan]), -1, 1).tolist()
    [0, 2048, 4095, 65535]
    """
    scaled = (np.asarray(values, np.float64) - low) * (LEVELS / (high - low))
    return np.where(np.isfinite(scaled), np.rint(np.nan_to_num(scaled)), MISSING).astype(np.uint16)


def packed(arrays: Mapping[str, np.ndarray], **values: Any) -> dict[str, Any]:
    """Arrays of uint8, uint16 or int64 as a JSON object.

    >>> packed({"id": np.arange(3)}, seed=0)["arrays"]
    [['id', 'i8', [3]]]

    Args:
      arrays: by name.
      values: that stand beside them.

    Returns:
      These values; `arrays`, a list of name, type and shape; and `bytes`: one deflated (zlib) stream of all arrays in
      this order, in base64, of each the lowest bytes of all its numbers, then the next, and so on.
    """
    layout = [[name, _NAMES[array.dtype.name], list(array.shape)] for name, array in arrays.items()]
    planes = [np.ascontiguousarray(a).view(np.uint8).reshape(-1, a.dtype.itemsize).T.tobytes() for a in arrays.values()]
    return {**values, "arrays": layout, "bytes": deflated(b"".join(planes))}


def deflated(data: bytes) -> str:
    """Bytes deflated (zlib), in base64.

    >>> zlib.decompress(base64.b64decode(deflated(b"text")))
    b'text'
    """
    return base64.b64encode(zlib.compress(data, 9)).decode()
