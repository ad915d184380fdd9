"""Section 4.2's closed forms against sampled data, autodiff and brute force; the certificates against false claims."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx

from theory import channel, gradient_space, imperfect_teacher, simulation
from theory import gradient_space_certificates as certificates
from theory.intervals import ball, certify_positive
from theory.precision import float64

KEY = jax.random.key(2)
CLASSES, DIM, TAU, M = 6, 40, 2.0, 3
LOG_6 = float(np.log(6))


@pytest.fixture(scope="module")
def data():
    means = np.asarray(channel.unit_means(KEY, CLASSES, DIM))
    return means, jax.tree.map(np.asarray, channel.sample(KEY, means, TAU, M))


def drawn(seed, size, early=False):
    """Random (K, alpha, alpha_te) for tau = 2, of all sizes; early: within Lemma B.3's assumptions."""
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(0, 4, size) * rng.integers(0, 2, size)
    alpha_te = alpha + rng.uniform(np.log(3) if early else 0, 6, size)
    return 2 + np.exp(rng.uniform(0, 20, size) + (2 * alpha_te if early else 0)), alpha, alpha_te


def test_probabilities_are_the_softmax_of_the_model_on_sampled_data(data):
    means, sample = data
    p = np.asarray(gradient_space.softmax(channel.logits(sample, 0.7 * means)))
    plus, minus = map(float, gradient_space.probabilities(CLASSES, TAU, 0.7))
    row = np.arange(len(p))
    np.testing.assert_allclose(p[row, sample.y], plus, rtol=1e-12)
    np.testing.assert_allclose(p[row, sample.z[:, 0]], minus, rtol=1e-12)


@pytest.mark.parametrize("soft", [False, True])
def test_update_is_minus_the_gradient_of_cross_entropy(data, soft):
    means, sample = data
    rng = np.random.default_rng(0)
    weights, of_teacher = rng.normal(size=(2, *means.shape))
    targets = np.eye(CLASSES)[sample.y]
    if soft:
        targets = np.asarray(gradient_space.softmax(channel.logits(sample, of_teacher)))
    with jax.enable_x64(True):
        x = channel.features(sample, CLASSES)

        def loss(w):
            return -jnp.sum(targets * jax.nn.log_softmax(jnp.einsum("nkd,kd->nk", x, w)))

        gradient = np.asarray(jax.grad(loss)(jnp.asarray(weights)))
    np.testing.assert_allclose(gradient_space.update(sample, weights, targets), -gradient, atol=1e-11)


def test_parts_of_the_update_on_sampled_data(data):
    """Along mu_k: m tau (a + b/2), by the definitions and exactly; not m tau (a + b)."""
    means, sample = data
    teacher = np.asarray(gradient_space.softmax(channel.logits(sample, LOG_6 * means)))
    for targets, pair in (
        (np.eye(CLASSES)[sample.y], gradient_space.one_hot(CLASSES, TAU, 0.3)),
        (teacher, gradient_space.distilled(CLASSES, TAU, 0.3, LOG_6)),
    ):
        moved = np.asarray(gradient_space.update(sample, 0.3 * means, targets))
        along, across = map(np.asarray, gradient_space.parts(moved, means))
        a, b = map(float, pair)
        np.testing.assert_allclose(along, M * TAU * (a + b / 2), rtol=1e-11)
        assert abs(along / (M * TAU * (a + b)) - 1).min() > 0.01
        np.testing.assert_allclose(along**2 + across, np.sum(moved**2, -1), rtol=1e-12)


def test_simulation_rejects_a_wrong_limit_and_a_spread_that_does_not_fall():
    found = simulation.coordinate_sums((0.2, 0.05), (0.2, 0.05))
    limit = float(imperfect_teacher.absolute_sum(3, 0.2, 0.05))
    assert simulation.tends_to(found, limit).holds
    assert not simulation.tends_to(found, 1.03 * limit).holds
    same = {dim: found[64] * (1 - 1 / dim) / (1 - 1 / 64) for dim in found}
    assert not simulation.tends_to(same, limit).holds


def test_quality_at_finite_dimension():
    pair = (0.7, -0.1)
    assert float(gradient_space.quality(pair, dim=50)) == pytest.approx(float(gradient_space.quality(pair)) * 50 / 49)


