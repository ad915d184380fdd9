import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from distill_jax.setting import ObjectiveSetting
from distill_jax.students import MODELS
from distill_jax.training.objective import cross_entropy, switch_step, weights


@pytest.fixture
def batch():
    keys = jax.random.split(jax.random.key(0), 3)
    logits, teacher = 3 * jax.random.normal(keys[0], (8, 5)), 3 * jax.random.normal(keys[1], (8, 5))
    return logits, jax.random.randint(keys[2], (8,), 0, 5), teacher


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_gradient_is_that_of_finite_differences(batch, weight):
    logits, label, teacher = batch
    with jax.enable_x64(True):
        exact, sure = (jnp.asarray(np.asarray(z, np.float64)) for z in (logits, teacher))
        check_grads(lambda z: cross_entropy(z, label, sure, weight, 4.0), (exact,), order=2, modes=["rev"])


def test_weight_zero_is_one_hot_and_weight_one_ignores_labels(batch):
    logits, label, teacher = batch
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()
    np.testing.assert_allclose(cross_entropy(logits, label, teacher, 0.0, 4.0), expected, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, label, None, 0.0, 4.0), expected, rtol=1e-6)
    other = (label + 1) % 5
    distilled = cross_entropy(logits, label, teacher, 1.0, 4.0)
    np.testing.assert_array_equal(distilled, cross_entropy(logits, other, teacher, 1.0, 4.0))


def test_distillation_is_least_at_the_teacher(batch):
    _, label, teacher = batch
    gradient = jax.grad(lambda z: cross_entropy(z, label, teacher, 1.0, 4.0))(teacher)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_a_perfectly_sure_teacher_is_a_label(batch):
    logits, label, _ = batch
    sure = 1e4 * jax.nn.one_hot(label, 5)
    one_hot = cross_entropy(logits, label, None, 0.0, 1.0)
    np.testing.assert_allclose(cross_entropy(logits, label, sure, 1.0, 1.0), one_hot, rtol=1e-5)


def test_scale_keeps_the_size_of_the_gradient_at_high_temperature(batch):
    # Hinton et al. 2015, eq. 4: with T^2 the gradient tends to (z - v) / K, for logits of mean zero.
    logits, label, teacher = (x - x.mean(-1, keepdims=True) if x.ndim == 2 else x for x in batch)

    def gradient(temperature, scale):
        return jax.grad(lambda z: cross_entropy(z, label, teacher, 1.0, temperature, scale))(logits)

    limit = (logits - teacher) / 5 / 8
    np.testing.assert_allclose(gradient(1e3, "T^2"), limit, atol=2e-3)
    np.testing.assert_allclose(gradient(7.0, "1") * 49, gradient(7.0, "T^2"), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("student", MODELS)
@pytest.mark.parametrize(("step", "window"), [(None, 0), (30, 0), (0, 10), (30, 20), (99, 1)])
def test_weights_move_from_one_loss_to_the_other(student, step, window):
    setting = ObjectiveSetting(switch_step=step, switch_window=window, distillation_weight=0.8)
    table = weights(student, setting, 100)
    begin, end = {"one_hot": (0, 0), "teacher": (0, 0), "kd": (0.8, 0.8), "one_hot_to_kd": (0, 0.8)}.get(
        student, (0.8, 0)
    )
    at = switch_step(setting, 100)
    np.testing.assert_allclose(table[:at], begin)
    np.testing.assert_allclose(table[at + window :], end)
    assert np.all(np.abs(np.diff(table)) <= 0.8 / max(window, 1) + 1e-6)
    assert table.dtype == jnp.float32
    assert table.shape == (100,)
