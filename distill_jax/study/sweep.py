"""Which students a study has: one of each kind, and those of its sweep."""

import dataclasses
import itertools

from distill_jax.errors import InputError
from distill_jax.setting import Setting, SweepSetting
from distill_jax.students import KD, Kind, table
from distill_jax.study.checks import validate, validate_on_data
from distill_jax.training.losses import loss
from distill_jax.training.objective import Objective, switch_step
from distill_jax.training.population import Member

_LOSS_SETTINGS = "loss_settings"
FIELDS = tuple(field.name for field in dataclasses.fields(SweepSetting) if field.name != _LOSS_SETTINGS)
_SWITCHES = ("switch_step", "switch_window")


def _matters(field: str, kind: Kind) -> bool:
    """Whether a field of the sweep, or a setting of losses, changes a student at all."""
    losses = [loss(name) for name in kind.losses]
    if field == "learning_rate":
        return True
    if field in _SWITCHES:
        return kind.switched and kind.schedule is None
    if field == "distillation_weight":
        return any(entry.teacher for entry in losses)
    return any(field in entry.settings for entry in losses)


def own_values(setting: Setting, total_steps: int) -> dict[str, float]:
    """The study's own value of each field that can be swept, and of each setting of losses that is."""
    objective = setting.objective
    values = {
        "temperature": objective.temperature,
        "distillation_weight": objective.distillation_weight,
        "switch_step": switch_step(objective, total_steps),
        "switch_window": objective.switch_window,
        "learning_rate": setting.optimizer.learning_rate,
    }
    numbers = Objective.of_study(setting).settings(objective)
    loss_settings = {key.partition(".")[2]: value for key, value in numbers.items() if "." in key}
    return values | {name: loss_settings[name] for name in setting.sweep.loss_settings if name in loss_settings}


def _swept(setting: Setting) -> dict[str, tuple[float, ...]]:
    return {field: getattr(setting.sweep, field) for field in FIELDS} | setting.sweep.loss_settings


def students(setting: Setting, total_steps: int, seed: int = 0) -> list[Member]:
    """The students of one seed: one of each kind, then each kind's further ones.

    A kind's further students are all combinations of the swept values that matter to it and the study's own.
    """
    study_values, kinds, swept_values = own_values(setting, total_steps), table(setting.students), _swept(setting)
    members = [Member(model, seed) for model in kinds]
    for model, kind in kinds.items():
        fields = [f for f, values in swept_values.items() if values and _matters(f, kind)]
        choices = [dict.fromkeys([study_values[f], *swept_values[f]]) for f in fields]
        for values in itertools.product(*choices):
            changes = tuple((f, v) for f, v in zip(fields, values, strict=True) if v != study_values[f])
            if changes:
                members.append(Member(model, seed, changes))
    return members


def check(setting: Setting, examples: int, test_examples: int, total_steps: int) -> None:
    """Checks the sweep's values, each as the field it replaces, and together where they must fit the run.

    Raises:
      InputError: one line that names the field.
    """
    for field, values in _swept(setting).items():
        for value in values:
            changed = Member(KD, 0, ((field, value),)).applied(setting)
            try:
                validate(changed)
                if field == "switch_step":
                    validate_on_data(changed, examples, test_examples, total_steps)
            except InputError as error:
                raise InputError(f"sweep.{error.field.partition('.')[2]}", error.value, error.fault) from None
    for member in students(setting, total_steps):
        validate_on_data(member.applied(setting), examples, test_examples, total_steps)
