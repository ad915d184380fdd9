"""Lemma B.1, and that distillation's updates are better than one-hot ones, proved by ball arithmetic.

With A = exp(alpha tau / 2), B = exp(alpha_te tau / 2) and N = K - 2 the good variables are

    x = A / B = exp(-(alpha_te - alpha) tau / 2),    y = 1 / B,    n = B^2 / N = exp(alpha_te tau) / (K - 2).

0 <= alpha < alpha_te is 0 < y <= x < 1; alpha_te tau <= log(K - 2) is n <= 1; and alpha_te - alpha >= (2/tau)
log(3 / (1 - kappa)) is 3 x <= 1 - kappa, so that x < 1/3 where kappa > 0. Infinite ranges of alpha, tau and K thus
become a box. With S = 1 + n x^2 + n x y and T = 1 + n + n y (17) and (20) read

    p+ = n x^2 / S,   p- = n x y / S,   p+te = n / T,   p-te = n y / T.

Lemma B.1. (p-te - p-) / p-te = 1 - x T / S and (p+te - p+) / p+te = 1 - x^2 T / S. Both are at least kappa for every
kappa <= 1 - 3x if 3 S - T > 0 and 3 S - x T > 0, which `certify_positive` shows on x, y in [0, 1/3], n in [0, 1].

The order. S - x^2 T = (1 - x)(1 + x + n x y) and S - x T = (1 - x)(1 - n x). So with a = 1 - p+, b = p-,
c = p+te - p+ and d = p-te - p-,

    r = b / a = n x y / (1 + n x y),    t = d / c = y (1 - n x) / (1 + x + n x y),
    t + r = y S / ((1 + n x y)(1 + x + n x y)).

The quality of an update (1, s), in the unit of m tau^2, is h(s) = (1 + s/2)^2 / (1 + s^2): of distillation h(t), of
one-hot h(-r). Now

    h(t) - h(-r) = (t + r) (1 + t r - 3 (t - r) / 4) / ((1 + t^2)(1 + r^2)).

t + r > 0, and 0 <= r < 1, -1 < t < 1, where the bracket is positive, as `certify_positive` shows on the closed box.
No more than alpha < alpha_te was used: early stopping (n <= 1) is not needed for the order.

The upper bound on one-hot. 1 - r - h(-r) = r^2 (3/4 - r) / (1 + r^2), which is not negative for r <= 3/4; and
alpha tau <= log(K - 2) is A^2 <= N, whence r = A / (N + A) <= 1/2.

The lower bound on distillation. With rho = 1 / t, h(t) - 1 = (rho - 3/4) / (rho^2 + 1), which falls for rho >= 2.
rho >= B > 3, and rho <= B / kappa for every kappa <= 1 - 3x, because

    1 - n x - (1 - 3x)(1 + x + n x y) = x (2 - n - n y + 3x + 3 n x y) > 0.

So h(t) - 1 >= kappa (B - 3 kappa/4) / (B^2 + kappa^2), and this is more than kappa / (1 + B) where

    (1 - 3 kappa y/4)(1 + y) - (1 + kappa^2 y^2) > 0 divided by y,    1 - 3 kappa/4 - (3 kappa/4 + kappa^2) y > 0,

certified for y <= (1 - kappa)/3, which A >= 1 implies.

Imperfect teacher. Suppose |q - pte| <= eta pte on every example, with eta^2 = kappa^3 / (4 B); Lemma B.2 with its root
gives this from kappa^3 >= 576 (alpha_te tau)^2 eps exp(alpha_te tau / 2). By Lemma B.1 pte <= (pte - p) / kappa, so
that with theta = eta / kappa, theta^2 = kappa y / 4, each q - p is within a factor 1 -+ theta of pte - p. The update's
part along mu_k sees the means of q - p on S+ and S-, whose ratio is at least B / kappa over lambda =
(1 + theta) / (1 - theta) from its perfect value; the part across sees their mean squares, which exceed the squared
means by at most theta^2 (c^2 + d^2), a fraction mu2 = theta^2 / (1 - theta)^2 of them. Hence

    quality >= (1 + g) / (1 + mu2),    g = (w - 3 w^2/4) / (1 + w^2),    w = kappa y / lambda

(the ratio stays above 2, where g falls in it, as B / lambda > 2). This exceeds 1 + kappa / (4 (1 + B)) where, divided
by kappa y,

    (1 - 3w/4) / (lambda (1 + w^2)) - 1 / (4 (1 - theta)^2) - (1 + mu2) / (4 (1 + y)) > 0,

certified for kappa in [0, 1], y in [0, (1 - kappa)/3].

A slip in this algebra would go unseen, so the printed quantities are also certified without any algebra, from the
softmax, on an inner box of (alpha tau, (alpha_te - alpha) tau, log(K - 2) - alpha_te tau).
"""

