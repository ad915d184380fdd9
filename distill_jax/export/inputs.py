"""What a study's networks are given and what they say: kept with the study, and with what is taken away of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.dataset import Dataset, Vocabulary
from distill_jax.errors import InputError
from distill_jax.files import is_of_kind, read_json, write_text

_KIND = {
    **{"shape": list[int], "dtype": str, "num_classes": int, "mean": list[float] | None, "std": list[float] | None},
    **{"vocabulary": dict[str, int] | None, "names": list[str] | None},
}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The inputs of a network as the data have them, how they are normalised, and its classes.

    >>> images = Inputs((8, 8, 1), "uint8", 2, mean=(100.0,), std=(50.0,))
    >>> images.random(3).shape, Inputs.of_json(images.as_json()) == images
    ((3, 8, 8, 1), True)

    Attributes:
      shape: of one example.
      dtype: 'uint8' or 'float32'; of texts 'int32', tokens.
      num_classes: K.
      mean, std: of each channel or feature, in raw units; None for texts.
      vocabulary: of texts.
      names: of the classes, by number, where they are others than these numbers.
    """

    shape: tuple[int, ...]
    dtype: str
    num_classes: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    vocabulary: Vocabulary | None = None
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> "Inputs":
        """Those of the networks of a data set."""
        mean, std = (None if a is None else tuple(map(float, a)) for a in (dataset.mean, dataset.std))
        texts = dataset.vocabulary is not None
        dtype = "int32" if texts else dataset.train.x.dtype.name
        return cls(dataset.input_shape, dtype, dataset.num_classes, mean, std, dataset.vocabulary, dataset.names)

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> "Inputs":
        """From `as_json`, of the kind that `read` checks."""
        lists = {n: None if value[n] is None else tuple(value[n]) for n in ("shape", "mean", "std", "names")}
        vocabulary = value["vocabulary"] and Vocabulary(**value["vocabulary"])
        return cls(**{**value, **lists, "vocabulary": vocabulary})

    def as_json(self) -> dict[str, Any]:
        """As values of JSON, which have every float32 exactly."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def save(self, path: Path, own: dict[str, str]) -> None:
        """Writes them, and of each role the digest of its network's own code, '' of a network of the library."""
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps({**self.as_json(), "own": own}, indent=1, ensure_ascii=False) + "\n")

    def random(self, examples: int) -> np.ndarray:
        """Inputs [examples, ...] of the right kind, the same every time, to try a network on."""
        rng, shape = np.random.default_rng(0), (examples, *self.shape)
        if self.vocabulary is not None:
            tokens = rng.integers(self.vocabulary.size, size=shape)
            tokens[:, 1:][np.arange(1, shape[1]) >= rng.integers(1, shape[1] + 1, (examples, 1))] = self.vocabulary.pad
            return tokens.astype(self.dtype)
        if self.dtype == "uint8":
            return rng.integers(256, size=shape).astype(np.uint8)
        assert self.mean is not None
        assert self.std is not None
        return (np.asarray(self.mean) + np.asarray(self.std) * rng.normal(size=shape)).astype(self.dtype)

    def checked(self, x: Any) -> np.ndarray:
        """Inputs as an array of the right shape and kind.

        Raises:
          InputError: they are of another.
        """
        array = np.asarray(x)
        if array.ndim != len(self.shape) + 1 or array.shape[1:] != self.shape:
            raise InputError("x", list(array.shape), f"must be [B, {', '.join(map(str, self.shape))}], raw inputs")
        kind = "f" if self.dtype == "float32" else "iu"
        if array.dtype.kind not in kind or (self.dtype == "uint8" and array.dtype != np.uint8):
            raise InputError("x", array.dtype, f"must be {self.dtype}, inputs as the data have them, not normalised")
        return array.astype(self.dtype)


def read(path: Path, remedy: str) -> tuple[Inputs, dict[str, str]]:
    """What `Inputs.save` has written.

    Raises:
      InputError: it is not there, or damaged.
    """
    value = read_json(path, dict[str, Any], remedy)
    own = value.pop("own", {})
    return of_file(value, path, remedy), own


def of_file(value: Any, path: Path, remedy: str) -> Inputs:
    """Inputs from a value that a file has.

    Raises:
      InputError: it is of another kind.
    """
    if not (
        isinstance(value, dict)
        and value.keys() == _KIND.keys()
        and all(is_of_kind(value[name], kind) for name, kind in _KIND.items())
        and (value["vocabulary"] is None or value["vocabulary"].keys() == {"size", "pad"})
    ):
        raise InputError(path, None, f"is damaged (does not say what inputs are); {remedy}")
    return Inputs.of_json(value)
