"""RoBERTa (Liu et al. 2019), BERT (Devlin et al. 2019) and DistilBERT (Sanh et al. 2019) with their heads.

Each is as transformers' class of it for sequence classification has it.

They are one encoder: learned positions, post-norm layers, a GELU. The head reads the first token alone, <s> or [CLS];
so the last layer is computed for it alone, which changes nothing but the time it takes. What differs:

    kind         positions begin at   token types              head, f before its last layer   dropout
    roberta      padding's plus 1     one                      tanh                            before both layers
    bert         0                    those of a pair's texts  tanh, the pooler                before the last
    distilbert   0                    none                     ReLU                            before the last

DistilBERT has no dropout after attention. DistilRoBERTa is a RoBERTa of six layers.

Sizes. The paper fine-tunes "RoBERTa-Base, -Medium and -Small". Base is that of Liu et al.; Medium and Small were not
published for RoBERTa. Of these names there are compact BERTs (Turc et al. 2019, "Well-read students learn better",
table 1), heads of 64 units and feed-forward layers four times as wide; the paper's accuracies fit this Medium, but are
lower than this Small's (see docs/paper-gaps.md):

    size     layers   units   heads   parameters (2 classes, 50,265 tokens, 512 positions)
    base         12     768      12   124,647,170
    medium        8     512       8    51,483,138
    small         4     512       8    38,873,602
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.attention import attend
from distill_jax.models.layers import product_precision

Kind = Literal["roberta", "bert", "distilbert"]
SIZES = {"base": (12, 768), "medium": (8, 512), "small": (4, 512)}
_HEAD_UNITS = 64
_BERT = {"vocabulary": 30522, "positions": 512, "types": 2, "pad": 0, "epsilon": 1e-12}
# What else the networks of a kind have than RoBERTa.
_USUAL: dict[Kind, dict[str, Any]] = {
    "roberta": {},
    "bert": _BERT,
    "distilbert": _BERT | {"types": 0, "head_dropout": 0.2},
}


@dataclasses.dataclass(frozen=True)
class RobertaConfig:
    """The sizes and rates of a network, all but its head's classes; defaults are RoBERTa's own.

    >>> base = RobertaConfig.sized(*SIZES["base"])
    >>> base.heads, base.inner, base.longest
    (12, 3072, 512)
    >>> small = RobertaConfig.sized(4, 512, "bert", separator=102)
    >>> small.vocabulary, small.types, small.longest
    (30522, 2, 512)

    Attributes:
      layers: number of them.
      units: of the residual stream; divided by `heads`.
      heads: of attention.
      inner: units of the feed-forward layers.
      vocabulary: number of tokens.
      positions: rows of the position table; RoBERTa's first `pad` + 1 are not those of any token but padding.
      types: rows of the token-type table, of which RoBERTa uses the first alone; a DistilBERT has 0.
      pad: the token that fills up short texts on their right.
      epsilon: added to the variance in layer normalisation.
      dropout: after embeddings, attention and feed-forward layers.
      attention_dropout: of attention's weights.
      head_dropout: before both layers of the head.
      initial_std: of the normal distribution that kernels and embeddings are drawn from.
      kind: which network it is, see the module.
      activation: of the feed-forward layers; 'gelu' is exact, 'gelu_new' the one by tanh.
      separator: the token after each text of a pair, [SEP]. A BERT sees by it which text a token is of: what comes
        after the first one is of type 1. None where all is of type 0.
    """

    layers: int
    units: int
    heads: int
    inner: int
    vocabulary: int = 50265
    positions: int = 514
    types: int = 1
    pad: int = 1
    epsilon: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float = 0.1
    head_dropout: float = 0.1
    initial_std: float = 0.02
    kind: Kind = "roberta"
    activation: Literal["gelu", "gelu_new", "relu"] = "gelu"
    separator: int | None = None

    @classmethod
    def sized(cls, layers: int, units: int, kind: Kind = "roberta", **others: Any) -> "RobertaConfig":
        """So many layers and units, heads of 64 units, or one of fewer, and feed-forward layers four times as wide.

        All else is as the published networks of the kind have it, unless given.
        """
        sizes: dict[str, Any] = {"heads": max(units // _HEAD_UNITS, 1), "inner": 4 * units}
        return cls(layers, units, kind=kind, **sizes | _USUAL[kind] | others)

    @property
    def first_position(self) -> int:
        """The row of the position table that the first token has."""
        return self.pad + 1 if self.kind == "roberta" else 0

    @property
    def longest(self) -> int:
        """Most tokens of a text."""
        return self.positions - self.first_position


class Roberta(nn.Module):
    """Tokens [B, L], padded on the right, of any dtype -> float32 logits [B, num_classes].

    There is no mask: what is padding is seen by its token, and of which text of a pair a token is by the separators
    before it, `config.separator`. Training needs the random stream 'dropout' where the configuration has dropout.
    L must be at most `config.longest`.

    >>> model = Roberta(2, RobertaConfig.sized(1, 8, vocabulary=20, positions=18))
    >>> jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, False)[0], jnp.ones((3, 16), int)).shape
    (3, 2)

    Attributes:
      num_classes: number of logits K.
      config: sizes and all else.
      dtype: of activations and products; see `layers`. The sum of the embeddings and the head are in float32.
      attention: 'xla', or 'cudnn' on GPUs, in bfloat16, without dropout in attention; see `attention.attend`.
      remat: whether activations within layers are computed again for the gradient, and not kept.
    """

    num_classes: int
    config: RobertaConfig
    dtype: Any = jnp.float32
    attention: Literal["xla", "cudnn"] = "xla"
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits of tokens, with dropout if `train`."""
        c, tokens = self.config, x.astype(jnp.int32)
        is_text = tokens != c.pad
        length = jnp.max(jnp.where(is_text, jnp.arange(1, tokens.shape[1] + 1), 0), axis=1)
        if c.kind == "roberta":
            positions = jnp.where(is_text, c.pad + jnp.cumsum(is_text, axis=1), c.pad)
        else:
            positions = jnp.arange(tokens.shape[1])[None]

        # Looked up in float32: a table cast to `dtype` would be read and written whole at every step.
        how = {"features": c.units, "embedding_init": nn.initializers.normal(c.initial_std)}
        y = nn.Embed(c.vocabulary, **how, name="word")(tokens)
        within = c.first_position + tokens.shape[1]
        y = y + _FewRows(c.positions, **how, name="position", within=within)(positions)
        if c.types:
            y = y + _FewRows(c.types, **how, name="token_type", within=c.types)(_token_types(c, tokens, is_text))
        y = nn.Dropout(c.dropout, deterministic=not train)(_norm(c, self.dtype, "norm")(y))
        layer = nn.remat(RobertaLayer) if self.remat else RobertaLayer
        for number in range(c.layers):
            last = number == c.layers - 1
            y = layer(c, train, last, self.dtype, self.attention, name=f"layer_{number}")(y, length)
        y = y[:, 0].astype(jnp.float32)
        drop = nn.Dropout(c.head_dropout, deterministic=not train)
        y = _dense(c, c.units, jnp.float32, "head_dense")(drop(y) if c.kind == "roberta" else y)
        y = nn.relu(y) if c.kind == "distilbert" else jnp.tanh(y)
        return _dense(c, self.num_classes, jnp.float32, "head")(drop(y))


