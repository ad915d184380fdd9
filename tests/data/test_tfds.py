import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from distill_jax.data import load_dataset
from distill_jax.setting import DataSetting


def load(folder, cache, name, **fields):
    return load_dataset(DataSetting(dataset=name, data_dir=folder, cache_dir=cache, **fields))


def test_cifar100(tfds_dir, session_cache):
    dataset = load(tfds_dir, session_cache, "cifar100")
    assert (dataset.num_classes, dataset.input_shape) == (100, (32, 32, 3))
    assert dataset.train.x.dtype == np.uint8
    assert isinstance(dataset.train.x, np.memmap)
    for split, count in ((dataset.train, 500), (dataset.test, 100)):
        np.testing.assert_array_equal(np.bincount(split.label), [count] * 100)
        np.testing.assert_array_equal(np.sort(split.id), np.arange(100 * count))
        assert (split.label.dtype, split.id.dtype) == (np.int32, np.int64)
    assert dataset.train.id[0] == 16399  # 'train_16399' is the first record
    # As commonly published.
    np.testing.assert_allclose(dataset.mean / 255, [0.5071, 0.4865, 0.4409], atol=1e-4)
    np.testing.assert_allclose(dataset.std / 255, [0.2673, 0.2564, 0.2762], atol=1e-4)


def test_cifar100_is_what_tfds_reads(tfds_dir, session_cache):
    import tensorflow_datasets as tfds

    dataset = load(tfds_dir, session_cache, "cifar100")
    coarse = load(tfds_dir, session_cache, "cifar100", label="coarse_label")
    source = tfds.data_source("cifar100", data_dir=tfds_dir, split="test", download=False)
    for row in (0, 999, 1000, 9999):
        example = source[row]
        np.testing.assert_array_equal(dataset.test.x[row], example["image"])
        assert dataset.test.label[row] == example["label"]
        assert coarse.test.label[row] == example["coarse_label"]
        assert f"test_{dataset.test.id[row]:05d}" == example["id"].decode()


def test_classes_are_shown_by_the_source_s_names_and_are_numbers_all_the_same(tfds_dir, session_cache):
    coarse = load(tfds_dir, session_cache, "cifar100", label="coarse_label")
    assert coarse.called[:3] == ("aquatic_mammals", "fish", "flowers")
    assert len(coarse.called) == 20
    assert coarse.names is None
    without = dataclasses.replace(coarse, titles=None)
    assert without.called is None
    assert without.fingerprint == coarse.fingerprint
    assert load(tfds_dir, session_cache, "mnist").called is None


def test_coarse_labels_share_the_cache_and_group_the_fine(tfds_dir, session_cache):
    fine, coarse = (load(tfds_dir, session_cache, "cifar100", label=k) for k in ("label", "coarse_label"))
    assert fine.train.x.filename == coarse.train.x.filename
    assert coarse.num_classes == 20
    np.testing.assert_array_equal(np.bincount(coarse.train.label), [2500] * 20)
    assert len(set(zip(fine.train.label.tolist(), coarse.train.label.tolist(), strict=True))) == 100
    assert fine.fingerprint != coarse.fingerprint


def test_noise_and_subset_are_the_same_on_every_load(tfds_dir, session_cache):
    fields = {"label_noise": 0.2, "train_examples": 2000, "image_size": 8, "noise_seed": 1}
    a, b = (load(tfds_dir, session_cache, "cifar100", **fields) for _ in range(2))
    assert a.fingerprint == b.fingerprint
    assert (a.train.label != a.train.true_label).sum() == 400
    np.testing.assert_array_equal(np.bincount(a.train.true_label), [20] * 100)
    assert a.input_shape == (8, 8, 3)


def test_mnist(tfds_dir, session_cache):
    dataset = load(tfds_dir, session_cache, "mnist")
    assert dataset.train.x.shape == (60_000, 28, 28, 1)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(dataset.train.label), counts)
    np.testing.assert_array_equal(dataset.test.id, np.arange(10_000))
    np.testing.assert_allclose(dataset.mean / 255, 0.1307, atol=1e-4)
    np.testing.assert_allclose(dataset.std / 255, 0.3081, atol=1e-4)


