import dataclasses
import time

import numpy as np
import pytest

from distill_jax.dumps import Dump
from distill_jax.errors import InputError
from distill_jax.measures import deviations, slopes
from distill_jax.report import plots


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
    assert result["mean_gap_hard_as_in_paper"] == result["mean_gap_easy_as_in_paper"] == result["kl"] == 0
    assert result["underfit_fraction_hard_as_in_paper"] == result["underfit_fraction_easy_as_in_paper"] == 0
    assert result["slope_least_squares"] == result["slope_theil_sen"] == result["agreement"] == 1
    assert not {"mean_gap_mislabelled", "mean_gap_hard", "slope_instrumented"} & set(result)


def test_shrunk_logits_underfit_the_easy_and_have_a_slope_below_one(teacher):
    result = deviations.deviations(teacher, dump(teacher.logits * 0.5, teacher.label))
    assert 0.4 < result["slope_theil_sen"] < 0.7
    assert 0.4 < result["slope_least_squares"] < 0.7
    assert result["underfit_fraction_easy_as_in_paper"] == 1
    assert result["mean_gap_easy_as_in_paper"] < -1
    assert result["mean_gap_hard_as_in_paper"] > result["mean_gap_easy_as_in_paper"]
    assert result["agreement"] == 1
    assert result["kl"] > 0


@pytest.mark.parametrize("crossed", [False, True])
def test_hard_and_easy_are_the_outer_tenths_of_who_chooses(teacher, crossed):
    rng = np.random.default_rng(2)
    student, other = (dump(rng.normal(size=(500, 7)), teacher.label) for _ in range(2))
    chooser = other if crossed else teacher
    predicted = chooser.logits.argmax(axis=1)
    x, y, z = (deviations.phi(d.logits, predicted) for d in (teacher, student, chooser))
    order = np.argsort(z)
    result = deviations.deviations(teacher, student, other if crossed else None)
    end = "" if crossed else "_as_in_paper"
    np.testing.assert_allclose(result[f"mean_gap_hard{end}"], (y - x)[order[:50]].mean())
    np.testing.assert_allclose(result[f"mean_gap_easy{end}"], (y - x)[order[-50:]].mean())
    np.testing.assert_allclose(result[f"underfit_fraction_hard{end}"], (y < x)[order[:50]].mean())
    np.testing.assert_allclose(result[f"underfit_fraction_easy{end}"], (y < x)[order[-50:]].mean())
    comparison = deviations.compare(teacher, student, other if crossed else None)
    by_decile = deviations.gap_by_decile(comparison.best)
    np.testing.assert_allclose(by_decile[[0, 9]], [result[f"mean_gap_{k}{end}"] for k in ("hard", "easy")])
    if crossed:
        assert result["slope_instrumented"] == pytest.approx(np.cov(z, y)[0, 1] / np.cov(z, x)[0, 1])
        assert (
            result["mean_gap_hard_as_in_paper"] == deviations.deviations(teacher, student)["mean_gap_hard_as_in_paper"]
        )


def world(seed: int, inherited: float, systematic: float = 0.0, examples: int = 4000) -> dict[str, Dump]:
    """Two teachers, a control and a student that has some of the first teacher's luck, about the same truth."""
    rng = np.random.default_rng(seed)
    truth = 2 * rng.normal(size=(examples, 4))
    luck = {name: rng.normal(size=truth.shape) for name in ("teacher", "other", "control", "own")}
    luck["student"] = inherited * luck["teacher"] + np.sqrt(1 - inherited**2) * luck.pop("own")
    label = truth.argmax(axis=1)
    logits = {name: truth * (1 + systematic * (name == "student")) + of_it for name, of_it in luck.items()}
    return {name: dump(of_it, label) for name, of_it in logits.items()}


def test_where_nothing_deviates_another_teacher_s_choice_shows_nothing_and_the_teacher_s_own_does():
    found = {name: [] for name in ("control", "student")}
    for seed in range(8):
        w = world(seed, inherited=0.5)
        for name, of_seeds in found.items():
            of_seeds.append(deviations.deviations(w["teacher"], w[name], w["other"]))
    for name, of_seeds in found.items():
        gap, slope = (np.array([v[k] for v in of_seeds]) for k in ("mean_gap_hard", "slope_instrumented"))
        for values, expected in ((gap, 0), (slope, 1)):
            assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(7), name
        in_paper = np.array([v["mean_gap_hard_as_in_paper"] for v in of_seeds])
        assert in_paper.mean() < -0.2  # neither deviates, and both lie below the line: the class is the teacher's luck
        least = np.array([v["slope_least_squares"] for v in of_seeds])
        assert least.mean() < 0.95
    control, student = (np.mean([v["mean_gap_hard_as_in_paper"] for v in found[n]]) for n in found)
    assert student > control + 0.1  # since it has inherited half of the teacher's luck


