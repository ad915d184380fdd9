import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from distill_jax.length import Length
from distill_jax.optimizer import learning_rate_schedule, make_optimizer
from distill_jax.setting import OptimizerSetting
from experiments.presets import PRESETS


def test_table_1_is_21600_steps_and_falls_where_it_should():
    setting = PRESETS["cifar100-resnet56-self"].setting
    length = Length.of(setting, 50_000)
    assert (length.steps_per_epoch, length.total_steps) == (48, 21_600)
    rate = learning_rate_schedule(setting.optimizer, length.total_steps, length.steps_per_epoch)
    values = np.asarray(rate(jnp.arange(21_600)))
    np.testing.assert_allclose(values[15 * 48 : 200 * 48], 1.0)
    for epoch, after in [(200, 0.1), (300, 0.01), (400, 0.001)]:
        np.testing.assert_allclose(values[epoch * 48], after, rtol=1e-5)
        np.testing.assert_allclose(values[epoch * 48 - 1], 10 * after, rtol=1e-5)
    assert values[0] > 0
    assert np.all(np.diff(values[: 15 * 48]) > 0)


@pytest.mark.parametrize("warmup", [0, 1, 2, 10])
@pytest.mark.parametrize("decay", ["none", "linear", "cosine", "step"])
def test_rate_reaches_its_peak_and_is_never_zero_before_the_end(warmup, decay):
    setting = OptimizerSetting(learning_rate=0.3, warmup_steps=warmup, decay=decay, decay_epochs=(5.0,))
    values = np.asarray(jnp.broadcast_to(learning_rate_schedule(setting, 100, 10)(jnp.arange(100)), (100,)))
    assert values.max() == pytest.approx(0.3)
    assert np.argmax(values) <= max(warmup, 0)
    assert np.all(values > 0)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_coupled_weight_decay_is_an_l2_term_of_the_loss(name):
    params = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([1.0, 2.0])}

    def loss(p, decay):
        return jnp.sum(jnp.sin(p["kernel"])) + jnp.sum(p["bias"] ** 3) + decay / 2 * optax.tree.norm(p) ** 2

    setting = OptimizerSetting(optimizer=name, learning_rate=0.1, weight_decay=0.05)
    outcomes = []
    for decay_in_optimizer in (True, False):
        chosen = setting if decay_in_optimizer else dataclasses.replace(setting, weight_decay=0.0)
        rule, p = make_optimizer(chosen, 10, 10), params
        state = rule.init(p)
        for _ in range(5):
            gradient = jax.grad(loss)(p, 0.0 if decay_in_optimizer else 0.05)
            updates, state = rule.update(gradient, state, p)
            p = optax.apply_updates(p, updates)
        outcomes.append(p)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *outcomes)


def test_weight_decay_can_leave_biases_and_norms_alone():
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2)}
    setting = OptimizerSetting(weight_decay=0.1, decay_norm_and_bias=False)
    rule = make_optimizer(setting, 10, 10)
    updates, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    assert np.all(updates["kernel"] < 0)
    assert np.all(updates["scale"] == 0)


def test_nesterov_momentum_is_sutskevers():
    # v <- m v + g; p <- p - lr (g + m v), on f(p) = p^2 / 2.
    setting = OptimizerSetting(learning_rate=0.1, momentum=0.9)
    rule, p, q, v = make_optimizer(setting, 20, 20), jnp.float32(1.0), 1.0, 0.0
    state = rule.init(p)
    for _ in range(20):
        updates, state = rule.update(p, state, p)
        p = optax.apply_updates(p, updates)
        v = 0.9 * v + q
        q -= 0.1 * (q + 0.9 * v)
    assert float(p) == pytest.approx(q, rel=1e-4)
