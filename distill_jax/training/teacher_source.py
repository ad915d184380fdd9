"""Where students have their teacher's outputs from in training."""

from typing import Any, Literal

import numpy as np

from distill_jax.data.dataset import Dataset
from distill_jax.data.sources.npz import UNIT_MAX
from distill_jax.models.torch_weights import normalisation
from distill_jax.setting import Setting
from distill_jax.training.objective import Objective


def teacher_source(setting: Setting) -> Literal["variables", "logits", "outcomes"]:
    """The kind of the teachers' arrays that students are given.

    Their variables; their logits on the training set [N, K]; or those of all outcomes of augmentation, [N outcomes, K].
    """
    option = "cached" if setting.given.logits else setting.run.teacher_logits
    if option == "all-outcomes":
        return "outcomes"
    if option == "auto":
        features = Objective.of_study(setting).features
        return "logits" if setting.data.augment == "none" and not features else "variables"
    return "logits" if option == "cached" else "variables"


def teacher_mean_std(setting: Setting, dataset: Dataset) -> tuple[Any, Any]:
    """Mean and standard deviation by which a teacher's inputs are normalised, float32 [C] in the units of the data.

    They are the data's, or those that weights which are given were trained with.

    Raises:
      InputError: as `torch_weights.normalisation`.
    """
    if setting.given.weights is None:
        return dataset.mean, dataset.std
    x = dataset.train.x
    white = 255 if x.dtype == np.uint8 or x.max() > UNIT_MAX else 1
    numbers = normalisation(setting.given, setting.teacher.name, dataset.num_classes, dataset.input_shape[-1])
    mean, std = (np.float32(white * np.array(values)) for values in numbers)
    return mean, std
