import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from distill_jax.models.outputs import Outputs
from distill_jax.setting import ObjectiveSetting
from distill_jax.students import KINDS, MODELS, STUDENTS, Kind
from distill_jax.training.losses import dkd, kd, label_smoothing, one_hot
from distill_jax.training.objective import Objective, switch_step


def test_it_is_the_weighted_sum_of_its_losses(tmp_path):
    keys = jax.random.split(jax.random.key(0), 3)
    student, teacher = (Outputs(3 * jax.random.normal(key, (8, 5))) for key in keys[:2])
    label = jax.random.randint(keys[2], (8,), 0, 5)
    setting = ObjectiveSetting(temperature=3.0, loss_settings={"beta": 2.0, "smoothing": 0.2})
    objective = Objective.of([KINDS[k] for k in ("one_hot", "kd", "label_smoothing", "dkd")], setting)
    assert objective.names == ("one_hot", "kd", "label_smoothing", "dkd")
    weights = {"kd": 0.2, "label_smoothing": 0.3, "dkd": 0.4}
    settings = objective.settings(setting)
    assert settings == {"temperature": 3.0, "label_smoothing.smoothing": 0.2, "dkd.alpha": 1.0, "dkd.beta": 2.0}
    parts = [
        one_hot(student, None, label),
        kd(student, teacher, label, temperature=jnp.float32(3), distillation_scale="T^2"),
        label_smoothing(student, None, label, smoothing=0.2),
        dkd(student, teacher, label, temperature=3.0, alpha=1.0, beta=2.0),
    ]
    expected = sum(w * jnp.mean(part) for w, part in zip((0.1, *weights.values()), parts, strict=True))
    np.testing.assert_allclose(objective(student, teacher, label, weights, settings, {}), expected, rtol=1e-5)
    without = 0.7 * parts[0].mean() + 0.3 * parts[2].mean()
    np.testing.assert_allclose(objective(student, None, label, weights, settings, {}), without, rtol=1e-5)
    np.testing.assert_allclose(
        objective.distillation_weights({name: np.array([w]) for name, w in weights.items()}), 0.6
    )


@pytest.mark.parametrize("student", MODELS)
@pytest.mark.parametrize(("step", "window"), [(None, 0), (30, 0), (0, 10), (30, 20), (99, 1)])
def test_weights_move_from_one_loss_to_the_other(student, step, window):
    setting = ObjectiveSetting(switch_step=step, switch_window=window, distillation_weight=0.8)
    objective = Objective.of([KINDS[s] for s in STUDENTS], setting)
    assert objective.names == ("one_hot", "kd")
    table = objective.weights(KINDS[student], setting, 100)["kd"]
    begin, end = {"one_hot": (0, 0), "teacher": (0, 0), "kd": (0.8, 0.8), "one_hot_to_kd": (0, 0.8)}.get(
        student, (0.8, 0)
    )
    at = switch_step(setting, 100)
    np.testing.assert_allclose(table[:at], begin)
    np.testing.assert_allclose(table[at + window :], end)
    assert np.all(np.abs(np.diff(table)) <= 0.8 / max(window, 1) + 1e-6)
    assert table.dtype == jnp.float32
    assert table.shape == (100,)


def test_a_loss_that_needs_no_teacher_has_all_of_the_weight_and_a_schedule_of_its_own_any():
    setting = ObjectiveSetting(distillation_weight=0.5)
    falling = Kind("Mine", ("dkd", "label_smoothing"), lambda steps: optax.linear_schedule(0.0, 1.0, steps))
    objective = Objective.of([falling], setting)
    found = objective.weights(falling, setting, 10)
    share = np.arange(10, dtype=np.float32) / 10
    np.testing.assert_allclose(found["dkd"], 0.5 * (1 - share), rtol=1e-6)
    np.testing.assert_allclose(found["label_smoothing"], share, atol=1e-7)
    np.testing.assert_allclose(objective.distillation_weights(found), found["dkd"])
