"""Appendix B.1's entries: README's numbers, both readings of x . mu on S-, and what the entries leave to the README."""

import inspect

import numpy as np
import pytest

from theory import early_stopped, gradient_space, grid, imperfect_teacher
from theory import gradient_space_certificates as certificates
from theory import imperfect_teacher_statements as imperfect
from theory import perfect_teacher_statements as perfect
from theory import probability_statements as probability
from theory import theorem_statements as theorem
from theory.early_stopped import EXAMPLE
from theory.intervals import Certificate
from theory.registry import evaluate
from theory.statements import STATEMENTS

BY_ID = {statement.id: statement for statement in STATEMENTS}
LOG_6, LOG_100 = float(np.log(6)), float(np.log(100))


def at(values, parameters=EXAMPLE, **more):
    names = inspect.signature(values).parameters
    return [float(v) for v in values(**{k: v for k, v in (parameters | more).items() if k in names})]


def test_the_example_by_hand():
    p, plus_te, minus_te = 1 / 38, 36 / (36 + 6 + 36), 6 / (36 + 6 + 36)
    assert (plus_te, minus_te) == (pytest.approx(6 / 13), pytest.approx(1 / 13))
    assert early_stopped.EXAMPLE["kappa"] == pytest.approx(1 - 3 / 6)
    c, d = plus_te - p, minus_te - p
    one_hot, printed_upper = at(perfect.one_hot_bound)
    assert one_hot == pytest.approx(36.5**2 / (37**2 + 1)) == pytest.approx(0.9724, abs=1e-4)
    assert printed_upper == pytest.approx(8 / 9)
    printed_lower, distilled = at(perfect.distilled_bound)
    assert printed_lower == 1.25
    assert distilled == pytest.approx((c + d / 2) ** 2 / (c**2 + d**2)) == pytest.approx(1.1047, abs=1e-4)
    assert at(perfect.distilled_bound_corrected)[0] == pytest.approx(1 + 0.5 / 7)
    assert at(perfect.distilled_limit)[1] == pytest.approx((c + d) / (c**2 + d**2))
    assert at(perfect.distilled_steps)[1] == pytest.approx(1 + 0.25 * 12 / 37)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_fails_in_both_readings(share):
    for values in (perfect.one_hot_bound, perfect.distilled_bound):
        left, right = at(values, share=share)
        assert left > right + 0.01
    assert at(perfect.distilled_bound, share=1.0)[1] == pytest.approx(1.2295, abs=1e-4)


def test_what_would_hold_were_the_margin_tau_on_s_minus():
    points = early_stopped.points()
    names = ("classes", "tau", "alpha")
    real, printed, bound = (np.asarray(v) for v in perfect.one_hot_limit(*(points[n] for n in names), share=1.0))
    np.testing.assert_allclose(real, printed, rtol=1e-9)
    np.testing.assert_allclose(printed, bound, rtol=1e-9)
    ahead = points["alpha"] < points["alpha_te"]
    names = (*names, "alpha_te")
    real, _, bound = (np.asarray(v) for v in perfect.distilled_limit(*(points[n][ahead] for n in names), share=1.0))
    np.testing.assert_allclose(real, bound, rtol=1e-9)  # what (31)'s fraction is with its square
    for epsilon in (0.0, 1 / 32, 1.0):
        least, line = imperfect.parallel(**points, epsilon=epsilon, share=1.0)
        assert (np.asarray(least) >= np.asarray(line) - 1e-12).all()


def test_first_number_of_classes_at_which_equation_30_fails_at_the_start():
    classes = np.arange(3.0, 60)
    for share, first in ((0.5, 11), (1.0, 19)):
        quality, bound = perfect.one_hot_bound(classes, 2.0, 0.0, share)
        assert classes[np.asarray(quality) > np.asarray(bound)][0] == first


