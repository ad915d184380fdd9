"""Results over seeds: numbers with intervals beside the paper's, and the README's lines."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from distill_jax.dumps import Dump
from distill_jax.measures.interval import number
from distill_jax.measures.statistics import CONFIDENCE
from experiments import comparison
from experiments.channel import signs
from experiments.channel.population import Outcome
from experiments.channel.readings import READINGS
from experiments.channel.setting import Setting
from experiments.comparison import CONTROL, MODELS, STUDENT, TEACHER, beside, readme_table, supported, with_paper
from experiments.json_interval import quote
from experiments.many_seeds.seed_store import Values

PAPER = {
    "one_hot_sign_share": signs.PAPER_ONE_HOT,
    "distillation_sign_share": signs.PAPER_DISTILLATION,
    "update_sign_share": signs.PAPER_DISTILLATION,
    "paired_gain": 0.007,  # "about 0.7%"
    "student_cos_higher_share": 1.0,  # "consistently"
}


def dumps(outcome: Outcome, seed: int, split: str) -> list[Dump]:
    """Teacher, control and student of one seed of a portion as dumps, for what the library makes of these."""
    logits, _, label = _of_split(outcome, split)
    return comparison.dumps(logits[seed], label[seed], label[seed], seed, split)


def _of_split(outcome: Outcome, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of all models and of the selector, and labels."""
    if split == "train":
        return outcome.logits, outcome.selector, outcome.label
    return outcome.test_logits, outcome.test_selector, outcome.test_label


def values(setting: Setting, outcome: Outcome) -> Values:
    """The values of a portion's seeds by name, each with a leading axis of seeds."""
    values_by_name = dict(signs.count(setting, outcome.label, outcome.own, outcome.logits[:, TEACHER]))
    values_by_name |= {"accuracy": outcome.accuracy, "cosine": outcome.cosine}
    for split in ("train", "test"):
        logits, selector, label = _of_split(outcome, split)
        values_by_name |= comparison.gaps(logits, selector, label, label, split)
    return values_by_name


def summarise(setting: Setting, measured: Values) -> dict[str, Any]:
    """All numbers, each as mean, low, high, n and the paper's value, which is null where it gives none."""
    accuracy, cosine = measured["accuracy"], measured["cosine"].astype(np.float64)
    test = accuracy[:, :, 1].astype(np.float64)
    last = test[:, :, -1]
    higher = {model: cosine[:, MODELS.index(model)] > cosine[:, TEACHER] for model in ("student", "control")}
    values = {
        "one_hot_sign_share": measured["one-hot", setting.absent],
        "distillation_sign_share": measured[signs.chosen(setting)],
        "update_sign_share": measured[signs.of_update(setting)],
        "paired_gain": last[:, STUDENT] - last[:, TEACHER],
        "paired_gain_over_control": last[:, STUDENT] - last[:, CONTROL],
        "control_gain": last[:, CONTROL] - last[:, TEACHER],
        "student_cos_higher_share": higher["student"].mean(-1),
        "control_cos_higher_share": higher["control"].mean(-1),
        "cos_gain_over_control": (cosine[:, STUDENT] - cosine[:, CONTROL]).mean(-1),
    }
    for index, model in enumerate(MODELS):
        values[f"test_accuracy_{model}"] = last[:, index]
        values[f"train_accuracy_{model}"] = accuracy[:, index, 0, -1]
        values[f"cos_{model}"] = cosine[:, index].mean(-1)
    values |= comparison.of_tenths(measured)
    summary: dict[str, Any] = {name: with_paper(seed_values, PAPER.get(name)) for name, seed_values in values.items()}
    summary["student_cos_higher_in_all_classes"] = _share_of_seeds(higher["student"].all(-1))
    per_epoch = setting.train_examples // setting.batch_size
    gain = (test[:, STUDENT] - test[:, TEACHER])[:, ::per_epoch]
    over_control = (test[:, STUDENT] - test[:, CONTROL])[:, ::per_epoch]
    summary["by_epoch"] = [
        {"epoch": epoch, "paired_gain": with_paper(a), "paired_gain_over_control": with_paper(b)}
        for epoch, (a, b) in enumerate(zip(gain.T, over_control.T, strict=True))
    ]
    summary["draws"] = signs.draws(setting)
    summary["counts"] = signs.table(setting, measured)
    return summary


class Row(NamedTuple):
    """One claim of the paper: what it is of, the paper's word, what was found, and the verdict."""

    what: str
    paper: str
    here: str
    verdict: str


def lines(result: Mapping[str, Any]) -> str:
    """The README's table of a result."""
    return readme_table(rows(result))


