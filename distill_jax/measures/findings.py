"""The paper's claims as plain sentences, each with a verdict by the 95% interval of one number.

What the paper says of the student against its teacher stands twice: as it says it, and against a control, a second
one-hot student, which the paper does not have and by which alone it is distillation's doing. Hard points, and the class
that confidence is about, are chosen by another seed's teacher, see `deviations`; by the student's own one, as in the
paper, the evidence gives the number too.

The number that decides each claim is fixed here, the same for every study. (It was changed once after studies had been
seen: until November 2026 the student's own teacher chose the points.) An interval wholly on the claimed side of zero
supports the claim, one wholly on the other side contradicts it, one that includes zero does not support it. A claim is
undecided with one seed, where there is no interval over seeds; where the gap is contradicted by the share underfit, or
by the confidence gap, of the classes that teacher and student predict themselves (on hard test points these are often
others than the one chosen, see `deviations`); where each seed has wrong labels of its own, on the training set; and
where what it takes for granted is not certain enough: a switch can only be judged by a gain that is there also by
Holm's correction for the study's claims that come before, though the gain itself has its verdict by its interval alone.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from distill_jax.measures.accuracies import Accuracy
from distill_jax.measures.deviations import preferred
from distill_jax.measures.interval import Interval, quote
from distill_jax.measures.statistics import holm
from distill_jax.students import CONTROL, KD

Verdict = Literal["supported", "not supported", "contradicted", "undecided"]
SIGNS: dict[Verdict, str] = {"supported": "✓", "not supported": "○", "contradicted": "✗", "undecided": "?"}  # in tables
Deviations = Mapping[str, Mapping[str, Mapping[str, Interval]]]  # [student][split][statistic]


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict with the difference that decides.

    >>> gain = Interval(0.02, 0.01, 0.03, 3, "seeds")
    >>> Judgement(verdict(gain, claimed=1), gain).verdict, Judgement(verdict(gain, claimed=-1), gain).verdict
    ('supported', 'contradicted')
    """

    verdict: Verdict
    difference: Interval


@dataclasses.dataclass(frozen=True)
class Finding:
    """A claim with the verdict of one interval over seeds.

    >>> gain = Interval(0.02, 0.01, 0.03, 3, "seeds")
    >>> Finding("kd_beats_one_hot", "Distillation beats one-hot.", "supported", gain, "points", "", "Table 2").quoted
    '+2.00 [+1.00, +3.00]'

    Attributes:
      id, claim: its name, and a sentence.
      verdict: by its interval alone.
      difference: what decides, in its unit; accuracies are in [0, 1], in percentage points where they are printed.
      unit: 'phi' for gaps, 'slope' for slopes (less 1, or the control's), 'points' for accuracies.
      evidence: the numbers behind it in a sentence or two.
      paper: where it is made; without a control, where the claim has one and the paper has not.
      corrected: whether the interval excludes zero also by Holm's correction for all of the study's.
      short: the claim in a few words.
      measure: what the difference is one of.
      claimed: the sign that the difference is claimed to have.
    """

    id: str
    claim: str
    verdict: Verdict
    difference: Interval
    unit: Literal["phi", "slope", "points"]
    evidence: str
    paper: str
    corrected: bool = False
    short: str = ""
    measure: str = ""
    claimed: Literal[-1, 1] = 1

    @property
    def quoted(self) -> str:
        """The difference that decides, with its interval: in the finding's unit."""
        return quote(self.difference, sign=True, scale=100 if self.unit == "points" else 1)


def verdict(difference: Interval, claimed: int) -> Verdict:
    """The verdict by a paired difference whose sign is claimed to be +1 or -1.

    >>> verdict(Interval(-0.5, -0.7, -0.3, 3, "seeds"), claimed=-1)
    'supported'
    """
    # Equal differences in all seeds have an interval of no width: the t-interval is then no evidence.
    if difference.n < 2 or difference.level != "seeds" or not difference.has_width:
        return "undecided"
    if difference.includes(0):
        return "not supported"
    return "supported" if (difference.low > 0) == (claimed > 0) else "contradicted"


def multiplicity(of_all: Sequence[Finding | Judgement]) -> str:
    """A sentence on how many of several findings are decided by their intervals, each by itself and all together.

    >>> print(multiplicity([Judgement("supported", Interval(1.0, 0.13, 1.87, 3, "seeds"))] * 2))
    Each interval has its 95% by itself: of 2 here 2 exclude zero and decide a claim, 0 also by Holm's correction for
    the number of them all.
    """
    tested = sum(map(_is_test, of_all))
    decided = sum(f.verdict in ("supported", "contradicted") for f in of_all)
    return (
        f"Each interval has its 95% by itself: of {tested} here {decided} exclude zero and decide a claim, "
        f"{sum(corrected(of_all))} also by Holm's correction for the number of them all."
    )


