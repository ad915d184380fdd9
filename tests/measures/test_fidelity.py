import numpy as np
import pytest
from scipy.stats import spearmanr
from test_deviations import dump, world

from distill_jax.measures import comparisons, deviations, fidelity

_PARTS = ("right", "wrong")


def pair(n=300, classes=8, seed=0, noise=1.5):
    """A teacher that is right on some examples alone, and a student that is like it but for noise."""
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) * 2
    logits[np.arange(n), true] += 2
    label = np.where(rng.random(n) < 0.2, (true + 1) % classes, true)  # as training saw it
    return (dump(z, label, true) for z in (logits, logits + noise * rng.normal(size=logits.shape)))


def probabilities(logits):
    p = np.exp(np.float64(logits))
    return p / p.sum(axis=1, keepdims=True)


def test_the_teacher_itself_is_wholly_faithful():
    teacher, _ = pair()
    found = fidelity.summarise(fidelity.per_example(teacher, teacher))
    kinds = ("agreement", "agreement_teacher_right", "agreement_teacher_wrong", "top_k_agreement")
    for name in (*kinds, "rank_correlation", "imitation_blocked"):
        assert found[name] == pytest.approx(1), name
    for name in ("kl", "kl_teacher_right", "kl_teacher_wrong", "jensen_shannon"):
        assert found[name] == pytest.approx(0, abs=1e-12), name


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_temperature_changes_divergences_and_no_order(temperature):
    teacher, _ = pair()
    e = fidelity.per_example(teacher, dump(teacher.logits / temperature, teacher.label, teacher.true_label))
    np.testing.assert_allclose(e.rank_correlation, 1)
    assert e.agree.all()
    assert (e.top_k_overlap == 1).all()
    assert (e.jensen_shannon > 0).all()


def test_jensen_shannon_is_symmetric_and_at_most_log_2():
    teacher, student = pair(noise=4)
    one, other = (fidelity.per_example(*of) for of in ((teacher, student), (student, teacher)))
    np.testing.assert_allclose(one.jensen_shannon, other.jensen_shannon, rtol=1e-10)
    p, q = probabilities(teacher.logits), probabilities(student.logits)
    entropy = [-(of * np.log(of)).sum(axis=1) for of in ((p + q) / 2, p, q)]
    np.testing.assert_allclose(one.jensen_shannon, entropy[0] - (entropy[1] + entropy[2]) / 2, atol=1e-6)
    sure = [np.where(np.arange(8) == of, 1e4, 0.0) * np.ones((20, 1)) for of in (2, 5)]
    apart = fidelity.per_example(dump(sure[0]), dump(sure[1]))
    np.testing.assert_allclose(apart.jensen_shannon, np.log(2))
    assert (apart.kl > 1e3).all()


def test_parts_by_whether_the_teacher_is_right_come_together_again():
    teacher, student = pair()
    found = fidelity.summarise(fidelity.per_example(teacher, student))
    right = (teacher.logits.argmax(axis=1) == teacher.true_label).mean()  # the true one, not that of training
    assert 0.2 < right < 0.8
    for name in ("agreement", "kl"):
        whole = right * found[f"{name}_teacher_right"] + (1 - right) * found[f"{name}_teacher_wrong"]
        assert found[name] == pytest.approx(whole)
    # A student that errs on its own account agrees less where the teacher errs too.
    assert found["agreement_teacher_wrong"] < found["agreement_teacher_right"]


def test_a_teacher_that_is_never_wrong_has_no_such_part():
    teacher, student = pair()
    true = teacher.logits.argmax(axis=1)
    found = deviations.deviations(*(dump(of.logits, teacher.label, true) for of in (teacher, student)))
    assert np.isnan(found["agreement_teacher_wrong"])
    assert np.isnan(found["kl_teacher_wrong"])
    assert found["agreement_teacher_right"] == found["agreement"]


@pytest.mark.parametrize("inherited", [0.0, 0.5])
def test_who_is_not_taught_agrees_less_where_the_teacher_is_wrong_but_no_less_than_the_control(inherited):
    differences = []
    for seed in range(8):
        w = world(seed, inherited, examples=2000)
        control, student = (
            fidelity.summarise(fidelity.per_example(w["teacher"], w[n])) for n in ("control", "student")
        )
        assert control["agreement_teacher_wrong"] < control["agreement_teacher_right"] - 0.2
        differences.append([student[f"agreement_teacher_{k}"] - control[f"agreement_teacher_{k}"] for k in _PARTS])
    mean, error = np.mean(differences, axis=0), np.std(differences, axis=0) / np.sqrt(7)
    if inherited:
        assert (mean > 4 * error).all()
    else:
        assert (abs(mean) < 4 * error).all()


