"""Branch and bound proves what is true, and only that; the bounds it is given do bound."""

import itertools

import numpy as np
import pytest
from flint import arb, ctx

from theory import eigenspace, eigenspace_certificates
from theory.intervals import Certificate, all_of, ball, certify_positive

SQUARE = [(0.0, 1.0), (0.0, 1.0)]


def of(function):
    """Bounds from a function of balls."""

    def bounds(*box):
        values = function(*map(ball, box))
        return values.lower(), values.upper()

    return bounds


def raised(bounds, constant):
    """The same bounds, of the function less a constant."""
    return lambda *box: tuple(end - constant for end in bounds(*box))


def test_proves_what_is_true():
    certificate = certify_positive(of(lambda x, y: x * x - x + y * y - y + arb(0.51)), SQUARE)
    assert certificate.proved
    assert certificate.boxes > 10
    assert certificate.counterexample is None


def test_finds_where_a_false_statement_fails_in_a_small_part_of_the_box():
    def disc(x, y):
        return (x - arb(1) / 3) ** 2 + (y - arb(2) / 3) ** 2 - arb(1) / 10000

    certificate = certify_positive(of(disc), SQUARE)
    assert not certificate.proved
    x, y = certificate.counterexample
    assert (x - 1 / 3) ** 2 + (y - 2 / 3) ** 2 < 1e-4


def test_what_vanishes_at_an_edge_is_not_proved():
    assert certify_positive(of(lambda x: x), [(0.0, 1.0)], max_boxes=500) == Certificate(False, 500)


def test_false_bounds_of_theorem_4_1_are_refuted():
    """The opposite inequality, as (13) to (16) have it, and a constant greater than there is."""
    opposite = certify_positive(
        lambda *box: tuple(-end for end in reversed(eigenspace_certificates.gap(*box))),
        [eigenspace_certificates.INNER] * 2,
    )
    assert not opposite.proved
    s, kappa = opposite.counterexample
    assert float(eigenspace.alpha_student(s**2, kappa)) < float(eigenspace.alpha_teacher(s**2, kappa))
    too_much = certify_positive(raised(eigenspace_certificates.curvature, arb(1.01)), SQUARE)
    assert not too_much.proved
    assert too_much.counterexample is not None


def test_an_unproved_part_is_an_unproved_whole():
    parts = [Certificate(True, 3), Certificate(False, 4, (0.5,)), Certificate(True, 5)]
    assert all_of(parts) == Certificate(False, 12, (0.5,))


def test_a_ball_contains_its_interval():
    assert ball((0.1, 0.7)).contains(arb(0.1))
    assert ball((0.1, 0.7)).contains(arb(0.7))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("pieces", [16, 512])  # with many pieces there is no slack left to hide a wrong corner
def test_bounds_contain_the_quotients_they_stand_for(seed, pieces, monkeypatch):
    """h and q by their definitions, at the corners of random boxes, against the bounds on the boxes."""
    monkeypatch.setattr(eigenspace_certificates, "PIECES", pieces)
    rng = np.random.default_rng(seed)
    width = 2.0 ** -rng.integers(1, 6)
    box = [(float(low), float(low + width)) for low in rng.integers(0, round(1 / width), 2) * width]
    inside = [(low + 1e-6 * width, high - 1e-6 * width) for low, high in box]  # the quotients are not defined at 0
    for x, kappa in itertools.product(*inside):
        with ctx.workprec(200):
            x, kappa = arb(x), arb(kappa)
            h = (2 - (1 - x) ** kappa - (1 + x) ** kappa) / (kappa * (1 - kappa) * x**2)
            q = (1 - (1 - x) ** kappa) / (kappa * x)
        for bounds, value in ((eigenspace_certificates.curvature, h), (eigenspace_certificates.slope, q)):
            low, high = bounds(*box)
            assert low < value
            assert value < high or not high.is_finite()


def test_direct_bounds_contain_the_closed_forms():
    s, kappa, v = 0.37, 0.62, 0.21
    low, high = eigenspace_certificates.gap((s, s), (kappa, kappa))
    gap = float(eigenspace.alpha_teacher(s**2, kappa)) - float(eigenspace.alpha_student(s**2, kappa))
    assert float(low) - 1e-12 <= gap <= float(high) + 1e-12
    t = -np.log1p(-s) - np.log1p(-v)
    low, high = eigenspace_certificates.excess((v, v), (kappa, kappa), (s, s))
    excess = float(eigenspace.sparsity(kappa, t)) - float(eigenspace.alpha_teacher(s, kappa))
    assert float(low) - 1e-12 <= excess <= float(high) + 1e-12
    assert high - low < 1e-9


def test_gap_is_at_least_what_the_certificate_says():
    """The bound that the certificate gives beyond the theorem, on a grid that comes close to all four edges."""
    towards = np.concatenate([np.logspace(-8, -1, 30), np.linspace(0.1, 0.9, 41), 1 - np.logspace(-8, -1, 30)])
    s, kappa = np.meshgrid(towards, towards)
    gap = np.asarray(eigenspace.alpha_teacher(s**2, kappa)) - np.asarray(eigenspace.alpha_student(s**2, kappa))
    below = float(eigenspace_certificates.CONSTANT) * kappa * (1 - kappa) * s**2 * (1 - s) ** kappa
    assert (gap >= below - 1e-15).all()
