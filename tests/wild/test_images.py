"""Images whose numbers can be read in two ways, and files that are no pictures of a data set."""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from distill_jax.data import load_dataset
from distill_jax.data.sources.pictures import decoded
from distill_jax.setting import DataSetting

RNG = np.random.default_rng(0)


def write(folder, x, test=None):
    test = x[:20] if test is None else test
    y = np.arange(len(x)) % 2
    np.savez(folder / "own.npz", x_train=x, y_train=y, x_test=test, y_test=y[: len(test)])
    return str(folder / "own.npz")


TWO_WAYS = {
    "channels first": (RNG.integers(0, 256, (30, 3, 16, 16), np.uint8), "x_train.transpose(0, 2, 3, 1)"),
    "grey, channels first": (RNG.integers(0, 256, (30, 1, 28, 28), np.uint8), "x_train.transpose(0, 2, 3, 1)"),
    "rows of pixels with their colours": (RNG.integers(0, 256, (30, 1024, 3), np.uint8), "x_train.reshape(30, -1)"),
    "standardised": (RNG.normal(size=(30, 8, 8, 3)).astype(np.float32), "in [0, 1] or [0, 255]"),
    "of 16 bits": (RNG.uniform(0, 65535, (30, 8, 8)).astype(np.float32), "in [0, 1] or [0, 255]"),
    "between -1 and 1": (RNG.uniform(-1, 1, (30, 8, 8, 1)), "in [0, 1] or [0, 255]"),
}


@pytest.mark.parametrize("kind", TWO_WAYS)
def test_arrays_that_can_be_read_in_two_ways_are_refused_with_what_to_type(tmp_path, fails, kind):
    x, right = TWO_WAYS[kind]
    path = write(tmp_path, x)
    fails(f"data.dataset {path}: x_train has ", right, dataset=path)


@pytest.mark.parametrize("shape", [(8, 8, 16), (3, 3, 16), (4, 6, 2), (28, 28), (32, 32, 3), (5,)])
def test_arrays_that_cannot_are_read(tmp_path, shape):
    x = RNG.integers(0, 256, (30, *shape), np.uint8)
    assert load_dataset(DataSetting(write(tmp_path, x))).input_shape == (shape if len(shape) != 2 else (*shape, 1))


def test_splits_on_two_scales_are_refused(tmp_path, fails):
    x = RNG.uniform(0, 1, (30, 8, 8, 1)).astype(np.float32)
    path = write(tmp_path, x, x[:20] * 255)
    fails(f"data.dataset {path}: ", "must be on one scale", dataset=path)


def test_features_that_are_no_images_may_have_any_values(tmp_path):
    x = RNG.normal(size=(30, 12)).astype(np.float32) * 1e4
    np.testing.assert_array_equal(load_dataset(DataSetting(write(tmp_path, x))).train.x, x)


def saved(path, image, kind="PNG"):
    image.save(path, kind)
    return path


def test_only_pictures_of_8_bits_in_two_formats_are_decoded(tmp_path):
    pixels = RNG.integers(0, 256, (6, 5, 3), np.uint8)
    colours, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    np.testing.assert_array_equal(decoded(saved(tmp_path / "a", colours), channels=3), pixels)
    np.testing.assert_array_equal(decoded(saved(tmp_path / "a", grey), channels=1), pixels[..., :1])
    np.testing.assert_array_equal(decoded(saved(tmp_path / "a", grey), channels=3), pixels[..., [0, 0, 0]])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
    refused = {
        "pixels of the kind I;16": deep,
        "no transparency": colours.convert("RGBA"),
        "must have 2048 a side at most": Image.new("L", (2049, 1)),
    }
    for said, image in refused.items():
        with pytest.raises(ValueError, match=said):
            decoded(saved(tmp_path / "a", image), channels=3)
    with pytest.raises(ValueError, match="has colours; must be grey"):
        decoded(saved(tmp_path / "a", colours), channels=1)
    for kind in ("EPS", "GIF", "TIFF"):  # whatever their names say
        with pytest.raises((ValueError, OSError)):
            decoded(saved(tmp_path / "a.JPEG", colours, kind), channels=3)


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("1", (20_000, 20_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="DecompressionBomb"):
        decoded(path, channels=3)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is no file"):
        decoded(tmp_path / "a.png", channels=3)


def test_whole_numbers_on_two_scales_are_refused_and_a_little_beyond_1_is_not(tmp_path, fails):
    x = RNG.integers(0, 2, (30, 8, 8), np.uint8)
    path = write(tmp_path, x, 255 * x[:20])
    fails(f"data.dataset {path}: x_train has values up to 1 and x_test up to 255", "one scale", dataset=path)
    beyond = RNG.uniform(0, 1, (30, 8, 8)).astype(np.float32)
    beyond[0, 0, 0] = 1.001
    load_dataset(DataSetting(write(tmp_path, beyond, np.minimum(beyond[:20], 1))))


def test_an_array_that_is_there_twice_is_refused_and_others_are_said(tmp_path, fails):
    x, y = RNG.integers(0, 256, (30, 8, 8), np.uint8), np.arange(30) % 2
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    path = str(tmp_path / "own.npz")
    np.savez(path, **arrays, x_val=x, sample_weight=y)
    assert load_dataset(DataSetting(path)).notes == ("arrays that are not read: sample_weight, x_val",)
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as file, file.open("y_train", "w") as member:
        np.lib.format.write_array(member, 1 - y)
    fails(f"data.dataset {path}: has y_train more than once", dataset=path)


@pytest.mark.parametrize(
    ("x", "what"),
    [(RNG.normal(size=(30, 5)), "features"), (RNG.integers(0, 256, (30, 6, 4), np.uint8), "images of 6x4 pixels")],
)
def test_augmentation_of_what_cannot_be_cropped_is_refused(tmp_path, fails, x, what):
    path = write(tmp_path, x)
    fails("data.augment crop-flip: must be none for ", what, dataset=path, augment="crop-flip")
    load_dataset(DataSetting(path))
