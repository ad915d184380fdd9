"""Evidence by simulation: the limits for D -> infinity on sampled data, at several D, with Monte Carlo intervals."""

from collections.abc import Mapping, Sequence
from functools import cache

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
TAU = 2.0
_CLASSES, _M, _ALPHA, _ALPHA_TE = 38, 3, 0.25, float(np.log(6))


@float64
def updates(seed: int, dim: int, classes: int, m: int, alphas: Sequence[float], alpha_te: float, draws: int) -> Array:
    """Updates of every node on sampled data of Section 4.2, tau = 2, by students of several scales.

    [one-hot and from a perfect teacher, alphas, draws K, 2]: part along mu_k, squared length across.

    >>> one_hot, distilled = np.asarray(updates(0, 8, 4, 2, [0.0], float(np.log(2)), 1))
    >>> one_hot[0, :, 0].round(3).tolist()  # m tau (a + b/2), a = 3/4, b = -1/4
    [2.5, 2.5, 2.5, 2.5]
    """

    def drawn(key: Array) -> Array:
        means_key, data_key = jax.random.split(key)
        means = channel.unit_means(means_key, classes, dim)
        data = channel.sample(data_key, means, TAU, m)
        teacher = gradient_space.softmax(channel.logits(data, alpha_te * means))
        targets = jnp.stack([jax.nn.one_hot(data.y, classes, dtype=jnp.float64), teacher])

        def moved(target: Array, alpha: Array) -> Array:
            return jnp.stack(gradient_space.parts(gradient_space.update(data, alpha * means, target), means), -1)

        return jax.lax.map(lambda target: jax.vmap(lambda alpha: moved(target, alpha))(jnp.asarray(alphas)), targets)

    result = jax.jit(lambda keys: jax.lax.map(drawn, keys))(jax.random.split(jax.random.key(seed), draws))
    return jnp.moveaxis(result, 0, 2).reshape(2, len(alphas), draws * classes, 2)


@cache
def nodes(dim: int) -> np.ndarray:
    """Updates, [one-hot and from a perfect teacher, draws K, 2], for K = 38, m = 3.

    >>> nodes(8)[..., 0].min(-1).round(3).tolist(), nodes(8)[..., 0].max(-1).round(3).tolist()  # m tau (a + b/2)
    ([5.647, 2.647], [5.647, 2.647])
    """
    return np.asarray(updates(dim, dim, _CLASSES, _M, [_ALPHA], _ALPHA_TE, _DRAWS))[:, 0]


@float64
def quality_limit(distilled: bool) -> Verdict:
    """Whether on sampled data the quality of an update tends to its closed form by the definitions.

    The part along mu_k is m tau (a + b/2) at every D, and the squared part across by m (a^2 + b^2) has the mean
    1 - 1/D and a spread that falls as 1 / sqrt(D).

    >>> quality_limit(distilled=True).holds  # doctest: +SKIP
    True
    """
    pair = (
        gradient_space.distilled(_CLASSES, TAU, _ALPHA, _ALPHA_TE)
        if distilled
        else gradient_space.one_hot(_CLASSES, TAU, _ALPHA)
    )
    a, b = map(float, pair)
    ratios = {}
    for dim in DIMS:
        along, across = nodes(dim)[int(distilled)].T
        if abs(along / (_M * TAU * (a + b / 2)) - 1).max() > 1e-9:
            return Verdict(False, "simulation", len(along))
        ratios[dim] = across / (_M * (a**2 + b**2))
    return tends_to(ratios, 1.0)


@cache
@float64
def coordinates(draws: int = 300) -> np.ndarray:
    """|x_j| sqrt(D) of m = 3 examples across mu, summed over the examples: [draws, S+ and S-, greatest D - 1].

    >>> round(float(coordinates().mean()), 2)  # 3 sqrt(2/pi)
    2.39
    """
    return np.asarray(abs(jax.random.normal(jax.random.key(0), (draws, 2, _M, DIMS[-1] - 1))).sum(2))


def coordinate_sums(weights: tuple[float, float], others: tuple[float, float]) -> dict[int, np.ndarray]:
    """Sums over j of (sum of w |x_j|)(sum of v |x_j|) at each D, over 3 examples in S+ and 3 in S-.

    >>> {dim: round(float(sums.mean()), 1) for dim, sums in coordinate_sums((1.0, 0.0), (1.0, 0.0)).items()}
    {64: 6.7, 256: 6.8, 1024: 6.8}

    Args:
      weights, others: w and v, on S+ and on S-.
    """
    sums_by_dim = {}
    for dim in DIMS:
        x = coordinates()[:, :, : dim - 1]
        first, second = (w[0] * x[:, 0] + w[1] * x[:, 1] for w in (weights, others))
        sums_by_dim[dim] = (first * second).sum(-1) / dim
    return sums_by_dim


def tends_to(measured: Mapping[int, np.ndarray], limit: float) -> Verdict:
    """Whether sums over D - 1 coordinates of size 1/D, sampled at several D, tend to a limit.

    At every D their mean is limit (1 - 1/D) up to its Monte Carlo error, and from one D to the next their standard
    deviation falls as 1 / sqrt(D), up to a quarter.

    >>> measured = {dim: 1 - 1 / dim + np.array([-1, 0, 1]) / np.sqrt(dim) for dim in DIMS}
    >>> tends_to(measured, 1.0).holds, tends_to(measured, 2.0).holds
    (True, False)
    """
    holds, before = True, None
    for dim, values in sorted(measured.items()):
        spread = values.std(ddof=1)
        holds &= bool(abs(values.mean() - limit * (1 - 1 / dim)) <= SIGMAS * spread / np.sqrt(len(values)))
        scaled = spread * np.sqrt(dim)
        holds &= before is None or bool(0.75 < scaled / before < 1 / 0.75)
        before = scaled
    return Verdict(holds, "simulation", sum(map(len, measured.values())))
