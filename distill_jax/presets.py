"""Named settings of the main job, each with what it is for, what it costs and on which hardware."""

import dataclasses
from pathlib import Path

from distill_jax import data
from distill_jax.setting import (
    DataSetting,
    ModelSetting,
    ObjectiveSetting,
    OptimizerSetting,
    RobertaSetting,
    RunSetting,
    Setting,
    TrainSetting,
    changed,
)


@dataclasses.dataclass(frozen=True)
class Preset:
    """A setting with a name.

    >>> PRESETS["cifar100-resnet56-self"].setting.train.epochs
    450

    Attributes:
      purpose: one line.
      cost: expected time and the hardware it is expected on.
      setting: the setting itself.
    """

    purpose: str
    cost: str
    setting: Setting


_MLP = ModelSetting(name="mlp", hidden=(256,))
_SMALL_MLP_STUDY = Setting(
    data=DataSetting(dataset="digits", label_noise=0.2),
    teacher=_MLP,
    student=_MLP,
    objective=ObjectiveSetting(temperature=4.0),
    optimizer=OptimizerSetting(optimizer="sgd", learning_rate=0.1, weight_decay=1e-4, decay="cosine", warmup_epochs=2),
    train=TrainSetting(epochs=100, batch_size=128),
    run=RunSetting(seeds=24, checkpoint_seconds=5),
)


_RESNET56 = ModelSetting(name="resnet-cifar", depth=56)
_TABLE_1_CIFAR = Setting(
    data=DataSetting(dataset="cifar100", augment="crop-flip"),
    teacher=_RESNET56,
    student=_RESNET56,
    objective=ObjectiveSetting(temperature=4.0, distillation_weight=1.0, switch_window=1000),
    optimizer=OptimizerSetting(
        optimizer="sgd",
        learning_rate=1.0,
        momentum=0.9,
        warmup_epochs=15,
        decay="step",
        decay_factor=0.1,
        decay_epochs=(200, 300, 400),
        weight_decay=1e-4,
    ),
    train=TrainSetting(epochs=450, batch_size=1024, precision="bfloat16"),
    run=RunSetting(seeds=3),
)

_RESNET50 = ModelSetting(name="resnet50", stem="imagenet")
# The recipe of Goyal et al. 2017 (arXiv 1706.02677, section 5.1) at a batch of 1,024, whose rate is 0.1 for 256.
_IMAGENET = changed(
    dataclasses.replace(_TABLE_1_CIFAR, teacher=_RESNET50, student=_RESNET50),
    data={"dataset": "imagenet", "image_size": 224},
    objective={"switch_window": 0},
    optimizer={"learning_rate": 0.4, "warmup_epochs": 5, "decay_epochs": (30, 60, 80)},
    train={"epochs": 90, "snapshots": (0.25, 0.5, 0.75)},
)

_TINY_ROBERTA = ModelSetting(name="roberta", roberta=RobertaSetting(layers=2, units=64))

_OWN_TEXTS = Setting(
    data=DataSetting(length=128),
    teacher=_TINY_ROBERTA,
    student=_TINY_ROBERTA,
    objective=ObjectiveSetting(temperature=4.0),
    # The paper's optimizer and decay (appendix C.1), but a rate for weights that nothing is pretrained of.
    optimizer=OptimizerSetting(optimizer="adam", learning_rate=1e-3, decay="linear", warmup_epochs=1),
    train=TrainSetting(epochs=8, batch_size=64, snapshots=(0.25, 0.5, 0.75)),
    run=RunSetting(seeds=4),
)

