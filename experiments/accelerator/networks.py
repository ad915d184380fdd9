"""Every kind of network, small, with data that every machine has, to see whether machines train it alike."""

import functools

import numpy as np

from distill_jax.data import load_dataset
from distill_jax.data.dataset import Dataset, Split, Vocabulary
from distill_jax.setting import (
    DataSetting,
    ModelSetting,
    ObjectiveSetting,
    OptimizerSetting,
    RobertaSetting,
    Setting,
    TrainSetting,
)

STEPS = 20
PRECISIONS = ("float32", "bfloat16")
NETWORKS = {
    "linear": ModelSetting("linear"),
    "mlp": ModelSetting("mlp", hidden=(64,)),
    "random-features": ModelSetting("random-features", features=200),
    "channel": ModelSetting("channel"),
    "resnet-basic": ModelSetting("resnet-cifar", depth=8),
    "resnet-bottleneck": ModelSetting("resnet-cifar", depth=11, block="bottleneck"),
    "resnet-keras": ModelSetting("resnet-cifar", depth=11, block="keras"),
    "resnet18": ModelSetting("resnet18"),
    "resnet50": ModelSetting("resnet50"),
    "resnet-cifar-v1": ModelSetting("resnet-cifar-v1", depth=8),
    "resnet50-v1": ModelSetting("resnet50-v1", stem="small"),
    "mobilenet-v2": ModelSetting("mobilenet-v2", multiplier=0.5, strides="cifar"),
    "roberta": ModelSetting("roberta", roberta=RobertaSetting(layers=2, units=64)),
}
BATCH = 32
# So large that a wrong gradient shows in 20 steps, so small that what machines round differently does not grow.
_RATES = {
    "random-features": 0.3,
    "roberta": 0.01,
    "resnet50-v1": 0.0002,
    **dict.fromkeys(("resnet18", "resnet50", "mobilenet-v2"), 0.005),
}
_EXAMPLES = 320
_VOCABULARY = Vocabulary(1000, pad=1)
_LENGTH = 32


def setting_of(network: str, precision: str) -> Setting:
    """A study of self-distillation with both terms of the loss, and crops and mirror images where there are images."""
    model = NETWORKS[network]
    convolutional = network.startswith(("resnet", "mobilenet"))
    return Setting(
        data=DataSetting(augment="crop-flip" if convolutional else "none"),
        teacher=model,
        student=model,
        objective=ObjectiveSetting(temperature=2.0, distillation_weight=0.5),
        optimizer=OptimizerSetting(
            "adam" if network == "roberta" else "sgd", learning_rate=_RATES.get(network, 0.03), weight_decay=1e-4
        ),
        train=TrainSetting(epochs=STEPS * BATCH // _EXAMPLES, batch_size=BATCH, precision=precision),
    )


@functools.cache
def data_of(network: str) -> Dataset:
    """scikit-learn's digits for networks without convolutions; else whole numbers from NumPy's generator.

    Digits have pixels that are 0 in nearly all images: what deep networks with batch normalisation make of these is
    amplified until 20 steps turn a last bit into a percent.
    """
    if network in ("linear", "mlp", "random-features"):
        return load_dataset(DataSetting(train_examples=_EXAMPLES, test_examples=100))
    rng, texts = np.random.default_rng(0), network == "roberta"
    shape = (_LENGTH,) if texts else (40,) if network == "channel" else (16, 16, 3)
    class_centres = rng.integers(40, 200, (10, *shape))

    def split(count: int) -> Split:
        label = (np.arange(count) % 10).astype(np.int32)
        if texts:
            # Each class has words of its own, half of a text.
            class_words = 2 + 90 * label[:, None] + rng.integers(0, 90, (count, _LENGTH))
            x = np.where(
                rng.integers(0, 2, class_words.shape), class_words, rng.integers(2, _VOCABULARY.size, class_words.shape)
            )
            x[np.arange(_LENGTH) >= rng.integers(4, _LENGTH + 1, (count, 1))] = _VOCABULARY.pad
        else:
            x = np.clip(class_centres[label] + rng.integers(-40, 41, (count, *shape)), 0, 255)
        dtype = np.uint16 if texts else np.float32 if network == "channel" else np.uint8
        return Split(x.astype(dtype), label, label, np.arange(count, dtype=np.int64))

    moments = (None, None) if texts else (np.full(shape[-1:], value, np.float32) for value in (120, 52))
    return Dataset(network, split(_EXAMPLES), split(100), 10, *moments, vocabulary=_VOCABULARY if texts else None)
