import numpy as np
import pytest

from distill_jax.data import arrays
from distill_jax.data.arrays import block_mean, chunks, mean_and_std


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(arrays, "_CHUNK", 500)


@pytest.mark.parametrize("shape", [(37, 8, 8, 3), (37, 8, 8, 1), (101, 7), (3, 40, 40, 1)])
def test_chunks_are_the_whole_in_order(shape):
    x = np.arange(np.prod(shape)).reshape(shape)
    parts = list(chunks(x))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), x)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_and_std_of_images_is_per_channel(dtype):
    x = np.random.default_rng(0).integers(0, 256, (37, 6, 5, 3)).astype(dtype)
    mean, std = mean_and_std(x)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(std, x.std(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)


def test_mean_and_std_of_flat_features_is_per_feature():
    x = np.random.default_rng(0).normal([0, 1e4], [1, 3], (999, 2)).astype(np.float32)
    mean, std = mean_and_std(x)
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(std, x.std(axis=0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("value", [0, 0.1, 1e6, 1e30])
def test_std_of_a_constant_feature_is_one(value):
    x = np.full((1003, 2), value, np.float32)
    x[:, 1] = np.arange(1003)
    mean, std = mean_and_std(x)
    assert std[0] == 1
    assert std[1] > 200
    assert mean[0] == pytest.approx(value)


def test_block_mean_by_hand():
    x = np.array([[[0, 1, 10, 10], [1, 1, 10, 11], [255, 255, 2, 2], [255, 255, 3, 4]]], np.uint8)[..., None]
    small = block_mean(x, 2)
    assert small.dtype == np.uint8
    np.testing.assert_array_equal(small[0, :, :, 0], [[1, 10], [255, 3]])  # of 0.75, 10.25, 255, 2.75


def test_block_mean_keeps_channels_apart_and_floats_exact():
    x = np.random.default_rng(0).normal(size=(11, 12, 12, 3)).astype(np.float32)
    small = block_mean(x, 4)
    assert small.dtype == np.float32
    assert small.shape == (11, 4, 4, 3)
    np.testing.assert_allclose(small[7, 1, 2, 1], x[7, 3:6, 6:9, 1].mean(), rtol=1e-5)
