"""The K-channel data of Section 4.2 (Assumption B.1) and of Appendix C.5, sampled exactly, in float64.

An example has K channels of dimension D, of which all are 0 but that of its class y and those of its similar classes
z. Only these are kept, so that D and K may be large; `features` gives the whole. Every sampler takes a JAX key and
can be mapped over keys with `jax.vmap`.

A Gaussian N(0, I/D) conditioned on x . mu = tau, |mu| = 1, is tau mu plus the same Gaussian with its part along mu
taken out: the parts along and across mu are independent. A uniform point z on the unit sphere conditioned on
z . mu > c is s mu + sqrt(1 - s^2) v with v uniform on the sphere across mu and s of density (1 - s^2)^((D - 3)/2)
on (c, 1), which is sampled by inverting its distribution function.

All is float64. A function of one's own around a sampler is compiled with `jax.jit` within `jax.enable_x64(True)`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from theory.precision import float64

_STEPS = 16  # of Newton's method, kept within a bracket: more than it takes to the last bits of float64


class Data(NamedTuple):
    """Examples, by their channels that are not 0.

    >>> data = sample(jax.random.key(0), np.eye(4), 2.0, m=3)
    >>> [part.shape for part in data]
    [(12,), (12, 1), (12, 4), (12, 1, 4)]

    Attributes:
      y: classes [n].
      z: similar classes [n, s].
      target: channel y [n, D].
      similar: channels z [n, s, D]; all 0 where a class is named a second time, be it as y.
    """

    y: Array
    z: Array
    target: Array
    similar: Array


@float64
@partial(jax.jit, static_argnums=(1, 2))
def unit_means(key: ArrayLike, classes: int, dim: int) -> Array:
    """Class vectors mu [K, D], uniform on the unit sphere; Assumption B.1 asks no more than |mu| = 1.

    >>> np.linalg.norm(unit_means(jax.random.key(0), 3, 5), axis=-1).round(6).tolist()
    [1.0, 1.0, 1.0]
    """
    drawn = jax.random.normal(key, (classes, dim))
    return drawn / jnp.linalg.norm(drawn, axis=-1, keepdims=True)


@float64
def normal_means(key: ArrayLike, classes: int, dim: int) -> Array:
    """Class vectors mu [K, D] from N(0, I), as C.5 has them: their length is near sqrt(D).

    >>> np.linalg.norm(normal_means(jax.random.key(0), 3, 10_000), axis=-1).round(-1).tolist()
    [100.0, 100.0, 100.0]
    """
    return jax.random.normal(key, (classes, dim))


@float64
def conditioned_gaussian(key: ArrayLike, mean: ArrayLike, margin: ArrayLike) -> Array:
    """x [..., D] from N(0, I/D) conditioned on x . mean = margin, for means [..., D] of length 1.

    >>> x = conditioned_gaussian(jax.random.key(0), [0.6, 0.8], 2.0)
    >>> round(float(np.dot(x, [0.6, 0.8])), 3)
    2.0
    """
    mean = jnp.asarray(mean, jnp.float64)
    free = jax.random.normal(key, mean.shape) / jnp.sqrt(mean.shape[-1])
    along = jnp.sum(free * mean, -1, keepdims=True)
    return free + (jnp.asarray(margin, jnp.float64) - along) * mean


@float64
@partial(jax.jit, static_argnames="m")
def sample(key: ArrayLike, means: ArrayLike, tau: ArrayLike, m: int) -> Data:
    """Section 4.2's data under Assumption B.1: m K examples, each class m times y and m times the similar class.

    The similar classes of each of m rounds are those of a random cycle through all classes, so that they are balanced
    as assumed, and each other class is equally likely to be the similar one of an example.

    >>> data = sample(jax.random.key(0), np.eye(4), 2.0, m=3)
    >>> np.bincount(data.y).tolist(), np.bincount(data.z[:, 0]).tolist()
    ([3, 3, 3, 3], [3, 3, 3, 3])

    Args:
      key: JAX key.
      means: class vectors [K, D] of length 1.
      tau: margin x_y . mu_y; that of the similar class is tau / 2.
      m: |S+| = |S-| of every class.
    """
    means = jnp.asarray(means, jnp.float64)
    classes = len(means)
    cycle_key, feature_key = jax.random.split(key)
    cycles = jax.random.uniform(cycle_key, (m, classes)).argsort(-1)
    named = jnp.stack([cycles, jnp.roll(cycles, -1, axis=1)], -1).reshape(-1, 2)  # y and z
    margin = jnp.asarray(tau, jnp.float64) * jnp.array([1.0, 0.5])
    x = conditioned_gaussian(feature_key, means[named], margin[:, None])
    return Data(named[:, 0], named[:, 1:], x[:, 0], x[:, 1:])


@float64
@jax.jit
def truncated_sphere(key: ArrayLike, direction: ArrayLike, above: ArrayLike) -> Array:
    """z [..., D] uniform on the unit sphere conditioned on z . direction > above, for directions of length 1, D >= 3.

    >>> height = np.asarray(truncated_sphere(jax.random.key(0), np.tile([0.0, 0.0, 1.0], (1000, 1)), 0.6))[:, 2]
    >>> [round(float(f(height)), 1) for f in (np.min, np.mean, np.max)]
    [0.6, 0.8, 1.0]

    Args:
      key: JAX key.
      direction: [..., D].
      above: below 1; at -1 or less it is no condition.
    """
    direction = jnp.asarray(direction, jnp.float64)
    dim = direction.shape[-1]
    along_key, across_key = jax.random.split(key)

    low = jnp.broadcast_to(jnp.clip(jnp.asarray(above, jnp.float64), -1, 1), direction.shape[:-1])
    least, most = _mass(low, dim), _mass(jnp.ones(()), dim)
    level = least + (most - least) * jax.random.uniform(along_key, low.shape)

    def step(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, s = state
        excess = _mass(s, dim) - level
        low, high = jnp.where(excess < 0, s, low), jnp.where(excess < 0, high, s)
        newton = s - excess / (1 - s**2) ** ((dim - 3) / 2)
        return low, high, jnp.where((newton >= low) & (newton <= high), newton, (low + high) / 2)

    s = jax.lax.fori_loop(0, _STEPS, step, (low, jnp.ones_like(low), jnp.clip(0.0, low, 1.0)))[2][..., None]
    across = jax.random.normal(across_key, direction.shape)
    across = across - jnp.sum(across * direction, -1, keepdims=True) * direction
    across = across / jnp.linalg.norm(across, axis=-1, keepdims=True)
    return s * direction + jnp.sqrt(1 - s**2) * across


@float64
@partial(
    jax.jit,
    static_argnames=("n", "similar", "repetition", "truncate_similar", "with_target", "separable", "truncate_z"),
)
def sample_c5(
    key: ArrayLike,
    means: ArrayLike,
    n: int = 512,
    similar: int = 3,
    alpha: float = 0.01,
    repetition: bool = False,
    truncate_similar: bool = True,
    with_target: bool = False,
    separable: bool = False,
    truncate_z: bool = False,
    similar_scale: float = 0.8,
) -> Data:
    """Appendix C.5's data: x_y = alpha mu_y + (1 - alpha) z_y with x_y . mu_y > 0, and `similar` other classes.

    A similar class k has x_k = b (alpha mu_k + (1 - alpha) z_k), b = 0.8 (x_y . mu_y) Beta(4, 1);
    Beta(4, 1) is the fourth root of a uniform number. The text says that
    this keeps x_k . mu_k below x_y . mu_y. So it does for |mu_k| = 1, but not for means from N(0, I): there
    (alpha mu_k + (1 - alpha) z_k) . mu_k is often above 1 / 0.8, as |mu_k| is near 10.

    >>> data = sample_c5(jax.random.key(0), np.eye(10))
    >>> predicted = np.asarray(logits(data, np.eye(10))).argmax(-1)  # separable by class vectors of length 1
    >>> bool((predicted == np.asarray(data.y)).all())
    True

    Args:
      key: JAX key.
      means: class vectors [K, D]; in C.5 `normal_means` with K = 10, D = 100.
      n: number of examples.
      similar: how many similar classes are drawn.
      alpha: as above.
      repetition: whether similar classes are drawn with repetition (the text says "randomly pick 3 other classes");
        a class that is named again then counts once.
      truncate_similar: whether "z_k sampled as before" includes the condition, as (alpha mu_k + (1 - alpha) z_k) .
        mu_k > 0; if not, z_k is uniform on the whole sphere.
      with_target: whether y may be drawn too (the text says "non-target"); it then stays what it is and counts once.
      separable: whether b is divided by |(alpha mu_k + (1 - alpha) z_k) . mu_k|, so that the similar margin is
        0.8 (x_y . mu_y) Beta(4, 1), as the sentence on linear separability wants it. x_k then has a heavy tail, but
        for `truncate_z`, which keeps the divisor above alpha |mu_k|^2.
      truncate_z: whether the condition is z . mu > 0, and not (alpha mu + (1 - alpha) z) . mu > 0, as printed; then
        x_y . mu_y is above alpha |mu_y|^2, which is "sufficient non-zero margin".
      similar_scale: the factor 0.8.
    """
    means = jnp.asarray(means, jnp.float64)
    classes = len(means)
    keys = jax.random.split(key, 4)
    y = jax.random.randint(keys[0], (n, 1), 0, classes)
    first = 0 if with_target else 1  # of the other classes, counted from y on
    if repetition:
        steps = jax.random.randint(keys[1], (n, similar), first, classes)
    else:
        steps = first + jax.random.uniform(keys[1], (n, classes - first)).argsort(-1)[:, :similar]
    z = (y + steps) % classes
    named = jnp.concatenate([y, z], -1)
    length = jnp.linalg.norm(means, axis=-1, keepdims=True)
    above = jnp.zeros(named.shape) if truncate_z else -alpha / (1 - alpha) * length[named, 0]
    if not truncate_similar:
        above = above.at[:, 1:].set(-1.0)
    x = alpha * means[named] + (1 - alpha) * truncated_sphere(keys[2], (means / length)[named], above)
    margin = jnp.sum(x[:, 0] * means[y[:, 0]], -1)[:, None]
    scale = similar_scale * margin * jax.random.uniform(keys[3], (n, similar)) ** 0.25
    if separable:
        scale = scale / jnp.abs(jnp.sum(x[:, 1:] * means[z], -1))
    repeated = jnp.tril(z[:, :, None] == z[:, None, :], -1).any(-1) | (z == y)
    return Data(y[:, 0], z, x[:, 0], jnp.where(repeated, 0.0, scale)[..., None] * x[:, 1:])


@float64
def features(data: Data, classes: int) -> Array:
    """The examples with all their channels, [n, K, D].

    >>> data = Data(np.array([1]), np.array([[0]]), target=np.array([[3.0, 4.0]]), similar=np.array([[[0.0, 2.0]]]))
    >>> features(data, 3).tolist()
    [[[0.0, 2.0], [3.0, 4.0], [0.0, 0.0]]]
    """
    row = jnp.arange(len(data.y))
    all_channels = jnp.zeros((len(row), classes, data.target.shape[-1])).at[row, data.y].set(data.target)
    return all_channels.at[row[:, None], data.z].add(data.similar)


@float64
def logits(data: Data, weights: ArrayLike) -> Array:
    """f(x) = (w_1 . x_1, ..., w_K . x_K), [n, K], of the linear model with weights [K, D].

    >>> data = Data(np.array([1]), np.array([[0]]), target=np.array([[3.0, 4.0]]), similar=np.array([[[0.0, 2.0]]]))
    >>> logits(data, np.ones((3, 2))).tolist()
    [[2.0, 7.0, 0.0]]
    """
    weights, row = jnp.asarray(weights, jnp.float64), jnp.arange(len(data.y))
    target_logits = jnp.sum(data.target * weights[data.y], -1)
    similar_logits = jnp.sum(data.similar * weights[data.z], -1)
    f = jnp.zeros((len(row), len(weights))).at[row, data.y].set(target_logits)
    return f.at[row[:, None], data.z].add(similar_logits)


def _mass(s: Array, dim: int) -> Array:
    """The integral of (1 - t^2)^p over t from 0 to s, p = (D - 3)/2, in finitely many terms.

    By parts, J_p = s (1 - s^2)^p / (2p + 1) + 2p / (2p + 1) J_(p-1), down to J_0 = s or J_(-1/2) = arcsin s.
    """
    terms, factor, p = [], 1.0, (dim - 3) / 2
    while p > 0:
        terms.append(factor / (2 * p + 1))
        factor, p = factor * 2 * p / (2 * p + 1), p - 1
    square = (1 - s) * (1 + s)
    if p == 0:
        return s * jnp.polyval(jnp.array([*terms, factor]), square, unroll=1)
    series = jnp.polyval(jnp.array(terms), square, unroll=1) if terms else 0.0
    return s * jnp.sqrt(square) * series + factor * jnp.arcsin(s)
