"""CIFAR's own files, python and binary, in folders and archives."""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

NAMES_10 = [f"thing-{i}" for i in range(10)]
NAMES_100, NAMES_20 = [f"fine-{i}" for i in range(100)], [f"coarse-{i}" for i in range(20)]


def images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def rows(x):
    """As CIFAR has them: channels first, flat."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


class Python2(pickle._Pickler):
    """Writes bytes as Python 2 did its texts."""

    def save_bytes(self, value):
        size = bytes([len(value)]) if len(value) < 256 else struct.pack("<i", len(value))
        self.write((pickle.SHORT_BINSTRING if len(value) < 256 else pickle.BINSTRING) + size + value)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_bytes}


def pickled(folder, name, value):
    """As they are on CIFAR's page."""
    content = io.BytesIO()
    Python2(content, protocol=2).dump({key.encode(): value for key, value in value.items()})
    said = content.getvalue().replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")
    (folder / name).write_bytes(said)


def splits_10():
    """Five parts of the training images with their labels, and the test images with theirs."""
    return [(images(10, i), (np.arange(10) + i) % 10) for i in range(1, 6)], (images(10, 9), np.arange(10))


def cifar10(folder):
    folder.mkdir(parents=True)
    parts, test = splits_10()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name, (x, label) in zip(names, [*parts, test], strict=True):
        pickled(folder, name, {"batch_label": b"", "labels": label.tolist(), "data": rows(x)})
    pickled(folder, "batches.meta", {"label_names": [name.encode() for name in NAMES_10], "num_vis": 3072})
    return *map(np.concatenate, zip(*parts, strict=True)), test


def cifar10_binary(folder):
    folder.mkdir(parents=True)
    parts, test = splits_10()
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for name, (x, label) in zip(names, [*parts, test], strict=True):
        (folder / name).write_bytes(np.column_stack([label.astype(np.uint8), rows(x)]).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join([*NAMES_10, ""]))
    return *map(np.concatenate, zip(*parts, strict=True)), test