@pytest.mark.parametrize(("classes", "k"), [(2, 1), (3, 1), (4, 2), (9, 4), (10, 5), (200, 5)])
def test_top_k_is_of_five_classes_or_half_of_them(classes, k):
    assert fidelity.top_k(classes) == k
    teacher, student = pair(classes=classes)
    e = fidelity.per_example(teacher, student)
    sets = ([set(np.argsort(-row)[:k]) for row in of.logits] for of in (teacher, student))
    np.testing.assert_allclose(e.top_k_overlap, [len(a & b) / k for a, b in zip(*sets, strict=True)])
    if k == 1:
        np.testing.assert_array_equal(e.top_k_overlap, e.agree)


def test_equal_logits_are_broken_alike_by_overlap_and_agreement():
    flat, tied = dump(np.zeros((20, 3))), dump(np.tile([0.0, 1.0, 1.0], (20, 1)))
    for teacher, student in ((flat, flat), (flat, tied), (tied, flat)):
        e = fidelity.per_example(teacher, student)
        np.testing.assert_array_equal(e.top_k_overlap, e.agree)


def test_rank_correlation_leaves_the_label_out_and_shares_ranks():
    teacher, student = pair(n=60, classes=6)
    rounded = [dump(np.round(of.logits), teacher.label, teacher.true_label) for of in (teacher, student)]
    for of_teacher, of_student in ((teacher, student), rounded):
        found = fidelity.per_example(of_teacher, of_student).rank_correlation
        rows = [
            [np.delete(row, k) for row, k in zip(of.logits, teacher.label, strict=True)]
            for of in (of_teacher, of_student)
        ]
        expected = [spearmanr(a, b).statistic for a, b in zip(*rows, strict=True)]
        np.testing.assert_allclose(found, expected, atol=1e-12)
    moved = student.logits.copy()
    moved[np.arange(60), teacher.label] += 50  # what the label is given is not asked
    again = fidelity.per_example(teacher, dump(moved, teacher.label))
    np.testing.assert_array_equal(again.rank_correlation, fidelity.per_example(teacher, student).rank_correlation)


def test_without_an_order_there_is_no_rank_correlation():
    few = fidelity.per_example(*pair(classes=3))
    assert np.isnan(few.rank_correlation).all()
    assert np.isnan(fidelity.summarise(few)["rank_correlation"])
    teacher, _ = pair()
    clueless = fidelity.per_example(teacher, dump(np.zeros(teacher.logits.shape), teacher.label))
    assert np.isnan(clueless.rank_correlation).all()


def test_imitation_is_blocked_where_only_the_label_is_given_more():
    p = np.array([0.5, 0.3, 0.2])
    students = {  # of the label 0
        (0.5, 0.3, 0.2): True,
        (0.6, 0.25, 0.15): True,
        (0.6, 0.3 + 1e-3, 0.1 - 1e-3): False,
        (0.4, 0.4, 0.2): False,
    }
    for q, blocked in students.items():
        both = (dump(np.log(np.tile(of, (20, 1))), np.zeros(20, int)) for of in (p, q))
        assert fidelity.summarise(fidelity.per_example(*both))["imitation_blocked"] == blocked, q
    teacher, student = pair()
    e = fidelity.per_example(teacher, student)
    given, wanted = (probabilities(of.logits)[np.arange(300), teacher.label] for of in (student, teacher))
    assert e.blocked.any()
    assert (given[e.blocked] >= wanted[e.blocked]).all()


def test_blocks_are_put_together(monkeypatch):
    whole = fidelity.per_example(*pair())
    monkeypatch.setattr(fidelity, "_BLOCK", 7)
    for name, column in vars(fidelity.per_example(*pair())).items():
        np.testing.assert_array_equal(column, getattr(whole, name), err_msg=name)


def test_one_seed_has_intervals_over_examples_and_shares_stay_shares():
    teacher, student = pair(n=100)
    _, control = pair(n=100, noise=3)
    dumps = {"teacher": teacher, "kd": student, "one_hot": control}
    compared = comparisons.compare(lambda model, seed: dumps[model], ["one_hot", "kd"], 1)
    found = comparisons.intervals(compared)
    for name in fidelity.summarise(compared[0]["kd"].own):
        value = found["kd"][name]
        assert value.low < value.mean < value.high, name
        assert value.against_control.level == "examples"
        if "agreement" in name or name == "imitation_blocked":
            assert 0 <= value.low <= value.high <= 1
    assert found["kd"]["agreement_teacher_wrong"].against_control.low > 0  # it has this teacher's mistakes
