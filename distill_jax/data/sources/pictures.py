"""Pictures as arrays: of formats that are read, 8 bits a channel, and a size that is looked at before decoding."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_FORMATS = ("JPEG", "PNG")  # others are not tried: a name promises nothing, and some are programs
_MODES = {"1", "L", "P", "RGB", "CMYK"}  # which 'RGB' has all of
_MAX_SIDE = 2048  # pixels a side: nets here see 32 to 224


def decoded(source: Path | bytes, channels: int) -> np.ndarray:
    """A picture.

    Args:
      source: a file, or a file's content.
      channels: 1 or 3; grey pictures are repeated where it is 3.

    Returns:
      uint8 [H, W, channels].

    Raises:
      ValueError: it is no JPEG or PNG, damaged, larger than 2,048 pixels a side, transparent, of more than 8 bits a
        channel, or has colours where `channels` is 1.
      OSError: the file cannot be read.
    """
    if isinstance(source, Path):
        if not source.is_file():
            raise ValueError("is no file")
        source = source.read_bytes()
    with bombs_refused(), opened(source, _FORMATS) as image:
        if max(image.size) > _MAX_SIDE:
            raise ValueError(f"has {image.size[0]}x{image.size[1]} pixels; must have {_MAX_SIDE} a side at most")
        if image.mode not in _MODES or "transparency" in image.info:
            raise ValueError(f"has pixels of the kind {image.mode}; must have 8 bits a channel and no transparency")
        if channels == 1 and image.mode not in ("1", "L"):
            raise ValueError("has colours; must be grey")
        return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(*image.size[::-1], channels)


@contextlib.contextmanager
def bombs_refused() -> Iterator[None]:
    """Within it pictures of sizes that would fill the memory are refused when they are opened, in all threads."""
    from PIL import Image

    with warnings.catch_warnings():  # which is of the process, and must not be entered by several threads at once
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def opened(content: bytes, formats: tuple[str, ...]) -> Iterator[Any]:
    """A picture's file, of which the header is read; closed at the end.

    Raises:
      ValueError: it is of no such format, or what is done with it meets damage, whatever Pillow raises then.
      OSError: likewise.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            yield image
    except UnidentifiedImageError as error:
        kinds = f"{', '.join(formats[:-1])} or {formats[-1]}"
        raise ValueError(f"is no {kinds}, or is damaged") from error
    except (OSError, ValueError):
        raise
    except Exception as error:  # of many types, as the damage has it
        raise ValueError(f"{type(error).__name__}: {error}") from error
