"""Batches of texts of like length: what is drawn, and that cutting a batch to its length drops padding alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_study import advance
from small_text_study import VOCABULARY, dataset, setting

from distill_jax.identity import identity
from distill_jax.training.buckets import Buckets
from distill_jax.training.population import Member
from distill_jax.training.programs import Programs
from distill_jax.training.step import make_epoch_order
from distill_jax.training.trainer import Trainer

PAD, BATCH = 1, 8


def texts(longest, width=32):
    tokens = np.where(np.arange(width) < np.asarray(longest)[:, None], 5, PAD)
    return np.where((np.arange(width) == 2) & (tokens == 5), PAD, tokens)  # a pad within a text is text


def drawn(count=83, seed=0):
    return texts(np.random.default_rng(seed).choice([3, 7, 8, 9, 30, 32], count))


def test_a_text_is_in_the_shortest_bucket_that_holds_it():
    buckets = Buckets.of(texts([1, 8, 9, 16, 17, 25, 32]), PAD, 4)
    assert buckets.lengths == (8, 16, 24, 32)
    np.testing.assert_array_equal(buckets.bucket, [0, 0, 1, 1, 2, 3, 3])
    assert Buckets.of(texts([5, 30]), PAD, 4).lengths == (8, 32), "those without a text are left out"
    assert Buckets.of(texts([5, 19], 20), PAD, 2).lengths == (16, 20), "no longer than the tokens are"
    assert Buckets.of(texts([5, 30]), PAD, 1).lengths == (32,)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_epoch_has_every_text_once_in_batches_of_like_length(seed):
    tokens = drawn()
    buckets, epochs = Buckets.of(tokens, PAD, 4), 6
    order = make_epoch_order(len(tokens), epochs, buckets, BATCH)(jnp.int32(1), jnp.int32(seed), jnp.int32(3))
    batches = np.asarray(order).reshape(epochs, -1, BATCH)
    assert batches.shape[1] == len(tokens) // BATCH
    for number, of_epoch in enumerate(batches, 3):
        assert len(np.unique(of_epoch)) == of_epoch.size
        said = np.asarray(buckets.steps(jnp.int32(number), BATCH))
        np.testing.assert_array_equal(said, buckets.bucket[of_epoch].max(axis=1))
        mixed = sum(len(np.unique(buckets.bucket[batch])) > 1 for batch in of_epoch)
        assert mixed < len(buckets.lengths)
        assert np.any(np.diff(said) < 0), "long batches come among short ones"
    assert set(batches.ravel()) == set(range(len(tokens))), "none is dropped from every epoch"
    # The lengths of a step are those of all seeds, its texts are not.
    other = make_epoch_order(len(tokens), epochs, buckets, BATCH)(jnp.int32(1), jnp.int32(seed + 2), jnp.int32(3))
    other = np.asarray(other).reshape(batches.shape)
    np.testing.assert_array_equal(buckets.bucket[other].max(axis=2), buckets.bucket[batches].max(axis=2))
    assert np.mean(other == batches) < 0.2


def wide():
    """The texts of the study, of which some are long."""
    data = dataset()

    def longer(split, seed):
        x = np.full((len(split.x), 24), VOCABULARY.pad, np.uint16)
        x[:, : split.x.shape[1]] = split.x
        long = np.random.default_rng(seed).random(len(x)) < 0.4
        x[long, 10:] = 7
        return dataclasses.replace(split, x=x)

    return dataclasses.replace(data, train=longer(data.train, 0), test=longer(data.test, 1))


def test_cutting_drops_padding_alone(tmp_path):
    """A step's loss and gradient, and logits of a split, are those of the whole width."""
    data, of = wide(), setting(tmp_path)
    roberta = dataclasses.replace(of.student.roberta, dropout=0.0)
    network = dataclasses.replace(of.student, roberta=roberta)
    of = dataclasses.replace(of, teacher=network, student=network)
    trainer = Trainer(of, data, "student", (2, 2))
    assert trainer.buckets["train"].lengths == (8, 16, 24)
    members = [Member(model, seed) for seed in (0, 1) for model in ("one_hot", "kd")]
    taught = np.random.default_rng(0).normal(size=(2, 64, 2)).astype(np.float32)
    state, losses = advance(trainer, members, taught, steps=4)
    full = Trainer(of, data, "student", (2, 2))
    full.buckets["train"] = Buckets((24, 24, 24), trainer.buckets["train"].bucket)  # the same batches, none of them cut
    uncut, whole = advance(full, members, taught, steps=4)
    np.testing.assert_allclose(losses, whole, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state.params, uncut.params)
    x = trainer.inputs["test"]
    bucketed, first = trainer.predict(state.variables, x, trainer.buckets["test"])
    np.testing.assert_allclose(bucketed, trainer.predict(state.variables, x)[0], atol=1e-5)
    assert first == 0


def test_members_of_different_seeds_run_one_length_and_not_all(tmp_path):
    """Mapped over seeds, the choice of a length stays a choice: else every length would be computed at each step."""
    seeds = 2 * jax.device_count()
    programs = Programs(setting(tmp_path), wide(), "student", (seeds, 1))
    assert "cond[" in str(programs.jitted_steps(True, 4).trace(*programs.arguments_like(True, 4)).jaxpr)


def test_buckets_name_a_study_of_texts_alone(tmp_path):
    images = setting(tmp_path)
    assert "length_buckets" not in identity(images)["train"]
    read = dataclasses.replace(images.data, tokenizer=tmp_path)
    assert identity(dataclasses.replace(images, data=read))["train"]["length_buckets"] == 4
