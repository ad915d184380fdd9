"""Many pictures as one array: decoded by all cores, of one size, what is broken named."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from distill_jax.data.cache import Arrays, Empty, cached
from distill_jax.data.dataset import Split
from distill_jax.data.progress_log import logged
from distill_jax.data.sources import labels, photographs
from distill_jax.data.sources.photographs import Header
from distill_jax.data.sources.pictures import bombs_refused
from distill_jax.data.sources.source import Raw, listed
from distill_jax.data.subset import stratified
from distill_jax.errors import InputError, one_line
from distill_jax.limits import check_fits
from distill_jax.setting import DataSetting

_T = TypeVar("_T")
_R = TypeVar("_R")
_HELD_OUT = 5  # where there are no test pictures, one in so many
_KINDS = (
    "have 16 bits of grey, and are rounded to 8",
    "have an alpha channel, which is dropped",
    "are smaller than `data.image_size`, and are enlarged",
)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that is still to be decoded.

    Attributes:
      name: what to call it in a message.
      source: its file, or what gives the content of one.
      class_name: of its class.
    """

    name: str
    source: Path | Callable[[], bytes]
    class_name: str

    def content(self) -> bytes:
        """The content of its file."""
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source()


def read(
    setting: DataSetting,
    pictures: dict[str, list[Picture]],
    location: Path,
    files: Sequence[Path],
    names: Mapping[str, str],
) -> Raw:
    """A data set of pictures; where none are for the test, a fifth of each class is held out, drawn by `noise_seed`.

    Args:
      setting: with `image_size` and `skip_broken`.
      pictures: of 'train' and perhaps of 'test'. A picture's id is its place in the list that it is in.
      location: of the files.
      files: that the pictures come from.
      names: of both splits, for messages.

    Raises:
      InputError: as `decode`, or as `labels.numbered`.
    """
    arrays = cached(
        setting.cache_dir,
        f"{location.resolve().name}-{setting.image_size}-{'skip' if setting.skip_broken else 'all'}",
        location,
        files,
        lambda empty: decode(setting, pictures, empty),
    )
    ids = {split: np.asarray(arrays[f"{split}.row"], np.int64) for split in pictures}
    x = {split: arrays[f"{split}.x"] for split in pictures}
    class_names = {split: [pictures[split][row].class_name for row in ids[split]] for split in pictures}
    lines = notes(pictures, arrays)
    if "test" in pictures:
        lines += listed("classes without a test picture", set(class_names["train"]) - set(class_names["test"]))
    else:
        words = np.array(class_names["train"])
        chosen = stratified(np.unique(words, return_inverse=True)[1], len(words) // _HELD_OUT, setting.noise_seed)
        check_fits("data.dataset", setting.dataset, "pictures that are split here", x["train"].nbytes)
        rows = {"test": chosen, "train": np.setdiff1d(np.arange(len(words)), chosen)}
        x = {split: x["train"][of_split] for split, of_split in rows.items()}
        ids = {split: ids["train"][of_split] for split, of_split in rows.items()}
        class_names = {split: words[of_split].tolist() for split, of_split in rows.items()}
        lines.append(f"{len(chosen):,} of {len(words):,} pictures, a fifth of each class, are held out for the test")
    called = names["train"], names["test"]
    *numbers, known = labels.numbered(class_names["train"], class_names["test"], called, setting.dataset)
    splits = [Split(x[s], number, number, ids[s]) for s, number in zip(("train", "test"), numbers, strict=True)]
    return Raw(*splits, num_classes=int(numbers[0].max()) + 1, names=known, notes=tuple(lines))


def decode(setting: DataSetting, pictures: dict[str, list[Picture]], empty: Empty) -> Arrays:
    """The pictures of each split as arrays, to be cached.

    Args:
      setting: with `image_size` and `skip_broken`.
      pictures: of each split.
      empty: gives arrays that may be larger than the memory, see `cache.cached`.

    Returns:
      'SPLIT.x', uint8 [N, H, W, C], of one channel if all pictures are grey; 'SPLIT.row', int64 [N], which of its
      pictures these are; and 'kinds', int64 [3], how many are of each kind of `notes`.

    Raises:
      InputError: one is broken (unless `skip_broken`), or sizes differ and there is no `image_size`.
    """
    headers = {
        split: _in_turn(_header, of_split, f"headers of {split} pictures") for split, of_split in pictures.items()
    }
    every = [pair for split in pictures for pair in zip(pictures[split], headers[split], strict=True)]
    _refuse_broken(setting, [(picture, error) for picture, error in every if not isinstance(error, Header)])
    readable = [(picture, header) for picture, header in every if isinstance(header, Header)]
    if not readable:
        raise InputError("data.dataset", setting.dataset, "has no picture that can be decoded; must have some")
    height, width = _size(setting, readable)
    good = [header for _, header in readable]
    channels = 1 if all(header.grey for header in good) else 3
    arrays: Arrays = {}
    for split, of_split in pictures.items():
        rows = [row for row, header in enumerate(headers[split]) if isinstance(header, Header)]
        x = empty(f"{split}.x", (len(rows), height, width, channels), np.uint8)

        def put(at: int, x: np.ndarray = x, rows: list[int] = rows, of_split: list[Picture] = of_split) -> None:
            x[at] = photographs.pixels(of_split[rows[at]].content(), channels, setting.image_size)

        results = _in_turn(put, range(len(rows)), f"{split} pictures")
        errors = {at: error for at, error in enumerate(results) if error is not None}
        _refuse_broken(setting, [(of_split[rows[at]], error) for at, error in errors.items()])
        whole = [at for at in range(len(rows)) if at not in errors]
        arrays |= {f"{split}.x": _moved_up(x, whole) if errors else x, f"{split}.row": np.array(rows, np.int64)[whole]}
    enlarged = sum(min(header.width, header.height) < (setting.image_size or 0) for header in good)
    kinds = [sum(header.deep for header in good), sum(header.transparent for header in good), enlarged]
    return arrays | {"kinds": np.array(kinds, np.int64)}


def notes(pictures: dict[str, list[Picture]], arrays: Arrays) -> list[str]:
    """Lines on pictures that are read otherwise than they are, and on those that are left out."""
    total = sum(map(len, pictures.values()))
    lines = [f"{n:,} of {total:,} pictures {what}" for n, what in zip(arrays["kinds"], _KINDS, strict=True) if n]
    broken = [
        of_split[row].name
        for split, of_split in pictures.items()
        for row in sorted({*range(len(of_split))} - {*arrays[f"{split}.row"].tolist()})
    ]
    return lines + list(listed(f"{len(broken):,} of {total:,} pictures are broken and left out", broken))


def _header(picture: Picture) -> Header:
    return photographs.header(picture.content())


def _moved_up(x: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """The first rows of x, which these ascending ones have been moved to; no second array as large is needed."""
    for to, row in enumerate(rows):
        x[to] = x[row]
    return x[: len(rows)]


def _in_turn(function: Callable[[_T], _R], items: Sequence[_T], called: str) -> list[_R | ValueError | OSError]:
    """A function's result for each item, or its error; by all cores, since Pillow decodes beside Python."""

    def tried(item: _T) -> _R | ValueError | OSError:
        try:
            return function(item)
        except (ValueError, OSError) as error:
            return error

    with bombs_refused(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(logged(pool.map(tried, items), len(items), called))


def _refuse_broken(setting: DataSetting, broken: Sequence[tuple[Picture, Exception]]) -> None:
    if broken and not setting.skip_broken:
        picture, error = broken[0]
        more = f" ({len(broken) - 1:,} more are broken)" if len(broken) > 1 else ""
        fault = f"{picture.name} cannot be decoded: {one_line(error)}{more}"
        raise InputError("data.dataset", setting.dataset, f"{fault}; remove it, or give `data.skip_broken` True")


def _size(setting: DataSetting, headers: Sequence[tuple[Picture, Header]]) -> tuple[int, int]:
    """Height and width of all pictures."""
    if setting.image_size is not None:
        return setting.image_size, setting.image_size
    first = headers[0]
    for other in headers[1:]:
        if (other[1].width, other[1].height) != (first[1].width, first[1].height):
            sizes = " and ".join(f"{picture.name} {h.width}x{h.height}" for picture, h in (first, other))
            raise InputError("data.image_size", None, f"must be given, since pictures differ in size: {sizes}")
    return first[1].height, first[1].width
