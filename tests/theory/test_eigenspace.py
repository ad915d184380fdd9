"""The closed forms against solvers that know nothing of them, on data of full and of lower rank."""

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from theory import eigenspace

SHAPES = {"square": (4, 4, 4), "over-parameterised": (3, 7, 3), "over-determined": (7, 3, 3), "dependent": (5, 6, 2)}


@pytest.fixture(params=SHAPES)
def data(request):
    n, p, rank = SHAPES[request.param]
    rng = np.random.default_rng(list(SHAPES).index(request.param))
    left, right = (np.linalg.qr(rng.normal(size=(size, rank)))[0] for size in (n, p))
    return left * rng.uniform(0.5, 2, rank) @ right.T, rng.normal(size=n)


def solved(x, y, t):
    flow = scipy.integrate.solve_ivp(
        lambda _, beta: -x.T @ (x @ beta - y), (0, t), np.zeros(x.shape[1]), method="DOP853", rtol=1e-11, atol=1e-12
    )
    return flow.y[:, -1]


def descended(x, y, t, steps):
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        beta = beta - t / steps * (x.T @ (x @ beta - y))
    return beta


@pytest.mark.parametrize("t", [0.05, 1.0, 12.0])
def test_teacher_is_the_solution_of_its_differential_equation(data, t):
    x, y = data
    np.testing.assert_allclose(eigenspace.weights(x, y, t), solved(x, y, t), rtol=0, atol=1e-9)
    np.testing.assert_allclose(eigenspace.flow_defect(x, y, t), 0, atol=1e-12)


def test_teacher_is_the_limit_of_gradient_descent_with_small_steps(data):
    x, y = data
    errors = [
        np.abs(np.asarray(eigenspace.weights(x, y, 1.5)) - descended(x, y, 1.5, n)).max() for n in (1000, 2000, 4000)
    ]
    assert errors[0] < 2e-3
    assert np.allclose(np.divide(errors[:-1], errors[1:]), 2, atol=0.02)  # first order in the step


def test_student_is_trained_on_its_teacher(data):
    x, y = data
    predictions = x @ solved(x, y, 0.7)
    np.testing.assert_allclose(eigenspace.student_weights(x, y, 2.0, 0.7), solved(x, predictions, 2.0), atol=1e-9)


def test_at_the_start_and_in_the_limit(data):
    x, y = data
    least_squares = np.linalg.pinv(x) @ y
    np.testing.assert_array_equal(eigenspace.weights(x, y, 0.0), 0)
    np.testing.assert_array_equal(eigenspace.student_weights(x, y, 0.0, 3.0), 0)
    np.testing.assert_allclose(eigenspace.weights(x, y, np.inf), least_squares, atol=1e-12)
    np.testing.assert_allclose(eigenspace.weights(x, y, 1e4), least_squares, atol=1e-12)
    np.testing.assert_allclose(eigenspace.student_weights(x, y, np.inf, np.inf), least_squares, atol=1e-12)


def test_weights_are_the_printed_formula_with_the_pseudo_inverse(data):
    x, y = data
    gram = x @ x.T
    inverse = np.linalg.pinv(gram, rcond=1e-12)
    for t in (0.3, np.inf):
        printed = x.T @ inverse @ np.asarray(eigenspace.sparsifier(gram, t)) @ y
        np.testing.assert_allclose(eigenspace.weights(x, y, t), printed, atol=1e-12)
        printed = x.T @ inverse @ np.asarray(eigenspace.student_sparsifier(gram, t, 0.8)) @ y
        np.testing.assert_allclose(eigenspace.student_weights(x, y, t, 0.8), printed, atol=1e-12)


def test_sparsifiers_against_the_matrix_exponential(data):
    gram = data[0] @ data[0].T
    teacher = np.eye(len(gram)) - scipy.linalg.expm(-0.9 * gram)
    student = teacher @ (np.eye(len(gram)) - scipy.linalg.expm(-2.5 * gram))
    np.testing.assert_allclose(eigenspace.sparsifier(gram, 0.9), teacher, atol=1e-12)
    np.testing.assert_allclose(eigenspace.student_sparsifier(gram, 0.9, 2.5), student, atol=1e-12)
    for closed, dense in (
        (eigenspace.teacher_eigenvalues(gram, 0.9), teacher),
        (eigenspace.student_eigenvalues(gram, 0.9, 2.5), student),
    ):
        np.testing.assert_allclose(closed, np.linalg.eigvalsh((dense + dense.T) / 2)[::-1], atol=1e-12)


