"""MNIST's files as others have stored them."""

import struct

import numpy as np
import pytest

from distill_jax.data import load_dataset
from distill_jax.setting import DataSetting

NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def write_idx(folder, place=lambda name: name, labels=None):
    """The four files of 40 and 20 images, each at what `place` makes of its usual name."""
    label = np.arange(40, dtype=np.uint8) % 10 if labels is None else labels
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 4), np.uint8)
    arrays = {"x_train": images, "y_train": label, "x_test": images[:20], "y_test": label[:20]}
    for key, name in NAMES.items():
        array, path = arrays[key], folder / place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())
    return arrays


@pytest.mark.parametrize(
    "place",
    [lambda name: name.replace("-idx", ".idx"), lambda name: f"{name}/{name}"],
    ids=["Kaggle's names", "a folder each"],
)
def test_mnist_from_kaggle(tmp_path, place):
    arrays = write_idx(tmp_path / "raw", place)
    data = load_dataset(DataSetting("mnist", tmp_path / "raw", tmp_path / "cache"))
    np.testing.assert_array_equal(data.train.x[..., 0], arrays["x_train"])
    np.testing.assert_array_equal(data.test.label, arrays["y_test"])