def corrected(of_all: Sequence[Finding | Judgement]) -> list[bool]:
    """Which of several findings are decided by an interval that excludes zero also by Holm's correction.

    Of findings that stay undecided the intervals count as tests all the same.

    >>> once = Judgement("supported", Interval(1.0, 0.13, 1.87, 3, "seeds"))
    >>> corrected([once]), corrected([once, once])
    ([True], [False, False])
    """
    passed = iter(holm([finding.difference for finding in of_all if _is_test(finding)]))
    passes = [_is_test(finding) and next(passed) for finding in of_all]
    return [passed_holm and finding.verdict != "undecided" for passed_holm, finding in zip(passes, of_all, strict=True)]


def _is_test(finding: Finding | Judgement) -> bool:
    return verdict(finding.difference, 1) != "undecided"


def findings(
    deviations: Deviations,
    accuracy: Accuracy,
    *,
    seeds: int,
    mislabelled: bool,
    labels_differ: bool = False,
) -> list[Finding]:
    """The findings of a study.

    Args:
      deviations: of its students.
      accuracy: on the test set.
      seeds: number of seeds.
      mislabelled: whether training labels are wrong.
      labels_differ: whether each seed has training labels of its own.
    """
    result: list[Finding] = []
    for split in ("train", "test"):
        result += of_deviations(deviations, split, labels_differ=seeds > 1 and labels_differ)
    if mislabelled:
        result.append(_mislabelled(deviations))
    gain = accuracy.paired["kd_minus_one_hot"]
    result.append(
        Finding(
            "kd_beats_one_hot",
            "Distillation beats one-hot training on the test set.",
            verdict(gain, 1),
            gain,
            "points",
            f"Test accuracy {_points(accuracy.models[KD], sign=False)}% distilled against "
            f"{_points(accuracy.models[CONTROL], sign=False)}% one-hot.",
            "Table 2",
            short="distilled beats one-hot on the test set",
            measure="test accuracy, distilled minus control",
        )
    )
    has_gain = seeds == 1 or (corrected(result)[-1] and gain.mean > 0)
    result += [_switched(accuracy, student, has_gain) for student in _SWITCHES if student in accuracy.models]
    note = " One seed: the interval is over examples and says nothing of another seed." if seeds == 1 else ""
    return [
        dataclasses.replace(finding, evidence=finding.evidence + note, corrected=is_corrected)
        for finding, is_corrected in zip(result, corrected(result), strict=True)
    ]


def of_deviations(deviations: Deviations, split: str, *, labels_differ: bool = False) -> list[Finding]:
    """The findings on a student's deviations on one split.

    >>> from distill_jax.measures.comparisons import compare, intervals
    >>> compared = compare(lambda model, seed: [teacher_of_seed_0, teacher_of_seed_1][seed], ["one_hot", "kd"], 2)
    >>> values = {student: {"test": statistics} for student, statistics in intervals(compared).items()}
    >>> {finding.verdict for finding in of_deviations(values, "test")}
    {'undecided'}

    Args:
      deviations: of 'kd' and of the control, as of `comparisons.intervals`; by the cross-fitted values, or by those as
        in the paper where there are no others.
      split: 'train' or 'test'.
      labels_differ: whether each seed has training labels of its own: those of training points are then undecided.
    """
    result = [_below(deviations, split), _hard(deviations, split), *_exaggerates(deviations, split)]
    if labels_differ and split == "train":
        reason = "Another seed's teacher has fitted other wrong labels: to it other training points are hard."
        result = [dataclasses.replace(f, verdict="undecided", evidence=f"{f.evidence} {reason}") for f in result]
    return result


def of_an_older_version(finding: Finding) -> Finding:
    """A finding of one teacher for all seeds by intervals that leave out its luck, as they did until December 2026.

    >>> gap = Interval(-0.5, -0.7, -0.3, 3, "seeds")
    >>> of_an_older_version(Finding("below_hard_test", "It underfits.", "supported", gap, "phi", "", "")).verdict
    'undecided'
    """
    reason = "Its interval is of an older version and leaves out the one teacher's luck; make the report again."
    return dataclasses.replace(finding, verdict="undecided", evidence=f"{finding.evidence} {reason}", corrected=False)


_SPLIT_NAMES = {"train": ("training", "Figures 1a and 2"), "test": ("test", "Figures 5 to 7")}
_PUBLISHED = "the published version, arXiv:2301.12923"
_NO_CONTROL = ", without a control"  # which the paper does not have
_CONFIDENCE_GAP = "confidence_gap_hard"


