"""The samplers' laws: conditions exact, moments within their Monte Carlo error, C.5's constraints and readings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from theory import channel

KEY = jax.random.key(4)


def near(values, expected, sigmas=4.5):
    """Whether the mean of values [n, ...] is the expected one, up to its standard error."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - expected) <= sigmas * error + 1e-12).all()


def test_conditioned_gaussian_has_the_conditional_law():
    mean = np.asarray(channel.unit_means(KEY, 1, 5))[0]
    x = np.asarray(channel.conditioned_gaussian(KEY, np.broadcast_to(mean, (40_000, 5)), 1.7))
    np.testing.assert_allclose(x @ mean, 1.7, atol=1e-13)
    near(x, 1.7 * mean)
    across = x - 1.7 * mean
    covariance = across[:, :, None] * across[:, None, :]
    near(covariance, (np.eye(5) - np.outer(mean, mean)) / 5)
    direction = np.linalg.svd(mean[None])[2][1] * np.sqrt(5)
    assert scipy.stats.kstest(across @ direction, "norm").pvalue > 1e-3


def test_section_4_2_is_balanced_and_on_its_hyperplanes():
    classes, m, dim, tau = 7, 6, 9, 2.5
    means = np.asarray(channel.unit_means(KEY, classes, dim))
    data = jax.tree.map(np.asarray, channel.sample(KEY, means, tau, m))
    assert np.bincount(data.y).tolist() == np.bincount(data.z[:, 0]).tolist() == [m] * classes
    assert (data.y != data.z[:, 0]).all()
    np.testing.assert_allclose(np.sum(data.target * means[data.y], -1), tau, atol=1e-13)
    np.testing.assert_allclose(np.sum(data.similar * means[data.z], -1), tau / 2, atol=1e-13)
    x = np.asarray(channel.features(data, classes))
    assert ((x != 0).any(-1).sum(-1) == 2).all()
    weights = np.random.default_rng(0).normal(size=means.shape)
    np.testing.assert_allclose(channel.logits(data, weights), np.einsum("nkd,kd->nk", x, weights), atol=1e-12)
    assert (np.einsum("nkd,kd->nk", x, means).argmax(-1) == data.y).all()  # perfectly classifiable


def test_every_other_class_is_equally_likely_to_be_similar():
    means = np.asarray(channel.unit_means(KEY, 4, 3))
    data = jax.tree.map(np.asarray, channel.sample(KEY, means, 1.0, 3000))
    steps = np.bincount((data.z[:, 0] - data.y) % 4)
    assert steps[0] == 0
    assert scipy.stats.chisquare(steps[1:]).pvalue > 1e-3


def test_mapped_over_seeds_is_what_each_seed_gives():
    means = channel.unit_means(KEY, 4, 6)
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: channel.sample(key, means, 1.5, 2))(keys)
    alone = channel.sample(keys[1], means, 1.5, 2)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(np.asarray(a)[1], np.asarray(b), atol=1e-14)
    assert together.target.dtype == np.float64
    mapped = jax.vmap(lambda key: channel.sample_c5(key, channel.normal_means(key, 5, 8), n=7))
    with jax.enable_x64(True):
        assert jax.eval_shape(mapped, keys).similar.shape == (3, 7, 3, 8)


@pytest.mark.parametrize("dim", [3, 30])
@pytest.mark.parametrize("above", [-1.0, -0.1, 0.4])
def test_truncated_sphere_has_the_conditional_law(dim, above):
    direction = np.asarray(channel.unit_means(KEY, 1, dim))[0]
    z = np.asarray(channel.truncated_sphere(KEY, np.broadcast_to(direction, (4_000, dim)), above))
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, atol=1e-12)
    s = z @ direction
    assert s.min() >= above - 1e-12
    law = scipy.stats.beta((dim - 1) / 2, (dim - 1) / 2, loc=-1, scale=2)
    assert scipy.stats.kstest(s, lambda t: (law.cdf(t) - law.cdf(above)) / law.sf(above)).pvalue > 1e-3
    near(z - s[:, None] * direction, 0)


def test_truncated_sphere_against_rejection():
    direction = np.eye(6)[0]
    exact = np.asarray(channel.truncated_sphere(KEY, np.broadcast_to(direction, (4_000, 6)), 0.2))
    drawn = np.random.default_rng(1).normal(size=(100_000, 6))
    drawn /= np.linalg.norm(drawn, axis=-1, keepdims=True)
    kept = drawn[drawn[:, 0] > 0.2]
    for axis in (0, 3):
        assert scipy.stats.ks_2samp(exact[:, axis], kept[:, axis]).pvalue > 1e-3


