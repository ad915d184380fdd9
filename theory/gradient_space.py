"""Section 4.2 in closed form: what a perfect student and teacher give node k, and the quality of its update.

With weights w_k = alpha mu_k the logits of an example are alpha tau for its class, alpha tau / 2 for its similar
class and 0 for the K - 2 others. So p_k is one number p+ on S+ (y = k) and one number p- on S- (z = k), equations
(17) and (20), and the update of node k is on + S+'s sum of x_k and - S-'s sum, weighted by (target - p_k):

    one-hot        (1 - p+, -p-)                 `one_hot`
    distillation   (p+te - p+, p-te - p-)        `distilled`

With such a pair (a, b), m examples each and D -> infinity the part of the update along mu_k is m tau (a + b/2),
because x . mu = tau / 2 on S-, and its part across has the squared length m (a^2 + b^2). Hence its quality,
|parallel|^2 / |across|^2, is m tau^2 (a + b/2)^2 / (a^2 + b^2). The paper's proof has a + b, as if x . mu were tau on
S- too, while its p- is that of tau / 2. `share` says which: 1/2 by the definitions, 1 as the proof has it.

**Qualities and their bounds are in the unit of m tau^2**, and depend on alpha and tau by their product alone.
The paper writes |u|^2 / |u_across|^2 for the quality and computes |u_parallel|^2 / |u_across|^2, which is 1 less and
is meant throughout. Everything broadcasts, in float64; K is `classes` and need not be a whole number.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from theory import channel
from theory.precision import float64

Pair = tuple[Array, Array]


@float64
def probabilities(classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike) -> Pair:
    """p+ and p-: equations (20) and (17).

    >>> [round(float(term), 3) for term in probabilities(4, 2, np.log(2))]
    [0.5, 0.25]
    """
    others, root = _others(classes), jnp.exp(jnp.asarray(alpha, jnp.float64) * tau / 2)
    return 1 / (1 + 1 / root + others / root**2), 1 / (root + 1 + others / root)


@float64
def one_hot(classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike) -> Pair:
    """Coefficients of x_k in the one-hot update: 1 - p+ on S+ and -p- on S-.

    >>> [round(float(term), 3) for term in one_hot(4, 2, np.log(2))]
    [0.5, -0.25]
    """
    plus, minus = probabilities(classes, tau, alpha)
    root = jnp.exp(jnp.asarray(alpha, jnp.float64) * tau / 2)
    return plus * (1 / root + _others(classes) / root**2), -minus


@float64
def distilled(classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike, alpha_te: ArrayLike) -> Pair:
    """Coefficients of x_k in the distillation update with a perfect teacher: p+te - p+ on S+ and p-te - p- on S-.

    >>> [round(float(term), 3) for term in distilled(20, 2, 0, np.log(3))]
    [0.25, 0.05]
    """
    student, teacher = probabilities(classes, tau, alpha), probabilities(classes, tau, alpha_te)
    return teacher[0] - student[0], teacher[1] - student[1]


@float64
def quality(pair: tuple[ArrayLike, ArrayLike], share: ArrayLike = 0.5, dim: ArrayLike = jnp.inf) -> Array:
    """(a + share b)^2 / (a^2 + b^2), in the unit of m tau^2.

    >>> round(float(quality((2.0, 1.0))), 3), round(float(quality((2.0, -1.0))), 3)
    (1.25, 0.45)

    Args:
      pair: a and b, the coefficients of x_k on S+ and on S-.
      share: x . mu on S- in the unit of tau, see above.
      dim: D. At finite D it is the squared part along mu_k by the expected squared part across, which has D - 1
        dimensions of variance 1/D each.
    """
    a, b = (jnp.asarray(part, jnp.float64) for part in pair)
    return (a + share * b) ** 2 / (a**2 + b**2) / (1 - 1 / jnp.asarray(dim, jnp.float64))


@float64
def one_hot_quality(classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike, share: ArrayLike = 0.5) -> Array:
    """Quality of the one-hot update; the right side of the first equality of (27) where share is 1.

    >>> round(float(one_hot_quality(3, 2, 0)), 3), round(float(one_hot_quality(3, 2, 0, share=1)), 3)
    (0.45, 0.2)
    """
    return quality(one_hot(classes, tau, alpha), share)


@float64
def distilled_quality(
    classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike, alpha_te: ArrayLike, share: ArrayLike = 0.5
) -> Array:
    """Quality of the distillation update with a perfect teacher, (31); NaN where alpha is alpha_te.

    >>> round(float(distilled_quality(38, 2, 0, np.log(6))), 3)
    1.105
    """
    return quality(distilled(classes, tau, alpha, alpha_te), share)


@float64
def greatest_kappa(tau: ArrayLike, alpha: ArrayLike, alpha_te: ArrayLike) -> Array:
    """The greatest kappa with alpha_te - alpha >= (2/tau) log(3 / (1 - kappa)); 0 or less if none is positive.

    >>> round(float(greatest_kappa(2, 0, np.log(6))), 3)
    0.5
    """
    return 1 - 3 * jnp.exp((jnp.asarray(alpha, jnp.float64) - alpha_te) * tau / 2)


@float64
def is_constructive(classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike, alpha_te: ArrayLike) -> Array:
    """Whether distillation raises node k on S-, p-te > p-, for alpha < alpha_te: (alpha + alpha_te) tau/2 < log(K - 2).

    With A = exp(alpha tau / 2), B = exp(alpha_te tau / 2) and N = K - 2, p-te > p- says B + N/B < A + N/A, which is
    (B - A)(1 - N / (A B)) < 0.

    >>> is_constructive(38, 2, 0, np.log([6, 35, 37])).tolist()
    [True, True, False]
    """
    return (jnp.asarray(alpha, jnp.float64) + alpha_te) * tau / 2 < jnp.log(_others(classes))


@float64
def printed_one_hot_bound(tau: ArrayLike, alpha: ArrayLike) -> Array:
    """The printed upper bound on the one-hot quality in (24), (30) and (33): 1 - exp(-alpha tau) / 9.

    >>> round(float(printed_one_hot_bound(2, 0)), 3)
    0.889
    """
    return 1 - jnp.exp(-jnp.asarray(alpha, jnp.float64) * tau) / 9


@float64
def one_hot_bound(classes: ArrayLike, tau: ArrayLike, alpha: ArrayLike) -> Array:
    """An upper bound that holds for alpha tau <= log(K - 2): 1 - p-/(1 - p+), (K - 2) / (K - 2 + exp(alpha tau/2)).

    >>> round(float(one_hot_bound(11, 2, 0)), 3)
    0.9
    """
    others = _others(classes)
    return others / (others + jnp.exp(jnp.asarray(alpha, jnp.float64) * tau / 2))


@float64
def printed_distilled_bound(kappa: ArrayLike, imperfect: bool = False) -> Array:
    """The printed lower bound on the distillation quality: 1 + kappa^2 in (24), 1 + kappa^2 / 2 in (33) and (34).

    >>> float(printed_distilled_bound(0.5)), float(printed_distilled_bound(0.5, imperfect=True))
    (1.25, 1.125)
    """
    return 1 + jnp.asarray(kappa, jnp.float64) ** 2 / (2 if imperfect else 1)


@float64
def distilled_bound(tau: ArrayLike, alpha_te: ArrayLike, kappa: ArrayLike, imperfect: bool = False) -> Array:
    """A lower bound that holds: 1 + kappa / (1 + exp(alpha_te tau/2)), with kappa / 4 for an imperfect teacher.

    >>> round(float(distilled_bound(2, np.log(4), 0.25)), 4), round(float(distilled_bound(2, np.log(4), 0.25, True)), 4)
    (1.05, 1.0125)
    """
    return 1 + jnp.asarray(kappa, jnp.float64) / (4 if imperfect else 1) / (
        1 + jnp.exp(jnp.asarray(alpha_te, jnp.float64) * tau / 2)
    )


@float64
def update(data: channel.Data, weights: ArrayLike, targets: ArrayLike) -> Array:
    """Gradient descent's update of all nodes, [K, D], under cross-entropy: sum over examples of (target_k - p_k) x_k.

    >>> data = channel.Data(np.array([0]), np.array([[1]]), np.array([[2.0, 0.0]]), np.array([[[0.0, 4.0]]]))
    >>> update(data, np.zeros((2, 2)), [[1, 0]]).tolist()
    [[1.0, 0.0], [0.0, -2.0]]

    Args:
      data: examples.
      weights: the student's [K, D].
      targets: one-hot labels or a teacher's probabilities [n, K].
    """
    weights = jnp.asarray(weights, jnp.float64)
    error = jnp.asarray(targets, jnp.float64) - softmax(channel.logits(data, weights))
    row = jnp.arange(len(data.y))
    moved = jnp.zeros_like(weights).at[data.y].add(error[row, data.y][:, None] * data.target)
    return moved.at[data.z].add(error[row[:, None], data.z][..., None] * data.similar)


@float64
def parts(vectors: ArrayLike, means: ArrayLike) -> Pair:
    """Of each node's vector, [K, D]: its signed length along mu_k and the squared length of the rest, [K] each.

    >>> [part.tolist() for part in parts([[3.0, 4.0]], [[1.0, 0.0]])]
    [[3.0], [16.0]]
    """
    vectors, means = jnp.asarray(vectors, jnp.float64), jnp.asarray(means, jnp.float64)
    along = jnp.sum(vectors * means, -1)
    return along, jnp.sum((vectors - along[:, None] * means) ** 2, -1)


@float64
def softmax(logits: ArrayLike) -> Array:
    """Probabilities [..., K].

    >>> np.asarray(softmax([0.0, np.log(3)])).round(3).tolist()
    [0.25, 0.75]
    """
    logits = jnp.asarray(logits, jnp.float64)
    raised = jnp.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def _others(classes: ArrayLike) -> Array:
    return jnp.asarray(classes, jnp.float64) - 2