def test_where_equation_30_holds():
    root = np.exp(np.linspace(0, 8, 2001))
    quality, bound = perfect.one_hot_bound(2 + 8 * root**3, 2.0, np.log(root))
    assert (np.asarray(quality) <= np.asarray(bound)).all()


def test_equation_27_and_28_with_three_classes():
    assert at(perfect.one_hot_limit, {"classes": 3.0, "tau": 2.0, "alpha": 0.0}) == pytest.approx([0.45, 0.2, 0.2])
    assert at(perfect.one_hot_step, {"classes": 3.0, "tau": 2.0, "alpha": 0.0}) == pytest.approx([0.2, 0.0])


def test_lemma_b2_also_fails_with_early_stopping_for_very_many_classes():
    tau, alpha_te = 1.001, 40.0
    eps = 1 / (4 * alpha_te * tau)
    assert 1 / eps == pytest.approx(160.16)
    classes = 2 + np.exp(alpha_te * tau)
    assert 1e17 < classes < 1e18
    error, bound = map(float, probability.supervision(classes, tau, alpha_te, eps))
    assert error > bound + 1


def test_a_teacher_of_the_wrong_sign_would_break_lemma_b2():
    """w_k = -alpha_te mu_k has no part across: 0-imperfect, if the sign is not asked for."""
    perfect_p = np.asarray(gradient_space.probabilities(5, 2.0, 1.0))
    wrong = np.asarray(gradient_space.probabilities(5, 2.0, -1.0))
    assert abs(wrong - perfect_p).max() > 0.1


def test_display_on_s_plus_in_the_proof_of_lemma_b1():
    """Printed p+ / p+te >= 3 exp((alpha - alpha_te) tau) <= 1 - kappa; with <= it is a chain, and holds."""
    names = inspect.signature(probability.plus_chain).parameters
    points = {name: early_stopped.points()[name] for name in names}
    assert grid.first_break(probability.plus_chain, ("<=", "<="), points) is None
    ratio, middle, _ = at(probability.plus_chain)
    assert ratio < middle


def test_step_below_42_needs_four_over_pi():
    left, right = map(float, imperfect.absolute_step(1.0, 1.0, 1.0))
    assert left / right == pytest.approx(4 / np.pi)


def test_equation_48_lacks_a_factor_where_49_has_room():
    at_48 = {
        "classes": 10_002.0,
        "tau": 2.0,
        "alpha": 0.0,
        "alpha_te": LOG_100,
        "kappa": 0.97,
        "epsilon": 1.0,
        "m": 1.0,
    }
    limit = at(imperfect.across, at_48)[0]
    c, d = map(float, gradient_space.distilled(10_002, 2.0, 0.0, LOG_100))
    assert limit == pytest.approx(0.382, abs=1e-3)
    assert (c**2 + d**2) * (1 + 3 / 16 + 1 / 4) == pytest.approx(0.356, abs=1e-3)
    assert limit < (c**2 + d**2) * 2
    # (46) as it stands, its last bracket open: the last term is p-te - p- alone.
    plus, minus = (0.97 * float(p) for p in gradient_space.probabilities(10_002, 2.0, LOG_100))
    assert limit > c**2 + d**2 + 3 / 16 * (plus**2 + minus**2) + (plus + minus) * c / 4 + d


def test_equations_45_46_hold_from_four_examples_on():
    points = dict(early_stopped.points())
    for m, holds in ((1.0, False), (2.0, False), (3.0, False), (4.0, True), (50.0, True)):
        broken = [grid.first_break(imperfect.across, ("<=",), points | arrays(m, e)) for e in (0.01, 1.0)]
        assert (broken == [None, None]) == holds, m


def arrays(m, epsilon):
    size = len(early_stopped.points()["tau"])
    return {"m": np.full(size, m), "epsilon": np.full(size, epsilon)}