def test_constructive_on_s_minus_exactly_below_the_mean_scale():
    classes, alpha, alpha_te = drawn(0, 100_000)
    gain = np.asarray(gradient_space.distilled(classes, 2.0, alpha, alpha_te)[1])
    constructive = np.asarray(gradient_space.is_constructive(classes, 2.0, alpha, alpha_te))
    assert ((gain > 0) == constructive).all()
    quality = np.asarray(gradient_space.distilled_quality(classes, 2.0, alpha, alpha_te))
    clear = abs(quality - 1) > 1e-9
    assert ((quality > 1) == constructive)[clear].all()  # and better than m tau^2 exactly there


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_distillation_beats_one_hot_wherever_the_teacher_is_ahead(share):
    classes, alpha, alpha_te = drawn(1, 200_000)
    distilled = np.asarray(gradient_space.distilled_quality(classes, 2.0, alpha, alpha_te, share))
    assert (distilled > np.asarray(gradient_space.one_hot_quality(classes, 2.0, alpha, share))).all()


def test_corrected_bounds_of_lemma_b3():
    classes, alpha, alpha_te = drawn(2, 200_000, early=True)
    kappa = np.asarray(gradient_space.greatest_kappa(2.0, alpha, alpha_te))
    assert kappa.min() >= -1e-12
    distilled = np.asarray(gradient_space.distilled_quality(classes, 2.0, alpha, alpha_te))
    one_hot = np.asarray(gradient_space.one_hot_quality(classes, 2.0, alpha))
    assert (distilled >= np.asarray(gradient_space.distilled_bound(2.0, alpha_te, kappa)) - 1e-12).all()
    assert (one_hot <= np.asarray(gradient_space.one_hot_bound(classes, 2.0, alpha)) + 1e-12).all()
    assert (one_hot < 1).all()


def test_corrected_theorem_for_any_supervision_within_lemma_b2():
    """Random q within eta of a perfect teacher's, eta as large as the corrected condition lets it be."""
    rng = np.random.default_rng(3)
    classes, alpha, alpha_te = drawn(4, 20_000, early=True)
    kappa = np.maximum(np.asarray(gradient_space.greatest_kappa(2.0, alpha, alpha_te)), 1e-6)
    eta = np.sqrt(kappa**3 / 4 / np.exp(alpha_te))
    bound = np.asarray(gradient_space.distilled_bound(2.0, alpha_te, kappa, imperfect=True))
    student, teacher = (np.asarray(gradient_space.probabilities(classes, 2.0, a)) for a in (alpha, alpha_te))
    for signs in (rng.uniform(-1, 1, (4, 2, 20_000)), rng.choice([-1, 1], (4, 2, 20_000))):
        error = teacher * (1 + eta * signs) - student
        plus, minus = error[:, 0], error[:, 1]
        quality = (plus.mean(0) + minus.mean(0) / 2) ** 2 / ((plus**2).mean(0) + (minus**2).mean(0))
        assert (quality >= bound - 1e-12).all()
        assert (quality > np.asarray(gradient_space.one_hot_quality(classes, 2.0, alpha))).all()


def test_corrected_condition_is_what_lemma_b2_needs_for_it():
    for tau, alpha_te, kappa in ((2.0, 3.0, 0.7), (30.0, 0.2, 0.4)):
        eps = kappa**3 / float(imperfect_teacher.need(tau, alpha_te, 1.0))
        eta = float(imperfect_teacher.supervision_bound(tau, alpha_te, eps))
        assert eta**2 == pytest.approx(kappa**3 / 4 / np.exp(alpha_te * tau / 2))
        assert 4 * alpha_te * tau * np.sqrt(eps) <= 1


