"""Theorem 4.1 and equation (9) proved by ball arithmetic over their whole open domains.

With s = sqrt(alpha*), alpha* in (0, 1) is s in (0, 1), and by 1 - s^2 = (1 - s)(1 + s) the gap of Theorem 4.1 at the
extremal times is

    alpha_teacher - alpha_student = 1 - (1 - s^2)^kappa - (1 - (1 - s)^kappa)^2
                                  = (1 - s)^kappa (2 - (1 - s)^kappa - (1 + s)^kappa).

It goes to 0 at s = 0, s = 1, kappa = 0 and kappa = 1, so that no direct bound is positive near these edges. The
first factor is what vanishes at s = 1. The rest does not vanish there for kappa < 1. For it, Taylor's formula of
(1 + s)^kappa + (1 - s)^kappa around s = 0 with the remainder as an integral, x = r s, gives

    2 - (1 - s)^kappa - (1 + s)^kappa = kappa (1 - kappa) s^2 h,
    h(s, kappa) = integral over r in [0, 1] of (1 - r) ((1 + r s)^(kappa - 2) + (1 - r s)^(kappa - 2)).

All factors that vanish at an edge are now in front, and positive inside. The integrand of h is monotonic in r, in s
and in kappa, term by term, so each of `PIECES` pieces of the integral is bounded by its values at corners, also on
boxes that touch an edge (on those that touch s = 1 the upper bound is infinite, the lower bound is not).
`certify_positive` shows h > `CONSTANT` on the closed square. Hence for all alpha* and kappa in (0, 1)

    alpha_teacher - alpha_student > CONSTANT kappa (1 - kappa) alpha* (1 - sqrt(alpha*))^kappa > 0,

which is more than the theorem asks.

From there to Theorem 4.1: with T_te = tilde t = `student_time_to_fit` condition (a) holds with equality, and tilde
alpha_k2 is alpha_student (equation 12). alpha_k1 and alpha_k2 are increasing in t, so alpha_k1(t) >= alpha* means
t >= `time_to_fit`, hence alpha_k2(t) >= alpha_teacher for **any** such t; that is equation (9), certified below. As
the Gram matrix is invertible, lambda_k2 > 0 and kappa is in (0, 1). At lambda_k2 = 0 both sides of (5) are 0
at all times and its strict inequality fails.

Equation (9): write exp(-lambda_k1 t) = (1 - alpha*)(1 - v). All t with alpha_k1(t) >= alpha* are all v in [0, 1), and

    alpha_k2(t) - alpha_teacher = (1 - alpha*)^kappa (1 - (1 - v)^kappa)
                                = (1 - alpha*)^kappa kappa v q,
    q(v, kappa) = integral over r in [0, 1] of (1 - r v)^(kappa - 1),

by the same formula, one order lower. `certify_positive` shows q > 0 on the closed square of v and kappa, so (9) holds,
with equality at v = 0, which is t = `time_to_fit`, and nowhere else.

A slip in this algebra would go unseen, so the differences are also certified as the paper has them, without any
algebra, on the inner box [1/8, 7/8] of each parameter.
"""

from functools import cache

from flint import arb

from theory.intervals import Certificate, Interval, all_of, ball, certify_positive

CONSTANT = arb(99) / 100  # the best there can be is 1, at s = 0
PIECES = 16
UNIT: Interval = (0.0, 1.0)
INNER: Interval = (0.125, 0.875)


def curvature(s: Interval, kappa: Interval) -> tuple[arb, arb]:
    """Balls below and above h on a box of [0, 1]^2.

    >>> [round(float(bound), 3) for bound in curvature((0.0, 0.0), (0.5, 0.5))]  # h is 1 at s = 0
    [1.0, 1.0]
    """
    low = high = arb(0)
    for i in range(PIECES):
        a, b = arb(i) / PIECES, arb(i + 1) / PIECES
        weight = ((1 - a) ** 2 - (1 - b) ** 2) / 2  # integral of 1 - r
        # Exponents are negative: the term with 1 + r s falls in r and s and rises in kappa; that with 1 - r s
        # rises in r and s and falls in kappa.
        low += weight * ((1 + b * s[1]) ** (arb(kappa[0]) - 2) + (1 - a * s[0]) ** (arb(kappa[1]) - 2))
        high += weight * ((1 + a * s[0]) ** (arb(kappa[1]) - 2) + _power(1 - b * s[1], arb(kappa[0]) - 2))
    return low, high


def slope(v: Interval, kappa: Interval) -> tuple[arb, arb]:
    """Balls below and above q on a box of [0, 1]^2.

    >>> [round(float(bound), 1) for bound in slope((0.75, 0.75), (0.5, 0.5))]  # q is 4/3 there
    [1.3, 1.4]
    """
    low = high = arb(0)
    for i in range(PIECES):
        a, b = arb(i) / PIECES, arb(i + 1) / PIECES
        low += (1 - a * v[0]) ** (arb(kappa[1]) - 1) / PIECES
        high += _power(1 - b * v[1], arb(kappa[0]) - 1) / PIECES
    return low, high


def gap(s: Interval, kappa: Interval) -> tuple[arb, arb]:
    """Balls below and above alpha_teacher - alpha_student as printed, for s = sqrt(alpha*) within (0, 1).

    >>> [round(float(bound), 3) for bound in gap((0.5, 0.5), (0.5, 0.5))]
    [0.048, 0.048]
    """
    root, power = ball(s), ball(kappa)
    teacher = 1 - (1 - root**2) ** power
    student = (1 - (1 - root) ** power) ** 2
    return (teacher - student).lower(), (teacher - student).upper()


def excess(v: Interval, kappa: Interval, alpha_star: Interval) -> tuple[arb, arb]:
    """Balls below and above alpha_k2(t) - alpha_teacher as printed, at the t that belongs to v, within (0, 1).

    >>> [round(float(bound), 3) for bound in excess((0.75, 0.75), (0.5, 0.5), (0.75, 0.75))]
    [0.25, 0.25]
    """
    a, power, rest = ball(alpha_star), ball(kappa), 1 - ball(v)
    difference = (1 - ((1 - a) * rest) ** power) - (1 - (1 - a) ** power)
    return difference.lower(), difference.upper()


@cache
def theorem() -> Certificate:
    """Certifies alpha_teacher > alpha_student for all alpha*, kappa in (0, 1); a counterexample is (s, kappa).

    >>> theorem().proved
    True
    """

    def above_constant(s: Interval, kappa: Interval) -> tuple[arb, arb]:
        low, high = curvature(s, kappa)
        return low - CONSTANT, high - CONSTANT

    return all_of([certify_positive(gap, [INNER] * 2), certify_positive(above_constant, [UNIT] * 2)])


@cache
def lower_bound() -> Certificate:
    """Certifies equation (9) for alpha*, kappa in (0, 1) and all admissible t; a counterexample starts (v, kappa).

    >>> lower_bound().proved
    True
    """
    return all_of([certify_positive(excess, [INNER] * 3), certify_positive(slope, [UNIT] * 2)])


def _power(base: arb, exponent: arb) -> arb:
    """base^exponent for base >= 0 and exponent < 0; infinite at 0 (Arb has no one-sided limit)."""
    return arb("inf") if base.contains(0) else base**exponent
