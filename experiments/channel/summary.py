"""What seeds have become, as numbers with intervals beside the paper's, and as the README's lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill_jax.dumps import Dump
from distill_jax.statistics import quote
from experiments import comparison
from experiments.channel import signs
from experiments.channel.population import Outcome
from experiments.channel.setting import Setting
from experiments.collected import Values
from experiments.comparison import CONTROL, MODELS, STUDENT, TEACHER, beside, readme_table, supported, with_paper

PAPER = {
    "one_hot_sign_share": signs.PAPER_ONE_HOT,
    "distillation_sign_share": signs.PAPER_DISTILLATION,
    "paired_gain": 0.007,  # "about 0.7%"
    "student_cos_higher_share": 1.0,  # "consistently"
}


def dumps(outcome: Outcome, seed: int, split: str) -> list[Dump]:
    """Teacher, control and student of one seed of a portion as dumps, for what the library makes of these."""
    logits, label = _of_split(outcome, split)
    return comparison.dumps(logits[seed], label[seed], label[seed], seed, split)


def _of_split(outcome: Outcome, split: str) -> tuple[np.ndarray, np.ndarray]:
    return {"train": (outcome.logits, outcome.label), "test": (outcome.test_logits, outcome.test_label)}[split]


def values(setting: Setting, outcome: Outcome) -> Values:
    """The values of a portion's seeds by name, each with a leading axis of seeds."""
    found = dict(signs.count(setting, outcome.label, outcome.own, outcome.logits[:, TEACHER]))
    found |= {"accuracy": outcome.accuracy, "cosine": outcome.cosine}
    for split in ("train", "test"):
        logits, label = _of_split(outcome, split)
        found["gap", split] = comparison.gaps(logits, label, label, split)
    return found


def summarise(setting: Setting, found: Values) -> dict[str, Any]:
    """All numbers, each as mean, low, high, n and the paper's value, which is null where it gives none."""
    accuracy, cosine = found["accuracy"], found["cosine"].astype(np.float64)
    test = accuracy[:, :, 1].astype(np.float64)
    last = test[:, :, -1]
    values = {
        "one_hot_sign_share": found["one-hot", setting.absent],
        "distillation_sign_share": found[setting.target_above, setting.target_temperature, setting.absent],
        "paired_gain": last[:, STUDENT] - last[:, TEACHER],
        "paired_gain_over_control": last[:, STUDENT] - last[:, CONTROL],
        "control_gain": last[:, CONTROL] - last[:, TEACHER],
        "student_cos_higher_share": (cosine[:, STUDENT] > cosine[:, TEACHER]).mean(-1),
        "control_cos_higher_share": (cosine[:, CONTROL] > cosine[:, TEACHER]).mean(-1),
        "cos_gain_over_control": (cosine[:, STUDENT] - cosine[:, CONTROL]).mean(-1),
    }
    for place, model in enumerate(MODELS):
        values[f"test_accuracy_{model}"] = last[:, place]
        values[f"train_accuracy_{model}"] = accuracy[:, place, 0, -1]
        values[f"cos_{model}"] = cosine[:, place].mean(-1)
    for split in ("train", "test"):
        control, student = found["gap", split][:, :, 0].T
        values |= {
            f"hard_gap_control_{split}": control,
            f"hard_gap_student_{split}": student,
            f"hard_gap_student_minus_control_{split}": student - control,
            f"easy_gap_student_minus_control_{split}": np.subtract(*found["gap", split][:, ::-1, -1].T),
        }
    summary: dict[str, Any] = {name: with_paper(of_seeds, PAPER.get(name)) for name, of_seeds in values.items()}
    per_epoch = setting.train_examples // setting.batch_size
    gain = (test[:, STUDENT] - test[:, TEACHER])[:, ::per_epoch]
    over_control = (test[:, STUDENT] - test[:, CONTROL])[:, ::per_epoch]
    summary["by_epoch"] = [
        {"epoch": epoch, "paired_gain": with_paper(a), "paired_gain_over_control": with_paper(b)}
        for epoch, (a, b) in enumerate(zip(gain.T, over_control.T, strict=True))
    ]
    summary["draws"] = signs.draws(setting)
    summary["readings"] = signs.table(setting, found)
    return summary


