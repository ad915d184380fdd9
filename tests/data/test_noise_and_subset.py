import hashlib

import numpy as np
import pytest

from distill_jax.data.noise import corrupt_labels
from distill_jax.data.subset import stratified

LABEL = (np.arange(10_000) % 7).astype(np.int32)


@pytest.mark.parametrize("share", [0, 0.00004, 0.1, 0.25, 0.333, 0.9999])
def test_noise_changes_exactly_the_share(share):
    noisy = corrupt_labels(LABEL, share, 7, 0)
    assert noisy.dtype == np.int32
    assert (noisy != LABEL).sum() == round(share * len(LABEL))
    assert noisy.min() >= 0
    assert noisy.max() <= 6


def test_noise_leaves_its_input_alone():
    before = LABEL.copy()
    assert corrupt_labels(LABEL, 0.0, 7, 0) is not LABEL
    corrupt_labels(LABEL, 0.5, 7, 0)
    np.testing.assert_array_equal(LABEL, before)


def test_noise_is_uniform_over_the_other_classes():
    label = (np.arange(70_000) % 7).astype(np.int32)
    noisy = corrupt_labels(label, 0.9, 7, 3)
    counts = np.zeros((7, 7))
    np.add.at(counts, (label, noisy), 1)
    off = counts[~np.eye(7, dtype=bool)]
    assert np.abs(off - 1500).max() < 5 * np.sqrt(1500)


def test_noise_is_uniform_over_examples():
    changed = corrupt_labels(LABEL, 0.3, 7, 1) != LABEL
    by_part = changed.reshape(10, 1000).sum(axis=1)
    assert np.abs(by_part - 300).max() < 5 * np.sqrt(300 * 0.7)


def test_noise_of_two_classes_flips():
    label = (np.arange(100) % 2).astype(np.int32)
    noisy = corrupt_labels(label, 0.4, 2, 0)
    changed = noisy != label
    np.testing.assert_array_equal(noisy[changed], 1 - label[changed])


def test_less_noise_is_part_of_more():
    less, more = corrupt_labels(LABEL, 0.1, 7, 0), corrupt_labels(LABEL, 0.3, 7, 0)
    changed = less != LABEL
    np.testing.assert_array_equal(less[changed], more[changed])


def test_draws_depend_on_the_seed_and_on_nothing_else():
    # The digests are those of the first version: a change of either draw would change every noisy result.
    noisy, other = corrupt_labels(LABEL, 0.2, 7, 0), corrupt_labels(LABEL, 0.2, 7, 1)
    assert (noisy != other).any()
    assert hashlib.sha256(noisy.astype("<i4").tobytes()).hexdigest()[:16] == "58d232dfe897c633"
    index = stratified(LABEL, 500, 0)
    assert (index != stratified(LABEL, 500, 1)).any()
    assert hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()[:16] == "97ce6211b088bd83"


@pytest.mark.parametrize("count", [7, 8, 500, 9_999, 10_000])
def test_subset_is_even_ordered_and_without_repetition(count):
    index = stratified(LABEL, count, 0)
    assert len(index) == count
    assert (np.diff(index) > 0).all()
    per_class = np.bincount(LABEL[index], minlength=7)
    assert per_class.max() - per_class.min() <= 1


def test_small_classes_give_all_they_have():
    label = np.repeat([0, 1, 2], [3, 50, 100]).astype(np.int32)
    np.testing.assert_array_equal(np.bincount(label[stratified(label, 63, 0)]), [3, 30, 30])
    np.testing.assert_array_equal(np.bincount(label[stratified(label, 140, 0)]), [3, 50, 87])


def test_smaller_subset_is_part_of_larger():
    assert set(stratified(LABEL, 100, 5)) < set(stratified(LABEL, 333, 5))


def test_subset_is_drawn_not_taken_from_the_front():
    index = stratified(LABEL, 700, 0)
    assert 4_000 < index.mean() < 6_000
