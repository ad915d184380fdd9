"""Data sets: source, tokens, cache, subset, label noise."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from distill_jax.data import cache, subset
from distill_jax.data.arrays import block_mean, margin, mean_and_std
from distill_jax.data.dataset import Dataset, Split
from distill_jax.data.noise import corrupt_labels
from distill_jax.data.sources import (
    cifar_files,
    digits,
    hub,
    idx,
    image_folder,
    image_tables,
    imagenet,
    npz,
    text_files,
    tfds_images,
    tfds_text,
    tiny_imagenet,
    webdataset,
)
from distill_jax.data.sources.labels import shown
from distill_jax.data.sources.source import Raw
from distill_jax.errors import InputError, require
from distill_jax.own_code import is_own
from distill_jax.paths import local
from distill_jax.setting import DataSetting

__all__ = ["Dataset", "Split", "kind", "load_dataset", "needs_folder"]

_SOURCES: dict[str, Callable[[DataSetting], Raw]] = {
    "digits": digits.read,
    "fashion-mnist": idx.read,
    "tiny-imagenet": tiny_imagenet.read,
    "imagenet": imagenet.read,
    **dict.fromkeys(tfds_images.NAMES, tfds_images.read),
    **dict.fromkeys(tfds_text.NAMES, tfds_text.read),
}


def load_dataset(setting: DataSetting, arrays: Mapping[str, Any] | None = None) -> Dataset:
    """Loads a data set, as much of it as is asked for, with label noise on its training split.

    The first load of one that has to be decoded takes a while; later ones map the cached arrays.

    >>> arrays = {"x_train": np.eye(4), "y_train": [0, 1, 0, 1], "x_test": np.eye(4), "y_test": [1, 0, 1, 0]}
    >>> train = load_dataset(DataSetting(dataset="mine", label_noise=0.5), arrays).train
    >>> train.true_label.tolist(), int((train.label != train.true_label).sum())
    ([0, 1, 0, 1], 2)

    Args:
      setting: what to load; `augment` is only checked.
      arrays: what is there already and need not be loaded, see `npz.raw_of`; `setting.dataset` is then its name.

    Returns:
      Both splits, the same on every load and in every process. Images are uint8 where the source's are, texts are
      tokens.

    Raises:
      InputError: the setting or the data are wrong; one line that names the field, its value and the remedy.
      RunError: the cache cannot be written, as on a full disk.
    """
    _check(setting)
    raw = _source(setting)(setting) if arrays is None else npz.raw_of(arrays, setting.dataset)
    if raw.train.x.ndim != 4 and setting.augment != "none":
        raise InputError(
            "data.augment", setting.augment, f"must be none for {('texts' if raw.vocabulary else 'features')}"
        )
    train, test, num_classes = _select(setting, raw)
    names = raw.names and raw.names[:num_classes]
    notes = [*raw.notes, *_subset_notes(setting, raw, train, test)]
    if names:
        notes.append(f"labels are numbered in this order: {shown(names)}")
    if setting.image_size is not None:
        side = train.x.shape[1]
        train, test = (_shrink(setting.image_size, split) for split in (train, test))
        if side > setting.image_size:
            notes.append(f"images are averaged from {side} to {setting.image_size} pixels a side")
    if setting.augment != "none" and not any(map(margin, train.x.shape[1:3])):
        raise InputError(
            "data.augment",
            setting.augment,
            f"must be none for images of {train.x.shape[1]}x{train.x.shape[2]} pixels, an eighth of which is "
            "less than one to crop by",
        )
    draw = None
    if setting.label_noise:
        noisy_labels = functools.partial(
            corrupt_labels, train.label, setting.label_noise, num_classes, setting.noise_seed
        )
        draw = functools.cache(noisy_labels)  # asked for at every dump of every student
        train = dataclasses.replace(train, label=draw(0))
        wrong, total = int(np.sum(train.label != train.true_label)), len(train.label)
        notes.append(f"{wrong:,} of {total:,} training labels are replaced by another class")
    draw_per_seed = draw if setting.noise_draw == "per-seed" else None
    mean_std = (None, None) if raw.vocabulary else _moments(train.x)
    name = Path(setting.dataset).name
    titles = raw.titles and raw.titles[:num_classes]
    described = raw.vocabulary, names, tuple(notes), titles
    return Dataset(name, train, test, num_classes, *mean_std, draw_per_seed, *described)


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`mean_and_std`, which is remembered of inputs that lie in the cache."""
    place = cache.stored(x)
    if place is None:
        return mean_and_std(x)
    fact = f"mean-and-std-{place.crc32}-{len(x)}"
    mean, std = cache.remembered(place.entry, fact, lambda: [moment.tolist() for moment in mean_and_std(x)])
    return np.array(mean, np.float32), np.array(std, np.float32)


