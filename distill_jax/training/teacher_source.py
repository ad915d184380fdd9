"""Where students have their teacher's outputs from in training."""

from typing import Literal

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