@pytest.mark.parametrize(("repetition", "truncate_similar"), [(False, True), (True, False)])
def test_c5_keeps_its_constraints_in_every_reading(repetition, truncate_similar):
    means = np.asarray(channel.normal_means(KEY, 10, 100))
    settings = {"n": 1000, "repetition": repetition, "truncate_similar": truncate_similar}
    data = jax.tree.map(np.asarray, channel.sample_c5(KEY, means, **settings))
    margin = np.sum(data.target * means[data.y], -1)
    assert margin.min() > 0
    sphere = (data.target - 0.01 * means[data.y]) / 0.99
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=-1), 1, atol=1e-12)
    assert (data.z != data.y[:, None]).all()
    named = np.sort(data.z, -1)
    twice = (named[:, 1:] == named[:, :-1]).any(-1)
    assert twice.any() == repetition
    used = (data.similar != 0).any(-1)
    assert (used.sum(-1) == [len(set(row)) for row in data.z]).all()
    assert scipy.stats.chisquare(np.bincount(data.y)).pvalue > 1e-3
    # x = b (alpha mu + (1 - alpha) z) with |z| = 1: 1/b is the positive root of a quadratic.
    x, mu = data.similar[used], means[data.z][used]
    own, square = np.sum(x * mu, -1), np.sum(x**2, -1)
    assert (own > 0).all() == truncate_similar
    inverse = (0.01 * own + np.sqrt((0.01 * own) ** 2 + square * (0.99**2 - 1e-4 * np.sum(mu**2, -1)))) / square
    scale = 1 / inverse / (0.8 * np.broadcast_to(margin[:, None], used.shape)[used])
    assert scipy.stats.kstest(scale, scipy.stats.beta(4, 1).cdf).pvalue > 1e-3


def test_c5_may_draw_the_target_which_then_counts_once_and_keep_similar_margins_below_its_own():
    means = np.asarray(channel.normal_means(KEY, 4, 8))
    data = channel.sample_c5(KEY, means, n=2000, similar=2, with_target=True, separable=True)
    data = jax.tree.map(np.asarray, data)
    again = data.z == data.y[:, None]
    near(again.any(-1), 2 / 4)
    assert not data.similar[again].any()
    whole = np.asarray(channel.features(data, 4))
    np.testing.assert_array_equal(whole[np.arange(2000), data.y], data.target)
    share = np.sum(data.similar * means[data.z], -1) / np.sum(data.target * means[data.y], -1)[:, None]
    assert scipy.stats.kstest(share[~again] / 0.8, scipy.stats.beta(4, 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("vectors", [channel.normal_means, channel.unit_means])
def test_c5_truncated_in_z_leaves_every_channel_a_margin(vectors):
    means, alpha = np.asarray(vectors(KEY, 6, 20)), 0.02
    square = np.sum(means**2, -1)

    def drawn(**reading):
        data = channel.sample_c5(KEY, means, n=2000, alpha=alpha, repetition=True, **reading)
        data = jax.tree.map(np.asarray, data)
        return data, np.sum(data.target * means[data.y], -1)

    data, margin = drawn(truncate_z=True)
    sphere = (data.target - alpha * means[data.y]) / (1 - alpha)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=-1), 1, atol=1e-12)
    along = np.sum(sphere * means[data.y], -1)
    assert along.min() > 0
    assert (margin > alpha * square[data.y]).all()
    # Half of the sphere is left: z . mu has the law of the absolute value of one that nothing truncates.
    law = scipy.stats.beta((20 - 1) / 2, (20 - 1) / 2, loc=-1, scale=2)
    assert scipy.stats.kstest(along / np.sqrt(square[data.y]), lambda s: 2 * law.cdf(s) - 1).pvalue > 1e-3
    # As printed it leaves points whose margin is smaller, down to 0, whose z . mu is below 0.
    as_printed = drawn()[1]
    assert as_printed.min() > 0
    assert (as_printed < alpha * square[data.y]).any()

    # And the similar channels: where Beta is their margin, they are no longer than their own margin lets them be.
    scaled, margin = drawn(truncate_z=True, separable=True, similar_scale=0.5)
    used = (scaled.similar != 0).any(-1)
    beta = np.sum(scaled.similar * means[scaled.z], -1) / margin[:, None] / 0.5
    assert scipy.stats.kstest(beta[used], scipy.stats.beta(4, 1).cdf).pvalue > 1e-3
    longest = 0.5 * margin[:, None] * (alpha * np.sqrt(square[scaled.z]) + 1 - alpha) / (alpha * square[scaled.z])
    assert (np.linalg.norm(scaled.similar, axis=-1) <= longest)[used].all()


def test_c5_is_separated_by_its_means_if_they_have_length_1_and_not_always_if_they_are_normal():
    for means, always in ((channel.unit_means, True), (channel.normal_means, False)):
        means = np.asarray(means(KEY, 10, 100))
        data = channel.sample_c5(KEY, means, n=1000, repetition=False, truncate_similar=True)
        assert (np.asarray(channel.logits(data, means)).argmax(-1) == np.asarray(data.y)).all() == always


def test_samplers_leave_the_precision_around_them():
    before = jax.config.jax_enable_x64
    channel.sample(KEY, channel.unit_means(KEY, 3, 4), 1.0, 1)
    assert jax.config.jax_enable_x64 == before
    assert jnp.ones(1).dtype == (np.float64 if before else np.float32)