from collections.abc import Callable
from functools import cache

from flint import arb

from theory.intervals import Bounds, Certificate, Interval, all_of, ball, certify_positive

THIRD: Interval = (0.0, 0.33334)  # a little more than [0, 1/3]
UNIT: Interval = (0.0, 1.0)
INNER: tuple[Interval, ...] = ((0.0, 1.0), (2.25, 3.5), (0.0, 1.0))  # 2 log 3 = 2.197
CONSTRUCTIVE: tuple[Interval, ...] = ((0.0, 1.0), (0.5, 2.0), (0.0, 1.0))


def _bounds(function: Callable[..., arb]) -> Bounds:
    def bounds(*box: Interval) -> tuple[arb, arb]:
        values = function(*map(ball, box))
        return values.lower(), values.upper()

    return bounds


def _pairs(student: arb, gap: arb, slack: arb) -> tuple[arb, arb, arb, arb, arb]:
    """p+, p-, p+te, p-te and B from alpha tau, (alpha_te - alpha) tau and log(K - 2) - alpha_te tau."""
    a, b, others = (student / 2).exp(), ((student + gap) / 2).exp(), (student + gap + slack).exp()
    return (
        1 / (1 + 1 / a + others / a**2),
        1 / (a + 1 + others / a),
        1 / (1 + 1 / b + others / b**2),
        1 / (b + 1 + others / b),
        b,
    )


def _quality(a: arb, b: arb) -> arb:
    """(a + b/2)^2 / (a^2 + b^2) for a > 0."""
    return (1 + b / a / 2) ** 2 / (1 + (b / a) ** 2)


def minus_margin(student: arb, gap: arb, slack: arb) -> arb:
    """(p-te - p-) / p-te less the greatest kappa, as printed.

    >>> round(float(minus_margin(arb(0), 2 * arb(6).log(), arb(0))), 3)
    0.158
    """
    _, minus, _, minus_te, _ = _pairs(student, gap, slack)
    return 1 - minus / minus_te - (1 - 3 * (-gap / 2).exp())


def plus_margin(student: arb, gap: arb, slack: arb) -> arb:
    """(p+te - p+) / p+te less the greatest kappa, as printed.

    >>> round(float(plus_margin(arb(0), 2 * arb(6).log(), arb(0))), 3)
    0.443
    """
    plus, _, plus_te, _, _ = _pairs(student, gap, slack)
    return 1 - plus / plus_te - (1 - 3 * (-gap / 2).exp())


def order_margin(student: arb, gap: arb, slack: arb) -> arb:
    """Quality of the distillation update less that of the one-hot update, from the definitions.

    >>> round(float(order_margin(arb(0), 2 * arb(6).log(), arb(0))), 3)
    0.132
    """
    plus, minus, plus_te, minus_te, _ = _pairs(student, gap, slack)
    return _quality(plus_te - plus, minus_te - minus) - _quality(1 - plus, -minus)


def lower_margin(student: arb, gap: arb, slack: arb) -> arb:
    """Quality of the distillation update less 1 + kappa / (1 + B), the corrected bound, at the greatest kappa.

    >>> round(float(lower_margin(arb(0), 2 * arb(6).log(), arb(0))), 3)
    0.033
    """
    plus, minus, plus_te, minus_te, b = _pairs(student, gap, slack)
    kappa = 1 - 3 * (-gap / 2).exp()
    return _quality(plus_te - plus, minus_te - minus) - 1 - kappa / (1 + b)


def upper_margin(student: arb, gap: arb, slack: arb) -> arb:
    """1 - p- / (1 - p+), the corrected bound, less the quality of the one-hot update; `gap` + `slack` is one number.

    >>> round(float(upper_margin(arb(0), arb(0), arb(0))), 3)
    0.05
    """
    plus, minus, *_ = _pairs(student, gap, slack)
    return 1 - minus / (1 - plus) - _quality(1 - plus, -minus)


