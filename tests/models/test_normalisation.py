import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.test_util import check_grads

from distill_jax.models import normalisation
from distill_jax.models.normalisation import BatchNorm

ACTIVATIONS = {"none": lambda y: y, "relu": nn.relu, "relu6": nn.relu6}


def inputs(shape=(16, 5, 4, 8), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(1, 3, shape).astype(np.float32)
    params = {"scale": rng.normal(1, 1, shape[-1]), "bias": rng.normal(0, 1, shape[-1])}
    statistics = {"mean": rng.normal(0, 1, shape[-1]), "var": rng.uniform(1, 2, shape[-1])}
    variables = jax.tree.map(jnp.float32, {"params": params, "batch_stats": statistics})
    return jnp.asarray(x), variables, jnp.asarray(rng.normal(size=shape), jnp.float32)


def flax_s(train, activation, dtype=jnp.float32):
    """The same from Flax's layer: JAX derives its gradient."""
    layer = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype)

    def apply(variables, x):
        y, updated = layer.apply(variables, x, mutable=["batch_stats"])
        return ACTIVATIONS[activation](y), updated

    return apply


def ours(train, activation, dtype=jnp.float32, examples=None):
    layer = BatchNorm(not train, activation, dtype, examples=examples)
    return lambda variables, x: layer.apply(variables, x, mutable=["batch_stats"])


@pytest.fixture(params=["apart", "at once, as on GPUs"])
def _sums(request, monkeypatch):
    if request.param != "apart":
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cuda, default: cuda(*args))


@pytest.mark.usefixtures("_sums")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("train", [True, False])
def test_outputs_statistics_and_gradients_are_those_of_flax(train, activation):
    x, variables, weight = inputs()

    def results(of):
        def loss(params, x):
            y, updated = of(train, activation)({**variables, "params": params}, x)
            return jnp.sum(weight * y), (y, updated)

        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(variables["params"], x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), results(ours), results(flax_s))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_is_that_of_finite_differences(activation):
    x, variables, weight = inputs((6, 3))
    # Away from kinks: the step of finite differences must not cross one.
    apart = {"scale": jnp.ones(3), "bias": jnp.array([-8.0, 3.0, 12.0])}

    def loss(params, x):
        y, _ = ours(True, activation)({**variables, "params": params}, x)
        return jnp.sum(weight * y)

    check_grads(loss, (apart, x / 3), order=1, modes=["rev"], eps=1e-2, rtol=2e-2, atol=2e-2)


def test_in_bfloat16_statistics_and_gradients_of_parameters_are_float32():
    x, variables, weight = inputs()
    low = x.astype(jnp.bfloat16)

    def loss(params, x):
        y, updated = ours(True, "relu", jnp.bfloat16)({**variables, "params": params}, x)
        assert y.dtype == jnp.bfloat16
        return jnp.sum(weight * y.astype(jnp.float32)), updated

    grads, updated = jax.grad(loss, (0, 1), has_aux=True)(variables["params"], low)
    assert grads[1].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((grads[0], updated))} == {jnp.dtype("float32")}
    # As of the same rounded inputs in float32, but for the rounding of results.
    exact = jax.grad(lambda p, x: jnp.sum(weight * ours(True, "relu")({**variables, "params": p}, x)[0]), (0, 1))
    right = exact(variables["params"], low.astype(x.dtype))
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=0.01, atol=0.02)


def test_mapped_over_members_each_has_statistics_of_its_own():
    x, variables, _ = inputs()
    many = jnp.stack([x, 2 * x + 1, -x])
    together = jax.vmap(lambda x: ours(True, "relu")(variables, x))(many)
    for member, of_one in enumerate(many):
        alone = ours(True, "relu")(variables, of_one)
        jax.tree.map(lambda a, b, m=member: np.testing.assert_allclose(a[m], b, rtol=1e-5, atol=1e-5), together, alone)


@pytest.mark.usefixtures("_sums")
def test_groups_of_a_batch_have_statistics_of_their_own():
    x, variables, weight = inputs()

    def results(examples):
        def loss(params, x, weight):
            y, updated = ours(True, "relu", examples=examples)({**variables, "params": params}, x)
            return jnp.sum(weight * y), (y, updated)

        of = jax.value_and_grad(loss, (0, 1), has_aux=True)
        return lambda x, weight: jax.tree.leaves(of(variables["params"], x, weight))

    loss, y, mean, var, bias, scale, x_gradient = results(4)(x, weight)
    alone = [results(None)(x[i : i + 4], weight[i : i + 4]) for i in range(0, 16, 4)]
    losses, ys, means, variances, biases, scales, x_gradients = zip(*alone, strict=True)
    for together, of_groups in ((y, ys), (x_gradient, x_gradients)):
        np.testing.assert_allclose(together, jnp.concatenate(of_groups), rtol=1e-5, atol=1e-5)
    for together, of_groups in ((loss, losses), (bias, biases), (scale, scales)):
        np.testing.assert_allclose(together, sum(of_groups), rtol=1e-5, atol=1e-4)
    for together, of_groups in ((mean, means), (var, variances)):
        np.testing.assert_allclose(together, sum(of_groups) / 4, rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, results(16)(x, weight), results(None)(x, weight))
    evaluated = [ours(False, "relu", examples=examples)(variables, x)[0] for examples in (4, None)]
    np.testing.assert_array_equal(*evaluated)


def test_without_variance_nothing_is_divided_by_zero():
    x, variables, _ = inputs()
    same = jnp.full_like(x, 1e4)  # of which E[x^2] - E[x]^2 is rounding
    y, _ = ours(True, "none")(variables, same)
    grads = jax.grad(lambda x: jnp.sum(ours(True, "none")(variables, x)[0] ** 2))(same)
    assert np.isfinite(y).all()
    assert np.isfinite(grads).all()
    assert normalisation.BatchNorm(False).activation == "none"