def lines(said: Mapping[str, Any]) -> str:
    """The README's table of a result: what the paper says, what was found, and the verdict."""
    share = {k: quote(said[k], scale=100) for k in ("one_hot_sign_share", "distillation_sign_share")}
    gain, over_control = (quote(said[k], sign=True, scale=100) for k in ("paired_gain", "paired_gain_over_control"))
    cos = [quote(said[f"cos_{model}"], 3) for model in MODELS]
    higher, of_control = (quote(said[f"{m}_cos_higher_share"], 1, scale=100) for m in ("student", "control"))
    gap = [quote(said[f"hard_gap_student_minus_control_{split}"], sign=True) for split in ("train", "test")]
    accuracy = [quote(said[f"test_accuracy_{model}"], scale=100) for model in MODELS]
    distance = _chosen(said)["distance"]
    within = distance is not None and abs(distance) < 2
    rows: Sequence[tuple[str, str, str, str]] = (
        (
            "right signs, one-hot",
            "73.22%",
            f"{share['one_hot_sign_share']}%",
            "reproduced" if _inside(said["draws"], said["setting"]) else "not reproduced",
        ),
        (
            f"right signs, distillation: targets above {said['setting']['target_above']:g} at "
            f"T = {said['setting']['target_temperature']:g} count",
            "97.77%",
            f"{share['distillation_sign_share']}%",
            "only with a threshold chosen for it" if within else "not reproduced",
        ),
        (
            "test accuracy of teacher, control, student",
            "high",
            ", ".join(f"{a}%" for a in accuracy),
            "so" if said["test_accuracy_teacher"]["mean"] > 0.9 else "not so",
        ),
        ("student's gain in test accuracy, points", "about +0.7", gain, _gain(said["paired_gain"])),
        ("the same over the control", "not given", over_control, beside(said["paired_gain_over_control"])),
        (
            "cosine of weights and class vector: teacher, control, student",
            "student's higher",
            ", ".join(cos),
            supported(said["cos_gain_over_control"], 1),
        ),
        (
            "classes whose cosine is above the teacher's: student, control",
            "consistently",
            f"{higher}%, {of_control}%",
            _consistent(said["student_cos_higher_share"]),
        ),
        (
            "gap on hard training points less the control's (phi)",
            "below 0",
            gap[0],
            supported(said["hard_gap_student_minus_control_train"], -1),
        ),
        (
            "the same, test points",
            "not given",
            gap[1],
            beside(said["hard_gap_student_minus_control_test"]),
        ),
    )
    return readme_table(rows)


def _gain(value: Mapping[str, Any]) -> str:
    """The verdict on the sign of the gain, and whether "about 0.7%" (0.65 to 0.75) can be its size."""
    size = value["high"] is None or (value["high"] >= 0.0065 and value["low"] < 0.0075)
    return supported(value, 1) + ("" if size else " in its sign, not in its size")


def _consistent(share: Mapping[str, Any]) -> str:
    low = share["mean"] if share["low"] is None else share["low"]
    if low >= 0.99:
        return "reproduced"
    return "more often than not, not consistently" if low > 0.5 else "not reproduced"


def _inside(draws: Sequence[Mapping[str, Any]], setting: Mapping[str, Any]) -> bool:
    """Whether the paper's one-hot share is within two standard deviations of what this reading predicts."""
    for row in draws:
        fields = ("draw", "draw_from", "truncate_similar")
        if all(row[f] == setting[f] for f in fields) and row["class_vectors"] in ("either", setting["class_vectors"]):
            return row["distance"] is not None and abs(row["distance"]) < 2
    return False


def _chosen(said: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = ("target_above", "target_temperature", "absent")
    return next(row for row in said["readings"] if all(row[f] == said["setting"][f] for f in fields))
