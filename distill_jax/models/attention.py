"""Attention of texts that are padded on their right, with or without dropout of its weights."""

from typing import Literal

import jax
import jax.numpy as jnp

from distill_jax.models.layers import product_precision


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    length: jax.Array,
    *,
    rate: float = 0.0,
    drawn: jax.Array | None = None,
    implementation: Literal["xla", "cudnn"] = "xla",
) -> jax.Array:
    """softmax(query key^T / sqrt(H)) value over the keys of each text, in float32 within the softmax.

    >>> value = jnp.array([[[[1.0]], [[3.0]], [[100.0]]]])
    >>> result = jax.jit(attend)(jnp.zeros((1, 1, 1, 1)), jnp.zeros((1, 3, 1, 1)), value, length=jnp.array([2]))
    >>> round(result.item(), 3)
    2.0

    Args:
      query: [B, T, N, H], of N heads.
      key, value: [B, S, N, H].
      length: int32 [B], keys of each text; those after it are not attended to.
      rate: of dropout of the weights.
      drawn: random key for it; needed where `rate` is above 0.
      implementation: 'xla'; or 'cudnn', the fused one on NVIDIA GPUs, for bfloat16 with T, S even and H a multiple
        of 8. With dropout there is XLA's alone, since `jax.nn.dot_product_attention` has none.

    Returns:
      [B, T, N, H] in the dtype of `query`.
    """
    precision = product_precision(query.dtype)
    if not rate:
        of_queries = None
        if implementation == "cudnn":
            of_queries = _mapped_with(query, jnp.full_like(length, query.shape[1]))
            length = _mapped_with(query, length)
        with jax.default_matmul_precision(None if precision is None else precision.name.lower()):
            return jax.nn.dot_product_attention(
                query,
                key,
                value,
                query_seq_lengths=of_queries,
                key_value_seq_lengths=length,
                implementation=implementation,
            )
    score_dtype = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("btnh,bsnh->bnts", query, key, precision=precision, preferred_element_type=score_dtype)
    is_text = jnp.arange(key.shape[1]) < length[:, None, None, None]
    weights = jax.nn.softmax(jnp.where(is_text, scores * query.shape[-1] ** -0.5, -1e30))
    assert drawn is not None
    keep_mask = jax.random.bernoulli(drawn, 1 - rate, weights.shape)
    weights = jnp.where(keep_mask, weights / (1 - rate), 0).astype(query.dtype)
    return jnp.einsum("bnts,bsnh->btnh", weights, value, precision=precision)


def _mapped_with(query: jax.Array, lengths: jax.Array) -> jax.Array:
    """Lengths that are mapped over whatever the query is.

    JAX 0.10 maps its call of cuDNN over members of a population only if all of its arguments are.
    """
    never = jnp.zeros(query.shape[0], bool)
    return jax.lax.select(never, query[:, 0, 0, 0].astype(lengths.dtype), lengths)