def test_neither_tensorflow_nor_jax_is_imported_and_nothing_is_printed(tfds_dir, session_cache):
    code = (
        "import sys; from pathlib import Path; from distill_jax.data import load_dataset; "
        "from distill_jax.setting import DataSetting; "
        f"load_dataset(DataSetting('mnist', Path({str(tfds_dir)!r}), Path({str(session_cache)!r}))); "
        "assert not {'tensorflow', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def copy(tfds_dir, tmp_path):
    """A copy of MNIST that may be damaged; gives its folder."""
    (version,) = (tfds_dir / "mnist").iterdir()
    target = tmp_path / "tfds" / "mnist" / version.name
    target.mkdir(parents=True)
    for path in version.iterdir():
        shutil.copyfile(path, target / path.name)
    return target


TEST_SHARD = "mnist-test.array_record-00000-of-00001"
PREPARE = "tfds.builder('mnist', data_dir='"


def cut(size):
    return lambda d: os.truncate(d / TEST_SHARD, size)


def overwrite(d):
    with (d / TEST_SHARD).open("r+b") as file:
        file.seek(1_900_000)
        file.write(b"\xff" * 100_000)


def change_info(change):
    def do(d):
        info = json.loads((d / "dataset_info.json").read_text())
        change(info)
        (d / "dataset_info.json").write_text(json.dumps(info))

    return do


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda d: (d / TEST_SHARD).unlink(), f"{TEST_SHARD} is absent"),
        (lambda d: (d / "dataset_info.json").unlink(), "dataset_info.json is absent"),
        (lambda d: (d / "dataset_info.json").write_text('{"name":'), "not whole"),
        (lambda d: (d / "features.json").write_text("{"), "not whole"),
        (cut(0), "the test split cannot be read"),
        (cut(2_000_000), "the test split cannot be read"),
        (cut(3_932_000), "the test split cannot be read"),
        (overwrite, "the test split cannot be read"),
        (change_info(lambda i: i["splits"].pop()), "no test split"),
        (change_info(lambda i: i["splits"][1].update(shardLengths=["10001"])), "cannot be read"),
    ],
)
def test_damage_is_refused_in_one_line(copy, tmp_path, fails, monkeypatch, damage, part):
    damage(copy)
    # The undamaged split, which is decoded first, would only take time.
    from distill_jax.data.sources import tfds_images

    decode = tfds_images._decode_split
    quick = lambda split, *args: {} if split == "train" else decode(split, *args)  # noqa: E731
    monkeypatch.setattr(tfds_images, "_decode_split", quick)
    root = tmp_path / "tfds"
    fields = {"dataset": "mnist", "data_dir": root, "cache_dir": tmp_path / "cache"}
    fails(f"data.data_dir {root}: ", part, f"delete {copy}", PREPARE, **fields)
    assert not list((tmp_path / "cache").glob("*"))


def test_other_format_is_refused(copy, tmp_path, fails):
    change_info(lambda i: i.update(fileFormat="tfrecord"))(copy)
    fields = {"dataset": "mnist", "data_dir": tmp_path / "tfds", "cache_dir": tmp_path / "cache"}
    fails("data.data_dir", "without TensorFlow", "another folder", **fields)


def test_version_prepared_is_the_version_read(copy, tmp_path, session_cache):
    """A version that this TFDS does not know of: the newest there is read."""
    from distill_jax.data.sources import tfds_images

    newer = copy.parent / "3.10.0"
    copy.rename(newer)
    change_info(lambda i: i.update(version="3.10.0"))(newer)
    (copy.parent / "3.9.0").mkdir()
    (copy.parent / "incomplete.ABCDEF_3.11.0").mkdir()
    assert tfds_images.newest_version("mnist", tmp_path / "tfds") == "3.10.0"
    source = tfds_images.open_source("mnist", tmp_path / "tfds", "3.10.0")
    assert len(source["train"]) == 60_000


def test_missing_folder(tmp_path, fails):
    for name in ("mnist", "cifar10", "cifar100"):
        prepare = f"tfds.builder('{name}', data_dir='"
        fails("data.data_dir: must be given", prepare, dataset=name)
        fails("data.data_dir", "does not exist", prepare, dataset=name, data_dir=tmp_path / "absent")
        fails("data.data_dir", "is not prepared there", prepare, dataset=name, data_dir=tmp_path)
    (tmp_path / "cifar10" / "incomplete.ABCDEF_3.0.2").mkdir(parents=True)
    fails("data.data_dir", "is not prepared there", dataset="cifar10", data_dir=tmp_path)