def bracket(t: arb, r: arb) -> arb:
    """1 + t r - 3 (t - r) / 4.

    >>> float(bracket(arb(1), arb(0))), float(bracket(arb(1), arb(1)))
    (0.25, 2.0)
    """
    return 1 + t * r - 3 * (t - r) / 4


@cache
def lemma_minus() -> Certificate:
    """Certifies Lemma B.1 on S-; a counterexample starts (x, y, n) or is a point of the inner box.

    >>> lemma_minus().proved
    True
    """
    direct = certify_positive(_bounds(minus_margin), INNER)
    reduced = certify_positive(
        _bounds(lambda x, y, n: 3 * (1 + n * x**2 + n * x * y) - (1 + n + n * y)), [THIRD, THIRD, UNIT]
    )
    return all_of([direct, reduced])


@cache
def lemma_plus() -> Certificate:
    """Certifies Lemma B.1 on S+.

    >>> lemma_plus().proved
    True
    """
    direct = certify_positive(_bounds(plus_margin), INNER)
    reduced = certify_positive(
        _bounds(lambda x, y, n: 3 * (1 + n * x**2 + n * x * y) - x * (1 + n + n * y)), [THIRD, THIRD, UNIT]
    )
    return all_of([direct, reduced])


@cache
def order() -> Certificate:
    """Certifies that the distillation update is better than the one-hot one for all 0 <= alpha < alpha_te, K > 2.

    >>> order().proved
    True
    """
    return all_of(
        [certify_positive(_bounds(order_margin), CONSTRUCTIVE), certify_positive(_bounds(bracket), [(-1.0, 1.0), UNIT])]
    )


@cache
def upper() -> Certificate:
    """Certifies the corrected upper bound on one-hot quality.

    >>> upper().proved
    True
    """
    direct = certify_positive(_bounds(upper_margin), [(0.0, 0.5), (0.5, 1.0), (0.0, 0.5)])
    return all_of([direct, certify_positive(_bounds(lambda r: arb(3) / 4 - r), [(0.0, 0.5)])])


@cache
def lower() -> Certificate:
    """Certifies the corrected lower bound on distillation quality with a perfect teacher.

    >>> lower().proved
    True
    """

    def above(kappa: arb, part: arb) -> arb:
        y = part * (1 - kappa) / 3
        return 1 - 3 * kappa / 4 - (3 * kappa / 4 + kappa**2) * y

    return all_of(
        [
            certify_positive(_bounds(lower_margin), INNER),
            certify_positive(_bounds(lambda x, y, n: 2 - n - n * y + 3 * x + 3 * n * x * y), [THIRD, THIRD, UNIT]),
            certify_positive(_bounds(above), [UNIT, UNIT]),
        ]
    )


@cache
def imperfect() -> Certificate:
    """Certifies the corrected lower bound with an imperfect teacher, and that the ratio stays above 2.

    >>> imperfect().proved
    True
    """

    def terms(kappa: arb, part: arb) -> tuple[arb, arb, arb]:
        y = part * (1 - kappa) / 3
        square = kappa * y / 4
        theta = square.lower().max(arb(0)).sqrt().union(square.upper().max(arb(0)).sqrt())
        return y, theta, kappa * y

    def above(kappa: arb, part: arb) -> arb:
        y, theta, product = terms(kappa, part)
        factor = (1 + theta) / (1 - theta)
        w = product / factor
        excess = (theta / (1 - theta)) ** 2
        return (1 - 3 * w / 4) / (factor * (1 + w**2)) - 1 / (4 * (1 - theta) ** 2) - (1 + excess) / (4 * (1 + y))

    def ratio(kappa: arb, part: arb) -> arb:
        y, theta, _ = terms(kappa, part)
        return (1 - theta) - 2 * y * (1 + theta)

    return all_of([certify_positive(_bounds(f), [UNIT, UNIT]) for f in (above, ratio)])


@cache
def supervision() -> Certificate:
    """Certifies that exp(v) - 1 <= 3 v for v in [0, 1], by exp(v) - 1 <= v exp(v): the last step of Lemma B.2.

    >>> supervision().proved
    True
    """
    return certify_positive(_bounds(lambda v: 3 - v.exp()), [UNIT])
