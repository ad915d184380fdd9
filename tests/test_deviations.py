import dataclasses
import time

import numpy as np
import pytest

from distill_jax import deviations, plots
from distill_jax.dumps import Dump
from distill_jax.errors import InputError


def dump(logits, label=None, true_label=None, id=None):
    n = len(logits)
    label = logits.argmax(axis=1) if label is None else label
    true_label = label if true_label is None else true_label
    id = np.arange(n) if id is None else id
    attributes = {"model": "kd", "seed": 0, "step": 1, "split": "test"}
    return Dump(logits.astype(np.float32), label.astype(np.int32), true_label.astype(np.int32), id, attributes)


@pytest.fixture
def teacher():
    rng = np.random.default_rng(0)
    return dump(rng.normal(size=(500, 7)) * 3, label=rng.integers(7, size=500))


def test_phi_is_the_difference_of_logits_for_two_classes():
    logits = np.array([[1e4, -1e4], [3.0, 3.0], [-2.5, 1.0]], np.float32)
    np.testing.assert_array_equal(deviations.phi(logits, np.array([0, 1, 1])), [2e4, 0.0, 3.5])
    np.testing.assert_array_equal(deviations.phi(logits, np.array([1, 1, 0])), [-2e4, 0.0, -3.5])


def test_phi_agrees_with_extended_precision_and_extreme_logits_stay_finite():
    rng = np.random.default_rng(1)
    logits = (rng.normal(size=(300, 5)) * 8).astype(np.float32)
    index = rng.integers(5, size=300)
    exact = np.exp(logits.astype(np.longdouble))
    own = exact[np.arange(300), index]
    exact[np.arange(300), index] = 0
    reference = np.log(own / exact.sum(axis=1))  # p / (1 - p)
    np.testing.assert_allclose(deviations.phi(logits, index), reference.astype(float), rtol=1e-12, atol=1e-12)
    extreme = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], np.float32)
    np.testing.assert_allclose(deviations.phi(extreme, np.array([2, 0])), [-2e4, -np.log(2)])


def test_phi_does_not_change_with_a_constant_added_to_the_logits(teacher):
    logits, index = teacher.logits.astype(np.float64), teacher.label
    np.testing.assert_allclose(deviations.phi(logits + 137, index), deviations.phi(logits, index), atol=1e-11)


def test_phi_needs_two_classes():
    with pytest.raises(ValueError, match="two classes"):
        deviations.phi(np.zeros((3, 1)), np.zeros(3, int))


def test_the_teacher_itself_does_not_deviate(teacher):
    result = deviations.deviations(teacher, teacher)
    assert result["mean_gap_hard"] == result["mean_gap_easy"] == result["kl"] == 0
    assert result["underfit_fraction_hard"] == result["underfit_fraction_easy"] == 0
    assert result["slope"] == result["agreement"] == 1
    assert "mean_gap_mislabelled" not in result


def test_shrunk_logits_underfit_the_easy_and_have_a_slope_below_one(teacher):
    result = deviations.deviations(teacher, dump(teacher.logits * 0.5, teacher.label))
    assert 0.4 < result["slope"] < 0.7
    assert result["underfit_fraction_easy"] == 1
    assert result["mean_gap_easy"] < -1
    assert result["mean_gap_hard"] > result["mean_gap_easy"]
    assert result["agreement"] == 1
    assert result["kl"] > 0


def test_hard_and_easy_are_the_outer_tenths_of_x(teacher):
    student = dump(np.random.default_rng(2).normal(size=(500, 7)), teacher.label)
    predicted = teacher.logits.argmax(axis=1)
    x, y = deviations.phi(teacher.logits, predicted), deviations.phi(student.logits, predicted)
    order = np.argsort(x)
    result = deviations.deviations(teacher, student)
    np.testing.assert_allclose(result["mean_gap_hard"], (y - x)[order[:50]].mean())
    np.testing.assert_allclose(result["mean_gap_easy"], (y - x)[order[-50:]].mean())
    np.testing.assert_allclose(result["underfit_fraction_hard"], (y < x)[order[:50]].mean())
    by_decile = deviations.gap_by_decile(deviations.per_example(teacher, student))
    np.testing.assert_allclose(by_decile[[0, 9]], [result["mean_gap_hard"], result["mean_gap_easy"]])


def test_kl_and_calibration_error_by_hand():
    p, q = np.array([0.7, 0.3]), np.array([0.6, 0.4])
    one, other = np.log(np.tile(p, (20, 1))), np.log(np.tile(q, (20, 1)))
    label = np.arange(20) % 2  # half of the predictions are right, at a confidence of 0.6
    result = deviations.deviations(dump(one, label), dump(other, label))
    np.testing.assert_allclose(result["kl"], (p * np.log(p / q)).sum(), rtol=1e-5)
    np.testing.assert_allclose(result["calibration_error"], 0.1, rtol=1e-5)


