import itertools

import jax
import numpy as np

from distill_jax.randomness import Purpose, Role, Stream, generator, model_key


def test_no_two_purposes_share_a_stream():
    keys = {
        tuple(np.asarray(jax.random.key_data(model_key(role, seed, purpose))).tolist())
        for role, seed, purpose in itertools.product(Role, range(3), Purpose)
    }
    assert len(keys) == len(Role) * 3 * len(Purpose)
    places = list(itertools.product(range(3), Stream, ((), (1,), (2,))))
    assert len({generator(seed, stream, *more).random() for seed, stream, more in places}) == len(places)


def test_streams_keep_their_numbers():
    # Of 11/2026: another number would make every model and every subset another one.
    assert [(of.name, of.value) for of in Purpose][:4] == [("INIT", 0), ("ORDER", 1), ("AUGMENT", 2), ("DROPOUT", 3)]
    assert [of.value for of in Role] == [0, 1, 2, 3, 4]
    assert (Stream.SUBSET, Stream.NOISE) == (0, 1)
    np.testing.assert_array_equal(generator(3, Stream.NOISE, 2).random(4), np.random.default_rng([3, 1, 2]).random(4))
    expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(5), 1), 3)
    np.testing.assert_array_equal(
        *(jax.random.key_data(key) for key in (model_key(Role.STUDENT, 5, Purpose.DROPOUT), expected))
    )
