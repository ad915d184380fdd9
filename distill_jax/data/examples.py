"""What a person is shown of an example: the picture, or the text, that a network was given."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from distill_jax.data.dataset import Dataset, Split
from distill_jax.data.sources.tokens import load_tokenizer
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting

_PARTS = " / "  # between the texts of a pair
_SAMPLE = 1000  # examples by which the scale of float32 images is found
_DARK = 128  # uint8 images all of whose values are below are brightened: digits have 0 to 16


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """The examples of one split, as a person sees them.

    >>> images = np.full((2, 8, 8, 1), 255, np.uint8)
    >>> split = Split(images, *[np.zeros(2, np.int32)] * 2, id=np.array([7, 9]))
    >>> Examples(split).pictures([9]).shape
    (1, 8, 8, 3)

    Attributes:
      split: as it was learned from, so after averaging to a smaller size and before augmentation.
      scale: values of images shown black and white.
      tokenizer: of texts, a transformers tokenizer; None of all others.
    """

    split: Split
    scale: tuple[float, float] = (0.0, 255.0)
    tokenizer: Any = None

    @property
    def are_pictures(self) -> bool:
        """Whether examples are images."""
        return self.split.x.ndim == 4

    def pictures(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Images as pictures in RGB.

        A single channel is grey; of two the first is shown alone, of more than three the first three.

        Returns:
          uint8 [n, H, W, 3].

        Raises:
          InputError: an id is none of the split's.
        """
        x = np.asarray(self.split.x[self._rows(ids)])[..., : 3 if self.split.x.shape[-1] >= 3 else 1]
        if x.dtype != np.uint8 or self.scale != (0.0, 255.0):
            low, high = self.scale
            x = np.rint(np.clip((x.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(x, (*x.shape[:3], 3)))

    def texts(self, ids: Sequence[int] | np.ndarray, most: int | None = None) -> list[str]:
        """Texts as the tokenizer decodes their tokens; of a pair both, parted by a slash. Of features their values.

        Args:
          ids: of the examples.
          most: characters, what is longer ends in an ellipsis; None for all.

        Raises:
          InputError: an id is none of the split's.
        """
        rows = np.asarray(self.split.x[self._rows(ids)])
        texts = [self._decoded(row) if self.tokenizer is not None else _listed(row) for row in rows]
        return [text if most is None or len(text) <= most else text[: most - 1].rstrip() + "…" for text in texts]

    def _decoded(self, tokens: np.ndarray) -> str:
        parts: list[list[int]] = [[]]
        for token in tokens.tolist():
            if token in self._around:
                parts.append([])
            else:
                parts[-1].append(token)
        decoded = (self.tokenizer.decode(part, clean_up_tokenization_spaces=False).strip() for part in parts if part)
        return _PARTS.join(filter(None, decoded))

    @functools.cached_property
    def _around(self) -> set[int]:
        """The tokens that the tokenizer puts around texts: names of special ones within a text are others."""
        return {self.tokenizer.pad_token_id, *self.tokenizer("", "")["input_ids"]}

    def _rows(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        order = np.argsort(self.split.id, kind="stable")
        wanted = np.asarray(ids, np.int64)
        places = np.minimum(np.searchsorted(self.split.id, wanted, sorter=order), len(order) - 1)
        rows = order[places]
        absent = wanted[self.split.id[rows] != wanted]
        if len(absent):
            raise InputError("id", int(absent[0]), "is none of the data's; must be of the data that the study had")
        return rows


def examples_of(dataset: Dataset, setting: DataSetting) -> dict[str, Examples]:
    """The examples of 'train' and 'test'.

    Args:
      dataset: as `load_dataset` gives it.
      setting: it is of; names the tokenizer of texts.

    Raises:
      InputError: the tokenizer cannot be read.
    """
    tokenizer = load_tokenizer(setting.tokenizer, setting.dataset)[0] if dataset.vocabulary is not None else None
    scale = _scale(dataset.train.x)
    return {name: Examples(getattr(dataset, name), scale, tokenizer) for name in ("train", "test")}


def _scale(x: np.ndarray) -> tuple[float, float]:
    """Values to be shown black and white: of float32 images without the outermost 0.5% at either end."""
    if x.ndim != 4:
        return 0.0, 255.0
    sample = np.asarray(x[np.unique(np.linspace(0, len(x) - 1, _SAMPLE).astype(int))])
    if x.dtype == np.uint8:
        return 0.0, 255.0 if (highest := float(sample.max())) >= _DARK else max(highest, 1.0)
    low, high = np.percentile(sample, [0.5, 99.5]).tolist()
    return low, high if high > low else low + 1


def _listed(features: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in features.tolist())
