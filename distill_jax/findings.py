"""The paper's claims as plain sentences, each with a verdict by the 95% interval of one number.

What the paper says of the student against its teacher stands twice: as it says it, and against a control, a second
one-hot student, which the paper does not have and by which alone it is distillation's doing.

The number that decides each claim is fixed here, before any data are seen. An interval wholly on the claimed
side of zero supports the claim, one wholly on the other side contradicts it, one that includes zero does not
support it. A claim is undecided with one seed, where there is no interval over seeds; where what it takes for
granted (that distillation gains anything) is not there; and where gap and share contradict each other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from distill_jax.statistics import holm, quote

VERDICTS = ("supported", "not supported", "contradicted", "undecided")


def verdict(difference: Mapping[str, Any], claimed: int) -> str:
    """The verdict by a paired difference whose sign is claimed to be +1 or -1."""
    low, high = difference["low"], difference["high"]
    # Equal differences in all seeds have an interval of no width: the t-interval is then no evidence.
    if difference["n"] < 2 or difference["level"] != "seeds" or low is None or high - low < 1e-12:
        return "undecided"
    if low <= 0 <= high:
        return "not supported"
    return "supported" if (low > 0) == (claimed > 0) else "contradicted"


def quoted(finding: Mapping[str, Any]) -> str:
    """The difference that decides, with its interval: in phi for the gaps, in points of test accuracy for the rest."""
    scale = 1 if finding["id"].startswith(("below", "underfits")) else 100
    return quote(finding["difference"], sign=True, scale=scale)


def multiplicity(of_all: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on how many of several findings' intervals over seeds exclude zero, each by itself and together."""
    tested = [f["difference"] for f in of_all if verdict(f["difference"], 1) != "undecided"]
    alone = sum(verdict(difference, 1) != "not supported" for difference in tested)
    return (
        f"Each interval has its 95% by itself: of {len(tested)} here {alone} exclude zero, {holm(tested)} "
        "also by Holm's correction for their number."
    )


def findings(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of a study: id, claim, verdict, difference, evidence, paper (where the claim is made).

    difference is the interval that decides: in phi space for the gaps, of accuracies in [0, 1] for the rest.

    Args:
      summary: as from `report.summarise`, without its findings.
    """
    result = [finding for split in ("train", "test") for finding in (_below(summary, split), _hard(summary, split))]
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
            "evidence": f"Test accuracy {_points(accuracy['models']['kd'], sign=False)}% distilled against "
            f"{_points(accuracy['models']['one_hot'], sign=False)}% one-hot: {_points(gain)} points.",
            "paper": "Table 2",
        }
    )
    late = "Switching from one-hot to distillation in the course of training recovers most of distillation's gain."
    undo = "Switching from distillation to one-hot in the course of training undoes most of that gain by its end."
    result.append(_switched(accuracy, "late_distillation", "one_hot_to_kd", late, 1, "Section 3.2, Figures 1b and 4"))
    nuance = "Section 3.2, Figures 1b and 16: after long enough; Figure 15: not by the usual end"
    result.append(_switched(accuracy, "late_one_hot", "kd_to_one_hot", undo, -1, nuance))
    if summary["study"]["seeds"] == 1:
        for finding in result:
            finding["evidence"] += " One seed: the interval is over examples and says nothing of another seed."
    return result


_SEEN = {"train": ("training", "Figures 1a and 2"), "test": ("test", "Figures 5 to 7")}


def _below(summary: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The claim as the paper has it: Y below X, on average of the hard points."""
    gap, share = (summary["deviations"]["kd"][split][name] for name in ("mean_gap_hard", "underfit_fraction_hard"))
    where, figures = _SEEN[split]
    return {
        "id": f"below_hard_{split}",
        "claim": f"The distilled student underfits the hard {where} points: it is less confident than the teacher.",
        "verdict": verdict(gap, -1),
        "difference": gap,
        "evidence": f"Mean gap {quote(gap, sign=True)}, share underfit {_points(share, 0, sign=False)}%.",
        "paper": f"Section 3.1, {figures}",
    }


def _hard(summary: Mapping[str, Any], split: str) -> dict[str, Any]:
    kd, control = (summary["deviations"][model][split] for model in ("kd", "one_hot"))
    where, figures = _SEEN[split]
    gap, share = kd["mean_gap_hard"], kd["underfit_fraction_hard"]
    control_gap, control_share = control["mean_gap_hard"], control["underfit_fraction_hard"]
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
    return {
        "id": f"underfits_hard_{split}",
        "claim": f"It underfits the hard {where} points more than a one-hot control does.",
        "verdict": decided,
        "difference": gap["minus_control"],
        "evidence": evidence,
        "paper": f"Section 3.1, {figures}; the control is ours",
    }


def _mislabelled(summary: Mapping[str, Any]) -> dict[str, Any]:
    kd, control = (summary["deviations"][model]["train"] for model in ("kd", "one_hot"))
    gap = kd["mean_gap_mislabelled"]
    return {
        "id": "underfits_mislabelled",
        "claim": "It underfits the mislabelled points more than a one-hot control does.",
        "verdict": verdict(gap["minus_control"], -1),
        "difference": gap["minus_control"],
        "evidence": f"Mean gap {quote(gap, sign=True)} distilled, "
        f"{quote(control['mean_gap_mislabelled'], sign=True)} control: "
        f"{quote(gap['minus_control'], sign=True)} paired. It reproduces "
        f"{_points(kd['mislabelled_fitted'], 0, sign=False)}% of the wrong labels, the control "
        f"{_points(control['mislabelled_fitted'], 0, sign=False)}%.",
        "paper": "Section 3.1, Figure 1a; the control is ours",
    }


def _switched(
    accuracy: Mapping[str, Any], name: str, student: str, claim: str, claimed: int, paper: str
) -> dict[str, Any]:
    """Most of the gain: the student is above (or below) the middle between control and distilled."""
    middle = accuracy["paired"][f"{student}_minus_middle"]
    recovered = accuracy["gain_recovered"][student]
    against = {"one_hot_to_kd": "one_hot", "kd_to_one_hot": "kd"}[student]
    change = accuracy["paired"][f"{student}_minus_{against}"]
    than = {"one_hot": "one-hot training throughout", "kd": "distillation throughout"}[against]
    evidence = (
        f"Test accuracy {_points(accuracy['models'][student], sign=False)}%, {_points(change)} points against {than}"
    )
    decided = verdict(middle, claimed)
    if verdict(accuracy["paired"]["kd_minus_one_hot"], 1) in ("not supported", "contradicted"):
        decided = "undecided"
        evidence += "; these data show no gain of distillation to begin with."
    elif recovered["mean"] is not None:
        evidence += f"; it ends with {quote(recovered, 0, scale=100)}% of the gain."
    result = {"id": name, "claim": claim, "verdict": decided, "difference": middle}
    return result | {"evidence": evidence, "paper": paper}


def _points(value: Mapping[str, Any], digits: int = 2, sign: bool = True) -> str:
    return quote(value, digits, sign, 100)
