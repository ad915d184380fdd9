"""The data of a row, the same for both sides: noise of the right shapes."""

import functools

import numpy as np

from distill_jax.data.dataset import Dataset, Split
from experiments.throughput.grid import NETWORKS


@functools.lru_cache(maxsize=1)
def synthetic(name: str) -> Dataset:
    """Noise with random labels: images, uint8; features, standard normal, float32; or texts, uint16.

    Texts are all as long as can be, without padding: what is measured is the network, not how well texts fill it.
    """
    network = NETWORKS[name]
    rng = np.random.default_rng(0)
    images, vocabulary = len(network.input_shape) == 3, network.vocabulary

    def inputs(shape: tuple[int, ...]) -> np.ndarray:
        if vocabulary is not None:
            x = rng.integers(0, vocabulary.size - 1, shape, np.uint16)
            return x + (x >= vocabulary.pad)  # any token but padding
        return rng.integers(0, 256, shape, np.uint8) if images else rng.standard_normal(shape, np.float32)

    def split(examples: int) -> Split:
        x = inputs((examples, *network.input_shape))
        label = rng.integers(0, network.classes, examples, np.int32)
        return Split(x, label, label, np.arange(examples, dtype=np.int64))

    train, test = map(split, network.splits())
    mean = std = None
    if vocabulary is None:
        moment_shape = network.input_shape[-1:]
        mean, std = (np.full(moment_shape, v, np.float32) for v in ((127.5, 73.9) if images else (0.0, 1.0)))
    return Dataset("noise", train, test, network.classes, mean, std, vocabulary=vocabulary)