def test_worst_teacher_is_reached_and_not_exceeded():
    """Teachers in the plane of mu and x's part across, of length 1 as for D -> infinity, on S+ and on S-."""
    rng = np.random.default_rng(5)
    for classes, tau, alpha_te, eps in ((3, 1.25, 20.0, 0.01), (40, 2.0, 1.5, 0.2), (10, 1.5, 0.4, 0.9)):
        worst = float(imperfect_teacher.supervision_error(classes, tau, alpha_te, eps))
        error = float(imperfect_teacher.logit_error(tau, alpha_te, eps))
        s = np.sqrt(eps) * np.concatenate([[-1, 1], rng.uniform(-1, 1, 4000), np.linspace(-1, 1, 2001)])
        s = np.stack(np.meshgrid(s[::5], s[:400]) if classes == 3 else (s, np.roll(s, 1)))
        s = np.concatenate([s.reshape(2, -1), np.sqrt(eps) * np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]])], 1)
        most, furthest = 0.0, 0.0
        for mine, other in ((tau, tau / 2), (tau / 2, tau)):
            own, beside = (
                alpha_te * (np.sqrt(1 - part**2) * margin + part) for part, margin in zip(s, (mine, other), strict=True)
            )
            q = 1 / (1 + np.exp(beside - own) + (classes - 2) * np.exp(-own))
            p = 1 / (1 + np.exp(alpha_te * (other - mine)) + (classes - 2) * np.exp(-alpha_te * mine))
            most = max(most, abs(q / p - 1).max())
            furthest = max(furthest, abs(own - alpha_te * mine).max())
        assert most <= worst * (1 + 1e-12)
        assert furthest <= error * (1 + 1e-12)
        assert most >= 0.97 * worst
        assert furthest >= 0.97 * error


def test_imperfect_teacher_tied_to_its_sample():
    """On sampled data in the corrected theorem's region: one-hot < m tau^2 < distillation, and above 1 / eps."""
    classes, dim, tau, m, draws = 60, 1500, 300.0, 4, 2
    alpha_te, alpha = float(np.log(classes - 2)) / tau, 0.0
    eps = 1.05 / (m * tau**2)
    kappa = float(gradient_space.greatest_kappa(tau, alpha, alpha_te))
    assert bool(imperfect_teacher.is_admitted(classes, tau, m, alpha, alpha_te, kappa, eps, corrected=True))
    assert not bool(imperfect_teacher.is_admitted(classes, tau, m, alpha, alpha_te, kappa, eps))
    means = np.asarray(channel.unit_means(KEY, classes, dim))
    qualities = []
    for key in jax.random.split(KEY, draws):
        sample = channel.sample(key, means, tau, m)
        one_hot = np.eye(classes)[np.asarray(sample.y)]
        tied = np.asarray(gradient_space.update(sample, 0 * means, one_hot))
        tied = tied - np.sum(tied * means, -1, keepdims=True) * means
        tied = tied / np.linalg.norm(tied, axis=-1, keepdims=True)
        teacher = alpha_te * (np.sqrt(1 - eps) * means + np.sqrt(eps) * tied)
        q = np.asarray(gradient_space.softmax(channel.logits(sample, teacher)))
        for targets in (one_hot, q):
            along, across = gradient_space.parts(gradient_space.update(sample, alpha * means, targets), means)
            qualities.append(np.asarray(along) ** 2 / np.asarray(across) / (m * tau**2))
    one_hot, distilled = np.reshape(qualities, (draws, 2, classes)).swapaxes(0, 1).reshape(2, -1)
    margin = 4 * (distilled - one_hot).std() / np.sqrt(len(one_hot))
    assert (distilled - one_hot).mean() > margin > 0
    assert distilled.mean() > 1 > 1 / (eps * m * tau**2)
    expected = float(imperfect_teacher.distilled_quality(classes, tau, alpha, alpha_te, eps))
    assert distilled.mean() == pytest.approx(expected, rel=0.02)


def test_feasible_region():
    scale = np.linspace(2.2, 40, 20_001)
    least, corrected = (np.asarray(f(scale)) for f in (imperfect_teacher.least_tau, imperfect_teacher.least_m_tau2))
    assert least.min() == pytest.approx(1786.4, abs=0.1)
    assert scale[least.argmin()] == pytest.approx(7.11, abs=0.01)
    assert corrected.min() == pytest.approx(324_784, abs=20)
    assert np.isinf(np.asarray(imperfect_teacher.least_tau([1.0986, 2.19]))).all()
    for classes, tau in ((12, 3.2715e6), (100, 2600.3)):
        assert float(imperfect_teacher.least_tau(np.log(classes - 2))) == pytest.approx(tau, rel=1e-3)
    kappa = 1 - 3 * np.exp(-2)
    assert bool(
        imperfect_teacher.is_admitted(59, 19.0, 1000, 0.0, 4 / 19, kappa, 1.01 / (1000 * 19**2), corrected=True)
    )
    for factor, feasible in ((1.001, True), (0.999, False)):
        for excess in (1.2, 9.0):
            tau = factor * float(imperfect_teacher.least_tau(5.0, excess))
            kappa = float(gradient_space.greatest_kappa(tau, 0.0, 5.0 / tau))
            asked = (200, tau, 7, 0.0, 5.0 / tau, kappa, excess / (7 * tau**2))
            assert bool(imperfect_teacher.is_admitted(*asked)) == feasible
            tau = np.sqrt(factor * float(imperfect_teacher.least_m_tau2(5.0, excess)) / 7)
            asked = (200, tau, 7, 0.0, 5.0 / tau, kappa, excess / (7 * tau**2))
            assert bool(imperfect_teacher.is_admitted(*asked, corrected=True)) == feasible