def splits_100():
    """Of each split images, fine labels and coarse ones."""
    fine = {split: np.roll(np.arange(100), seed) for split, seed in (("train", 1), ("test", 2))}
    return {split: (images(100, seed), fine[split], fine[split] // 5) for seed, split in enumerate(fine, 1)}


def cifar100(folder):
    folder.mkdir(parents=True)
    for split, (x, fine, coarse) in splits_100().items():
        labels = {"fine_labels": fine.tolist(), "coarse_labels": coarse.tolist()}
        pickled(folder, split, labels | {"data": rows(x)})
    names = {"fine_label_names": NAMES_100, "coarse_label_names": NAMES_20}
    pickled(folder, "meta", {key: [name.encode() for name in of] for key, of in names.items()})


def cifar100_binary(folder):
    folder.mkdir(parents=True)
    for split, (x, fine, coarse) in splits_100().items():
        both = np.column_stack([coarse.astype(np.uint8), fine.astype(np.uint8), rows(x)])
        (folder / f"{split}.bin").write_bytes(both.tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES_100))
    (folder / "coarse_label_names.txt").write_text("\n".join(NAMES_20))


def packed(folder, name):
    path = folder.parent / name
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("write", [cifar10, cifar10_binary])
@pytest.mark.parametrize("archive", [False, True])
def test_cifar_10(tmp_path, load, write, archive):
    folder = tmp_path / "cifar-10-batches-py"
    x, label, test = write(folder)
    data = load(packed(folder, "cifar-10-python.tar.gz") if archive else folder)
    np.testing.assert_array_equal(data.train.x, x)
    np.testing.assert_array_equal(data.train.label, label)
    np.testing.assert_array_equal(data.test.x, test[0])
    np.testing.assert_array_equal(data.test.label, test[1])
    assert data.train.id.tolist() == list(range(50))
    assert data.names == tuple(NAMES_10)


@pytest.mark.parametrize("write", [cifar100, cifar100_binary])
@pytest.mark.parametrize("label", ["label", "coarse_label"])
def test_cifar_100(tmp_path, load, write, label):
    write(tmp_path / "cifar-100-python")
    data = load(tmp_path / "cifar-100-python", label=label)
    for split, (x, fine, coarse) in splits_100().items():
        np.testing.assert_array_equal(getattr(data, split).x, x)
        np.testing.assert_array_equal(getattr(data, split).label, fine if label == "label" else coarse)
    assert data.names == tuple(NAMES_100 if label == "label" else NAMES_20)


class Runs:
    """A pickle of it would run a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["data_batch_3", "batches.meta"])
def test_a_pickle_that_would_run_something_is_refused_and_not_run(tmp_path, fails, name):
    cifar10(tmp_path / "own")
    pickled(tmp_path / "own", name, {"data": Runs(tmp_path / "ran"), "labels": []})
    said = fails(f"data.dataset {tmp_path / 'own'}: {name} cannot be read: would run", dataset=str(tmp_path / "own"))
    assert "mkdir" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        ({"data": np.zeros((10, 100), np.uint8), "labels": [0] * 10}, "has no images uint8 [N, 3072]"),
        ({"data": np.array([Ellipsis.__class__.__name__] * 10, object), "labels": [0] * 10}, "has no images"),
        ({"data": np.zeros((10, 3072), np.uint8), "labels": [0] * 9}, "has no label in 0 to 9 for each image"),
        ({"data": np.zeros((10, 3072), np.uint8), "labels": [0] * 9 + [10]}, "has no label in 0 to 9"),
        ({"data": np.zeros((10, 3072), np.uint8)}, "has no label in 0 to 9"),
        ({"data": np.zeros((10, 3072), np.uint8), "labels": [[1], [1, 2]]}, "has no label in 0 to 9"),
        ({}, "has no images"),
    ],
)
def test_what_is_not_as_its_name_says(tmp_path, fails, damage, part):
    cifar10(tmp_path / "own")
    pickled(tmp_path / "own", "data_batch_2", damage)
    fails(f"data.dataset {tmp_path / 'own'}: data_batch_2 {part}", "get it again", dataset=str(tmp_path / "own"))


def test_a_pickle_that_a_later_python_has_written_is_read_too(tmp_path, load):
    x, label, _ = cifar10(tmp_path / "own")
    first = {b"labels": label[:10].tolist(), b"data": rows(x[:10]), b"batch_label": b""}
    (tmp_path / "own" / "data_batch_1").write_bytes(pickle.dumps(first, protocol=2))
    second = {"labels": label[10:20].tolist(), "data": rows(x[10:20])}
    (tmp_path / "own" / "data_batch_2").write_bytes(pickle.dumps(second))
    np.testing.assert_array_equal(load(tmp_path / "own").train.x, x)


def test_files_that_are_cut_or_absent(tmp_path, fails):
    cifar10_binary(tmp_path / "own")
    path = tmp_path / "own" / "data_batch_1.bin"
    path.write_bytes(path.read_bytes()[:-1])
    fails(f"data.dataset {tmp_path / 'own'}: data_batch_1.bin has 30,729 bytes, no", dataset=str(tmp_path / "own"))
    path.unlink()
    fails(f"data.dataset {tmp_path / 'own'}: has no data_batch_1.bin", dataset=str(tmp_path / "own"))
    cifar10(tmp_path / "other")
    archive = packed(tmp_path / "other", "cifar-10-python.tar.gz")
    archive.write_bytes(archive.read_bytes()[:2000])
    fails(f"data.dataset {archive}: cannot be read: ", "get it again", dataset=str(archive))
    packed(tmp_path / "other", archive.name)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    archive.write_bytes(content)
    fails(f"data.dataset {archive}: ", "https://www.cs.toronto.edu", dataset=str(archive))  # what is cut off is absent
    with tarfile.open(tmp_path / "cifar.tar", "w") as empty:
        empty.add(tmp_path / "own" / "test_batch.bin", "readme.html")
    fails(f"data.dataset {tmp_path / 'cifar.tar'}: is none of CIFAR's", dataset=str(tmp_path / "cifar.tar"))


def test_an_archive_is_gone_through_once_and_not_again_where_it_is_in_the_cache(tmp_path, load, monkeypatch):
    cifar10(tmp_path / "own")
    archive, opened, real = packed(tmp_path / "own", "cifar-10-python.tar.gz"), [], tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *args: opened.append(args) or real(*args))
    first, second = load(archive), load(archive)
    assert len(opened) == 1
    np.testing.assert_array_equal(first.train.x, second.train.x)
    assert first.names == second.names == tuple(NAMES_10)


def test_a_label_that_it_has_not(tmp_path, fails):
    cifar10(tmp_path / "own")
    fails("data.label coarse_label: must be label for", dataset=str(tmp_path / "own"), label="coarse_label")
