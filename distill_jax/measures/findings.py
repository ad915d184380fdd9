"""The paper's claims as plain sentences, each with a verdict by the 95% interval of one number.

What the paper says of the student against its teacher stands twice: as it says it, and against a control, a second
one-hot student, which the paper does not have and by which alone it is distillation's doing. Hard points, and the class
that confidence is about, are chosen by another seed's teacher, see `deviations`; by the student's own one, as in the
paper, the evidence gives the number too.

The number that decides each claim is fixed here, the same for every study. (It was changed once after studies had been
seen: until November 2026 the student's own teacher chose the points.) An interval wholly on the claimed side of zero
supports the claim, one wholly on the other side contradicts it, one that includes zero does not support it. A claim is
undecided with one seed, where there is no interval over seeds; where gap and share contradict each other; and where
what it takes for granted is not certain enough: a switch can only be judged by a gain that is there also by Holm's
correction for the study's claims that come before, though the gain itself has its verdict by its interval alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from distill_jax.measures.deviations import preferred
from distill_jax.measures.statistics import holm, quote, shifted
from distill_jax.students import CONTROL, KD

VERDICTS = ("supported", "not supported", "contradicted", "undecided")
SIGNS = dict(zip(VERDICTS, "✓○✗?", strict=True))  # of verdicts, in tables


def verdict(difference: Mapping[str, Any], claimed: int) -> str:
    """The verdict by a paired difference whose sign is claimed to be +1 or -1.

    >>> verdict({"mean": -0.5, "low": -0.7, "high": -0.3, "n": 3, "level": "seeds"}, claimed=-1)
    'supported'
    """
    low, high = difference["low"], difference["high"]
    # Equal differences in all seeds have an interval of no width: the t-interval is then no evidence.
    if difference["n"] < 2 or difference["level"] != "seeds" or low is None or high - low < 1e-12:
        return "undecided"
    if low <= 0 <= high:
        return "not supported"
    return "supported" if (low > 0) == (claimed > 0) else "contradicted"


def quoted(finding: Mapping[str, Any]) -> str:
    """The difference that decides, with its interval: in the finding's unit."""
    return quote(finding["difference"], sign=True, scale=100 if finding["unit"] == "points" else 1)


