"""MNIST, CIFAR-10 and CIFAR-100 as TensorFlow Datasets prepares them; read without TensorFlow.

Other data sets prepared by it are found and opened here too, see `open_source`.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.data.cache import Arrays, cached
from distill_jax.data.dataset import Split
from distill_jax.data.sources.pictures import decoded
from distill_jax.data.sources.source import Raw, check_label, data_folder
from distill_jax.errors import InputError, one_line
from distill_jax.extras import needed
from distill_jax.limits import check_fits
from distill_jax.setting import DataSetting

NAMES = ("mnist", "cifar10", "cifar100")
_BATCH = 1000
_CORE = "tensorflow_datasets.core.features."
_FEATURES = {
    *(f"{_CORE}{name}" for name in ("features_dict.FeaturesDict", "class_label_feature.ClassLabel")),
    *(f"{_CORE}{name}" for name in ("image_feature.Image", "text_feature.Text", "tensor_feature.Tensor")),
    f"{_CORE}scalar.Scalar",
}


def read(setting: DataSetting) -> Raw:
    """Images uint8 [N, H, W, C] in TFDS's order.

    id is the original index, which the data set's `id` feature ends with, or the index in the prepared split
    where there is no such feature. `data.label` may name any class label of the data set.

    Raises:
      InputError: `data.data_dir` or `data.label` is wrong, or the data set is not prepared there, or not wholly.
    """
    name = setting.dataset
    folder = data_folder(setting, "a TFDS data_dir: " + how_to_prepare(name, setting.data_dir or "..."))
    version = newest_version(name, folder)
    # Images are decoded here, since TFDS would log a recommendation of OpenCV.
    source = open_source(name, folder, version, encoded=["image"])
    features = source["train"].dataset_info.features
    labels = {key: f.num_classes for key, f in features.items() if hasattr(f, "num_classes")}
    check_label(setting, sorted(labels, key=lambda key: (key != "label", key)))
    prepared = folder / name / version
    arrays = cached(
        setting.cache_dir,
        f"{name}-{version}",
        prepared,
        [path for path in prepared.iterdir() if path.is_file()],
        lambda _: _decode(name, folder, source, [*labels]),
    )
    splits = []
    for split in ("train", "test"):
        label = arrays[f"{split}.{setting.label}"]
        splits.append(Split(arrays[f"{split}.x"], label, label, arrays[f"{split}.id"]))
    return Raw(*splits, num_classes=labels[setting.label], titles=titles(features[setting.label]))


def titles(feature: Any) -> tuple[str, ...] | None:
    """What TFDS calls the classes of a label; None where their numbers."""
    names = tuple(feature.names)
    return None if names == tuple(map(str, range(feature.num_classes))) else names


def how_to_prepare(name: str, folder: Path | str) -> str:
    """The command that prepares a data set, for a message."""
    return (
        "prepare it with `pip install tensorflow tensorflow-datasets` and "
        '`python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', data_dir='{folder}', file_format='array_record')"
        '.download_and_prepare()"`'
    )


def damaged(name: str, folder: Path, version: str, what: str) -> InputError:
    """The error of a data set that is not whole."""
    return InputError(
        "data.data_dir",
        folder,
        f"{name} is not whole there: {what}; delete {folder / name / version} and " + how_to_prepare(name, folder),
    )


def newest_version(name: str, folder: Path) -> str:
    """The newest version of a data set that is prepared in a folder.

    Raises:
      InputError: none is, or not wholly.
    """
    try:
        versions = [path.name for path in (folder / name).iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    except OSError:
        versions = []
    if not versions:
        raise InputError("data.data_dir", folder, f"{name} is not prepared there; " + how_to_prepare(name, folder))
    version = max(versions, key=lambda text: [int(part) for part in text.split(".")])
    if not (folder / name / version / "dataset_info.json").is_file():
        raise damaged(name, folder, version, "dataset_info.json is absent")
    return version


def _check_features(name: str, folder: Path, version: str) -> None:
    """Checks features.json, which names the classes that read it: TFDS would import and run any other."""
    try:
        content = json.loads((folder / name / version / "features.json").read_text("utf-8"))
        unknown = sorted(set(_classes(content)) - _FEATURES)
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(name, folder, version, f"features.json cannot be read ({one_line(error)})") from error
    if unknown:
        raise InputError(
            "data.data_dir",
            folder,
            f"{name} has features of the class {unknown[0]!r} there; must be of TFDS's own classes for "
            "labels, images, texts and numbers, since others would be run",
        )


def _classes(content: Any) -> Iterator[str]:
    """The classes that are named anywhere in features.json, in any of the ways that TFDS reads."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key in ("pythonClassName", "python_class_name", "type") and isinstance(value, str):
                yield value
            elif key in ("jsonFeature", "json_feature"):  # whose text names further ones
                yield key
            else:
                yield from _classes(value)
    elif isinstance(content, list):
        for value in content:
            yield from _classes(value)


