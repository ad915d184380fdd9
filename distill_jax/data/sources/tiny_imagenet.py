"""Tiny-ImageNet in its original layout, or a part of its classes in the same layout."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split
from distill_jax.data.sources.pictures import decoded
from distill_jax.data.sources.source import Raw, check_label, data_folder, not_read
from distill_jax.errors import InputError, one_line
from distill_jax.limits import check_fits
from distill_jax.setting import DataSetting

_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_CONTENT = f"the unpacked folder of {_URL}, with train/<wnid>/images and val/"
_DIGITS = 15  # of an image's number, which with its class's is to fit into 64 bits
_UNREAD_SUFFIXES = (".webp", ".gif", ".bmp", ".tif", ".tiff")
_Item = tuple[Path, int, int]  # file, label, id


def read(setting: DataSetting) -> Raw:
    """Images uint8 [N, H, W, 3], greyscale ones repeated; the validation images are the test split.

    Classes are those of wnids.txt in its order, or else the folders in train/ in alphabetical order. Training
    images are ordered by class and number, with id = digits of the wnid * 1000 + number; validation images by
    number, which is their id. They lie in val/images with val/val_annotations.txt, or in val/<wnid>/images;
    those of other classes are left out.

    Raises:
      InputError: `data.data_dir` or `data.label` is wrong, or an image or a folder is absent or damaged.
    """
    folder = data_folder(setting, _CONTENT)
    check_label(setting, ["label"])
    try:
        classes = _classes(folder)
        train = _train_items(folder, classes)
        test, left_out = _test_items(folder, classes)
        others = {*_folders(folder / "train")} - {*classes}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("data.data_dir", folder, f"{one_line(error)}; must be {_CONTENT}") from error
    for name, items in (("train", train), ("val", test)):
        if len({identifier for _, _, identifier in items}) < len(items):
            raise InputError("data.data_dir", folder, f"two images in {name}/ have one number; must be {_CONTENT}")
    # The order of classes decides the labels, so that wnids.txt is part of the key with the images.
    files = [path for path, _, _ in train + test]
    files += [path for path in (folder / "wnids.txt", folder / "val" / "val_annotations.txt") if path.is_file()]
    arrays = cached(
        setting.cache_dir,
        "tiny-imagenet",
        folder,
        files,
        lambda _: _decode(folder, train, "train") | _decode(folder, test, "test"),
    )
    splits = []
    for name in ("train", "test"):
        label = arrays[f"{name}.label"]
        splits.append(Split(arrays[f"{name}.x"], label, label, arrays[f"{name}.id"]))
    if splits[0].x.shape[1:] != splits[1].x.shape[1:]:
        raise InputError("data.data_dir", folder, f"images of train/ and val/ differ in size; must be {_CONTENT}")
    notes = not_read("classes of train/", others)
    if left_out:
        notes += (f"{left_out:,} of {left_out + len(test):,} images of val/ are left out, of other classes or of none",)
    return Raw(*splits, num_classes=len(classes), notes=notes, titles=_titles(folder, classes))


def paths(setting: DataSetting) -> dict[str, dict[int, str]]:
    """Of both splits the images' paths in the folder by their ids; to be asked for what `read` has read.

    Raises:
      InputError: as `read`.
    """
    folder = data_folder(setting, _CONTENT)
    classes = _classes(folder)
    items = {"train": _train_items(folder, classes), "test": _test_items(folder, classes)[0]}
    return {split: {i: str(path.relative_to(folder)) for path, _, i in of_split} for split, of_split in items.items()}


def _classes(folder: Path) -> list[str]:
    listed = folder / "wnids.txt"
    if listed.is_file():
        classes = list(dict.fromkeys(listed.read_text("utf-8-sig").split()))
    elif (folder / "train").is_dir():
        classes = _folders(folder / "train")
    else:
        classes = []
    if len(classes) < 2:
        raise InputError("data.data_dir", folder, f"has fewer than 2 classes; must be {_CONTENT}")
    for wnid in classes:
        if not re.fullmatch(r"n\d{1,12}", wnid):
            raise InputError("data.data_dir", folder, f"{wnid!r} is no wnid such as n02124075; must be {_CONTENT}")
        if not (folder / "train" / wnid).is_dir():
            raise InputError("data.data_dir", folder, f"has no train/{wnid}; unpack it again: must be {_CONTENT}")
    return classes


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[tuple[int, Path]]:
    """Number, which ends its name, and path of each image of a class, by number."""
    if (folder / "images").is_dir():
        folder = folder / "images"
    images = []
    for path in folder.iterdir():
        if path.suffix.lower() in (".jpeg", ".jpg", ".png") and not path.name.startswith("."):
            number = re.search(r"\d+$", path.stem)
            if number is None or len(number.group()) > _DIGITS:
                raise InputError(
                    "data.data_dir",
                    folder,
                    f"{path.name} has no number of {_DIGITS} digits at most; must be {_CONTENT}",
                )
            images.append((int(number.group()), path))
        elif path.suffix.lower() in _UNREAD_SUFFIXES:
            raise InputError(
                "data.data_dir", folder, f"{path.name} is a picture of a kind that is not read: {_CONTENT}"
            )
    if not images:
        raise InputError("data.data_dir", folder, f"has no images; must be {_CONTENT}")
    return sorted(images)


def _train_items(folder: Path, classes: list[str]) -> list[_Item]:
    return [
        (path, label, int(wnid[1:]) * 1000 + number)
        for label, wnid in enumerate(classes)
        for number, path in _images(folder / "train" / wnid)
    ]


def _test_items(folder: Path, classes: list[str]) -> tuple[list[_Item], int]:
    """The images of these classes, and how many there are besides."""
    val, left_out = folder / "val", 0
    if all((val / wnid).is_dir() for wnid in classes):
        items = [(p, label, n) for label, wnid in enumerate(classes) for n, p in _images(val / wnid)]
    else:
        number = {path.name: n for n, path in _images(val)}
        label_of = {wnid: label for label, wnid in enumerate(classes)}
        items, seen = [], set[str]()
        for line in (val / "val_annotations.txt").read_text("utf-8-sig").splitlines():
            name, wnid = [*line.split(), "", ""][:2]
            if name in seen:
                raise InputError("data.data_dir", folder, f"val_annotations.txt names {name} twice; must do so once")
            seen.add(name)
            if wnid in label_of:
                if name not in number:
                    raise InputError("data.data_dir", folder, f"has no val/images/{name}; unpack it again")
                items.append((val / "images" / name, label_of[wnid], number[name]))
        left_out = len(number) - len(items)
    if not items:
        raise InputError("data.data_dir", folder, f"val/ has no image of these classes; must be {_CONTENT}")
    return sorted(items, key=lambda item: item[2]), left_out


def _decode(folder: Path, items: list[_Item], name: str) -> Arrays:
    x: np.ndarray = np.empty((0,))
    for row, (path, _, _) in enumerate(items):
        try:
            pixels = decoded(path, channels=3)
        except (OSError, ValueError) as error:
            raise InputError(
                "data.data_dir",
                folder,
                f"{path.relative_to(folder)} cannot be decoded: {one_line(error)}; unpack it again",
            ) from error
        if row == 0:
            check_fits("data.data_dir", folder, f"{len(items):,} images of {pixels.shape}", len(items) * pixels.nbytes)
            x = np.empty((len(items), *pixels.shape), np.uint8)
        if pixels.shape != x.shape[1:]:
            raise InputError(
                "data.data_dir",
                folder,
                f"{path.relative_to(folder)} has {pixels.shape[1]}x{pixels.shape[0]} pixels and others "
                f"{x.shape[2]}x{x.shape[1]}; must be the same",
            )
        x[row] = pixels
    return {
        f"{name}.x": x,
        f"{name}.label": np.array([label for _, label, _ in items], np.int32),
        f"{name}.id": np.array([identifier for _, _, identifier in items], np.int64),
    }


def _titles(folder: Path, classes: Sequence[str]) -> tuple[str, ...] | None:
    """The first word for each class in words.txt; None without the file, or where one is not in it."""
    try:
        lines = (folder / "words.txt").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    words = {name: text.split(",")[0].strip() for name, _, text in (line.partition("\t") for line in lines)}
    return tuple(words[name] for name in classes) if words.keys() >= {*classes} else None
