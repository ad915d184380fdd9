import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from distill_jax.data import load_dataset
from distill_jax.setting import DataSetting

REAL = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package dataset-fashion-mnist puts it


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def small(tmp_path):
    """A tiny data set, as arrays and written to tmp_path/raw, two files of it compressed."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (40, 5, 4), np.uint8),
        "train-labels-idx1-ubyte": np.arange(40, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (20, 5, 4), np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(20, dtype=np.uint8)[::-1] % 10,
    }
    (tmp_path / "raw").mkdir()
    for name, array in arrays.items():
        if "images" in name:
            (tmp_path / "raw" / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (tmp_path / "raw" / name).write_bytes(idx(array))
    return arrays


def fields(tmp_path, name="fashion-mnist"):
    return {"dataset": name, "data_dir": tmp_path / "raw", "cache_dir": tmp_path / "cache"}


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_is_what_was_written(small, tmp_path, name):
    for _ in range(2):  # decoded, then from the cache
        dataset = load_dataset(DataSetting(**fields(tmp_path, name)))
        assert dataset.num_classes == 10
        assert dataset.input_shape == (5, 4, 1)
        for prefix, split in (("train", dataset.train), ("t10k", dataset.test)):
            assert split.x.dtype == np.uint8
            np.testing.assert_array_equal(split.x[..., 0], small[f"{prefix}-images-idx3-ubyte"])
            np.testing.assert_array_equal(split.label, small[f"{prefix}-labels-idx1-ubyte"])
            assert split.label.dtype == np.int32
            np.testing.assert_array_equal(split.id, np.arange(len(split.x)))


def replace(name, change):
    """Rewrites a file's content, compressed as it was."""

    def do(folder):
        (path,) = folder.glob(f"{name}*")
        content = path.read_bytes()
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(change(gzip.decompress(content))))
        else:
            path.write_bytes(change(content))

    return do


def cut_compressed(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-300])


def not_compressed(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"<html>" * 100)


def garbled(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)


def without(name):
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (without("train-images-idx3-ubyte.gz"), ["has no train-images-idx3-ubyte"]),
        (without("t10k-labels-idx1-ubyte"), ["has no t10k-labels-idx1-ubyte"]),
        (cut_compressed, ["train-images-idx3-ubyte.gz cannot be read", "download"]),
        (not_compressed, ["train-images-idx3-ubyte.gz cannot be read", "download"]),
        (garbled, ["train-images-idx3-ubyte.gz", "download"]),
        (replace("train-labels", lambda c: b"\0\0\x08\3" + c[4:]), ["train-labels-idx1-ubyte", "0x00000801"]),
        (replace("t10k-images", lambda c: b"\0\0\x0d\3" + c[4:]), ["t10k-images-idx3-ubyte", "0x00000803"]),
        (replace("train-labels", lambda c: c[:6]), ["train-labels-idx1-ubyte is truncated"]),
        (replace("train-labels", lambda c: b""), ["train-labels-idx1-ubyte"]),
        (replace("train-images", lambda c: c[:-1]), ["holds 799 bytes", "40 x 5 x 4"]),
        (replace("train-images", lambda c: c + b"0"), ["holds 801 bytes"]),
        (replace("t10k-images", lambda c: c[:4] + b"\xff" * 12 + c[16:]), ["4294967295 x"]),
        (
            replace("t10k-labels", lambda c: idx(np.zeros(19, np.uint8))),
            ["20 images and t10k-labels-idx1-ubyte 19 labels"],
        ),
        (replace("t10k-labels", lambda c: idx(np.full(20, 10, np.uint8))), ["labels above 9"]),
        (replace("t10k-images", lambda c: idx(np.zeros((20, 4, 5), np.uint8))), ["(5, 4, 1)", "(4, 5, 1)"]),
        (replace("t10k-images", lambda c: idx(np.zeros((20, 0, 5), np.uint8))), ["no images"]),
    ],
)
def test_damaged_files_are_refused_in_one_line(small, tmp_path, fails, damage, parts):
    damage(tmp_path / "raw")
    fails(f"data.data_dir {tmp_path / 'raw'}: ", *parts, **fields(tmp_path))
    assert not list((tmp_path / "cache").glob("*")), "nothing may be cached of damaged files"


def test_missing_folder(tmp_path, fails):
    fails("data.data_dir: must be given", "train-images-idx3-ubyte", dataset="fashion-mnist")
    fails("data.data_dir", "does not exist", **fields(tmp_path))
    (tmp_path / "raw").touch()
    fails("data.data_dir", "is not a folder", **fields(tmp_path))


def test_label(small, tmp_path, fails):
    fails("data.label kind: must be label", label="kind", **fields(tmp_path))


def test_fashion_mnist_itself(session_cache):
    if not REAL.is_dir():
        pytest.skip(f"no {REAL}: Debian's package dataset-fashion-mnist")
    setting = DataSetting(dataset="fashion-mnist", data_dir=REAL, cache_dir=session_cache)
    dataset = load_dataset(setting)
    assert dataset.train.x.shape == (60_000, 28, 28, 1)
    assert dataset.test.x.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(dataset.train.label), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.test.label), [1000] * 10)
    np.testing.assert_allclose(dataset.mean / 255, 0.2860, atol=1e-4)  # as commonly published
    np.testing.assert_allclose(dataset.std / 255, 0.3530, atol=1e-4)