def test_order_needs_more_than_the_printed_condition_for_astronomically_many_classes():
    """README: K near 10^29, m = 2, a teacher whose part across is along the difference of its two examples in S+."""
    with ctx.workprec(400):
        scale, m, excess = arb(66), 2, arb("1.01")
        root, others = (scale / 2).exp(), scale.exp()  # B and K - 2 = B^2; alpha = 0
        kappa = 1 - 3 / root
        tau = 192 * excess.sqrt() * scale / kappa**3 * arb("1.0001")
        eps = excess / (m * tau**2)
        assert 192 * scale * (m * eps).sqrt() < kappa**3
        seen, p = scale / tau * eps.sqrt() / arb(2).sqrt(), 1 / (2 + others)
        along = scale * (1 - eps).sqrt()

        def gap(own, other):
            return own.exp() / (own.exp() + other.exp() + others) - p

        plus = [gap(along + sign * seen, along / 2) for sign in (1, -1)]
        minus = gap(along / 2, along)
        distilled = (sum(plus) / 2 + minus / 2) ** 2 / (sum(c**2 for c in plus) / 2 + minus**2)
        one_hot = (1 - p - p / 2) ** 2 / ((1 - p) ** 2 + p**2)
        assert distilled < one_hot < 1


def bounds(function):
    def of(*box):
        values = function(*map(ball, box))
        return values.lower(), values.upper()

    return of


def test_false_claims_are_refuted():
    def printed_lower(student, gap, slack):
        kappa = 1 - 3 * (-gap / 2).exp()
        return certificates.lower_margin(student, gap, slack) + kappa / (1 + ((student + gap) / 2).exp()) - kappa**2

    def printed_upper(student, gap, slack):
        plus, minus, *_ = certificates._pairs(student, gap, slack)
        return 1 - (-student).exp() / 9 - certificates._quality(1 - plus, -minus)

    def with_two(margin):
        return lambda student, gap, slack: margin(student, gap, slack) - (-gap / 2).exp()

    false = {
        "order reversed": (lambda *at: -certificates.order_margin(*at), certificates.CONSTRUCTIVE),
        "1 + kappa^2": (printed_lower, certificates.INNER),
        "1 - exp(-alpha tau)/9": (printed_upper, certificates.INNER),
        "Lemma B.1 with 2 for 3": (with_two(certificates.minus_margin), [(0.0, 0.05), (3.0, 4.0), (0.0, 0.02)]),
    }
    for name, (function, box) in false.items():
        certificate = certify_positive(bounds(function), box)
        assert not certificate.proved, name
        assert certificate.counterexample is not None, name


def test_certificates_hold():
    for name in ("lemma_minus", "lemma_plus", "order", "upper", "lower", "imperfect", "supervision"):
        assert getattr(certificates, name)().proved, name


