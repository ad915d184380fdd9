"""Pictures as people have them: any common format, size and kind of pixels, as 8 bits of grey or of three colours."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from distill_jax.data.sources.pictures import opened

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = (
    "JPEG",
    "PNG",
    "WebP",
    "BMP",
    "TIFF",
)  # others are not tried, of which some are programs
_GREY, _DEEP = {"1", "L", "LA", "La"}, {"I", "I;16", "I;16L", "I;16B"}
_COLOURS = {"P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"}
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # the tag of a camera held otherwise, and those by a quarter


@dataclasses.dataclass(frozen=True)
class Header:
    """What a picture's file says before it is decoded.

    Attributes:
      width, height: pixels, as it is seen.
      grey: whether it has one channel.
      deep: whether it has 16 bits of it, which become 8.
      transparent: whether it has an alpha channel, which is dropped.
    """

    width: int
    height: int
    grey: bool
    deep: bool
    transparent: bool


def header(content: bytes) -> Header:
    """The header of a picture's file.

    Raises:
      ValueError: it is no picture of a format that is read, or has pixels of another kind.
    """
    with _opened(content) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in _TURNED:
            width, height = height, width
        alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
        return Header(width, height, image.mode in _GREY | _DEEP, image.mode in _DEEP, alpha)


def pixels(content: bytes, channels: int, side: int | None) -> np.ndarray:
    """A picture as it is seen: turned as the camera's orientation says, its alpha channel dropped.

    Args:
      content: of the file.
      channels: 1 or 3; grey pictures are repeated where it is 3.
      side: the shorter side is resized to this many pixels (bicubic, antialiased) and the middle square cut out; None
        leaves the picture as it is.

    Returns:
      uint8 [H, W, channels].

    Raises:
      ValueError, OSError: as `header`, or it is truncated or damaged.
    """
    from PIL import Image, ImageOps

    with _opened(content) as image:
        seen = ImageOps.exif_transpose(image)
        if seen.mode in _DEEP:  # Pillow's own conversion takes all above 255 for white
            grey = np.round(np.asarray(seen).astype(np.float64) * 255 / 65535).clip(0, 255)
            seen = Image.fromarray(grey.astype(np.uint8))
        seen = seen.convert("L" if channels == 1 else "RGB")
        if side is not None and seen.size != (side, side):
            seen = ImageOps.fit(seen, (side, side), Image.Resampling.BICUBIC)
        return np.asarray(seen).reshape(*seen.size[::-1], channels)


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    with opened(content, _FORMATS) as image:
        if image.mode not in _GREY | _DEEP | _COLOURS:
            raise ValueError(f"has pixels of the kind {image.mode}; must be of 8 bits, or 16 of grey")
        yield image