def _below(deviations: Deviations, split: str) -> Finding:
    """The claim as the paper has it: Y below X, on average of the hard points."""
    values = deviations[KD][split]
    gap, share = (preferred(values, name) for name in ("mean_gap_hard", "underfit_fraction_hard"))
    where, figures = _SPLIT_NAMES[split]
    decided, contradicted = _if_agreed(verdict(gap, -1), _by_own_classes(values.get(_CONFIDENCE_GAP)))
    return Finding(
        f"below_hard_{split}",
        f"The distilled student underfits the hard {where} points: it gives their class less than its teacher does.",
        decided,
        gap,
        "phi",
        f"Share underfit {_points(share, 0, sign=False)}%."
        + _as_in_paper(values["mean_gap_hard_as_in_paper"], gap, "the gap")
        + _own_classes(values)
        + contradicted,
        f"Section 3.1, {figures}",
        short=f"underfits hard {where} points",
        measure=f"mean gap of the hard {where} points, distilled",
        claimed=-1,
    )


def _as_in_paper(value: Interval, other: Interval, what: str) -> str:
    """A sentence with what it is by the paper's own choice of points; empty where that is the one taken."""
    if value is other:
        return ""
    points = "the points that the student's own teacher finds hard, as in the paper,"
    return f" Of {points} {what} is {quote(value, sign=True)}."


def _own_classes(values: Mapping[str, Interval]) -> str:
    """A sentence on how sure teacher and student are of whatever class each predicts; empty of older summaries."""
    if _CONFIDENCE_GAP not in values:
        return ""
    share, gap = values["share_same_class_hard"], values[_CONFIDENCE_GAP]
    return (
        " The class is one that another seed's model predicts, the student's own teacher in "
        f"{_points(share, 0, sign=False)}% of them. Of the classes that they predict themselves the student's phi less "
        f"the teacher's is {quote(gap, sign=True)}, and {quote(gap.against_control, sign=True)} minus the control's."
    )


def _by_own_classes(confidence_gap: Interval | None) -> dict[str, Verdict]:
    """The verdict by the classes that teacher and student predict themselves; empty of older summaries."""
    return {} if confidence_gap is None else {"the classes that they predict themselves": verdict(confidence_gap, -1)}


def _if_agreed(decided: Verdict, by_others: Mapping[str, Verdict]) -> tuple[Verdict, str]:
    """The verdict by the gap, undecided where that by another measure is the opposite, and a sentence that says so."""
    for measure, other in by_others.items():
        if {decided, other} == {"supported", "contradicted"}:
            return (
                "undecided",
                f" By the gap the claim is {decided}, by {measure} {other}: it depends on the measure.",
            )
    return decided, ""


def _hard(deviations: Deviations, split: str) -> Finding:
    kd, control = (deviations[model][split] for model in (KD, CONTROL))
    where, figures = _SPLIT_NAMES[split]
    gap, share = (preferred(kd, name) for name in ("mean_gap_hard", "underfit_fraction_hard"))
    control_gap, control_share = (preferred(control, name) for name in ("mean_gap_hard", "underfit_fraction_hard"))
    gap_difference, share_difference = gap.against_control, share.against_control
    evidence = (
        f"Mean gap {quote(gap, sign=True)} distilled, {quote(control_gap, sign=True)} control. Share underfit "
        f"{_points(share, 0, sign=False)}% against {_points(control_share, 0, sign=False)}%: "
        f"{_points(share_difference, 0)} points paired."
    )
    by_gap, by_share = verdict(gap_difference, -1), verdict(share_difference, 1)
    confidence_gap = kd[_CONFIDENCE_GAP].against_control if _CONFIDENCE_GAP in kd else None
    others: dict[str, Verdict] = {"the share": by_share, **_by_own_classes(confidence_gap)}
    decided, contradicted = _if_agreed(by_gap, others)
    evidence += contradicted
    if not contradicted and by_share != by_gap:
        evidence += f" The verdict is by the gap; by the share it would be {by_share}."
    if gap.mean >= 0:
        evidence += " The student does not underfit them in itself, only relative to the control."
    return Finding(
        f"underfits_hard_{split}",
        f"It underfits the hard {where} points more than a one-hot control does.",
        decided,
        gap_difference,
        "phi",
        evidence + _as_in_paper(kd["mean_gap_hard_as_in_paper"].against_control, gap_difference, "the difference"),
        f"Section 3.1, {figures}{_NO_CONTROL}",
        short=f"underfits hard {where} points more than the control",
        measure=f"mean gap of the hard {where} points, distilled minus control",
        claimed=-1,
    )


