"""ImageNet as it is unpacked: on a few pictures, by the names that it has."""

import numpy as np
import pytest
from PIL import Image

from distill_jax.data import load_dataset
from distill_jax.setting import DataSetting

WNIDS = ("n01440764", "n02102040")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for wnid in WNIDS:
            place = tmp_path / "imagenet" / split / wnid
            place.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (40 + number, 60, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{wnid}_{number}.JPEG", quality=95)
    return tmp_path / "imagenet"


def load(folder, tmp_path, **fields):
    return load_dataset(DataSetting(dataset="imagenet", data_dir=folder, cache_dir=tmp_path / "cache", **fields))


def test_pictures_are_resized_and_lie_on_the_disk(folder, tmp_path):
    data = load(folder, tmp_path, image_size=32)
    assert data.names == WNIDS
    assert data.train.x.shape == (6, 32, 32, 3)
    assert data.test.label.tolist() == [0, 0, 1, 1]
    assert isinstance(data.train.x, np.memmap)


def test_what_is_wrong_with_it_is_said(folder, tmp_path, fails):
    where = {"dataset": "imagenet", "cache_dir": tmp_path / "cache"}
    fails("data.data_dir", "must be given", **where)
    fails("data.image_size", "224 is usual", data_dir=folder, **where)
    fails(f"data.data_dir {folder / 'train'}", "has no train/", data_dir=folder / "train", image_size=32, **where)
