"""The streams of random numbers and their purposes: all are numbered here, so that no two purposes share one.

A model's numbers are JAX's: of its seed's key its role's, and of that a purpose's. Students of a seed share a role, and
so initial weights, batches and augmentation; no teacher does. Numbers for data are NumPy's: of its seed a stream's.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax


class Purpose(enum.IntEnum):
    """The purposes of a model's random numbers; each is folded into its key.

    >>> bool(model_key(Role.STUDENT, 0, Purpose.INIT) == model_key(Role.STUDENT, 0, Purpose.ORDER))
    False
    """

    INIT = 0
    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3
    LOSSES = 4  # parameters of losses


class Role(enum.IntEnum):
    """Models of a seed that share one draw the same; each is folded into a seed's key.

    The last three are of experiments that train a seed's models in one function.

    >>> bool(role_key(Role.TEACHER, 0) == role_key(Role.STUDENT, 0))
    False
    """

    TEACHER = 0
    STUDENT = 1
    FEATURES = 2  # random features that all models of a seed share
    SELECTOR = 3  # a second teacher, which chooses class and hard points: see `measures.deviations`
    DATA = 4  # points and labels; by `jax.random.split` of the seed's own key they would share the roles' streams


class Stream(enum.IntEnum):
    """The purposes of random numbers for data, drawn by NumPy.

    >>> len({generator(0, stream).random() for stream in Stream})
    5
    """

    SUBSET = 0
    NOISE = 1
    TEST = 2  # of experiments with data of their own for every seed
    PAIRS = 3
    SHUFFLE = 4  # a teacher's logits among examples


def model_key(role: Any, seed: Any, purpose: Purpose) -> jax.Array:
    """The key of a model's purpose; role and seed are int32 scalars, which may be traced.

    >>> bool(model_key(Role.STUDENT, 3, Purpose.INIT) == model_key(jnp.int32(1), jnp.int32(3), Purpose.INIT))
    True
    """
    import jax  # here, since those who draw for data alone do without it

    return jax.random.fold_in(role_key(role, seed), purpose)


def role_key(role: Any, seed: Any) -> jax.Array:
    """The key of a seed's role.

    >>> keys = [jax.random.key_data(role_key(role, seed)) for role in Role for seed in range(3)]
    >>> len({tuple(key.tolist()) for key in keys})
    15
    """
    import jax

    return jax.random.fold_in(jax.random.key(seed), role)


def generator(seed: int, stream: Stream, *more: int) -> np.random.Generator:
    """NumPy's generator of a stream, or of one of several such.

    >>> first = generator(0, Stream.NOISE).random()
    >>> streams = (0, Stream.NOISE), (1, Stream.NOISE), (0, Stream.NOISE, 1)
    >>> [first == generator(*stream).random() for stream in streams]
    [True, False, False]
    """
    return np.random.default_rng([seed, int(stream), *more])