def test_points_of_theorem_b4_meet_its_assumptions():
    points = theorem.admitted()
    names = inspect.signature(imperfect_teacher.is_admitted).parameters
    assert np.asarray(imperfect_teacher.is_admitted(**{k: v for k, v in points.items() if k in names})).all()


def test_lower_bound_of_theorem_b4_fails_in_both_readings():
    known = {k: v for k, v in theorem.ADMITTED.items() if k not in ("m", "kappa")}
    for share, quality in ((0.5, 1.0233), (1.0, 1.0475)):
        found = float(imperfect_teacher.distilled_quality(**known, share=share))
        assert found == pytest.approx(quality, abs=1e-4)


def test_counterexample_to_33_lower_also_with_the_worst_supervision_of_lemma_b2():
    """Nothing hangs on the teacher's error: its probabilities are within 0.1 % of a perfect teacher's."""
    p = theorem.ADMITTED
    error = float(imperfect_teacher.supervision_error(p["classes"], p["tau"], p["alpha_te"], p["eps_te"]))
    assert error < 1e-3


def test_weakest_reading_of_theorem_b4():
    """There are alpha and kappa at which (33) holds as printed."""
    tau = 2e6
    found = {"classes": 1002.0, "tau": tau, "alpha": 2 * np.log(5) / tau, "alpha_te": np.log(1000) / tau}
    found |= {"kappa": 0.1, "m": 1.0, "eps_te": 1.1 / tau**2}
    assert bool(imperfect_teacher.is_admitted(**found))
    for values in (theorem.upper, theorem.lower):
        left, right = at(values, found)
        assert left < right


def test_no_update_is_better_than_a_perfect_teacher():
    others, distilled = at(theorem.cosines, EXAMPLE | {"m": 1000.0, "eps_te": 0.0})
    assert others == 1 > distilled


def test_theorem_4_2_on_a_grid_of_its_corrected_assumptions():
    rng = np.random.default_rng(0)
    points = {k: v for k, v in early_stopped.points().items() if k != "tau"}
    kappa, scale_te = points["kappa"], 2 * points["alpha_te"]
    keep = kappa > 1e-3
    unit = rng.uniform(1.01, 100, len(kappa)) * np.asarray(imperfect_teacher.need(1.0, scale_te, 1.0))
    unit = (unit / np.maximum(kappa, 1e-3) ** 3)[keep]
    tau = np.sqrt(unit / 5)
    alpha, alpha_te, classes = (points[n][keep] for n in ("alpha", "alpha_te", "classes"))
    found = {"classes": classes, "tau": tau, "m": np.full_like(tau, 5.0), "eps_te": 1.005 / unit}
    found |= {"alpha": 2 * alpha / tau, "alpha_te": 2 * alpha_te / tau}
    admitted = np.asarray(imperfect_teacher.is_admitted(**found, kappa=kappa[keep], corrected=True))
    assert admitted.mean() > 0.99
    found = {name: value[admitted & (scale_te[keep] < 12)] for name, value in found.items()}
    assert len(found["tau"]) > 40_000
    assert grid.first_break(theorem.cosines, ("<=",), found) is None
    order = {name: value for name, value in found.items() if name != "m"}
    assert grid.first_break(theorem.order, ("<",), order) is None


def test_a_certificate_that_does_not_come_out_is_not_as_recorded(monkeypatch):
    of = {
        "order": ("eq-24-order", "eq-33-order", "thm-4.2"),
        "lemma_plus": ("lemma-b1-s-plus",),
        "upper": ("eq-30", "eq-24-upper", "eq-33-upper"),
        "lower": ("eq-32", "eq-24-lower", "eq-34"),
        "imperfect": ("eq-33-lower", "eq-34", "thm-4.2"),
    }
    for certificate, names in of.items():
        with monkeypatch.context() as patch:
            patch.setattr(certificates, certificate, lambda: Certificate(False, 7))
            for name in names:
                assert not evaluate(BY_ID[name]).as_recorded, (certificate, name)