def multiplicity(of_all: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on how many of several findings are decided by their intervals, each by itself and all together."""
    tested = sum(map(_is_test, of_all))
    alone = sum(f["verdict"] in ("supported", "contradicted") for f in of_all)
    return (
        f"Each interval has its 95% by itself: of {tested} here {alone} exclude zero and decide a claim, "
        f"{sum(corrected(of_all))} also by Holm's correction for the number of them all."
    )


def corrected(of_all: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of several findings are decided by an interval that excludes zero also by Holm's correction.

    Of findings that stay undecided the intervals count as tests all the same.
    """
    passed = iter(holm([finding["difference"] for finding in of_all if _is_test(finding)]))
    also = [_is_test(finding) and next(passed) for finding in of_all]
    return [here and finding["verdict"] != "undecided" for here, finding in zip(also, of_all, strict=True)]


def _is_test(finding: Mapping[str, Any]) -> bool:
    return verdict(finding["difference"], 1) != "undecided"


def findings(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of a study: id, claim, verdict, difference, unit, evidence, paper (where it is made), corrected.

    difference is the interval that decides, in its unit: 'phi' for gaps, 'slope' for slopes (less 1, or the control's),
    'points' for accuracies, which are in [0, 1] here and in percentage points where they are printed. corrected is
    whether it excludes zero also by Holm's correction for the number of the study's findings.

    Args:
      summary: as from `report.summarise`, without its findings.
    """
    result = []
    for split in ("train", "test"):
        result += of_deviations(summary["deviations"], split)
    if summary["study"]["train_mislabelled"]:
        result.append(_mislabelled(summary))
    accuracy = summary["accuracy"]["test_accuracy"]
    gain = accuracy["paired"]["kd_minus_one_hot"]
    result.append(
        {
            "id": "kd_beats_one_hot",
            "claim": "Distillation beats one-hot training on the test set.",
            "verdict": verdict(gain, 1),
            "difference": gain,
            "unit": "points",
            "evidence": f"Test accuracy {_points(accuracy['models'][KD], sign=False)}% distilled against "
            f"{_points(accuracy['models'][CONTROL], sign=False)}% one-hot: {_points(gain)} points.",
            "paper": "Table 2",
        }
    )
    there = summary["study"]["seeds"] == 1 or (corrected(result)[-1] and gain["mean"] > 0)
    late = "Switching from one-hot to distillation in the course of training recovers most of distillation's gain."
    undo = "Switching from distillation to one-hot in the course of training undoes most of that gain by its end."
    figures = "Section 3.2, Figures 1b and 4"
    nuance = "Section 3.2, Figures 1b and 16: after long enough; Figure 15: not by the usual end"
    switches = {
        "one_hot_to_kd": {"name": "late_distillation", "claim": late, "claimed": 1, "paper": figures},
        "kd_to_one_hot": {"name": "late_one_hot", "claim": undo, "claimed": -1, "paper": nuance},
    }
    for student, of_it in switches.items():
        if student in accuracy["models"]:
            result.append(_switched(accuracy, student, there=there, **of_it))
    for finding, also in zip(result, corrected(result), strict=True):
        finding["corrected"] = also
    if summary["study"]["seeds"] == 1:
        for finding in result:
            finding["evidence"] += " One seed: the interval is over examples and says nothing of another seed."
    return result


def of_deviations(deviations: Mapping[str, Any], split: str) -> list[dict[str, Any]]:
    """The findings on a student's deviations on one split.

    Args:
      deviations: of 'kd' and of the control, [student][split][name] an interval as of `comparisons.intervals`; by the
        cross-fitted values, or by those as in the paper where there are no others.
      split: 'train' or 'test'.
    """
    return [_below(deviations, split), _hard(deviations, split), *_exaggerates(deviations, split)]


_SEEN = {"train": ("training", "Figures 1a and 2"), "test": ("test", "Figures 5 to 7")}
_PUBLISHED = "the published version, arXiv:2301.12923"


def _below(deviations: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The claim as the paper has it: Y below X, on average of the hard points."""
    values = deviations[KD][split]
    gap, share = (preferred(values, name) for name in ("mean_gap_hard", "underfit_fraction_hard"))
    where, figures = _SEEN[split]
    return {
        "id": f"below_hard_{split}",
        "claim": f"The distilled student underfits the hard {where} points: it is less confident than the teacher.",
        "verdict": verdict(gap, -1),
        "difference": gap,
        "unit": "phi",
        "evidence": f"Mean gap {quote(gap, sign=True)}, share underfit {_points(share, 0, sign=False)}%."
        + _as_in_paper(values["mean_gap_hard_as_in_paper"], gap),
        "paper": f"Section 3.1, {figures}",
    }


def _as_in_paper(value: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What the paper's own choice of points would give, where it is not the one taken."""
    if value is other:
        return ""
    return f" Of the points that the student's own teacher finds hard, as in the paper, {quote(value, sign=True)}."


def _hard(deviations: Mapping[str, Any], split: str) -> dict[str, Any]:
    kd, control = (deviations[model][split] for model in (KD, CONTROL))
    where, figures = _SEEN[split]
    gap, share = (preferred(kd, name) for name in ("mean_gap_hard", "underfit_fraction_hard"))
    control_gap, control_share = (preferred(control, name) for name in ("mean_gap_hard", "underfit_fraction_hard"))
    evidence = (
        f"Mean gap {quote(gap, sign=True)} distilled, {quote(control_gap, sign=True)} control: "
        f"{quote(gap['minus_control'], sign=True)} paired. Share underfit "
        f"{_points(share, 0, sign=False)}% against {_points(control_share, 0, sign=False)}%: "
        f"{_points(share['minus_control'], 0)} points paired."
    )
    decided, by_share = verdict(gap["minus_control"], -1), verdict(share["minus_control"], 1)
    if {decided, by_share} == {"supported", "contradicted"}:
        evidence += f" By the gap the claim is {decided}, by the share {by_share}: it depends on the measure."
        decided = "undecided"
    elif by_share != decided:
        evidence += f" The verdict is by the gap; by the share it would be {by_share}."
    if gap["mean"] >= 0:
        evidence += " The student does not underfit them in itself, only relative to the control."
    in_paper = kd["mean_gap_hard_as_in_paper"]["minus_control"]
    return {
        "id": f"underfits_hard_{split}",
        "claim": f"It underfits the hard {where} points more than a one-hot control does.",
        "verdict": decided,
        "difference": gap["minus_control"],
        "unit": "phi",
        "evidence": evidence + _as_in_paper(in_paper, gap["minus_control"]),
        "paper": f"Section 3.1, {figures}; the control is ours",
    }


def _exaggerates(deviations: Mapping[str, Any], split: str) -> list[dict[str, Any]]:
    """The measure of the paper's published version: a slope of Y on X above 1, and above the control's."""
    kd, control = (deviations[model][split] for model in (KD, CONTROL))
    name = "slope_instrumented" if "slope_instrumented" in kd else "slope_least_squares"
    slope, of_control = kd[name], control[name]
    where, _ = _SEEN[split]
    evidence = (
        f"Slope of Y on X {quote(slope)} distilled, {quote(of_control)} control: "
        f"{quote(slope['minus_control'], sign=True)} paired."
    )
    if name == "slope_instrumented":
        evidence += f" By least squares, which the teacher's noise makes too low, {quote(kd['slope_least_squares'])}."
    sentences = {
        "": (f"On {where} points the distilled student exaggerates the teacher's confidence.", shifted(slope, 1.0)),
        "_more": ("It exaggerates it more than a one-hot control does.", slope["minus_control"]),
    }
    return [
        {
            "id": f"exaggerates{more}_{split}",
            "claim": claim,
            "verdict": verdict(difference, 1),
            "difference": difference,
            "unit": "slope",
            "evidence": evidence,
            "paper": _PUBLISHED + ("; the control is ours" if more else ""),
        }
        for more, (claim, difference) in sentences.items()
    ]


def _mislabelled(summary: Mapping[str, Any]) -> dict[str, Any]:
    kd, control = (summary["deviations"][model]["train"] for model in (KD, CONTROL))
    gap = kd["mean_gap_mislabelled"]
    return {
        "id": "underfits_mislabelled",
        "claim": "It underfits the mislabelled points more than a one-hot control does.",
        "verdict": verdict(gap["minus_control"], -1),
        "difference": gap["minus_control"],
        "unit": "phi",
        "evidence": f"Mean gap of the wrong label {quote(gap, sign=True)} distilled, "
        f"{quote(control['mean_gap_mislabelled'], sign=True)} control: "
        f"{quote(gap['minus_control'], sign=True)} paired. It reproduces "
        f"{_points(kd['mislabelled_fitted'], 0, sign=False)}% of the wrong labels, the control "
        f"{_points(control['mislabelled_fitted'], 0, sign=False)}%.",
        "paper": "Section 3.1, Figure 1a; the control is ours",
    }


def _switched(
    accuracy: Mapping[str, Any], student: str, *, name: str, claim: str, claimed: int, paper: str, there: bool
) -> dict[str, Any]:
    """Most of the gain, if it is there: the student is above (or below) the middle between control and distilled."""
    middle = accuracy["paired"][f"{student}_minus_middle"]
    recovered = accuracy["gain_recovered"][student]
    against = {"one_hot_to_kd": CONTROL, "kd_to_one_hot": KD}[student]
    change = accuracy["paired"][f"{student}_minus_{against}"]
    than = {CONTROL: "one-hot training throughout", KD: "distillation throughout"}[against]
    evidence = (
        f"Test accuracy {_points(accuracy['models'][student], sign=False)}%, {_points(change)} points against {than}"
    )
    decided = verdict(middle, claimed)
    if not there:
        decided = "undecided"
        evidence += (
            "; distillation's own gain is not certain enough to judge a switch by (it must exclude zero also by Holm's "
            "correction for the study's claims so far)."
        )
    elif recovered["mean"] is not None:
        evidence += f"; it ends with {quote(recovered, 0, scale=100)}% of the gain."
    result = {"id": name, "claim": claim, "verdict": decided, "difference": middle, "unit": "points"}
    return result | {"evidence": evidence, "paper": paper}


def _points(value: Mapping[str, Any], digits: int = 2, sign: bool = True) -> str:
    return quote(value, digits, sign, 100)
