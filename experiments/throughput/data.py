"""The data of a row, the same for both sides: noise of the right shapes."""

import functools

import numpy as np

from distill_jax.data.dataset import Dataset, Split
from experiments.throughput.grid import NETWORKS


@functools.lru_cache(maxsize=1)
def synthetic(name: str) -> Dataset:
    """Images of uniform noise, uint8, or features of standard normal noise, float32, with random labels."""
    network = NETWORKS[name]
    rng = np.random.default_rng(0)
    images = len(network.input_shape) == 3

    def split(examples: int) -> Split:
        shape = (examples, *network.input_shape)
        x = rng.integers(0, 256, shape, np.uint8) if images else rng.standard_normal(shape, np.float32)
        label = rng.integers(0, network.classes, examples, np.int32)
        return Split(x, label, label, np.arange(examples, dtype=np.int64))

    train, test = map(split, network.splits())
    over = network.input_shape[-1:]
    mean, std = (np.full(over, v, np.float32) for v in ((127.5, 73.9) if images else (0.0, 1.0)))
    return Dataset("noise", train, test, network.classes, mean, std)
