"""Networks without convolutions: a multi-layer perceptron, a linear model and a random-features model.

They take images or flat features and flatten them to [B, D].
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.layers import product_precision


class Head(nn.Module):
    """The last layer as `layers.head` has it, with its weights as PyTorch has them: 'weight' [K, F], and 'bias' [K].

    It starts with the same numbers as one with a 'kernel' [F, K]. On a CPU, whose cores take at once what lies side by
    side, a step takes 0.5 (5,000 inputs, 10 logits) to 0.7 (an MLP of 256 units) of the time that it takes with that.

    >>> variables = jax.eval_shape(Head(10).init, jax.random.key(0), jnp.zeros((1, 784)))
    >>> variables["params"]["weight"].shape, variables["params"]["bias"].shape
    ((10, 784), (10,))

    Attributes:
      num_classes: number of logits K.
      use_bias: whether there is a bias.
    """

    num_classes: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Float32 logits [B, K] of inputs [B, F]."""

        def transposed(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
            return nn.initializers.lecun_normal()(key, shape[::-1], jnp.float32).T

        weight = self.param("weight", transposed, (self.num_classes, x.shape[1]))
        y = jnp.einsum("bf,kf->bk", x.astype(jnp.float32), weight, precision=product_precision(jnp.float32))
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.num_classes,), jnp.float32)


class MLP(nn.Module):
    """Dense layers with bias and ReLU, [B, ...] -> float32 logits [B, num_classes].

    Hidden weights start with variance 2 / fan-in (He et al. 2015), which keeps the variance of the
    activations where nothing normalises them; biases at zero. One hidden layer of H units on D inputs has
    (D + 1) H + (H + 1) K parameters: 256 on 784 with 10 classes, 203,530.

    >>> variables = jax.eval_shape(lambda x: MLP(10).init(jax.random.key(0), x, train=False), jnp.zeros((1, 784)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    203530

    Attributes:
      num_classes: number of logits K.
      hidden: units of each hidden layer; none makes a linear model.
      dtype: of the activations.
      head_bias: whether the last layer has a bias.
    """

    num_classes: int
    hidden: tuple[int, ...] = (256,)
    dtype: Any = jnp.float32
    head_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits of normalised inputs; `train` makes no difference."""
        x = x.reshape(x.shape[0], -1)
        for layer, units in enumerate(self.hidden):
            x = nn.Dense(
                units,
                dtype=self.dtype,
                precision=product_precision(self.dtype),
                kernel_init=nn.initializers.he_normal(),
                name=f"hidden{layer + 1}",
            )(x)
            x = nn.relu(x)
        return Head(self.num_classes, self.head_bias, name="head")(x)


def Linear(num_classes: int, dtype: Any = jnp.float32, bias: bool = True) -> MLP:
    """Multinomial logistic regression: (D + 1) K parameters, 7,850 on 784 inputs with 10 classes; D K without bias.

    >>> variables = jax.eval_shape(lambda x: Linear(10).init(jax.random.key(0), x, train=False), jnp.zeros((1, 784)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    7850
    """
    return MLP(num_classes, hidden=(), dtype=dtype, head_bias=bias)


def relu_features(x: jax.Array, kernel: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
    """Features sqrt(2 / F) relu(W^T x / sqrt(D)), [N, F] in `dtype`, of inputs x [N, D] by a kernel W [D, F].

    >>> relu_features(jnp.array([[3.0], [-2.0]]), jnp.array([[1.0, -1.0]])).round().tolist()
    [[3.0, 0.0], [0.0, 2.0]]
    """
    x = jnp.dot(x.astype(dtype), kernel.astype(dtype), precision=product_precision(dtype))
    return nn.relu(x) * math.sqrt(2 / (kernel.shape[1] * len(kernel)))


class RandomFeatures(nn.Module):
    """A trained linear layer on fixed ReLU features, [B, ...] -> float32 logits [B, num_classes].

    The features of x in R^D are those of `relu_features` by a W [D, F] of independent standard normal
    entries, drawn at initialisation and kept in collection 'constants' as 'kernel': saved and
    different by seed, but no parameter. On inputs of mean square 1 the features have squared length 1 in
    expectation whatever D and F, and their inner products tend to the arc-cosine kernel of order 1 (Cho and
    Saul 2009) as F grows. It also keeps Adam's steps of the paper's size (appendix C.4, learning rate 0.001)
    small beside the logits, which unscaled features would not. Trained: (F + 1) K parameters, 50,010 for
    5000 features and 10 classes.

    >>> model, x = RandomFeatures(10), jnp.zeros((1, 784))
    >>> shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    >>> sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])), shapes["constants"]["kernel"].shape
    (50010, (784, 5000))

    Attributes:
      num_classes: number of logits K.
      features: number of features F.
      dtype: of the features.
    """

    num_classes: int
    features: int = 5000
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, of_frozen_features: bool = False) -> jax.Array:
        """Logits of normalised inputs, or of their frozen features; `train` makes no difference."""

        def draw() -> jax.Array:
            dimension = math.prod(x.shape[1:])
            return jax.random.normal(self.make_rng("params"), (dimension, self.features), jnp.float32)

        self.variable("constants", "kernel", draw)
        return Head(self.num_classes, name="head")(x if of_frozen_features else self.frozen_features(x))

    def frozen_features(self, x: jax.Array) -> jax.Array:
        """The features [B, F] of normalised inputs, in `dtype`, which training does not change."""
        return relu_features(x.reshape(x.shape[0], -1), self.get_variable("constants", "kernel"), self.dtype)
