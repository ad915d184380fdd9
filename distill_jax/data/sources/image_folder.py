"""The user's own pictures: a folder of each class, as torchvision's ImageFolder has them."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from distill_jax.data.sources import picture_set
from distill_jax.data.sources.photographs import SUFFIXES
from distill_jax.data.sources.picture_set import Picture
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.errors import InputError
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_TEST = ("test", "val", "valid", "validation")  # in this order; names of folders in any case
_CONTENT = "train/CLASS/*.jpg and val/CLASS/*.jpg (or test/), or CLASS/*.jpg"


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
    pictures = {split: _of_split(setting.dataset, folder, part) for split, part in parts.items()}
    files = [folder / picture.name for of_split in pictures.values() for picture in of_split]
    names = {split: _called(parts, split) for split in ("train", "test")}
    raw = picture_set.read(setting, pictures, folder, files, names)
    return dataclasses.replace(raw, notes=raw.notes + not_read(f"folders of {folder.name}/", unread))


def paths(setting: DataSetting) -> dict[str, dict[int, str]]:
    """Of both splits the pictures' paths in the folder by their ids.

    Raises:
      InputError: as `read`, of folders and pictures that are absent.
    """
    folder = local("data.dataset", setting.dataset)
    parts, _ = _parts(setting.dataset, folder)
    found = {split: _of_split(setting.dataset, folder, part) for split, part in parts.items()}
    by_id = {split: {i: picture.name for i, picture in enumerate(of_split)} for split, of_split in found.items()}
    return {"test": by_id["train"]} | by_id  # where some are held out, both have the folder's numbers


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


def _of_split(dataset: str, folder: Path, part: Path) -> list[Picture]:
    """The pictures of a split with their classes, ordered by class and path."""
    found = []
    for of_class in _folders(part):
        paths = list(_pictures(of_class))
        if not paths:
            where = f"{of_class.relative_to(folder)}/"
            raise InputError(
                "data.dataset", dataset, f"{where} has no picture ({', '.join(SUFFIXES)}); must be {_CONTENT}"
            )
        found += [Picture(str(path.relative_to(folder)), path, of_class.name) for path in paths]
    if not found:
        raise InputError("data.dataset", dataset, f"{part.name}/ has no folders of classes; must be {_CONTENT}")
    return found
