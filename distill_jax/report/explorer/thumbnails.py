"""What is shown of single examples: pictures as one image of many tiles, or texts."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from distill_jax.report.explorer.parts import deflated

if TYPE_CHECKING:
    from distill_jax.data.examples import Examples

SIDE = 64  # most pixels of a tile
PICTURES, TEXTS = 420_000, 400_000  # bytes that a report has room for
CHARACTERS = 300  # of a text
# Tried in turn until they fit: side and WebP's quality, None for lossless; characters of a text.
_SMALLER = (
    *((SIDE, quality) for quality in (None, 80, 60)),
    *((48, 60), (32, 60), (32, 40), (32, 25), (24, 40), (16, 40), (16, 25), (12, 40), (8, 40), (4, 40)),
)
_SHORTER = (CHARACTERS, 200, 150, 100, 60, 30)
_AT_ONCE = 256  # pictures in memory in full size


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Pictures as tiles of one WebP image, row by row.

    Attributes:
      data: the file.
      width, height: of a tile, pixels.
      columns: tiles in a row.
    """

    data: bytes
    width: int
    height: int
    columns: int


def sheet(examples: Examples, ids: np.ndarray, room: int | None = None, like: int = 0) -> Sheet:
    """The pictures of these examples, lossless or of the first lower quality and size that fit.

    Args:
      examples: of the split; they are pictures.
      ids: in the order of the tiles.
      room: bytes; None for what quality 80 takes.
      like: it has the columns of a sheet of so many tiles, where that is more.

    Raises:
      InputError: an id is none of the split's.
    """
    tiles = list(_tiles(examples, ids))
    tried: set[tuple[tuple[int, int], int | None]] = set()
    made = None
    for side, quality in _SMALLER if room is not None else _SMALLER[1:2]:
        size = _within(tiles[0].size, side)
        if (size, quality) in tried:
            continue
        tried.add((size, quality))
        made = _drawn([tile if tile.size == size else tile.resize(size) for tile in tiles], quality, like)
        if room is None or len(made.data) <= room:
            break
    assert made is not None
    return made


def texts(examples: Examples, ids: np.ndarray, room: int | None = None) -> str:
    """The texts of these examples, a list in JSON as `parts.deflated` has it, cut until they fit.

    Raises:
      InputError: an id is none of the split's.
    """
    text = ""
    for most in _SHORTER:
        text = deflated(json.dumps(examples.texts(ids, most), ensure_ascii=False).encode())
        if room is None or len(text) * 3 // 4 <= room:
            break
    return text


def _tiles(examples: Examples, ids: np.ndarray) -> Iterator[Image.Image]:
    for start in range(0, len(ids), _AT_ONCE):
        for picture in examples.pictures(ids[start : start + _AT_ONCE]):
            image = Image.fromarray(picture)
            size = _within(image.size, SIDE)
            yield image if image.size == size else image.resize(size)


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """A size of the same proportions whose longer side is at most `side`."""
    scale = min(1.0, side / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _drawn(tiles: Sequence[Image.Image], quality: int | None, like: int) -> Sheet:
    width, height = tiles[0].size
    columns = max(round((max(len(tiles), like) * height / width) ** 0.5), 1)
    image = Image.new("RGB", (columns * width, -(-len(tiles) // columns) * height))
    for number, tile in enumerate(tiles):
        image.paste(tile, (number % columns * width, number // columns * height))
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=quality is None, quality=90 if quality is None else quality, method=4)
    return Sheet(file.getvalue(), width, height, columns)