def test_unknown_label_feature_lists_those_there_are(tfds_dir, session_cache, fails):
    base = {"data_dir": tfds_dir, "cache_dir": session_cache}
    fails("data.label fine: must be label or coarse_label", dataset="cifar100", label="fine", **base)
    fails("data.label id: must be label or coarse_label", dataset="cifar100", label="id", **base)
    fails("data.label coarse_label: must be label for mnist", dataset="mnist", label="coarse_label", **base)


@pytest.fixture
def cifar10(tmp_path):
    """CIFAR-10 as TFDS lays it out, with two shards of 20 images to train with and 10 images to test with."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2 as proto

    folder = tmp_path / "tfds" / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    shards = {"train": [20, 20], "test": [10]}
    for split, lengths in shards.items():
        number = sum(lengths)
        for shard, length in enumerate(lengths):
            name = f"cifar10-{split}.array_record-{shard:05d}-of-{len(lengths):05d}"
            writer = ArrayRecordWriter(str(folder / name), "group_size:1")
            for _ in range(length):
                number -= 1  # the order of the records is not that of the ids
                png = io.BytesIO()
                Image.new("RGB", (32, 32), (number, 0, 200)).save(png, "PNG")
                example = proto.Example()
                feature = example.features.feature
                feature["id"].bytes_list.value.append(f"{split}_{number:05d}".encode())
                feature["image"].bytes_list.value.append(png.getvalue())
                feature["label"].int64_list.value.append(number % 10)
                writer.write(example.SerializeToString())
            writer.close()
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    info = {
        "name": "cifar10",
        "version": "3.0.2",
        "fileFormat": "array_record",
        "splits": [
            {"name": split, "filepathTemplate": template, "shardLengths": [str(n) for n in lengths]}
            for split, lengths in shards.items()
        ],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    core = "tensorflow_datasets.core.features."
    dimensions = {"dimensions": ["32", "32", "3"]}
    features = {
        "id": {"pythonClassName": core + "text_feature.Text", "text": {}},
        "image": {
            "pythonClassName": core + "image_feature.Image",
            "image": {"dtype": "uint8", "shape": dimensions},
        },
        "label": {
            "pythonClassName": core + "class_label_feature.ClassLabel",
            "classLabel": {"numClasses": "10"},
        },
    }
    whole = {
        "pythonClassName": core + "features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }
    (folder / "features.json").write_text(json.dumps(whole))
    return folder


def test_cifar10(cifar10, tmp_path):
    for _ in range(2):  # decoded, then from the cache
        dataset = load(tmp_path / "tfds", tmp_path / "cache", "cifar10")
        assert (dataset.num_classes, dataset.input_shape) == (10, (32, 32, 3))
        np.testing.assert_array_equal(dataset.train.id, np.arange(40)[::-1])
        np.testing.assert_array_equal(dataset.test.id, np.arange(10)[::-1])
        for split in (dataset.train, dataset.test):
            np.testing.assert_array_equal(split.label, split.id % 10)
            np.testing.assert_array_equal(split.x[:, 3, 5, 0], split.id)
            assert (split.x[..., 2] == 200).all()


def test_cifar10_without_one_of_its_shards(cifar10, tmp_path, fails):
    shard = "cifar10-train.array_record-00001-of-00002"
    (cifar10 / shard).unlink()
    fields = {"dataset": "cifar10", "data_dir": tmp_path / "tfds", "cache_dir": tmp_path / "cache"}
    fails("data.data_dir", f"{shard} is absent", f"delete {cifar10}", **fields)


def test_images_of_another_shape(cifar10, tmp_path, fails):
    features = json.loads((cifar10 / "features.json").read_text())
    features["featuresDict"]["features"]["image"]["image"]["shape"]["dimensions"] = ["32", "31", "3"]
    (cifar10 / "features.json").write_text(json.dumps(features))
    fields = {"dataset": "cifar10", "data_dir": tmp_path / "tfds", "cache_dir": tmp_path / "cache"}
    fails("data.data_dir", "the train split cannot be read", **fields)
