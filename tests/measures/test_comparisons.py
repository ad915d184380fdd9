import numpy as np
import pytest

from distill_jax.dumps import Dump
from distill_jax.measures import comparisons, deviations, findings
from distill_jax.measures.interval import quote


def test_one_teacher_of_all_seeds_has_its_points_chosen_by_controls_without_false_deviations():
    # A world without deviation: a distilled student has some of the teacher's luck, a control has its own, of one size.
    rng, n, seeds = np.random.default_rng(0), 2000, 12
    label = np.arange(n) % 5
    agreed = 2 * np.eye(5)[label] + rng.normal(size=(n, 5))
    luck = rng.normal(size=(n, 5))

    def dump(model, own):
        return Dump.of(agreed + own, label, model=model)

    dumps = {("teacher", seed): dump("teacher", luck) for seed in range(seeds)}
    for seed in range(seeds):
        first, second = rng.normal(size=(2, n, 5))
        dumps["one_hot", seed] = dump("one_hot", first)
        dumps["kd", seed] = dump("kd", 0.8 * luck + 0.6 * second)
    found = comparisons.intervals(comparisons.compare(lambda *place: dumps[place], ["one_hot", "kd"], seeds))["kd"]
    crossed, own = (found[name].against_control for name in ("mean_gap_hard", "mean_gap_hard_as_in_paper"))
    assert crossed.low < 0 < crossed.high
    assert own.low > 0.1  # what its own teacher's choice makes of nothing
    assert not comparisons.inherited_noise(lambda *place: dumps[place], ["one_hot", "kd"], seeds)


def softened(softness, luck=1.5, seeds=12):
    """Teachers and controls that are draws of one kind, and students that are such draws, softer everywhere."""
    rng, n, classes = np.random.default_rng(1), 1500, 10
    label = np.arange(n) % classes
    agreed = np.eye(classes)[label] + rng.normal(size=(n, classes))

    def draw(model, scale=1.0):
        return Dump.of(scale * (agreed + luck * rng.normal(size=(n, classes))), label, model=model)

    dumps = {("teacher", seed): draw("teacher") for seed in range(seeds)}
    for seed in range(seeds):
        dumps["one_hot", seed], dumps["kd", seed] = draw("one_hot"), draw("kd", softness)
    return comparisons.intervals(comparisons.compare(lambda *place: dumps[place], ["one_hot", "kd"], seeds))


def test_a_softer_student_is_less_confident_though_it_gives_a_class_that_its_teacher_rejects_more():
    found = softened(0.7)
    student, control = found["kd"], found["one_hot"]
    assert 0.05 < student["share_same_class_hard"].mean < 0.5
    assert student["share_same_class_hard"].mean == control["share_same_class_hard"].mean  # of teachers alone
    assert student["mean_gap_hard"].low > 0  # which is of that class, and no evidence of more confidence
    for name in ("confidence_gap_hard", "confidence_gap_easy"):
        assert student[name].high < 0
        assert student[name].against_control.high < 0
        assert control[name].includes(0)


def test_one_that_does_not_deviate_is_as_confident_as_its_teacher():
    found = softened(1.0)["kd"]
    assert found["confidence_gap_hard"].includes(0)
    assert found["confidence_gap_easy"].against_control.includes(0)


def test_the_confidence_gap_is_that_of_the_most_probable_classes():
    rng = np.random.default_rng(2)
    teacher, student, selector = (
        Dump.of(rng.normal(size=(200, 4)), np.arange(200) % 4, model=m) for m in ("t", "s", "another")
    )
    found = deviations.deviations(teacher, student, selector)
    top, own = (np.exp(d.logits) / np.exp(d.logits).sum(1, keepdims=True) for d in (teacher, student))
    confidence = [np.log(p.max(1) / (1 - p.max(1))) for p in (top, own)]
    of_selector = np.exp(selector.logits) / np.exp(selector.logits).sum(1, keepdims=True)
    order = np.argsort(of_selector.max(1), kind="stable")
    for name, rows in (("hard", order[:20]), ("easy", order[-20:])):
        expected = (confidence[1] - confidence[0])[rows].mean()
        np.testing.assert_allclose(found[f"confidence_gap_{name}"], expected, rtol=1e-5)
    same = selector.logits.argmax(1) == teacher.logits.argmax(1)
    assert found["share_same_class_hard"] == same[order[:20]].mean()


def test_evidence_says_the_confidence_gap_and_what_it_is_beside_the_control():
    found = softened(0.7)
    values = {student: {"test": by_name} for student, by_name in found.items()}
    below = findings.of_deviations(values, "test")[0]
    gap, control = found["kd"]["confidence_gap_hard"], found["one_hot"]["confidence_gap_hard"]
    assert (
        f"teacher's is {quote(gap, sign=True)}, and {quote(gap.against_control, sign=True)} minus the" in below.evidence
    )
    assert gap.against_control.mean == pytest.approx(gap.mean - control.mean)


@pytest.mark.parametrize("softness", [0.7, 1.4])
def test_where_the_class_decides_who_underfits_the_claim_is_undecided(softness):
    found = softened(softness)
    values = {student: {"test": by_name} for student, by_name in found.items()}
    below, more, *_ = findings.of_deviations(values, "test")
    for finding, of in ((below, lambda gap: gap), (more, lambda gap: gap.against_control)):
        by_class, by_own = (of(found["kd"][name]) for name in ("mean_gap_hard", "confidence_gap_hard"))
        assert {findings.verdict(gap, -1) for gap in (by_class, by_own)} == {"supported", "contradicted"}
        assert finding.verdict == "undecided"
        assert "by the classes that they predict themselves" in finding.evidence
        assert finding.difference == by_class
    without = {
        student: {"test": {name: v for name, v in by_name["test"].items() if name != "confidence_gap_hard"}}
        for student, by_name in values.items()
    }  # as of older summaries
    assert "undecided" not in {f.verdict for f in findings.of_deviations(without, "test")[:2]}