def open_source(
    name: str, folder: Path, version: str, splits: Sequence[str] = ("train", "test"), encoded: Sequence[str] = ()
) -> dict[str, Any]:
    """TFDS's random-access sources by split, these among them; features `encoded` stay so. No record is read yet.

    Raises:
      InputError: they cannot be opened, or are not whole.
    """
    _check_features(name, folder, version)
    for module in ("array_record", "tensorflow_datasets"):
        tfds = needed(module, "tfds", "data.dataset", name)
    try:
        source: Any = tfds.data_source(
            f"{name}:{version}",
            data_dir=folder,
            download=False,
            decoders={feature: tfds.decode.SkipDecoding() for feature in encoded},
        )
    except NotImplementedError as error:
        raise InputError(
            "data.data_dir",
            folder,
            f"{name} is prepared there in a format that cannot be read without TensorFlow; in another folder "
            f"{how_to_prepare(name, '...')}",
        ) from error
    except Exception as error:  # of many types, as the damage has it
        raise damaged(name, folder, version, one_line(error)) from error
    for split in splits:
        if split not in source:
            raise damaged(name, folder, version, f"it has no {split} split")
        for path in source[split].dataset_info.splits[split].filepaths:
            if not Path(path).is_file():
                raise damaged(name, folder, version, f"{Path(path).name} is absent")
    return source


def _decode(name: str, folder: Path, source: dict[str, Any], labels: list[str]) -> Arrays:
    version = str(source["train"].dataset_info.version)
    arrays: Arrays = {}
    for split in ("train", "test"):
        try:
            arrays |= _decode_split(name, split, source[split], labels)
        except InputError:  # not the files' fault
            raise
        except Exception as error:  # of many types, as the damage has it
            raise damaged(name, folder, version, f"the {split} split cannot be read ({one_line(error)})") from error
    return arrays


def _decode_split(name: str, split: str, source: Any, labels: list[str]) -> Arrays:
    shape = source.dataset_info.features["image"].shape
    check_fits("data.dataset", name, f"{len(source):,} images of {shape}", len(source) * math.prod(shape))
    x = np.empty((len(source), *shape), np.uint8)
    columns = {key: np.empty(len(source), np.int32) for key in labels}
    identifier = np.arange(len(source), dtype=np.int64)
    for start in range(0, len(source), _BATCH):
        rows = range(start, min(start + _BATCH, len(source)))
        for row, example in zip(rows, source.__getitems__(list(rows)), strict=True):
            pixels = decoded(example["image"], shape[-1])
            if pixels.shape != shape:
                raise ValueError(f"image {row} has the shape {pixels.shape}, and the data set {shape}")
            x[row] = pixels
            for key, column in columns.items():
                column[row] = example[key]
            if "id" in example:  # such as b"train_16399"
                identifier[row] = int(re.findall(rb"\d+$", example["id"])[0])
    return {f"{split}.x": x, f"{split}.id": identifier} | {f"{split}.{k}": v for k, v in columns.items()}