_PRESETS = {
    "digits": Preset(
        "the whole method on scikit-learn's digits, 20% of the training labels wrong, 24 seeds",
        "a minute on 2 CPU cores",
        _SMALL_MLP_STUDY,
    ),
    "mnist": Preset(
        "a two-layer network on MNIST, 20% of the training labels wrong",
        "2 minutes on 2 CPU cores",
        changed(
            _SMALL_MLP_STUDY,
            data={"dataset": "mnist", "train_examples": 10_000},
            train={"epochs": 40},
            run={"seeds": 4},
        ),
    ),
    "fashion-mnist": Preset(
        "a two-layer network on Fashion-MNIST, its labels as they are",
        "2 minutes on 2 CPU cores",
        changed(
            _SMALL_MLP_STUDY,
            data={"dataset": "fashion-mnist", "train_examples": 10_000, "label_noise": 0.0},
            train={"epochs": 40},
            run={"seeds": 4},
        ),
    ),
    "own-data": Preset(
        "your own --dataset FILE.npz, or images or features named without a preset, with a two-layer network",
        "by its size; a minute for a thousand examples of a hundred features on 2 CPU cores",
        changed(
            _SMALL_MLP_STUDY,
            data={"label_noise": 0.0},
            # Adam's steps do not depend on the scale of the gradient: with many inputs SGD's would diverge.
            optimizer={"optimizer": "adam", "learning_rate": 0.002, "weight_decay": 0.0},
            train={"epochs": 40},
            run={"seeds": 4},
        ),
    ),
    "own-texts": Preset(
        "your own --dataset FOLDER of texts with a small RoBERTa from scratch, their labels as they are; --tokenizer",
        "by its size; imdb-small is as much for 4,000 texts",
        _OWN_TEXTS,
    ),
    "own-texts-pretrained": Preset(
        "the same, from pretrained RoBERTas: --teacher.roberta.pretrained and --student.roberta.pretrained",
        "not measured; meant for an accelerator",
        # The usual rate of fine-tuning, and as short.
        changed(_OWN_TEXTS, optimizer={"learning_rate": 2e-5, "warmup_epochs": 0.2}, train={"epochs": 3}),
    ),
    "cifar100-small": Preset(
        "a small residual network on part of CIFAR-100 (20 coarse classes), which the teacher fits as in the paper",
        "10 to 15 minutes on 2 CPU cores",
        Setting(
            # Without augmentation: a run this short would not fit augmented images, and a teacher that has not
            # fit its training set is not the paper's (Table 2: 99.97% training accuracy).
            data=DataSetting(dataset="cifar100", label="coarse_label", train_examples=4000, image_size=16),
            teacher=ModelSetting(name="resnet-cifar", depth=8),
            student=ModelSetting(name="resnet-cifar", depth=8),
            objective=ObjectiveSetting(temperature=4.0),
            optimizer=OptimizerSetting(learning_rate=0.2, weight_decay=5e-4, decay="cosine", warmup_epochs=2),
            train=TrainSetting(epochs=20, batch_size=128),
            run=RunSetting(seeds=3),
        ),
    ),
    "imdb-small": Preset(
        "a small RoBERTa from scratch on part of IMDB's reviews, 128 tokens of each; needs --tokenizer",
        "15 minutes on 2 CPU cores",
        changed(
            _OWN_TEXTS,
            # Each snapshot evaluates both splits for each model: of 25,000 test reviews it would cost as much as two
            # epochs. With 2,500 the standard error of an accuracy of 80% is 0.8 points, and less of a difference
            # between models that share the reviews.
            data={"dataset": "imdb_reviews", "train_examples": 4000, "test_examples": 2500},
            objective={"temperature": 16.0},  # the paper's for IMDB (appendix C.1)
        ),
    ),
    "cifar100-resnet56-self": Preset(
        "the paper's main setting: CIFAR-100, ResNet-56 to ResNet-56, recipe of Table 1 (21,600 steps)",
        "not yet measured; meant for one to eight GPUs or a TPU slice",
        _TABLE_1_CIFAR,
    ),
    "imagenet-resnet50-self": Preset(
        "ImageNet at 224, ResNet-50 to ResNet-50, 90 epochs; streamed; needs --data-dir",
        "not measured; meant for a TPU slice or eight GPUs",
        _IMAGENET,
    ),
}

PRESETS = {
    name: dataclasses.replace(preset, setting=changed(preset.setting, run={"workdir": Path("work") / name}))
    for name, preset in _PRESETS.items()
}


def preset_for(given: Setting) -> str:
    """The preset to begin from where none is named: by the data and networks that are, and one that alters no labels.

    >>> preset_for(Setting(data=DataSetting(dataset="mine.npz"))), preset_for(Setting(data=DataSetting("imdb_reviews")))
    ('own-data', 'own-texts')

    Args:
      given: what the command line names, over any preset.
    """
    if data.kind(given.data.dataset) != "texts":
        return "own-data"
    pretrained = any(network.roberta.pretrained is not None for network in (given.teacher, given.student))
    return "own-texts-pretrained" if pretrained else "own-texts"
