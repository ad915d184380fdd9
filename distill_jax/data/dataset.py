"""A loaded data set: two splits, classes, normalisation, and what there is to say of it."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from distill_jax.data import cache
from distill_jax.data.arrays import chunks
from distill_jax.limits import check_fits


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The tokens of texts: `size` of them, numbered from 0, of which `pad` fills up short texts.

    >>> Vocabulary(50265, pad=1)
    Vocabulary(size=50265, pad=1, separator=None)

    Attributes:
      size, pad: as above.
      separator: the token after whose first place a pair's tokens are of the second text's type, as BERT's [SEP];
        None where the tokenizer knows no types, as RoBERTa's.
    """

    size: int
    pad: int
    separator: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """N examples, in an order that is the same on every load.

    >>> number = np.arange(3)
    >>> Split(np.eye(3), number, number, id=number + 10).take(np.array([2, 0])).id.tolist()
    [12, 10]

    Attributes:
      x: uint8 or float32, images [N, H, W, C] or flat features [N, D]; or tokens [N, L], uint16 or int32, padded on
        the right. Read-only where memory-mapped.
      label: int32 [N], in [0, num_classes), as training sees it.
      true_label: int32 [N], before label noise; equal to `label` where there is none.
      id: int64 [N], unique within the split; names an example whatever the subset, noise or image size.
    """

    x: np.ndarray
    label: np.ndarray
    true_label: np.ndarray
    id: np.ndarray

    def take(self, index: np.ndarray) -> "Split":
        """The examples at these positions, int [n], in this order, in memory.

        Raises:
          InputError: they do not fit there, as those of a set on disk may not.
        """
        size = len(index) * self.x[:1].nbytes
        check_fits("data.train_examples", None, f"{len(index):,} examples that are a part of the data", size)
        return Split(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split.

    >>> split = Split(np.zeros((3, 8, 8, 1), np.uint8), *[np.arange(3)] * 3)
    >>> Dataset("mine", split, split, 3, np.zeros(1), np.ones(1)).input_shape
    (8, 8, 1)

    Attributes:
      name: the data set as the user named it; of a user's own file its file name.
      train, test: the splits, with inputs of the same shape and dtype.
      num_classes: at least 2.
      mean, std: float32 [C] for images, [D] for flat features, in the units of `x`, of the training split as
        used. Where the standard deviation is 0, `std` is 1. None for texts.
      draw: where each repetition has its own label noise, the function from its number to its training labels;
        `train.label` is then that of repetition 0.
      vocabulary: of texts.
      names: of the classes, by number, where the source's labels are others than these numbers.
      titles: of the classes, by number, where the source numbers them itself and says what they are. They are shown,
        and no part of what the data are.
      notes: what the data that are learned from have not in common with their source, a line each, with counts.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    mean: np.ndarray | None
    std: np.ndarray | None
    draw: Callable[[int], np.ndarray] | None = None
    vocabulary: Vocabulary | None = None
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    titles: tuple[str, ...] | None = None

    @property
    def called(self) -> tuple[str, ...] | None:
        """What classes are called where they are shown; None where by their numbers."""
        return self.names or self.titles

    def training_label(self, seed: int) -> np.ndarray:
        """The training labels of one repetition, int32 [N]: `train.label`, or its own draw of the noise."""
        return self.train.label if self.draw is None else self.draw(seed)

    def label(self, split: str, seed: int) -> np.ndarray:
        """The labels of 'train' or 'test' as the models of one repetition see them, int32 [N]."""
        return self.training_label(seed) if split == "train" else self.test.label

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: (H, W, C), (D,) or, of texts, (L,)."""
        return self.train.x.shape[1:]

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, a digest of every number in both splits, of the classes' names and of nothing else.

        Of inputs that lie in the cache it is remembered there.
        """
        places = [cache.stored(split.x) for split in (self.train, self.test)]
        if places[0] is None or places[1] is None:
            return self._digest()
        key = self._digest([place.crc32 for place in places if place is not None])
        return cache.remembered(places[0].entry, f"fingerprint-{key}", self._digest)

    def _digest(self, checksums: Sequence[int] = ()) -> str:
        """The fingerprint; or what names it, where checksums stand for the inputs of the two splits."""
        digest = hashlib.blake2b(str(self.num_classes).encode(), digest_size=8)
        if self.names is not None:
            digest.update(repr(self.names).encode())
        for number, split in enumerate((self.train, self.test)):
            for field in dataclasses.fields(split):
                array = getattr(split, field.name)
                digest.update(f"{field.name} {array.dtype.str} {array.shape}".encode())
                if checksums and field.name == "x":
                    digest.update(f"{checksums[number]}".encode())
                    continue
                for chunk in chunks(array):
                    digest.update(np.ascontiguousarray(chunk).data)
        return digest.hexdigest()