class RobertaLayer(nn.Module):
    """Self-attention and a feed-forward layer, each added to its input and then normalised.

    >>> layer, x = RobertaLayer(RobertaConfig.sized(1, 8), train=False), jnp.zeros((3, 16, 8))
    >>> jax.eval_shape(lambda: layer.init_with_output(jax.random.key(0), x, jnp.array([16, 5, 1]))[0]).shape
    (3, 16, 8)

    Attributes:
      config, dtype, attention: as the network's.
      train: whether there is dropout.
      first_only: compute the first token's output alone.
    """

    config: RobertaConfig
    train: bool
    first_only: bool = False
    dtype: Any = jnp.float32
    attention: Literal["xla", "cudnn"] = "xla"

    @nn.compact
    def __call__(self, x: jax.Array, length: jax.Array) -> jax.Array:
        """[B, L, units] and int32 [B], of each text -> [B, L, units], or [B, 1, units]."""
        c = self.config

        def dense(features: int, name: str) -> nn.Dense:
            return _dense(c, features, self.dtype, name)

        def drop(y: jax.Array) -> jax.Array:
            return nn.Dropout(c.dropout, deterministic=not self.train)(y)

        def by_head(y: jax.Array) -> jax.Array:
            return y.reshape(*y.shape[:2], c.heads, c.units // c.heads)

        residual = x[:, :1] if self.first_only else x
        query, key, value = (by_head(dense(c.units, n)(y)) for n, y in (("query", residual), ("key", x), ("value", x)))
        rate = c.attention_dropout if self.train else 0.0
        drawn = self.make_rng("dropout") if rate else None
        # cuDNN takes no single query.
        implementation = "xla" if self.first_only else self.attention
        y = attend(query, key, value, length, rate=rate, drawn=drawn, implementation=implementation)
        y = dense(c.units, "attention_out")(y.reshape(residual.shape))
        y = y if c.kind == "distilbert" else drop(y)
        residual = _norm(c, self.dtype, "attention_norm")(residual + y)
        y = _ACTIVATIONS[c.activation](dense(c.inner, "up")(residual))
        return _norm(c, self.dtype, "norm")(residual + drop(dense(c.units, "down")(y)))


def _token_types(config: RobertaConfig, tokens: jax.Array, is_text: jax.Array) -> jax.Array:
    """int32 [B, L] or [1, 1]: 1 for the tokens after the first separator, else 0."""
    if config.kind == "roberta" or config.separator is None or config.types == 1:
        return jnp.zeros((1, 1), jnp.int32)
    separates = (tokens == config.separator).astype(jnp.int32)
    return ((jnp.cumsum(separates, axis=1) > separates) & is_text).astype(jnp.int32)


class _FewRows(nn.Embed):
    """A table of which the tokens of a batch look up few rows, each many times: its gradient is a product on GPUs.

    Gradients of a lookup are added row by row, which in a fixed order a GPU has to sort the tokens for: by the H100's
    compiler 6% of a step of RoBERTa-Small.

    Attributes:
      within: how many of its first rows are looked up at most.
    """

    within: int = 0

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return looked_up(self.embedding, inputs, min(self.num_embeddings, self.within))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def looked_up(table: jax.Array, index: jax.Array, rows: int) -> jax.Array:
    """Rows of a table [N, C], all of the first `rows`: int [...] -> [..., C].

    >>> looked_up(jnp.arange(6.0).reshape(3, 2), jnp.array([1, 0]), 2).tolist()
    [[2.0, 3.0], [0.0, 1.0]]
    """
    return table[index]


def _look_up(table: jax.Array, index: jax.Array, rows: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return table[index], (table, index)


def _looked_up_gradient(rows: int, kept: tuple[jax.Array, jax.Array], y: jax.Array) -> tuple[jax.Array, None]:
    table, index = kept

    def added(y: jax.Array) -> jax.Array:
        return jnp.zeros_like(table).at[index].add(y)

    def product(y: jax.Array) -> jax.Array:
        chosen = jax.nn.one_hot(index.ravel(), rows, dtype=y.dtype)
        sums = jnp.matmul(chosen.T, y.reshape(-1, y.shape[-1]), precision=jax.lax.Precision.HIGHEST)
        return jnp.zeros_like(table).at[:rows].set(sums)

    return jax.lax.platform_dependent(y, cuda=product, default=added), None


looked_up.defvjp(_look_up, _looked_up_gradient)


def _dense(config: RobertaConfig, features: int, dtype: Any, name: str) -> nn.Dense:
    init = nn.initializers.normal(config.initial_std)
    return nn.Dense(features, dtype=dtype, precision=product_precision(dtype), kernel_init=init, name=name)


def _norm(config: RobertaConfig, dtype: Any, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(config.epsilon, dtype=dtype, use_fast_variance=False, name=name)


def _recomputed(activation: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """An activation of which the gradient keeps its input alone; not on TPUs.

    Else two more arrays of its size are kept, the largest of a layer: for RoBERTa-Base on an H100 4% of a step's time
    and 15% of its memory. To compute it again takes a TPU longer: of RoBERTa-Small on a v5e 6% of a step.
    """

    def activated(x: jax.Array) -> jax.Array:
        return jax.lax.platform_dependent(x, tpu=activation, default=jax.checkpoint(activation))

    return activated


gelu = _recomputed(functools.partial(nn.gelu, approximate=False))  # the exact one
_ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": _recomputed(functools.partial(nn.gelu, approximate=True)),
    "relu": nn.relu,
}
