"""Where students have their teacher's outputs from in training."""

from typing import Literal

from distill_jax.setting import Setting
from distill_jax.training.objective import Objective


def teacher_source(setting: Setting) -> Literal["variables", "logits", "outcomes"]:
    """What students are given of their teachers.

    Their variables; their logits on the training set [N, K]; or those of all outcomes of augmentation, [N outcomes, K].
    """
    asked = "cached" if setting.given.logits else setting.run.teacher_logits
    if asked == "all-outcomes":
        return "outcomes"
    if asked == "auto":
        features = Objective.of_study(setting).features
        return "logits" if setting.data.augment == "none" and not features else "variables"
    return "logits" if asked == "cached" else "variables"