def kind(dataset: str) -> Literal["texts", "arrays", "unknown"]:
    """The kind of data that `data.dataset` names: texts, images or flat features; 'unknown' if none can be loaded."""
    reader = _reader(dataset)
    if reader is None:
        return "unknown"
    return "texts" if reader is text_files.read or dataset in tfds_text.NAMES else "arrays"


def check_known(setting: DataSetting) -> None:
    """Checks that there are data by that name, or at that path.

    Raises:
      InputError: there are none.
    """
    _source(setting)


def is_of_pictures(dataset: str) -> bool:
    """Whether `data.dataset`, as named, is a folder of pictures."""
    return _reader(dataset) in (image_folder.read, image_tables.read, imagenet.read, hub.read, webdataset.read)


def picture_paths(setting: DataSetting) -> dict[str, dict[int, str]] | None:
    """Of pictures in files of their own, each split's paths by id, relative to the folder; None of other data.

    Raises:
      InputError: as the source's `read`.
    """
    reader = _source(setting)
    if reader is image_folder.read:
        return image_folder.paths(setting)
    return tiny_imagenet.paths(setting) if reader is tiny_imagenet.read else None


def needs_folder(dataset: str) -> bool:
    """Whether `data.dataset`, as named, lies in the folder of `data.data_dir`, or cannot be loaded at all."""
    return dataset != "digits" if dataset in _SOURCES else kind(dataset) == "unknown"


def folder_of(dataset: str) -> str:
    """The folder within `data.data_dir` in which a data set, as named, lies; empty where that is the folder itself."""
    return dataset if dataset in (*tfds_images.NAMES, *tfds_text.NAMES) else ""


def _check(setting: DataSetting) -> None:
    """Checks the fields that can be checked before the data are read."""
    require(0 <= setting.label_noise < 1, "data.label_noise", setting.label_noise, "a share in [0, 1)")
    require(setting.noise_seed >= 0, "data.noise_seed", setting.noise_seed, "0 or more")
    require(setting.classes is None or setting.classes >= 2, "data.classes", setting.classes, "2 or more")
    size = setting.image_size
    require(size is None or size >= 1, "data.image_size", size, "1 or more pixels")
    for field, count in (
        ("data.train_examples", setting.train_examples),
        ("data.test_examples", setting.test_examples),
    ):
        require(count is None or count >= 1, field, count, "1 or more")


def _reader(dataset: str) -> Callable[[DataSetting], Raw] | None:
    """The function that reads a data set, by its name or by what is at its path; None where there is none."""
    if dataset.startswith(hub.PREFIX):
        return hub.read
    if is_own(dataset):
        return npz.of_function
    if dataset in _SOURCES:
        return _SOURCES[dataset]
    path = local("data.dataset", dataset)
    if cifar_files.present(path):
        return cifar_files.read
    if path.is_dir() and image_tables.present(path):
        return image_tables.read
    if path.is_dir() and webdataset.present(path):
        return webdataset.read
    if path.is_dir() and not text_files.present(path) and image_folder.present(path):
        return image_folder.read
    if path.suffix.lower() == ".npz":
        return npz.read
    return text_files.read if path.is_dir() or path.suffix.lower() in text_files.SUFFIXES else None


