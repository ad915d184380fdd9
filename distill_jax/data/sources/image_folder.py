"""The user's own pictures: a folder of each class, as torchvision's ImageFolder has them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split
from distill_jax.data.sources import labels, photographs
from distill_jax.data.sources.photographs import SUFFIXES, Header
from distill_jax.data.sources.source import Raw, check_label, listed, not_read
from distill_jax.data.subset import stratified
from distill_jax.errors import InputError, one_line
from distill_jax.limits import check_fits
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_TEST = ("test", "val", "valid", "validation")  # in this order; names of folders in any case
_HELD_OUT = 5  # where there is no folder of test pictures, one in so many is held out
_CONTENT = "train/CLASS/*.jpg and val/CLASS/*.jpg (or test/), or CLASS/*.jpg"
_T = TypeVar("_T")
_R = TypeVar("_R")
_Item = tuple[Path, str]  # a picture and the name of its class


def present(folder: Path) -> bool:
    """Whether a folder holds folders with pictures."""
    return any(next(_pictures(child), None) is not None for child in _folders(folder))


def read(setting: DataSetting) -> Raw:
    """Pictures uint8 [N, H, W, C], of grey if all are and else of three colours; classes are the names of folders.

    Of test pictures those of `test/`, or else of `val/` (`valid/`, `validation/`), are taken. Where there is neither, a
    fifth of each class is held out, drawn by `noise_seed`. With `image_size` the shorter side is resized to it and the
    middle cut out, see `photographs.pixels`; without it all pictures must be of one size. id is a picture's number
    among all of its split, or of the folder where it is split here, ordered by class and path.

    Raises:
      InputError: there are no such folders or pictures, a class has none, one cannot be decoded (unless `skip_broken`),
        or sizes differ and there is no `image_size`.
    """
    check_label(setting, ["label"])
    folder = local("data.dataset", setting.dataset)
    parts, unread = _parts(setting.dataset, folder)
    items = {split: _items(setting.dataset, folder, part) for split, part in parts.items()}
    arrays = cached(
        setting.cache_dir,
        f"{folder.resolve().name}-{setting.image_size}-{'skip' if setting.skip_broken else 'all'}",
        folder,
        [path for of in items.values() for path, _ in of],
        lambda: _decode(setting, folder, items),
    )
    kept = {split: [items[split][row] for row in arrays[f"{split}.row"]] for split in items}
    ids = {split: np.asarray(arrays[f"{split}.row"], np.int64) for split in items}
    x = {split: arrays[f"{split}.x"] for split in items}
    notes = [*_notes(folder, items, arrays), *not_read(f"folders of {folder.name}/", unread)]
    if "test" not in items:
        words = [name for _, name in kept["train"]]
        chosen = stratified(np.unique(words, return_inverse=True)[1], len(words) // _HELD_OUT, setting.noise_seed)
        rest = np.setdiff1d(np.arange(len(words)), chosen)
        for split, rows in (("test", chosen), ("train", rest)):
            kept[split] = [items["train"][ids["train"][row]] for row in rows]
        x = {"test": x["train"][chosen], "train": x["train"][rest]}
        ids = {"test": ids["train"][chosen], "train": ids["train"][rest]}
        notes.append(f"{len(chosen):,} of {len(words):,} pictures, a fifth of each class, are held out for the test")
    train, test = ([name for _, name in kept[split]] for split in ("train", "test"))
    called = _called(parts, "train"), _called(parts, "test")
    *numbers, names = labels.numbered(train, test, called, setting.dataset)
    notes += listed("classes without a test picture", set(train) - set(test)) if "test" in parts else ()
    splits = [Split(x[s], number, number, ids[s]) for s, number in zip(("train", "test"), numbers, strict=True)]
    return Raw(*splits, num_classes=int(numbers[0].max()) + 1, names=names, notes=tuple(notes))


def _called(parts: dict[str, Path], split: str) -> str:
    """The name of a split in a message."""
    return f"{parts[split].name}/" if split in parts else f"the {split} split"


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pictures(folder: Path) -> Iterator[Path]:
    """The pictures in a folder and the folders in it, in the order of their paths."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(place, name)