@float64
def test_reduced_variables_are_the_closed_forms():
    """The identities in the certificates' docstring, at random parameters."""
    classes, alpha, alpha_te = drawn(6, 2000)
    alpha_te = np.maximum(alpha_te, alpha + 0.01)
    x, y, n = np.exp(alpha - alpha_te), np.exp(-alpha_te), np.exp(2 * alpha_te) / (classes - 2)
    s, t_ = 1 + n * x**2 + n * x * y, 1 + n + n * y
    plus, minus = map(np.asarray, gradient_space.probabilities(classes, 2.0, alpha))
    plus_te, minus_te = map(np.asarray, gradient_space.probabilities(classes, 2.0, alpha_te))
    a, b = map(np.asarray, gradient_space.one_hot(classes, 2.0, alpha))
    r, t = n * x * y / (1 + n * x * y), y * (1 - n * x) / (1 + x + n * x * y)
    h = [np.asarray(gradient_space.quality((1.0, part))) for part in (t, -r)]
    bracket = np.array([float(certificates.bracket(arb(u), arb(v))) for u, v in zip(t, r, strict=True)])
    for left, right in (
        (plus, n * x**2 / s),
        (minus, n * x * y / s),
        (plus_te, n / t_),
        (minus_te, n * y / t_),
        (-b / a, r),
        ((minus_te - minus) * t_ * s, n * y * (1 - x) * (1 - n * x)),
        ((plus_te - plus) * t_ * s, n * (1 - x) * (1 + x + n * x * y)),
        (t + r, y * s / ((1 + n * x * y) * (1 + x + n * x * y))),
        (h[0] - h[1], (t + r) * bracket / ((1 + t**2) * (1 + r**2))),
        (1 - r - h[1], r**2 * (0.75 - r) / (1 + r**2)),
        (1 - n * x - (1 - 3 * x) * (1 + x + n * x * y), x * (2 - n - n * y + 3 * x + 3 * n * x * y)),
    ):
        scale = np.maximum(1, np.maximum(abs(left), n * y * (1 + x) + n * x + 1))
        np.testing.assert_allclose(left / scale, right / scale, atol=1e-12)


def test_direct_bounds_contain_the_closed_forms():
    student, gap, slack = 0.4, 2.6, 0.3
    alpha, alpha_te, classes = student / 2, (student + gap) / 2, 2 + np.exp(student + gap + slack)
    kappa = float(gradient_space.greatest_kappa(2.0, alpha, alpha_te))
    distilled = float(gradient_space.distilled_quality(classes, 2.0, alpha, alpha_te))
    one_hot = float(gradient_space.one_hot_quality(classes, 2.0, alpha))
    at = [ball((v, v)) for v in (student, gap, slack)]
    for margin, value in (
        (certificates.order_margin, distilled - one_hot),
        (certificates.lower_margin, distilled - float(gradient_space.distilled_bound(2.0, alpha_te, kappa))),
        (certificates.upper_margin, float(gradient_space.one_hot_bound(classes, 2.0, alpha)) - one_hot),
    ):
        assert float(margin(*at)) == pytest.approx(value, abs=1e-12)
    student, teacher = (np.asarray(gradient_space.probabilities(classes, 2.0, a)) for a in (alpha, alpha_te))
    gains = 1 - student / teacher - kappa
    for margin, value in zip((certificates.plus_margin, certificates.minus_margin), gains, strict=True):
        assert float(margin(*at)) == pytest.approx(float(value), abs=1e-12)


def test_limits_of_the_sums_by_counting_pairs():
    """E |x_j| |x'_j| over all pairs of the 2 m examples, against the closed forms."""
    for m in (1, 4):
        gamma, gap = (0.3, 0.7), (0.5, 0.2)
        examples = [(g, e) for g, e in zip(gamma, gap, strict=True) for _ in range(m)]
        pairs = itertools.product(range(2 * m), repeat=2)
        weight = {(i, j): 1 if i == j else 2 / np.pi for i, j in pairs}
        squares = sum(w * examples[i][0] * examples[j][0] for (i, j), w in weight.items())
        crossed = sum(w * examples[i][1] * examples[j][0] for (i, j), w in weight.items())
        assert float(imperfect_teacher.absolute_sum(m, *gamma)) == pytest.approx(squares)
        assert float(imperfect_teacher.cross_sum(m, *gamma, *gap)) == pytest.approx(crossed)


@pytest.mark.parametrize("eps_te", [0.0, 1e-12])
def test_probabilities_that_float64_has_not_have_the_errors_of_lesser_ones(eps_te):
    far = imperfect_teacher.supervision_error(3, 20.0, 80.0, eps_te)  # e^(alpha tau / 2) is beyond float64
    near = imperfect_teacher.supervision_error(3, 20.0, 20.0, 16 * eps_te)  # as much off in the logits
    assert np.isfinite(far)
    np.testing.assert_allclose(far, near, rtol=1e-4, atol=1e-12)
