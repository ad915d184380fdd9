import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from distill_jax.presets import PRESETS
from distill_jax.setting import OptimizerSetting
from distill_jax.training.optimizer import learning_rate_schedule, learning_rates, make_rule
from distill_jax.training.schedule import Schedule


def moved(params, direction, rate):
    return jax.tree.map(lambda p, d: p - rate * d, params, direction)


@pytest.mark.parametrize("decay", ["none", "cosine"])
@pytest.mark.parametrize(
    ("setting", "theirs"),
    [
        (OptimizerSetting(optimizer="sgd"), lambda rate: optax.sgd(rate, 0.9, nesterov=True)),
        (OptimizerSetting(optimizer="adam"), optax.adam),
        (OptimizerSetting(optimizer="adamw", weight_decay=0.1), lambda rate: optax.adamw(rate, weight_decay=0.1)),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_rule_and_rates_are_optax_s_optimizer(setting, theirs, decay):
    setting = dataclasses.replace(setting, decay=decay, warmup_steps=3, learning_rate=0.02)
    rates, rule = learning_rates(setting, 12, 4), make_rule(setting)
    assert rates.dtype == np.float32
    whole = theirs(learning_rate_schedule(setting, 12, 4))
    ours = p = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5, 3.0]])}
    state, their_state = rule.init(p), whole.init(p)
    for rate in rates:
        gradient = jax.tree.map(jnp.sin, p)
        updates, their_state = whole.update(gradient, their_state, p)
        direction, state = rule.update(jax.tree.map(jnp.sin, ours), state, ours)
        p, ours = optax.apply_updates(p, updates), moved(ours, direction, rate)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), p, ours)


def test_table_1_is_21600_steps_and_falls_where_it_should():
    setting = PRESETS["cifar100-resnet56-self"].setting
    length = Schedule.of(setting, 50_000)
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
        rule, p = make_rule(chosen), params
        state = rule.init(p)
        for _ in range(5):
            gradient = jax.grad(loss)(p, 0.0 if decay_in_optimizer else 0.05)
            direction, state = rule.update(gradient, state, p)
            p = moved(p, direction, 0.1)
        outcomes.append(p)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *outcomes)


def test_weight_decay_can_leave_biases_and_norms_alone():
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2)}
    setting = OptimizerSetting(weight_decay=0.1, decay_norm_and_bias=False)
    rule = make_rule(setting)
    direction, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    assert np.all(direction["kernel"] > 0)
    assert np.all(direction["scale"] == 0)


def test_nesterov_momentum_is_sutskevers():
    # v <- m v + g; p <- p - lr (g + m v), on f(p) = p^2 / 2.
    setting = OptimizerSetting(learning_rate=0.1, momentum=0.9)
    rule, p, q, v = make_rule(setting), jnp.float32(1.0), 1.0, 0.0
    state = rule.init(p)
    for _ in range(20):
        direction, state = rule.update(p, state, p)
        p = moved(p, direction, 0.1)
        v = 0.9 * v + q
        q -= 0.1 * (q + 0.9 * v)
    assert float(p) == pytest.approx(q, rel=1e-4)
