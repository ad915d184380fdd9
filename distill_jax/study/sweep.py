"""Which students a study has: the four it always has, and those of its sweep."""

import dataclasses
import itertools

from distill_jax.checks import validate, validate_on_data
from distill_jax.errors import InputError
from distill_jax.setting import Setting, SweepSetting
from distill_jax.students import KINDS, STUDENTS
from distill_jax.training.objective import switch_step
from distill_jax.training.population import Member

FIELDS = tuple(field.name for field in dataclasses.fields(SweepSetting))
_SWITCHES = ("switch_step", "switch_window")


def _matters(field: str, student: str) -> bool:
    """Whether a field of the sweep changes a student at all."""
    kind = KINDS[student]
    return field == "learning_rate" or (any(kind.distilled) and (kind.switched or field not in _SWITCHES))


def own_values(setting: Setting, total_steps: int) -> dict[str, float]:
    """The study's own value of each field that can be swept."""
    objective = setting.objective
    return {
        "temperature": objective.temperature,
        "distillation_weight": objective.distillation_weight,
        "switch_step": switch_step(objective, total_steps),
        "switch_window": objective.switch_window,
        "learning_rate": setting.optimizer.learning_rate,
    }


def students(setting: Setting, total_steps: int, seed: int = 0) -> list[Member]:
    """The students of one seed: the four of every study, then each model's further ones.

    A model's further students are all combinations of the swept values that matter to it and the study's own.
    """
    own = own_values(setting, total_steps)
    members = [Member(model, seed) for model in STUDENTS]
    for model in STUDENTS:
        swept = [f for f in FIELDS if _matters(f, model) and getattr(setting.sweep, f)]
        choices = [dict.fromkeys([own[f], *getattr(setting.sweep, f)]) for f in swept]
        for values in itertools.product(*choices):
            changes = tuple((f, v) for f, v in zip(swept, values, strict=True) if v != own[f])
            if changes:
                members.append(Member(model, seed, changes))
    return members


def check(setting: Setting, examples: int, test_examples: int, total_steps: int) -> None:
    """Checks the sweep's values, each as the field it replaces, and together where they must fit the run.

    Raises:
      InputError: one line that names the option.
    """
    for field in FIELDS:
        for value in getattr(setting.sweep, field):
            changed = Member("kd", 0, ((field, value),)).applied(setting)
            try:
                validate(changed)
                if field == "switch_step":
                    validate_on_data(changed, examples, test_examples, total_steps)
            except InputError as error:
                raise InputError(f"--sweep.{str(error).removeprefix('--')}") from None
    for member in students(setting, total_steps):
        validate_on_data(member.applied(setting), examples, test_examples, total_steps)
