"""One dump as a value, from whatever made it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from distill_jax.errors import InputError, one_line

_SAMPLE_ROWS = 100  # rows, to tell probabilities from logits
_SUM_TOLERANCE = 0.05  # by how much the sum of probabilities may miss 1: of bfloat16, or of few digits


@dataclasses.dataclass(frozen=True)
class Dump:
    """One model's outputs on one split, from whatever made them: arrays of NumPy, JAX or PyTorch, or lists.

    Attributes:
      logits: float32 or float64 [N, K], K >= 2; what else is given becomes float32.
      label: int32 [N], as training saw them, in [0, K); integers [N] or [N, 1] may be given.
      true_label: int32 [N], before noise; likewise.
      id: int64 [N]; likewise.
      attributes: model, seed, step, split, num_classes, setting; all may be absent.

    Raises:
      InputError: an array has another shape, is not of numbers of its kind, or `logits` are probabilities.

    Example:
      >>> Dump([[2.0, -1.0], [0.5, 0.0]], label=[0, 1], true_label=[0, 1], id=[7, 8], attributes={}).logits.shape
      (2, 2)
    """

    logits: np.ndarray
    label: np.ndarray
    true_label: np.ndarray
    id: np.ndarray
    attributes: dict[str, Any]

    @classmethod
    def of(
        cls,
        logits: Any,
        label: Any,
        *,
        model: str,
        split: str = "test",
        seed: int = 0,
        step: int = 0,
        true_label: Any = None,
        id: Any = None,
    ) -> "Dump":
        """A dump of logits of one's own.

        Args:
          logits, label: as above.
          model: what to call it; figures tell students apart by it.
          split: 'train' or 'test'.
          seed, step: whole numbers.
          true_label: None for `label`.
          id: None numbers the examples.

        Example:
          >>> Dump.of([[2.0, -1.0], [0.5, 0.0]], [0, 1], model="mine").attributes["split"]
          'test'
        """
        if split not in ("train", "test"):
            raise InputError("split", repr(split), "must be train or test")
        true_label = label if true_label is None else true_label
        number = np.arange(len(as_array("label", label))) if id is None else id
        return cls(logits, label, true_label, number, {"model": model, "split": split, "seed": seed, "step": step})

    def __post_init__(self) -> None:
        if not isinstance(self.attributes, Mapping):
            raise InputError("attributes", repr(self.attributes), "must be a dictionary, which may be empty")
        logits = as_array("logits", self.logits)
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise InputError("logits", None, f"have the shape {logits.shape}; must be [N, K], of 2 classes or more")
        if not (np.issubdtype(logits.dtype, np.number) or logits.dtype.name == "bfloat16") or np.iscomplexobj(logits):
            raise InputError("logits", None, f"are {logits.dtype}; must be numbers")
        if logits.dtype not in (np.float32, np.float64):
            logits = logits.astype(np.float32)
        sample = logits[:_SAMPLE_ROWS]
        if len(sample) and sample.min() >= 0 and np.allclose(sample.sum(axis=1), 1, atol=_SUM_TOLERANCE):
            raise InputError(
                "logits", None, "are probabilities, since each row's sum is 1; must be logits, or their logarithms"
            )
        object.__setattr__(self, "logits", logits)
        for name, dtype in (("label", np.int32), ("true_label", np.int32), ("id", np.int64)):
            array = as_array(name, getattr(self, name))
            array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
            if array.shape != logits.shape[:1] or array.dtype.kind not in "iu":
                raise InputError(
                    name, None, f"is {array.dtype} {array.shape}; must be integers [{len(logits)}], as logits"
                )
            if name == "id" and array.size and array.max() >= 2**63:
                raise InputError("id", array.max(), "must be below 2^63")
            if name != "id" and array.size and not (array.min() >= 0 and array.max() < logits.shape[1]):
                raise InputError(
                    name, None, f"has values from {array.min()} to {array.max()}; must be in 0 to {logits.shape[1] - 1}"
                )
            object.__setattr__(self, name, array.astype(dtype, copy=False))


def as_array(name: str, given: Any) -> np.ndarray:
    """A NumPy array of what is given: of NumPy, JAX or PyTorch, or lists.

    >>> as_array("label", [[0, 1], [2, 3]]).tolist(), as_array("logits", jnp.ones(2) / 2).tolist()
    ([[0, 1], [2, 3]], [0.5, 0.5])

    Raises:
      InputError: it is none.
    """
    try:
        if hasattr(given, "detach"):  # PyTorch's, which may have a gradient, lie on a device or be bfloat16
            given = given.detach().cpu()
            given = given.float() if given.is_floating_point() else given
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(name, None, f"cannot be made an array: {one_line(error)}") from error