def test_mislabelled_points_are_told_apart(teacher):
    label = teacher.label.copy()
    label[:100] = (label[:100] + 1) % 7
    logits = np.zeros((500, 7))
    logits[np.arange(500), teacher.label] = 5
    logits[np.arange(40), label[:40]] = 9  # fits 40 of the 100 wrong labels
    result = deviations.deviations(dump(teacher.logits, label, teacher.label), dump(logits, label, teacher.label))
    assert result["mislabelled_fitted"] == 0.4
    index = teacher.logits.argmax(axis=1)[:100]
    x, y = deviations.phi(teacher.logits[:100], index), deviations.phi(logits[:100], index)
    np.testing.assert_allclose(result["mean_gap_mislabelled"], (y - x).mean(), rtol=1e-6)
    np.testing.assert_allclose(result["underfit_fraction_mislabelled"], (y < x).mean())


def test_the_class_may_be_the_true_one(teacher):
    e = deviations.per_example(teacher, teacher, class_from="true")
    np.testing.assert_array_equal(e.x, np.sort(deviations.phi(teacher.logits, teacher.true_label)))


def test_the_four_parts_by_who_is_right_are_all_points_once(teacher):
    rng = np.random.default_rng(3)
    student = dump(teacher.logits + rng.normal(size=teacher.logits.shape) * 3, label=teacher.label)
    examples = deviations.per_example(teacher, student)
    parts = deviations.by_who_is_right(examples)
    np.testing.assert_array_equal(np.sum(list(parts.values()), axis=0), np.ones(500, int))
    swapped = deviations.by_who_is_right(deviations.per_example(student, teacher))
    assert parts["only_teacher"].sum() == swapped["only_student"].sum() > 0
    right = (teacher.logits.argmax(axis=1) == teacher.label).sum()
    assert parts["both"].sum() + parts["only_teacher"].sum() == right
    assert examples.agree[parts["both"]].all()
    assert not examples.agree[parts["only_student"] | parts["only_teacher"]].any()


def test_entropy_is_between_that_of_a_sure_and_of_a_clueless_model(teacher):
    other = dump(np.where(np.arange(7) == 2, 1e3, 0.0) * np.ones((500, 1)), label=teacher.label)
    clueless = dump(np.full((500, 7), 4.0), label=teacher.label)
    np.testing.assert_allclose(deviations.per_example(teacher, other).student_entropy, 0, atol=1e-9)
    np.testing.assert_allclose(deviations.per_example(clueless, teacher).teacher_entropy, np.log(7))
    between = deviations.per_example(teacher, other).teacher_entropy
    assert (between > 0).all()
    assert (between < np.log(7)).all()


def test_resampled_rows_are_summarised_like_a_data_set_of_them(teacher):
    student = dump(teacher.logits * 0.7 + np.random.default_rng(3).normal(size=(500, 7)), teacher.label)
    e = deviations.per_example(teacher, student)
    rows = np.random.default_rng(4).permutation(500)
    whole, again = deviations.summarise(e), deviations.summarise(e, rows)
    slopes = whole.pop("slope"), again.pop("slope")  # a resample's slope takes every 20th distance
    assert again == pytest.approx(whole)
    assert slopes[0] == pytest.approx(slopes[1], abs=0.02)


def test_theil_sen_is_not_moved_by_outliers_and_samples_large_sets():
    rng = np.random.default_rng(5)
    x = rng.normal(size=4000)
    y = 0.6 * x + 0.01 * rng.normal(size=4000)
    y[rng.permutation(4000)[:400]] -= 1e3
    assert deviations.theil_sen(x, y) == pytest.approx(0.6, abs=0.01)
    assert deviations.theil_sen(x, y) == deviations.theil_sen(x, y)
    assert np.polyfit(x, y, 1)[0] != pytest.approx(0.6, abs=1)
    assert np.isnan(deviations.theil_sen(np.ones(20), np.arange(20.0)))


@pytest.mark.parametrize("change", ["id", "classes", "few", "nan"])
def test_dumps_that_do_not_match_are_refused_in_one_line(teacher, change):
    n = 9 if change == "few" else 500
    logits = teacher.logits[:n, : 6 if change == "classes" else 7].copy()
    if change == "nan":
        logits[3, 2] = np.nan
    student = dump(logits, teacher.label[:n], id=np.arange(n) + (change == "id"))
    first = dump(teacher.logits[:n], teacher.label[:n]) if change == "few" else teacher
    with pytest.raises(InputError, match="kd 0 test") as caught:
        deviations.deviations(first, student)
    assert "\n" not in str(caught.value)


def test_large_splits_are_quick():
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(20_000, 200)).astype(np.float32)
    start = time.monotonic()
    deviations.deviations(dump(logits), dump(logits * 0.5))
    assert time.monotonic() - start < 15  # a loop over examples would take minutes


def test_the_figure_of_two_dumps(teacher, tmp_path):
    control = dataclasses.replace(teacher, attributes=teacher.attributes | {"model": "one_hot"})
    figure = plots.scatter([teacher], [control, dump(teacher.logits * 0.5, teacher.label)])
    figure.savefig(tmp_path / "scatter.png")
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "One-hot (control), test set",
        "Distilled (KD), test set",
    ]
