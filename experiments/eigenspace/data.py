"""The data of every seed: a draw of its own from the data set, with label noise and pairs of eigendirections."""

import dataclasses
from typing import NamedTuple

import numpy as np

from distill_jax.data import Dataset, Split, load_dataset
from distill_jax.data.noise import corrupt_labels
from distill_jax.data.subset import stratified
from distill_jax.errors import InputError
from distill_jax.randomness import Stream, generator
from distill_jax.setting import DataSetting
from experiments.eigenspace.setting import Setting


class Drawn(NamedTuple):
    """The data of seeds, with a leading axis of seeds.

    Attributes:
      train, test: splits of N and M points.
      pairs: int32 [S, 2, pairs], indices of the top and of the bottom eigendirection of each pair.
    """

    train: Split
    test: Split
    pairs: np.ndarray

    def take(self, index: np.ndarray) -> "Drawn":
        """The seeds at these positions, int [S], in this order."""
        return Drawn(self.train.take(index), self.test.take(index), self.pairs[index])


def load(setting: Setting) -> Dataset:
    """The whole data set, without noise.

    Raises:
      InputError: as `load_dataset`, or it has too few examples for a seed.
    """
    dataset = load_dataset(DataSetting(dataset=setting.dataset, data_dir=setting.data_dir))
    for option, count, split in (
        ("--train-examples", setting.train_examples, dataset.train),
        ("--test-examples", setting.test_examples, dataset.test),
    ):
        if count > len(split.label):
            raise InputError(option, count, f"must be at most {len(split.label)}, all that {dataset.name} has")
    return dataset


def draw(setting: Setting, dataset: Dataset, seeds: np.ndarray) -> Drawn:
    """The data that these seeds, int [S], draw. The number of wrong labels is exact: round(share * N)."""
    train, test, pairs = [], [], []
    first, last = setting.bottom
    for seed in map(int, seeds):
        subset = dataset.train.take(stratified(dataset.train.label, setting.train_examples, seed))
        label = corrupt_labels(subset.label, setting.label_noise, dataset.num_classes, seed)
        train.append(dataclasses.replace(subset, label=label))
        rng = generator(seed, Stream.TEST)
        test.append(
            dataset.test.take(np.sort(rng.choice(len(dataset.test.label), setting.test_examples, replace=False)))
        )
        rng = generator(seed, Stream.PAIRS)
        top = rng.choice(setting.top, setting.pairs, replace=False)
        pairs.append([top, rng.choice(np.arange(first, last + 1), setting.pairs, replace=False)])
    return Drawn(_stack(train), _stack(test), np.array(pairs, np.int32))


def _stack(splits: list[Split]) -> Split:
    names = [field.name for field in dataclasses.fields(Split)]
    return Split(*(np.stack([getattr(split, name) for split in splits]) for name in names))
