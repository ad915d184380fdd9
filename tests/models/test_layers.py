"""The layers against XLA's own operations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.models.layers import depthwise, pointwise

HOW = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "precision": "highest"}


def assert_same(f, x, kernel, **how):
    """As `conv_general_dilated`: values, and gradients; in bfloat16 about the same of that type."""
    ours, theirs = (functools.partial(g, **how, **HOW) for g in (f, jax.lax.conv_general_dilated))

    def gradients(f):
        return jax.grad(lambda x, k: jnp.sin(f(x, k)).sum(), (0, 1))(x, kernel)

    np.testing.assert_allclose(ours(x, kernel), theirs(x, kernel), atol=1e-5)
    for one, other in zip(gradients(ours), gradients(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    low = ours(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), ours(x, kernel), atol=0.15)


@pytest.mark.parametrize("shape", [(2, 8, 6, 5), (3, 7, 9, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("size", "padding"), [(3, 1), (5, 2), (3, 0)])
def test_a_depthwise_convolution_and_its_gradients(shape, stride, size, padding):
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (size, size, 1, 5))
    how = {"window_strides": (stride, stride), "padding": [(padding, padding)] * 2, "feature_group_count": 5}
    assert_same(depthwise, x, kernel, **how)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_pointwise_convolution_and_its_gradients(stride):
    x = jax.random.normal(jax.random.key(0), (2, 8, 7, 5))
    kernel = jax.random.normal(jax.random.key(1), (1, 1, 5, 3))
    assert_same(pointwise, x, kernel, window_strides=(stride, stride), padding=[(0, 0)] * 2)


@pytest.mark.parametrize(("f", "shape", "groups"), [(depthwise, (3, 3, 1, 5), 5), (pointwise, (1, 1, 5, 3), 1)])
def test_they_are_xlas_own_convolution_but_on_cpus(f, shape, groups):
    run = functools.partial(
        f, window_strides=(1, 1), padding=[(shape[0] // 2,) * 2] * 2, feature_group_count=groups, **HOW
    )
    traced = jax.jit(run).trace(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in ((2, 8, 8, 5), shape)))
    for platform in ("cuda", "tpu", "cpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.convolution" in text) == (platform != "cpu")
