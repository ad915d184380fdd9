"""Texts of like length in one batch, so that little of a step's work is padding; a few lengths, each compiled once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_MULTIPLE = 8  # of tokens, which suits matrix units and fused attention


@dataclasses.dataclass(frozen=True, eq=False)
class Buckets:
    """The texts of one split by the length they are cut to, which drops padding alone.

    >>> tokens = np.where(np.arange(16) < np.array([[3], [12], [5]]), 7, 1)  # texts of 3, 12 and 5 tokens
    >>> buckets = Buckets.of(tokens, pad=1, most=2)
    >>> buckets.lengths, buckets.bucket.tolist()
    ((8, 16), [0, 1, 0])

    Attributes:
      lengths: of the buckets, ascending, in tokens.
      bucket: int32 [N], each text's: the number of the shortest length that holds it.
    """

    lengths: tuple[int, ...]
    bucket: np.ndarray

    @classmethod
    def of(cls, tokens: np.ndarray, pad: int, most: int) -> "Buckets":
        """At most so many buckets, their lengths evenly spaced; those without a text are left out.

        Args:
          tokens: [N, L], padded with `pad` on the right.
        """
        width = tokens.shape[1]
        candidates = {min(-(-width * i // most // _MULTIPLE) * _MULTIPLE, width) for i in range(1, most + 1)}
        text = tokens != pad
        longest = np.where(text.any(axis=1), width - text[:, ::-1].argmax(axis=1), 0)  # no [N, L] of integers
        lengths = np.array(sorted(candidates))
        occupied, bucket = np.unique(np.searchsorted(lengths, longest), return_inverse=True)
        return cls(tuple(lengths[occupied].tolist()), bucket.astype(np.int32))

    @functools.cached_property
    def ends(self) -> np.ndarray:
        """int32 [buckets], where each bucket ends in the texts sorted by bucket."""
        return np.cumsum(np.bincount(self.bucket, minlength=len(self.lengths))).astype(np.int32)

    def rows(self, epoch: jax.Array, batch: int) -> tuple[jax.Array, jax.Array]:
        """How an epoch cuts the sorted texts into batches, and in which order these come.

        It is the same for every seed: a population's members then have batches of one shape at every step. Which
        texts of a bucket come together is each seed's own.

        Args:
          epoch: int32 scalar.
          batch: texts a step, B.

        Returns:
          How many of the first of the sorted texts are dropped, int32 scalar, at random since N is no multiple of B;
          and int32 [N // B], the numbers of the batches in the order in which they come.
        """
        examples = len(self.bucket)
        offset_key, rows_key = jax.random.split(jax.random.fold_in(jax.random.key(0), epoch))
        offset = jax.random.randint(offset_key, (), 0, examples % batch + 1)
        return offset, jax.random.permutation(rows_key, examples // batch).astype(jnp.int32)

    def order(self, shuffled: jax.Array, epoch: jax.Array, batch: int) -> jax.Array:
        """One seed's order of an epoch, int32 [N // B * B], from a permutation of its own, int32 [N]."""
        offset, rows = self.rows(epoch, batch)
        by_bucket = shuffled[jnp.argsort(jnp.asarray(self.bucket)[shuffled], stable=True)]
        cut = jax.lax.dynamic_slice(by_bucket, (offset,), (len(rows) * batch,))
        return cut.reshape(-1, batch)[rows].reshape(-1)

    def steps(self, epoch: jax.Array, batch: int) -> jax.Array:
        """The bucket of each of an epoch's batches, that of its longest text: int32 [N // B]."""
        offset, rows = self.rows(epoch, batch)
        return jnp.searchsorted(jnp.asarray(self.ends), offset + (rows + 1) * batch - 1, side="right").astype(jnp.int32)

    def cut(self, of: Callable[[jax.Array], Any], tokens: jax.Array, bucket: jax.Array | None) -> Any:
        """`of` applied to tokens [B, L] cut to a bucket's length; only that length's program is run."""
        assert bucket is not None
        branches = [lambda t, length=length: of(t[:, :length]) for length in self.lengths]
        return jax.lax.switch(bucket, branches, tokens)
