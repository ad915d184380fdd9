import zipfile

import numpy as np
import pytest

from distill_jax.data import load_dataset
from distill_jax.setting import DataSetting

RNG = np.random.default_rng(0)


def arrays(shape=(6, 6, 3), dtype=np.uint8, train=30, test=12, classes=3):
    return {
        "x_train": RNG.integers(0, 256, (train, *shape)).astype(dtype),
        "y_train": np.arange(train) % classes,
        "x_test": RNG.integers(0, 256, (test, *shape)).astype(dtype),
        "y_test": np.arange(test) % classes,
    }


def save(tmp_path, **changed):
    """The path of a good file but for these arrays; None leaves one out."""
    path = tmp_path / "my data.npz"
    np.savez(path, **{k: v for k, v in (arrays() | changed).items() if v is not None})
    return str(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("shape", [(7,), (6, 6), (6, 6, 3), (4, 6, 2)])
@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_as_they_are(tmp_path, dtype, shape, compressed):
    mine = arrays(shape, dtype)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", **mine)
    dataset = load_dataset(DataSetting(dataset=str(tmp_path / "a.npz")))
    assert dataset.name == "a.npz"
    assert dataset.num_classes == 3
    assert dataset.input_shape == (shape if len(shape) != 2 else (*shape, 1))
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        assert split.x.dtype == (np.uint8 if dtype is np.uint8 else np.float32)
        np.testing.assert_array_equal(split.x.reshape(mine[f"x_{name}"].shape), mine[f"x_{name}"])
        np.testing.assert_array_equal(split.label, mine[f"y_{name}"])
        assert split.label.dtype == np.int32
        np.testing.assert_array_equal(split.id, np.arange(len(split.x)))
        assert split.id.dtype == np.int64
    assert dataset.mean.shape == dataset.std.shape == dataset.input_shape[-1:]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64, ">i2"])
def test_labels_of_any_integer_dtype_and_as_a_column(tmp_path, dtype):
    y = (np.arange(30) % 3).astype(dtype)[:, None]
    dataset = load_dataset(DataSetting(dataset=save(tmp_path, y_train=y)))
    np.testing.assert_array_equal(dataset.train.label, y[:, 0])
    assert dataset.train.label.dtype == np.int32


def test_order_in_memory_does_not_matter(tmp_path):
    mine = arrays()
    np.savez(tmp_path / "c.npz", **mine)
    np.savez(tmp_path / "f.npz", **mine | {"x_train": np.asfortranarray(mine["x_train"])})
    c, f = (load_dataset(DataSetting(dataset=str(tmp_path / name))) for name in ("c.npz", "f.npz"))
    assert c.fingerprint == f.fingerprint
    np.testing.assert_array_equal(c.mean, f.mean)


def with_value(value, dtype=np.float32):
    x = arrays(dtype=dtype)["x_train"]
    x[5, 1, 1, 0] = value
    return {"x_train": x, "x_test": arrays(dtype=np.float32)["x_test"]}


LABELS = np.arange(30) % 3
NO_IMAGES = np.zeros((0, 6, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("fault", "changed"),
    [
        ("has no x_train;", {"x_train": None}),
        ("has no y_train, x_test;", {"y_train": None, "x_test": None}),
        ("x_train has the shape (30,)", {"x_train": np.zeros(30, np.uint8)}),
        ("x_train has the shape ()", {"x_train": np.uint8(1)}),
        ("x_test has the shape", {"x_test": np.zeros((12, 6, 6, 3, 1), np.uint8)}),
        ("x_train has the shape (0, 6, 6, 3)", {"x_train": NO_IMAGES, "y_train": LABELS[:0]}),
        ("x_test has the shape (0, 6, 6, 3)", {"x_test": NO_IMAGES, "y_test": LABELS[:0]}),
        ("x_train has the shape (30, 0)", {"x_train": np.zeros((30, 0), np.uint8)}),
        ("x_train is int64", {"x_train": arrays(dtype=np.int64)["x_train"]}),
        ("x_train is bool", {"x_train": arrays(dtype=bool)["x_train"]}),
        ("x_train is complex64", {"x_train": arrays(dtype=np.complex64)["x_train"]}),
        ("x_train holds uint8 (6, 6, 3) and x_test uint8 (5, 5, 3)", {"x_test": arrays((5, 5, 3))["x_test"]}),
        ("x_train holds uint8 (6, 6, 3) and x_test float32", {"x_test": arrays(dtype=np.float32)["x_test"]}),
        ("x_train has 30 examples and y_train has 29", {"y_train": LABELS[:29]}),
        ("y_train has the shape ()", {"y_train": np.int64(1)}),
        ("y_train has the shape (30, 3)", {"y_train": 2 * np.eye(3, dtype=int)[LABELS]}),
        ("y_train is float64", {"y_train": LABELS.astype(float)}),
        ("y_test is bool", {"y_test": LABELS[:12] == 1}),
        ("y_train is |S1", {"y_train": LABELS.astype("S1")}),
        ("y_train has one class only, 18446744073709551615", {"y_train": np.full(30, 2**64 - 1, np.uint64)}),
        ("y_train has 30 different labels in 30 examples", {"y_train": np.arange(30), "y_test": LABELS[:12]}),
        ("y_test has the label 3,", {"y_test": np.arange(12) % 4}),
        ("one class only", {"y_train": LABELS * 0, "y_test": LABELS[:12] * 0}),
        ("x_train has NaN or infinite", with_value(np.nan)),
        ("x_train has NaN or infinite", with_value(-np.inf)),
        ("x_train has NaN or infinite", with_value(1e39, np.float64)),
        ("allow_pickle", {"x_train": np.array([[1], [1, 2]] * 15, dtype=object)}),
    ],
)
def test_bad_arrays_are_refused_in_one_line(tmp_path, fails, fault, changed):
    path = save(tmp_path, **changed)
    fails(f"data.dataset {path}: ", fault, "must", dataset=path)


def test_absent_file(tmp_path, fails):
    fails("data.dataset", "does not exist", "numpy.savez", dataset=str(tmp_path / "none.npz"))


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"\x93NUMPY", b"PK\x03\x04"])
def test_file_that_is_no_zip(tmp_path, fails, content):
    (tmp_path / "a.npz").write_bytes(content)
    fails("data.dataset", "is not a .npz file", "numpy.savez", dataset=str(tmp_path / "a.npz"))