def _source(setting: DataSetting) -> Callable[[DataSetting], Raw]:
    name = setting.dataset
    if name == "mnist" and setting.data_dir and idx.present(local("data.data_dir", setting.data_dir)):
        return idx.read
    if (reader := _reader(name)) is not None:
        return reader
    close = difflib.get_close_matches(name.lower().replace("_", "-"), _SOURCES, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    known = ", ".join(sorted(_SOURCES))
    raise InputError(
        "data.dataset",
        name,
        f"is not known{guess}; must be one of {known}, the path of a .npz file, a folder of pictures or "
        "texts, or module:function of your own",
    )


def _select(setting: DataSetting, raw: Raw) -> tuple[Split, Split, int]:
    train, test, num_classes = raw.train, raw.test, raw.num_classes
    for split_name, split in (("training", train), ("test", test)):
        low, high = split.label.min(initial=0), split.label.max(initial=0)
        if low < 0 or high >= num_classes:
            raise InputError(
                "data.dataset",
                setting.dataset,
                f"a {split_name} example has the label {(low if low < 0 else high)}; must be in 0 to "
                f"{num_classes - 1}, a class",
            )
    if setting.classes is not None:
        if setting.classes > num_classes:
            raise InputError(
                "data.classes", setting.classes, f"must be at most {num_classes}, all of {setting.dataset}"
            )
        if setting.classes < num_classes:
            num_classes = setting.classes
            train, test = (s.take((s.label < num_classes).nonzero()[0]) for s in (train, test))
            for name, split in (("training", train), ("test", test)):
                if not len(split.label):
                    raise InputError("data.classes", num_classes, f"no {name} example is of these; must be more")
    train = _part(train, setting.train_examples, num_classes, setting.noise_seed, "train", "training")
    test = _part(test, setting.test_examples, num_classes, setting.noise_seed, "test", "test")
    absent = np.setdiff1d(np.arange(num_classes), train.label)
    if len(absent):
        raise InputError(
            "data.dataset",
            setting.dataset,
            f"{len(absent)} of {num_classes} classes have no training example, the first {absent[0]}; must "
            "have one each, of which label noise and the network's outputs are",
        )
    return train, test, num_classes


def _subset_notes(setting: DataSetting, raw: Raw, train: Split, test: Split) -> Iterator[str]:
    """Notes on the examples and classes that are not used."""
    train_limit, test_limit = (
        ("data.train_examples", setting.train_examples),
        ("data.test_examples", setting.test_examples),
    )
    for split_name, available, used, limit in (
        ("training", raw.train, train, train_limit),
        ("test", raw.test, test, test_limit),
    ):
        limits = (("classes", setting.classes), limit)
        reason = ", ".join(f"{name} {value}" for name, value in limits if value is not None)
        if len(used.label) < len(available.label):
            yield f"{len(used.label):,} of {len(available.label):,} {split_name} examples are used ({reason})"


def _part(split: Split, count: int | None, num_classes: int, seed: int, name: str, split_name: str) -> Split:
    if count is None:
        return split
    available = len(split.label)
    if not num_classes <= count <= available:
        raise InputError(
            f"data.{name}_examples",
            count,
            f"must be at least {num_classes}, the number of classes, and at most "
            f"{available}, the {split_name} examples there are",
        )
    return split if count == available else split.take(subset.stratified(split.label, count, seed))


def _shrink(size: int, split: Split) -> Split:
    if split.x.ndim != 4:
        raise InputError(
            "data.image_size", size, "must not be given, the data are flat features or texts and no images"
        )
    height, width = split.x.shape[1:3]
    if height != width:
        raise InputError("data.image_size", size, f"must not be given, the images are {width}x{height}, not square")
    if height % size:
        raise InputError("data.image_size", size, f"must divide {height}, the side of the images")
    return split if size == height else dataclasses.replace(split, x=block_mean(split.x, size))