def test_a_student_that_shrinks_or_exaggerates_is_found_whatever_it_inherits():
    for systematic, direction in ((-0.3, -1), (0.3, 1)):
        w = world(0, inherited=0.5, systematic=systematic)
        found = deviations.deviations(w["teacher"], w["student"], w["other"])
        assert direction * (found["slope_instrumented"] - 1) > 0.2


def test_inherited_noise_is_the_correlation_of_luck():
    first, second = world(1, 0.6), world(1, 0.6)
    second = {name: dump(d.logits + 0, d.label) for name, d in second.items()}
    rng = np.random.default_rng(9)
    shift = {name: rng.normal(size=d.logits.shape) for name, d in second.items()}
    shift["student"] = 0.6 * shift["teacher"] + 0.8 * shift["student"]
    second = {name: dump(d.logits + shift[name], d.label) for name, d in second.items()}
    of = {name: (first[name], second[name]) for name in first}
    assert deviations.inherited_noise(of["teacher"], of["teacher"]) == pytest.approx(1)
    assert deviations.inherited_noise(of["teacher"], of["control"]) == pytest.approx(0, abs=0.05)
    assert deviations.inherited_noise(of["teacher"], of["student"]) == pytest.approx(0.6, abs=0.05)
    assert np.isnan(deviations.inherited_noise((first["teacher"],) * 2, of["student"]))


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
    for index, end in ((label, ""), (teacher.logits.argmax(axis=1), "_as_in_paper")):
        x, y = (deviations.phi(of[:100], index[:100]) for of in (teacher.logits, logits))
        np.testing.assert_allclose(result[f"mean_gap_mislabelled{end}"], (y - x).mean(), rtol=1e-6)
        if not end:
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
    e = deviations.compare(teacher, student)
    rows = np.random.default_rng(4).permutation(500)
    whole, again = deviations.summarise(e), deviations.summarise(e, rows)
    of_both = whole.pop("slope_theil_sen"), again.pop("slope_theil_sen")  # a resample's takes every 20th distance
    assert again == pytest.approx(whole)
    assert of_both[0] == pytest.approx(of_both[1], abs=0.02)


def test_theil_sen_is_not_moved_by_outliers_and_samples_large_sets():
    rng = np.random.default_rng(5)
    x = rng.normal(size=4000)
    y = 0.6 * x + 0.01 * rng.normal(size=4000)
    y[rng.permutation(4000)[:400]] -= 1e3
    assert slopes.theil_sen(x, y) == pytest.approx(0.6, abs=0.01)
    assert slopes.theil_sen(x, y) == slopes.theil_sen(x, y)
    assert np.polyfit(x, y, 1)[0] != pytest.approx(0.6, abs=1)
    assert np.isnan(slopes.theil_sen(np.ones(20), np.arange(20.0)))


@pytest.mark.parametrize("change", ["id", "classes", "few", "nan", "label", "true_label"])
def test_dumps_that_do_not_match_are_refused_in_one_line(teacher, change):
    n = 9 if change == "few" else 500
    logits = np.pad(teacher.logits[:n], ((0, 0), (0, int(change == "classes"))))
    if change == "nan":
        logits[3, 2] = np.nan
    label = [(teacher.label[:n] + (change == name)) % 7 for name in ("label", "true_label")]
    student = dump(logits, *label, id=np.arange(n) + (change == "id"))
    first = dump(teacher.logits[:n], teacher.label[:n]) if change == "few" else teacher
    with pytest.raises(InputError, match="kd 0 test") as caught:
        deviations.deviations(first, student)
    assert "\n" not in str(caught.value)


def test_repetitions_may_have_other_noise_in_their_labels_but_no_other_classes(teacher):
    noisy = dump(teacher.logits * 0.9, (teacher.label + 1) % 7, teacher.true_label)
    assert deviations.deviations(teacher, teacher, selector=noisy)["mean_gap_hard"] == 0
    with pytest.raises(InputError, match="have the same ids, but another true_label in 500 of 500 examples"):
        deviations.deviations(teacher, teacher, selector=dump(teacher.logits, teacher.label, noisy.label))


def test_large_splits_are_quick():
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(20_000, 200)).astype(np.float32)
    start = time.process_time()
    deviations.deviations(dump(logits), dump(logits * 0.5))
    assert time.process_time() - start < 15  # a loop over examples would take minutes


def test_the_figure_of_two_dumps(teacher, tmp_path):
    control = dataclasses.replace(teacher, attributes=teacher.attributes | {"model": "one_hot"})
    figure = plots.scatter([teacher], [control, dump(teacher.logits * 0.5, teacher.label)])
    figure.savefig(tmp_path / "scatter.png")
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "One-hot (control), test set",
        "Distilled (KD), test set",
    ]