def test_folder_for_a_file(tmp_path, fails):
    (tmp_path / "a.npz").mkdir()
    fails("data.dataset", "a.npz", dataset=str(tmp_path / "a.npz"))


def test_pickle_in_a_file_is_not_run(tmp_path, fails):
    import pickle

    (tmp_path / "a.npz").write_bytes(pickle.dumps({"x_train": 1}))
    fails("data.dataset", "is not a .npz file", dataset=str(tmp_path / "a.npz"))


def test_truncated_file(tmp_path, fails):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays())
    content = path.read_bytes()
    for size in (50, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        fails("data.dataset", "truncated", dataset=str(path))


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_content(tmp_path, fails, compressed):
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays())
    content = bytearray(path.read_bytes())
    content[400:900] = bytes(500)
    path.write_bytes(content)
    fails("data.dataset", "cannot be read", dataset=str(path))


def test_members_that_are_no_arrays(tmp_path, fails):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name in arrays():
            file.writestr(name, b"text")
    fails("data.dataset", "x_train is not an array", dataset=str(path))
    with zipfile.ZipFile(path, "w") as file:
        for name in arrays():
            file.writestr(f"{name}.npy", b"")
    fails("data.dataset", dataset=str(path))


def test_image_size_needs_square_images(tmp_path, fails):
    for shape, fault in (((8,), "flat"), ((4, 8, 1), "8x4")):
        path = tmp_path / "a.npz"
        np.savez(path, **arrays(shape))
        fails("data.image_size 2: ", fault, dataset=str(path), image_size=2)


def test_classes_that_leave_no_test_example(tmp_path, fails):
    path = save(tmp_path, y_test=np.full(12, 2))
    fails("data.classes 2: ", "no test example", dataset=path, classes=2)


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    save(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_dataset(DataSetting(dataset="~/my data.npz")).name == "my data.npz"


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_data", "train_labels", "test_data", "test_labels"),
    ],
)
def test_other_tools_names_are_taken(tmp_path, names):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), np.arange(20)[:, None] % 4
    more = {"val_images": x, "val_labels": y} if names[0] == "train_images" else {}
    np.savez(tmp_path / "own.npz", **dict(zip(names, (x, y, x[:8], y[:8]), strict=True)), **more)
    data = load_dataset(DataSetting(dataset=str(tmp_path / "own.npz"), cache_dir=tmp_path / "cache"))
    np.testing.assert_array_equal(data.train.x, x)
    assert data.test.label.tolist() == [0, 1, 2, 3] * 2
    assert ("arrays that are not read: val_images, val_labels" in data.notes) == bool(more)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_one_hot_labels_are_numbered(tmp_path, dtype):
    label = np.arange(20) % 4
    arrays = {"x_train": np.eye(20, dtype=np.float32), "x_test": np.eye(20, dtype=np.float32)}
    np.savez(
        tmp_path / "own.npz", **arrays, y_train=np.eye(4, dtype=dtype)[label], y_test=np.eye(4, dtype=dtype)[label]
    )
    data = load_dataset(DataSetting(dataset=str(tmp_path / "own.npz"), cache_dir=tmp_path / "cache"))
    assert data.train.label.tolist() == label.tolist()


def test_several_labels_an_example_are_refused(tmp_path, fails):
    label = np.eye(4, dtype=np.uint8)[np.arange(20) % 4]
    label[3] = 1
    arrays = {"x_train": np.eye(20, dtype=np.float32), "x_test": np.eye(20, dtype=np.float32)}
    np.savez(tmp_path / "own.npz", **arrays, y_train=label, y_test=label)
    path = str(tmp_path / "own.npz")
    fails(f"data.dataset {path}: y_train has the shape (20, 4) and rows that are not one-hot", dataset=path)
