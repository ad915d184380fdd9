import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from distill_jax.data.augment import draw, moved, normalise, outcomes


def augment(key, x, kind):
    return moved(x, draw(key, len(x), kind, x.shape[1:]), kind)


def candidates(image, flips):
    """Every possible result for one image: {(top, left, mirrored): crop}."""
    height, width, _ = image.shape
    up, left = height // 8, width // 8
    padded = np.pad(image, ((up, up), (left, left), (0, 0)))
    crops = {}
    for top, side in itertools.product(range(2 * up + 1), range(2 * left + 1)):
        crop = padded[top : top + height, side : side + width]
        crops[top, side, False] = crop
        if flips:
            crops[top, side, True] = crop[:, ::-1]
    return crops


def images(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(1, 256, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("kind", ["crop", "crop-flip"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (16, 24, 2)])
def test_every_result_is_a_crop_of_its_own_image(shape, kind, dtype):
    x = images((16, *shape), dtype)
    result = np.asarray(jax.jit(augment, static_argnames="kind")(jax.random.key(1), x, kind=kind))
    assert result.shape == x.shape
    assert result.dtype == dtype
    for before, after in zip(x, result, strict=True):
        matches = [crop for crop in candidates(before, kind == "crop-flip").values() if np.array_equal(crop, after)]
        assert len(matches) == 1


def test_crops_and_mirrors_are_uniform_and_independent_between_examples():
    x = images((1, 16, 16, 1)).repeat(4500, axis=0)
    result = np.asarray(augment(jax.random.key(2), x, "crop-flip"))
    table = {crop.tobytes(): index for index, crop in enumerate(candidates(x[0], True).values())}
    drawn = np.array([table[image.tobytes()] for image in result])
    assert len(table) == 50
    assert scipy.stats.chisquare(np.bincount(drawn, minlength=50)).pvalue > 0.01
    # Neighbouring examples: every pair of the 25 crops equally often.
    pairs = np.bincount((drawn[:-1:2] // 2) * 25 + drawn[1::2] // 2, minlength=625)
    assert scipy.stats.chisquare(pairs).pvalue > 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("kind", ["crop", "crop-flip"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (16, 24, 2), (7, 7, 1)])
def test_every_outcome_is_another_and_the_same_on_tpus(monkeypatch, shape, kind, dtype):
    count, image = outcomes(kind, shape), images(shape, dtype)
    x, numbers = np.broadcast_to(image, (count, *shape)), jnp.arange(count)
    result = np.asarray(jax.jit(moved, static_argnames="kind")(x, numbers, kind))
    expected = {crop.tobytes() for crop in candidates(image, kind == "crop-flip").values()}
    assert [crop.tobytes() in expected for crop in result] == [True] * count
    assert len({crop.tobytes() for crop in result}) == count == len(expected)
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, tpu, default: tpu(*args))
    on_tpus = np.asarray(moved(jnp.asarray(x), numbers, kind))
    assert on_tpus.dtype == dtype
    np.testing.assert_array_equal(on_tpus, result)
    assert outcomes("crop-flip", (32, 32, 3)) == 162


def test_no_padding_below_eight_pixels_and_no_augmentation():
    x = images((4, 7, 7, 1))
    np.testing.assert_array_equal(augment(jax.random.key(0), x, "crop"), x)
    flat = images((4, 10), np.float32)
    assert augment(jax.random.key(0), flat, "none") is flat
    with pytest.raises(ValueError, match="flip"):
        augment(jax.random.key(0), x, "flip")


def test_keys_decide():
    x = images((8, 16, 16, 3))
    first = augment(jax.random.key(0), x, "crop-flip")
    np.testing.assert_array_equal(first, augment(jax.random.key(0), x, "crop-flip"))
    assert np.any(first != augment(jax.random.key(1), x, "crop-flip"))


@pytest.mark.parametrize("mapped_images", [False, True])
def test_mapped_over_keys_equals_solo(mapped_images):
    keys = jax.random.split(jax.random.key(0), 3)
    x = images((3, 8, 16, 16, 3))
    batch = x if mapped_images else x[0]
    together = jax.jit(
        jax.vmap(lambda key, x: augment(key, x, "crop-flip"), in_axes=(0, 0 if mapped_images else None))
    )(keys, batch)
    for member in range(3):
        alone = augment(keys[member], x[member] if mapped_images else x[0], "crop-flip")
        np.testing.assert_array_equal(together[member], alone)


def test_sharding_changes_nothing_and_costs_no_communication():
    devices = jax.devices()
    if len(devices) < 2:
        pytest.skip("needs two devices")
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    x, key = images((16 * len(devices), 16, 16, 3)), jax.random.key(3)
    sharded = jax.device_put(x, sharding)
    run = jax.jit(lambda key, x: augment(key, x, "crop-flip"), out_shardings=sharding)
    np.testing.assert_array_equal(run(key, sharded), augment(key, x, "crop-flip"))
    program = run.lower(key, sharded).compile().as_text()
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert f"{collective}(" not in program


def test_normalise():
    x = images((4, 8, 8, 3))
    mean, std = np.array([100.0, 120.0, 140.0]), np.array([50.0, 60.0, 70.0])
    expected = (x - mean) / std
    for raw in (x, x.astype(np.float32)):
        result = normalise(raw, mean, std)
        assert result.dtype == jnp.float32
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
        low = normalise(raw, mean, std, jnp.bfloat16)
        np.testing.assert_array_equal(low, result.astype(jnp.bfloat16))  # rounded once, at the end
    flat = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(normalise(jnp.asarray(flat), mean, std), (flat - mean) / std, rtol=1e-6)
