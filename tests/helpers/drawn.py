"""Variables without special values: scales of 1, means of 0 would hide mistakes."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def draw_all(model, input_shape, seed=0):
    """A network's variables, drawn without the compilation of its own initialisation."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var"):
            value = rng.uniform(0.5, 1.5, leaf.shape)
        elif path[-1].key in ("bias", "mean"):
            value = rng.normal(0, 0.1, leaf.shape)
        else:
            fan_in = 1 if path[0].key == "constants" else math.prod(leaf.shape[:-1])
            value = rng.normal(0, fan_in**-0.5, leaf.shape)
        return jnp.asarray(value, jnp.float32)

    def init(key, x):
        return model.init(key, x, train=False)

    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, *input_shape)))
    return jax.tree_util.tree_map_with_path(draw, shapes)
