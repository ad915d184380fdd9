import dataclasses

import numpy as np
import pytest
from tiny_tokenizer import write_tokenizer, write_wordpiece

from distill_jax.data import load_dataset
from distill_jax.data.dataset import Split
from distill_jax.data.examples import Examples, examples_of
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting


def split_of(x, ids):
    return Split(x, *[np.zeros(len(x), np.int32)] * 2, id=np.asarray(ids))


def test_a_picture_is_that_of_the_id_in_the_data():
    dataset = load_dataset(DataSetting(dataset="digits", train_examples=100))
    train = examples_of(dataset, DataSetting(dataset="digits"))["train"]
    rows = [5, 70, 5]
    shown = train.pictures(dataset.train.id[rows])
    assert shown.dtype == np.uint8
    assert shown.max() == 255
    for picture, row in zip(shown, rows, strict=True):
        np.testing.assert_allclose(picture / 255, np.repeat(dataset.train.x[row] / 16, 3, axis=-1), atol=1 / 500)


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2])])
def test_channels(channels, shown):
    x = np.random.default_rng(0).integers(256, size=(3, 4, 4, channels)).astype(np.uint8)
    np.testing.assert_array_equal(Examples(split_of(x, range(3))).pictures([2, 0]), x[[2, 0]][..., shown])


def test_float_images_keep_their_order_of_brightness():
    x = np.random.default_rng(0).normal(size=(50, 4, 4, 1)).astype(np.float32)
    split = split_of(x, range(50))
    dataset = dataclasses.replace(load_dataset(DataSetting(dataset="digits")), train=split, test=split)
    shown = examples_of(dataset, DataSetting())["test"].pictures(range(50))[..., 0]
    order = np.argsort(x.ravel())
    assert np.all(np.diff(shown.ravel()[order].astype(int)) >= 0)
    assert (shown.min(), shown.max()) == (0, 255)


def test_an_id_that_is_not_there_is_named():
    with pytest.raises(InputError, match="is none of"):
        Examples(split_of(np.zeros((2, 4, 4, 1), np.uint8), [3, 5])).pictures([3, 4])


def test_features_are_listed_and_cut():
    of = Examples(split_of(np.array([[0.5, 2], [1, 1 / 3]], np.float32), [1, 2]))
    assert of.texts([2, 1]) == ["1, 0.3333", "0.5, 2"]
    assert of.texts([2], most=6) == ["1, 0.…"]


@pytest.mark.parametrize("wordpiece", [False, True])
def test_texts_and_pairs_are_read_back(tmp_path, wordpiece):
    words = ["a", "good", "film", "not", "bad"]
    tokenizer = write_wordpiece(tmp_path / "t", words) if wordpiece else write_tokenizer(tmp_path / "t")
    folder = tmp_path / "texts"
    folder.mkdir()
    first, second = ["a good film", "not bad", "not good"], ["a film", "bad", "good a"]
    for name in ("train", "test"):
        rows = [f"{a},{b},{i % 2}" for i, (a, b) in enumerate(zip(first, second, strict=True))]
        (folder / f"{name}.csv").write_text("\n".join(["sentence1,sentence2,label", *rows]))
    setting = DataSetting(dataset=str(folder), tokenizer=tokenizer, length=32, cache_dir=tmp_path / "cache")
    dataset = load_dataset(setting)
    test = examples_of(dataset, setting)["test"]
    assert test.texts(dataset.test.id[[2, 0]]) == ["not good / good a", "a good film / a film"]