def _parts(dataset: str, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The folders of the splits by name, and the names of others."""
    children = {path.name.lower(): path for path in _folders(folder)}
    if "train" not in children:
        strange = [name for name in _TEST if name in children]
        if strange:
            raise InputError("data.dataset", dataset, f"has {strange[0]}/ and no train/; must be {_CONTENT}")
        return {"train": folder}, []
    test = next((children[name] for name in _TEST if name in children), None)
    parts = {"train": children["train"]} | ({"test": test} if test is not None else {})
    return parts, [f"{path.name}/" for path in children.values() if path not in parts.values()]


def _items(dataset: str, folder: Path, part: Path) -> list[_Item]:
    """The pictures of a split with their classes, ordered by class and path."""
    found = []
    for of_class in _folders(part):
        pictures = list(_pictures(of_class))
        if not pictures:
            where = of_class.relative_to(folder)
            raise InputError(
                "data.dataset", dataset, f"{where}/ has no picture ({', '.join(SUFFIXES)}); must be {_CONTENT}"
            )
        found += [(path, of_class.name) for path in pictures]
    if not found:
        raise InputError("data.dataset", dataset, f"{part.name}/ has no folders of classes; must be {_CONTENT}")
    return found


def _in_turn(function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R | ValueError | OSError]:
    """What a function gives of each, or its error; by all cores, since Pillow decodes beside Python."""

    def tried(item: _T) -> _R | ValueError | OSError:
        try:
            return function(item)
        except (ValueError, OSError) as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(tried, items))


def _decode(setting: DataSetting, folder: Path, items: dict[str, list[_Item]]) -> Arrays:
    """Of each split x, and row, which of its items these are; and of all how many of a kind there are, `_KINDS`."""
    every = [path for of in items.values() for path, _ in of]
    headers = dict(zip(every, _in_turn(photographs.header, every), strict=True))
    good = {path: of for path, of in headers.items() if isinstance(of, Header)}
    _refuse_broken(setting, folder, {path: of for path, of in headers.items() if not isinstance(of, Header)})
    if not good:
        raise InputError("data.dataset", setting.dataset, "has no picture that can be decoded; must have some")
    height, width = _size(setting, folder, good)
    channels = 1 if all(of.grey for of in good.values()) else 3
    check_fits("data.dataset", setting.dataset, f"{len(good):,} pictures", len(good) * height * width * channels)
    arrays: Arrays = {}
    for split, of in items.items():
        rows = [row for row, (path, _) in enumerate(of) if path in good]
        x, broken = np.empty((len(rows), height, width, channels), np.uint8), {}

        def put(at: int, x: np.ndarray = x, rows: list[int] = rows, of: list[_Item] = of) -> None:
            x[at] = photographs.pixels(of[rows[at]][0], channels, setting.image_size)

        for at, error in enumerate(_in_turn(put, range(len(rows)))):
            if error is not None:
                broken[of[rows[at]][0]] = error
        _refuse_broken(setting, folder, broken)
        whole = [at for at, row in enumerate(rows) if of[row][0] not in broken]
        arrays |= {f"{split}.x": x[whole] if broken else x, f"{split}.row": np.array(rows, np.int64)[whole]}
    enlarged = sum(min(of.width, of.height) < (setting.image_size or 0) for of in good.values())
    kinds = [sum(of.deep for of in good.values()), sum(of.transparent for of in good.values()), enlarged]
    return arrays | {"kinds": np.array(kinds, np.int64)}


_KINDS = (
    "have 16 bits of grey, and are rounded to 8",
    "have an alpha channel, which is dropped",
    "are smaller than `data.image_size`, and are enlarged",
)


def _notes(folder: Path, items: dict[str, list[_Item]], arrays: Arrays) -> list[str]:
    """What is said of the pictures that are read, and of those that are not."""
    every = sum(map(len, items.values()))
    notes = [f"{n:,} of {every:,} pictures {what}" for n, what in zip(arrays["kinds"], _KINDS, strict=True) if n]
    broken = [
        str(of[row][0].relative_to(folder))
        for split, of in items.items()
        for row in sorted({*range(len(of))} - {*arrays[f"{split}.row"].tolist()})
    ]
    return notes + list(listed(f"{len(broken):,} of {every:,} pictures are broken and left out", broken))


def _refuse_broken(setting: DataSetting, folder: Path, broken: dict[Path, Exception]) -> None:
    if broken and not setting.skip_broken:
        path, error = next(iter(broken.items()))
        more = f" ({len(broken) - 1:,} more are broken)" if len(broken) > 1 else ""
        said = f"{path.relative_to(folder)} cannot be decoded: {one_line(error)}{more}"
        raise InputError("data.dataset", setting.dataset, f"{said}; remove it, or give `data.skip_broken` True")


def _size(setting: DataSetting, folder: Path, headers: dict[Path, Header]) -> tuple[int, int]:
    """Height and width of all pictures."""
    if setting.image_size is not None:
        return setting.image_size, setting.image_size
    first, *others = headers.items()
    for path, of in others:
        if (of.width, of.height) != (first[1].width, first[1].height):
            said = " and ".join(f"{p.relative_to(folder)} {o.width}x{o.height}" for p, o in (first, (path, of)))
            raise InputError("data.image_size", None, f"must be given, since pictures differ in size: {said}")
    return first[1].height, first[1].width
