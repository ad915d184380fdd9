import numpy as np
import pytest
from sklearn.datasets import load_digits

from distill_jax.data import load_dataset
from distill_jax.data.subset import stratified
from distill_jax.setting import DataSetting


def test_is_the_bundle_split_by_id():
    dataset = load_dataset(DataSetting())
    bundle = load_digits()
    assert dataset.name == "digits"
    assert dataset.num_classes == 10
    assert dataset.input_shape == (8, 8, 1)
    assert (len(dataset.train.id), len(dataset.test.id)) == (1437, 360)
    together = np.concatenate([dataset.train.id, dataset.test.id])
    np.testing.assert_array_equal(np.sort(together), np.arange(1797))
    for split in (dataset.train, dataset.test):
        assert (split.x.dtype, split.label.dtype, split.true_label.dtype, split.id.dtype) == (
            np.uint8,
            np.int32,
            np.int32,
            np.int64,
        )
        assert (np.diff(split.id) > 0).all()
        np.testing.assert_array_equal(split.x[..., 0], bundle.images[split.id])
        np.testing.assert_array_equal(split.label, bundle.target[split.id])
        np.testing.assert_array_equal(split.label, split.true_label)
    np.testing.assert_array_equal(np.bincount(dataset.test.label), [36] * 10)


def test_statistics_are_of_the_training_split():
    dataset = load_dataset(DataSetting(train_examples=100))
    np.testing.assert_allclose(dataset.mean, [dataset.train.x.mean()], rtol=1e-6)
    np.testing.assert_allclose(dataset.std, [dataset.train.x.std()], rtol=1e-6)


def test_subset_keeps_order_ids_and_classes():
    whole = load_dataset(DataSetting())
    part = load_dataset(DataSetting(train_examples=50, classes=5))
    assert part.num_classes == 5
    np.testing.assert_array_equal(np.bincount(part.train.label), [10] * 5)
    assert (np.diff(part.train.id) > 0).all()
    rows = np.searchsorted(whole.train.id, part.train.id)
    np.testing.assert_array_equal(part.train.x, whole.train.x[rows])
    np.testing.assert_array_equal(part.test.id, whole.test.id[whole.test.label < 5])


def test_subset_of_the_test_examples_is_drawn_alike_and_by_itself():
    whole, part = load_dataset(DataSetting()), load_dataset(DataSetting(test_examples=40, noise_seed=1))
    np.testing.assert_array_equal(part.train.x, whole.train.x)
    np.testing.assert_array_equal(np.bincount(part.test.label), [4] * 10)
    rows = np.searchsorted(whole.test.id, part.test.id)
    np.testing.assert_array_equal(rows, stratified(whole.test.label, 40, 1))
    np.testing.assert_array_equal(part.test.x, whole.test.x[rows])
    assert load_dataset(DataSetting(test_examples=len(whole.test.id))).fingerprint == whole.fingerprint


def test_noise_is_in_the_training_labels_alone():
    clean = load_dataset(DataSetting())
    noisy = load_dataset(DataSetting(label_noise=0.25, noise_seed=3))
    assert (noisy.train.label != noisy.train.true_label).sum() == round(0.25 * 1437)
    np.testing.assert_array_equal(noisy.train.true_label, clean.train.label)
    np.testing.assert_array_equal(noisy.test.label, clean.test.label)
    np.testing.assert_array_equal(noisy.test.true_label, clean.test.label)


def test_noise_and_subset_go_together():
    dataset = load_dataset(DataSetting(classes=3, train_examples=30, label_noise=0.5))
    assert (dataset.train.label != dataset.train.true_label).sum() == 15
    assert dataset.train.label.max() < 3


def test_image_size_averages():
    whole, small = load_dataset(DataSetting()), load_dataset(DataSetting(image_size=4))
    assert small.input_shape == (4, 4, 1)
    assert small.train.x.dtype == np.uint8
    exact = whole.test.x.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    assert np.abs(small.test.x[..., 0] - exact).max() <= 0.5
    assert load_dataset(DataSetting(image_size=8)).fingerprint == whole.fingerprint


def test_fingerprint_tells_data_apart_and_nothing_else(tmp_path):
    base = load_dataset(DataSetting()).fingerprint
    assert len(base) == 16
    assert load_dataset(DataSetting(augment="crop", noise_seed=9, cache_dir=tmp_path)).fingerprint == base
    changed = [{"label_noise": 0.1}, {"label_noise": 0.1, "noise_seed": 1}, {"classes": 4}, {"image_size": 2}]
    digests = {load_dataset(DataSetting(**fields)).fingerprint for fields in changed}
    assert len(digests | {base}) == len(changed) + 1


@pytest.mark.parametrize(
    ("option", "fields"),
    [
        ("data.dataset cifar-100: ", {"dataset": "cifar-100"}),
        ("data.dataset : ", {"dataset": ""}),
        ("data.label coarse_label: ", {"label": "coarse_label"}),
        ("data.label_noise 1.0: ", {"label_noise": 1.0}),
        ("data.label_noise -0.1: ", {"label_noise": -0.1}),
        ("data.label_noise nan: ", {"label_noise": float("nan")}),
        ("data.noise_seed -1: ", {"noise_seed": -1}),
        ("data.classes 1: ", {"classes": 1}),
        ("data.classes 0: ", {"classes": 0}),
        ("data.classes 11: ", {"classes": 11}),
        ("data.train_examples 0: ", {"train_examples": 0}),
        ("data.train_examples 9: ", {"train_examples": 9}),
        ("data.train_examples 1438: ", {"train_examples": 1438}),
        ("data.test_examples 0: ", {"test_examples": 0}),
        ("data.test_examples 9: ", {"test_examples": 9}),
        ("data.test_examples 361: ", {"test_examples": 361}),
        ("data.image_size 0: ", {"image_size": 0}),
        ("data.image_size 3: ", {"image_size": 3}),
        ("data.image_size 16: ", {"image_size": 16}),
    ],
)
def test_bad_settings_are_refused_in_one_line(fails, option, fields):
    fails(option, "must", **fields)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cifar-100", "cifar100"),
        ("CIFAR10", "cifar10"),
        ("fashion_mnist", "fashion-mnist"),
        ("digit", "digits"),
    ],
)
def test_unknown_name_suggests_the_closest_and_lists_all(fails, typed, meant):
    fails("data.dataset", f"did you mean {meant}?", "tiny-imagenet", ".npz", dataset=typed)


def test_more_examples_than_the_classes_kept_have(fails):
    fails("data.train_examples 1000: ", "at most", classes=2, train_examples=1000)
