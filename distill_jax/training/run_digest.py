"""Names of runs: hashes of all that makes one model what it is."""

from typing import Any

from distill_jax.identity import digest, identity
from distill_jax.own_code import code
from distill_jax.setting import Setting
from distill_jax.students import TEACHER, table
from distill_jax.training.losses import loss


def run_digest(setting: Setting, model: str, seed: int, data_fingerprint: str, given: str | None = None) -> str:
    """The name of one model's run.

    A teacher's does not depend on its students, nor a student's on other students, their losses' settings and code.

    Args:
      setting: with the changes of a student of a sweep.
      model: 'teacher' or a student of `students.table`.
      given: digest of the logits or weights of a teacher that is not trained here.
    """
    fields = identity(setting) | {"model": model, "seed": seed, "fingerprint": data_fingerprint}
    if given is not None:
        fields["teacher"] = {"logits": given}
    if model == TEACHER:
        del fields["student"], fields["objective"]
        code_digest = code([setting.teacher.name, setting.optimizer.optimizer])
        return digest(fields | ({"own": {"code": code_digest}} if code_digest else {}))
    kinds = table(setting.students)
    names, losses = dict(zip(kinds, setting.students, strict=True)), [loss(name) for name in kinds[model].losses]
    own_fields: dict[str, Any] = {
        name: value
        for name, value in setting.objective.loss_settings.items()
        if any(value != term.settings[name] for term in losses if name in term.settings)
    }
    if any(term.features for term in losses):
        own_fields |= {"student_features": setting.objective.student_features}
        own_fields |= {"teacher_features": setting.objective.teacher_features}
    others = [setting.optimizer.optimizer, setting.student.name, *([] if given else [setting.teacher.name])]
    if (code_digest := code([names[model], *kinds[model].losses, *others])) != "":
        own_fields["code"] = code_digest
    return digest(fields | ({"own": own_fields} if own_fields else {}))
