"""The linear model on channels of the paper's appendix C.5: every class sees inputs of its own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill_jax.models.layers import product_precision


class Channel(nn.Module):
    """One logit from each channel, [B, ...] -> float32 logits [B, num_classes].

    The D K values of an example are K channels of D values in a row, K = `num_classes`, and logit k is w_k . x_k:
    "a linear classifier that has K output nodes, each drawing input from the corresponding D dimensions of its
    class" (appendix C.5). There is no bias: theorem 4.2's model, which C.5 carries over, has none. 'kernel' [K, D]
    starts with variance 1 / D (LeCun), as the last layer of every other network does; D K parameters, 1,000 for
    the paper's 10 channels of 100. Like every logit here it is computed in float32 (see `layers`).

    >>> variables = jax.eval_shape(lambda x: Channel(10).init(jax.random.key(0), x, train=False), jnp.zeros((1, 1000)))
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    1000

    Attributes:
      num_classes: number of channels and logits K.
      dtype: of the activations, of which a linear model has none.
    """

    num_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits of inputs whose number of values is a multiple of K; `train` makes no difference."""
        x = x.reshape(x.shape[0], self.num_classes, -1).astype(jnp.float32)
        init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", in_axis=1, out_axis=(), batch_axis=0)
        kernel = self.param("kernel", init, x.shape[1:], jnp.float32)
        return jax.lax.platform_dependent(x, kernel, cpu=apart, default=at_once)


def at_once(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[B, K, D] and [K, D] -> [B, K], as one product with K for a batch axis.

    >>> at_once(jnp.array([[[1.0, 2.0], [3.0, 4.0]]]), jnp.array([[1.0, 1.0], [1.0, 10.0]])).tolist()
    [[3.0, 43.0]]
    """
    return jnp.einsum("bkd,kd->bk", x, kernel, precision=product_precision(x.dtype))


def apart(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same as K products. On a CPU the one takes 1.4 times as long, in training 2.4 times.

    >>> jax.jit(apart)(jnp.array([[[1.0, 2.0], [3.0, 4.0]]]), jnp.array([[1.0, 1.0], [1.0, 10.0]])).tolist()
    [[3.0, 43.0]]
    """
    each = [jnp.matmul(x[:, k], kernel[k], precision=product_precision(x.dtype)) for k in range(len(kernel))]
    return jnp.stack(each, axis=1)