def rows(result: Mapping[str, Any]) -> list[Row]:
    """The claims of the paper beside a result's numbers; the same claims for every result."""
    counts, setting = result["counts"], result["setting"]
    way = next(row for row in counts if row["chosen"])
    update = next(row for row in counts if all(row[name] == value for name, value in _update(setting).items()))
    accuracy = [f"{quote(result[f'test_accuracy_{model}'], scale=100)}%" for model in MODELS]
    cos = [quote(result[f"cos_{model}"], 3) for model in MODELS]
    student_higher, control_higher = (
        f"{quote(result[f'{m}_cos_higher_share'], 1, scale=100)}%" for m in ("student", "control")
    )
    everywhere = result["student_cos_higher_in_all_classes"]
    gain, over_control = result["paired_gain"], result["paired_gain_over_control"]
    claims = [
        Row("right signs, one-hot", "73.22%", _percent(result["one_hot_sign_share"]), _one_hot(result)),
        Row(
            "right signs, distillation",
            "97.77%",
            _percent(way["distillation"]) + f" (above {way['target_above']:g} at T = {way['target_temperature']:g})",
            _distillation(way, update),
        ),
        Row(
            "right signs, the update of a student with p = 1/K",
            "97.77%",
            _percent(update["distillation"]),
            _distillation(update, update),
        ),
        Row(
            "test accuracy of teacher, control, student",
            "high",
            ", ".join(accuracy),
            "so" if result["test_accuracy_teacher"]["mean"] > 0.9 else "not so",
        ),
        Row("student's gain in test accuracy, points", "about +0.7", _points(gain), _gain(gain, result["reading"])),
        Row("the same over the control", "not given", _points(over_control), beside(over_control)),
        Row(
            "cosine of weights and class vector: teacher, control, student",
            "student's higher",
            ", ".join(cos),
            supported(result["cos_gain_over_control"], 1),
        ),
        Row(
            "classes whose cosine is above the teacher's: student, control",
            "consistently",
            f"{student_higher}, {control_higher}",
            _consistent(result["student_cos_higher_share"], everywhere, result["reading"]),
        ),
        Row(
            "seeds in which the student's is above in all classes",
            "the one shown",
            f"{quote(everywhere, 1, scale=100)}%",
            _one_in(everywhere["mean"]),
        ),
    ]
    for split, name in (("train", "training"), ("test", "test")):
        for tenth, side, expected in (("hard", -1, "below 0"), ("easy", 1, "above 0")):
            names = [f"{tenth}_gap_student{suffix}_{split}" for suffix in ("", "_minus_control")]
            alone, beyond_control = (result[name] for name in names)
            paper = ", ".join(number(result[f"{name}_as_in_paper"]["mean"], sign=True) for name in names)
            verdict = (
                _both(alone, beyond_control, side) if split == "train" else f"{beside(alone)}, {beside(beyond_control)}"
            )
            claims.append(
                Row(
                    f"gap on {tenth} {name} points (phi), and less the control's; (chosen by their own teacher)",
                    expected if split == "train" else "not given",
                    f"{quote(alone, sign=True)}, {quote(beyond_control, sign=True)}; ({paper})",
                    verdict,
                )
            )
    claims.append(Row(*comparison.control_row(result)))
    return claims


def _percent(value: Mapping[str, Any]) -> str:
    return f"{quote(value, scale=100)}%"


def _points(value: Mapping[str, Any]) -> str:
    return quote(value, sign=True, scale=100)


def _update(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "target_above": 1 / setting["classes"],
        "target_temperature": setting["temperature"],
        "absent": setting["absent"],
    }


def _share_of_seeds(holds: np.ndarray) -> dict[str, Any]:
    """The share of seeds of which something holds, bool [S], with Wilson's interval, as of `with_paper`."""
    share = stats.binomtest(int(holds.sum()), len(holds)).proportion_ci(CONFIDENCE, "wilson")
    return {"mean": float(holds.mean()), "low": share.low, "high": share.high, "n": len(holds), "paper": None}


def _one_hot(result: Mapping[str, Any]) -> str:
    """Whether the paper's one-hot share is within two standard deviations of what this reading predicts."""
    setting = result["setting"]
    for row in result["draws"]:
        fields = ("draw", "draw_from", "truncate_similar")
        if all(row[f] == setting[f] for f in fields) and row["class_vectors"] in ("either", setting["class_vectors"]):
            return "reproduced" if row["distance"] is not None and abs(row["distance"]) < 2 else "not reproduced"
    return "not reproduced"


def _distillation(way: Mapping[str, Any], update: Mapping[str, Any]) -> str:
    """Whether the paper's share is within two standard deviations, of one data set, of a way to count."""
    if way["distance"] is None or abs(way["distance"]) >= 2:
        return "not reproduced"
    return "reproduced" if way is update else "only with a threshold chosen for it"


def _both(alone: Mapping[str, Any], less_control: Mapping[str, Any], side: int) -> str:
    """The verdict on a gap that must be on one side of 0 by itself and beyond the control's."""
    verdicts = [supported(value, side) for value in (alone, less_control)]
    return verdicts[0] if verdicts[0] == verdicts[1] else f"{verdicts[0]}, {verdicts[1]} beyond the control"


def _gain(value: Mapping[str, Any], reading: Mapping[str, Any]) -> str:
    """The verdict on the sign of the gain, and whether "about 0.7%" (0.65 to 0.75) is its size."""
    if not 0.0065 <= value["mean"] < 0.0075:
        return f"{supported(value, 1)}; not of this size"
    return _chosen(reading, "gain") or supported(value, 1)


def _chosen(reading: Mapping[str, Any], quantity: str) -> str:
    """That a number is no evidence, where a reading's alpha was chosen for it and has not been changed."""
    is_chosen = READINGS[reading["name"]].alpha_for == quantity and "alpha" not in reading["changed"]
    return "alpha was chosen for it" if is_chosen else ""


def _consistent(share: Mapping[str, Any], everywhere: Mapping[str, Any], reading: Mapping[str, Any]) -> str:
    """Whether most seeds are as the paper's figure: the student's cosine is higher in all ten classes."""
    if everywhere["mean"] > 0.5:
        return _chosen(reading, "cosines") or "reproduced"
    low = share["mean"] if share["low"] is None else share["low"]
    return "more often than not, not consistently" if low > 0.5 else "not reproduced"


def _one_in(share: float) -> str:
    if share > 0.5:
        return "most seeds"
    return f"one seed in {1 / share:.0f}" if share else "no seed"