def _exaggerates(deviations: Deviations, split: str) -> list[Finding]:
    """The measure of the paper's published version: a slope of Y on X above 1, and above the control's."""
    kd, control = (deviations[model][split] for model in (KD, CONTROL))
    name = "slope_instrumented" if "slope_instrumented" in kd else "slope_least_squares"
    slope, control_slope = kd[name], control[name]
    where, _ = _SPLIT_NAMES[split]
    evidence = f"Slope of Y on X {quote(slope)} distilled, {quote(control_slope)} control."
    if name == "slope_instrumented":
        evidence += (
            f" The distilled one's by least squares, which the teacher's noise makes too low, "
            f"{quote(kd['slope_least_squares'])}."
        )
    if not slope.has_ends and slope.n > 1:
        evidence += " There is no interval: what the teacher's phi varies by from point to point may be 0."
    sentences = {
        "": (f"On {where} points the distilled student exaggerates the teacher's confidence.", slope.minus(1.0)),
        "_more": (f"On {where} points it exaggerates it more than a one-hot control does.", slope.against_control),
    }
    return [
        Finding(
            f"exaggerates{suffix}_{split}",
            claim,
            verdict(difference, 1),
            difference,
            "slope",
            evidence,
            _PUBLISHED + (_NO_CONTROL if suffix else ""),
            short=f"exaggerates on {where} points" + (" more than the control" if suffix else ""),
            measure=f"slope of Y on X, {where} points, distilled minus {'control' if suffix else '1'}",
        )
        for suffix, (claim, difference) in sentences.items()
    ]


def _mislabelled(deviations: Deviations) -> Finding:
    kd, control = (deviations[model]["train"] for model in (KD, CONTROL))
    gap = kd["mean_gap_mislabelled"]
    return Finding(
        "underfits_mislabelled",
        "It underfits the mislabelled points more than a one-hot control does.",
        verdict(gap.against_control, -1),
        gap.against_control,
        "phi",
        f"Mean gap of the wrong label {quote(gap, sign=True)} distilled, "
        f"{quote(control['mean_gap_mislabelled'], sign=True)} control. The distilled student reproduces "
        f"{_points(kd['mislabelled_fitted'], 0, sign=False)}% of the wrong labels, the control "
        f"{_points(control['mislabelled_fitted'], 0, sign=False)}%.",
        f"Section 3.1, Figure 1a{_NO_CONTROL}",
        short="underfits mislabelled points more than the control",
        measure="mean gap of the wrong label, mislabelled training points, distilled minus control",
        claimed=-1,
    )


@dataclasses.dataclass(frozen=True)
class _Switch:
    """A claim on a switched student: most of the gain is there (claimed 1), or is not (-1)."""

    id: str
    claim: str
    short: str
    claimed: Literal[-1, 1]
    than: str
    against: str
    paper: str


_SWITCHES = {
    "one_hot_to_kd": _Switch(
        "late_distillation",
        "Switching from one-hot to distillation in the course of training recovers most of distillation's gain.",
        "late distillation recovers most of the gain",
        1,
        "one-hot training throughout",
        CONTROL,
        "Section 3.2, Figures 1b and 4",
    ),
    "kd_to_one_hot": _Switch(
        "late_one_hot",
        "Switching from distillation to one-hot in the course of training undoes most of that gain by its end.",
        "late one-hot training undoes most of the gain",
        -1,
        "distillation throughout",
        KD,
        "Section 3.2, Figures 1b and 16, after long enough; not by the usual end in Figure 15",
    ),
}


def _switched(accuracy: Accuracy, student: str, has_gain: bool) -> Finding:
    """Most of the gain, if it is there: the student is above (or below) the middle between control and distilled."""
    switch = _SWITCHES[student]
    middle = accuracy.paired[f"{student}_minus_middle"]
    recovered = accuracy.gain_recovered[student]
    change = accuracy.paired[f"{student}_minus_{switch.against}"]
    evidence = (
        f"Test accuracy {_points(accuracy.models[student], sign=False)}%, {_points(change)} points against "
        f"{switch.than}"
    )
    decided = verdict(middle, switch.claimed)
    if not has_gain:
        decided = "undecided"
        evidence += (
            "; distillation's own gain is not certain enough to judge a switch by (it must exclude zero also by Holm's "
            "correction for the study's claims so far)."
        )
    elif math.isfinite(recovered.mean):
        evidence += f"; it ends with {quote(recovered, 0, scale=100)}% of the gain."
    else:
        evidence += "."
    return Finding(
        switch.id,
        switch.claim,
        decided,
        middle,
        "points",
        evidence,
        switch.paper,
        short=switch.short,
        measure="test accuracy minus the middle between control and distilled",
        claimed=switch.claimed,
    )


def _points(value: Interval, digits: int = 2, sign: bool = True) -> str:
    return quote(value, digits, sign, 100)
