"""Pictures and texts of a study's examples, from the data that its saved setting names."""

import dataclasses
import io
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from PIL import Image

from distill_jax import data, saved_setting
from distill_jax.data.examples import Examples, examples_of
from distill_jax.errors import InputError
from distill_jax.points.chosen import Chosen, identity_of
from distill_jax.study.workdir import SAVED

LEAST = 32  # pixels of the longer side
_WITHOUT = "`images` False leaves pictures and texts out"


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """What is shown of a study's examples.

    Attributes:
      examples: of each split.
      paths: of pictures in files of their own, by split and id, relative to their folder; None of others.
    """

    examples: Mapping[str, Examples]
    paths: Mapping[str, Mapping[int, str]] | None = None

    @property
    def kind(self) -> Literal["image", "text"]:
        """The column's name."""
        return "image" if self.examples["train"].are_pictures else "text"

    def arrow(self, split: str, ids: np.ndarray) -> Any:
        """An Arrow array of these examples: structs of a PNG file's bytes and its path, or strings."""
        import pyarrow as pa

        if self.kind == "text":
            return pa.array(self.examples[split].texts(ids), pa.string())
        paths = {} if self.paths is None else self.paths[split]
        pictures = self.examples[split].pictures(ids)
        rows = [{"bytes": png(p), "path": paths.get(i)} for p, i in zip(pictures, ids.tolist(), strict=True)]
        return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 [H, W, 3], as a PNG file; a small one as many times as large as fits into `LEAST` pixels.

    Tools show a picture pixel by pixel, and nobody can see one of 8 by 8.
    """
    content, times = io.BytesIO(), max(1, LEAST // max(picture.shape[:2]))
    picture = picture.repeat(times, axis=0).repeat(times, axis=1)
    Image.fromarray(picture).save(content, "png")
    return content.getvalue()


def shown(chosen: Chosen) -> Shown:
    """The pictures or texts of a study.

    Raises:
      InputError: its data cannot be loaded, or are others now.
    """
    workdir = chosen.workdir
    if not (workdir / SAVED).is_file():
        raise InputError(workdir, None, f"does not say which data it has; run its command again, or: {_WITHOUT}")
    try:
        setting = saved_setting.load(workdir / SAVED).data
        dataset = data.load_dataset(setting)
        examples, paths = examples_of(dataset, setting), data.picture_paths(setting)
    except InputError as error:
        raise InputError(workdir, None, f"its data cannot be loaded ({error}); {_WITHOUT}") from error
    if dataset.fingerprint != identity_of(workdir).get("fingerprint"):
        raise InputError(workdir, None, f"its data, {setting.dataset}, are others now than it had; {_WITHOUT}")
    return Shown(examples, paths)
