"""Evidence by simulation: the limits for D -> infinity on sampled data, at several D, with Monte Carlo intervals."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from theory import channel, gradient_space
from theory.precision import float64
from theory.registry import Verdict

DIMS = (64, 256, 1024)
SIGMAS = 4.5  # of a Monte Carlo mean; the seeds are fixed, so that a verdict is the same every time
_DRAWS = 40
_CLASSES, _TAU, _M, _ALPHA, _ALPHA_TE = 38, 2.0, 3, 0.25, float(np.log(6))


@float64
def nodes(seed: int, dim: int, alpha: float = _ALPHA, alpha_te: float | None = None, draws: int = _DRAWS) -> Array:
    """Updates of every node on sampled data of Section 4.2, [draws K, 2]: part along mu_k, squared length across.

    K = 38, tau = 2, m = 3; the update is one-hot, or with a perfect teacher of scale alpha_te.
    """

    def drawn(key: Array) -> Array:
        means_key, data_key = jax.random.split(key)
        means = channel.unit_means(means_key, _CLASSES, dim)
        data = channel.sample(data_key, means, _TAU, _M)
        if alpha_te is None:
            targets = jax.nn.one_hot(data.y, _CLASSES, dtype=jnp.float64)
        else:
            targets = gradient_space.softmax(channel.logits(data, alpha_te * means))
        return jnp.stack(gradient_space.parts(gradient_space.update(data, alpha * means, targets), means), -1)

    return jax.jit(lambda keys: jax.lax.map(drawn, keys))(jax.random.split(jax.random.key(seed), draws)).reshape(-1, 2)


def quality_limit(alpha_te: float | None = None) -> Verdict:
    """Whether on sampled data the quality of an update tends to its closed form by the definitions.

    The part along mu_k is m tau (a + b/2) at every D, and the squared part across by m (a^2 + b^2) has the mean
    1 - 1/D and a spread that falls as 1 / sqrt(D).
    """
    pair = (
        gradient_space.one_hot(_CLASSES, _TAU, _ALPHA)
        if alpha_te is None
        else gradient_space.distilled(_CLASSES, _TAU, _ALPHA, alpha_te)
    )
    a, b = map(float, pair)
    found = {}
    for dim in DIMS:
        along, across = np.asarray(nodes(dim, dim, alpha_te=alpha_te)).T
        if abs(along / (_M * _TAU * (a + b / 2)) - 1).max() > 1e-9:
            return Verdict(False, "simulation", len(along))
        found[dim] = across / (_M * (a**2 + b**2))
    return tends_to(found, 1.0)


@float64
def coordinate_sums(
    seed: int, dim: int, weights: tuple[Array, Array], others: tuple[Array, Array], m: int, draws: int = 300
) -> Array:
    """Sums over j of (sum of w |x_j|)(sum of v |x_j|), [draws], over m examples in S+ and m in S-, j to D - 1.

    Args:
      seed: of the draws.
      dim: D.
      weights, others: w and v, on S+ and on S-.
      m: |S+| = |S-|.
      draws: how many.
    """
    x = abs(jax.random.normal(jax.random.key(seed), (draws, 2, m, dim - 1))).sum(2) / jnp.sqrt(dim)
    first, second = (w[0] * x[:, 0] + w[1] * x[:, 1] for w in (weights, others))
    return jnp.sum(first * second, -1)


def tends_to(found: Mapping[int, np.ndarray], limit: float) -> Verdict:
    """Whether sums over D - 1 coordinates of size 1/D, sampled at several D, tend to a limit.

    At every D their mean is limit (1 - 1/D) up to its Monte Carlo error, and from one D to the next their standard
    deviation falls as 1 / sqrt(D), up to a quarter.
    """
    holds, before = True, None
    for dim, values in sorted(found.items()):
        spread = values.std(ddof=1)
        holds &= bool(abs(values.mean() - limit * (1 - 1 / dim)) <= SIGMAS * spread / np.sqrt(len(values)))
        scaled = spread * np.sqrt(dim)
        holds &= before is None or bool(0.75 < scaled / before < 1 / 0.75)
        before = scaled
    return Verdict(holds, "simulation", sum(map(len, found.values())))
