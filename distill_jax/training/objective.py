"""One objective for one-hot, distilled and switched training: a cross-entropy with a weight that is scheduled.

    (1 - w) CE(e(y), f)  +  w s CE(softmax(teacher / T), f / T)

with w = 0 the one-hot loss (equation 1 of the paper), w = 1 the distillation loss (equation 2), and a w that moves
from one to the other at some step a switched loss (section 3.2). s is T^2 (Hinton et al. 2015, section 2) or 1.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from distill_jax.setting import ObjectiveSetting
from distill_jax.students import KINDS


def cross_entropy(
    logits: jax.Array,
    label: jax.Array,
    teacher_logits: jax.Array | None,
    weight: jax.Array | float,
    temperature: jax.Array | float,
    scale: str = "T^2",
) -> jax.Array:
    """The objective of one batch.

    Args:
      logits: float32 [B, K], the student's.
      label: int [B].
      teacher_logits: float32 [B, K] on the same inputs; None where the weight is 0.
      weight: w in [0, 1].
      temperature: T > 0.
      scale: 'T^2' or '1', the factor s of the distillation term.

    Returns:
      float32 scalar, nats, mean over the batch.

    References:
      Equations (1) and (2) of the paper; Hinton et al., 2015 (https://arxiv.org/abs/1503.02531), section 2.
    """
    one_hot = optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()
    if teacher_logits is None:
        return one_hot
    target = jax.nn.softmax(teacher_logits / temperature)
    distilled = optax.softmax_cross_entropy(logits / temperature, target).mean()
    if scale == "T^2":
        distilled *= temperature**2
    return (1 - weight) * one_hot + weight * distilled


def squared_error(
    logits: jax.Array,
    label: jax.Array,
    teacher_logits: jax.Array | None,
    weight: jax.Array | float,
    temperature: jax.Array | float,
    scale: str = "T^2",
) -> jax.Array:
    """The objective of section 4.1's theory: half the squared distance to the one-hot label or the teacher's outputs.

    Arguments and result as of `cross_entropy`: the target is (1 - w) e(y) + w teacher, which for a w of 0 or 1 is what
    the theory's teacher or student is trained towards. There is no softmax, and temperature and scale mean nothing.
    """
    del temperature, scale
    target = jax.nn.one_hot(label, logits.shape[-1])
    if teacher_logits is not None:
        target = (1 - weight) * target + weight * teacher_logits
    return jnp.sum((logits - target) ** 2, -1).mean() / 2


def switch_step(setting: ObjectiveSetting, total_steps: int) -> int:
    """The step at which the switched students begin to change their loss."""
    return total_steps // 2 if setting.switch_step is None else setting.switch_step


def weight_schedule(student: str, setting: ObjectiveSetting, total_steps: int) -> optax.Schedule:
    """The distillation weight w over steps of one of `students.MODELS`; the teacher's is 0.

    A switch begins at step s with window n: w is the old value at every step <= s for n > 0, moves linearly, and
    is the new value from step s + n on; for n = 0 step s is the first with the new value.
    """
    on = setting.distillation_weight
    begin, end = (on if distilled else 0.0 for distilled in KINDS[student].distilled)
    step = switch_step(setting, total_steps)
    if setting.switch_window == 0:
        return optax.join_schedules([optax.constant_schedule(begin), optax.constant_schedule(end)], [step])
    return optax.linear_schedule(begin, end, setting.switch_window, transition_begin=step)


def weights(student: str, setting: ObjectiveSetting, total_steps: int) -> np.ndarray:
    """The distillation weight at every step, float32 [total_steps].

    Steps know their weight from this table, so that members of a population may differ in any way in it, and the
    host knows where all of it is 0 and no teacher is needed.
    """
    schedule = weight_schedule(student, setting, total_steps)
    table = schedule(jnp.arange(total_steps))
    return np.broadcast_to(np.asarray(table, np.float32), (total_steps,)).copy()
