"""A study of texts small enough to be trained many times in the tests: a word tells the class."""

import numpy as np

from distill_jax.data.dataset import Dataset, Split, Vocabulary
from distill_jax.setting import ModelSetting, OptimizerSetting, RobertaSetting, RunSetting, Setting, TrainSetting

LENGTH, VOCABULARY = 10, Vocabulary(20, 1)
TINY = RobertaSetting(layers=1, units=16, dropout=0.2, attention_dropout=0.0)


def dataset():
    rng = np.random.default_rng(0)

    def part(count):
        label = np.arange(count, dtype=np.int32) % 2
        x = rng.integers(6, 20, (count, LENGTH)).astype(np.uint16)
        x[:, 0] = 0
        x[np.arange(count), rng.integers(1, 4, count)] = 4 + label
        x[np.arange(LENGTH) >= rng.integers(5, LENGTH, (count, 1))] = VOCABULARY.pad
        return Split(x, label, label, np.arange(count, dtype=np.int64))

    return Dataset("texts", part(64), part(24), 2, None, None, vocabulary=VOCABULARY)


def setting(workdir, roberta=TINY):
    network = ModelSetting(name="roberta", roberta=roberta)
    return Setting(
        teacher=network,
        student=network,
        optimizer=OptimizerSetting(optimizer="adam", learning_rate=0.01),
        train=TrainSetting(epochs=4, batch_size=8, snapshots=(0.5,)),
        run=RunSetting(workdir=workdir, seeds=2, steps_per_dispatch=4),
    )