def test_what_has_eigenvalue_0_is_never_fitted():
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    gram = x @ x.T
    np.testing.assert_array_equal(eigenspace.spectrum(gram)[0][2:], 0)
    assert eigenspace.teacher_eigenvalues(gram, np.inf).tolist() == [1, 1, 0]
    np.testing.assert_array_equal(eigenspace.time_to_fit(0.0, [0.5, 0.0]), [np.inf, 0])
    zero = np.zeros((2, 3))
    np.testing.assert_array_equal(eigenspace.weights(zero, np.ones(2), np.inf), 0)
    np.testing.assert_array_equal(eigenspace.teacher_eigenvalues(zero @ zero.T, np.inf), 0)


@pytest.mark.parametrize("alpha_star", [1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
@pytest.mark.parametrize("eigenvalue", [1e-3, 1.0, 50.0])
def test_extremal_times_are_the_smallest(alpha_star, eigenvalue):
    gram = np.diag([eigenvalue])
    t = float(eigenspace.time_to_fit(eigenvalue, alpha_star))
    both = float(eigenspace.student_time_to_fit(eigenvalue, alpha_star))
    np.testing.assert_allclose(eigenspace.teacher_eigenvalues(gram, t), alpha_star, rtol=1e-9)
    np.testing.assert_allclose(eigenspace.student_eigenvalues(gram, both, both), alpha_star, rtol=1e-9)
    assert np.asarray(eigenspace.teacher_eigenvalues(gram, t * (1 - 1e-6)))[0] < alpha_star
    assert np.asarray(eigenspace.student_eigenvalues(gram, both * (1 - 1e-6), both))[0] < alpha_star


def test_theorem_on_data(data):
    """Theorem 4.1 from the matrices, for every pair of distinct directions, at the extremal and at later times."""
    gram = data[0] @ data[0].T
    value = np.asarray(eigenspace.spectrum(gram)[0])
    for k1 in range(len(value)):
        for k2 in range(k1 + 1, len(value)):
            for alpha_star in (0.01, 0.6, 0.99):
                if value[k1] == 0:
                    continue
                kappa = value[k2] / value[k1]
                t, both = (
                    float(f(value[k1], alpha_star)) for f in (eigenspace.time_to_fit, eigenspace.student_time_to_fit)
                )
                teacher = np.asarray(eigenspace.teacher_eigenvalues(gram, t))
                student = np.asarray(eigenspace.student_eigenvalues(gram, both, both))
                later = np.asarray(eigenspace.teacher_eigenvalues(gram, 1.7 * t))
                np.testing.assert_allclose(teacher[k2], eigenspace.alpha_teacher(alpha_star, kappa), atol=1e-12)
                np.testing.assert_allclose(student[k2], eigenspace.alpha_student(alpha_star, kappa), atol=1e-12)
                # An eigenvalue of 0 is not fitted by either: there the theorem's strict inequality fails.
                assert student[k2] == teacher[k2] == 0 if kappa == 0 else student[k2] < teacher[k2] < later[k2]


def test_edges_of_the_trade_off():
    for f in (eigenspace.alpha_teacher, eigenspace.alpha_student):
        np.testing.assert_allclose(
            f([0.3, 0.0, 1.0, 0.4, 1.0], [0.0, 0.5, 0.5, 1.0, 0.0]), [0, 0, 1, 0.4, 0], atol=1e-15
        )


def test_float64_without_changing_the_program_around_it():
    before = jax.config.jax_enable_x64
    assert eigenspace.weights(np.eye(2, dtype=np.float32), np.ones(2, np.float32), 1.0).dtype == np.float64
    assert jax.config.jax_enable_x64 == before
    assert jax.numpy.ones(1).dtype == (np.float64 if before else np.float32)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(2,\)"):
        eigenspace.weights(np.ones((3, 2)), np.ones(2), 1.0)
    with pytest.raises(ValueError, match=r"square, not of shape \(3, 2\)"):
        eigenspace.sparsifier(np.ones((3, 2)), 1.0)
