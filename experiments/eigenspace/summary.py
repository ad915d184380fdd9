"""Results over seeds: numbers with intervals beside the paper's, and the README's lines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from distill_jax.errors import InputError
from distill_jax.measures.interval import number
from distill_jax.measures.statistics import CONFIDENCE
from experiments import comparison
from experiments.comparison import CONTROL, MODELS, STUDENT, TEACHER, readme_table, supported, with_paper
from experiments.eigenspace.bias import DEFINITIONS, at_equal, biases, exaggerations
from experiments.eigenspace.population import PROJECTIONS, Outcome
from experiments.eigenspace.setting import Setting
from experiments.json_interval import quote
from experiments.many_seeds.seed_store import Values

PAPER_PAIRS = 15
PAPER_HOLD = {"random-features": 15, "mlp": 13}  # "in all of the 15", "in all but two of the 15"


def values(outcome: Outcome) -> Values:
    """The values of a portion's seeds by name, each with a leading axis of seeds."""
    values_by_name: Values = {"accuracy": outcome.accuracy.astype(np.float64)}
    for index, projection in enumerate(PROJECTIONS):
        top, bottom = trajectories(outcome, index)
        bias_by_name = biases(top, bottom)
        for name, model_values in bias_by_name.items():
            values_by_name["own", projection, name] = model_values
        for model in (CONTROL, STUDENT):
            for name, exaggeration in exaggerations(bias_by_name, top, bottom, model).items():
                values_by_name["more", projection, name, MODELS[model]] = exaggeration
    logits = {"train": (outcome.logits, outcome.selector), "test": (outcome.test_logits, outcome.test_selector)}
    for split, model_logits in logits.items():
        points = getattr(outcome.drawn, split)
        values_by_name |= comparison.gaps(*model_logits, points.label, points.true_label, split)
    return values_by_name


def trajectories(outcome: Outcome, projection: int) -> tuple[np.ndarray, np.ndarray]:
    """Projections along the top and the bottom direction of each pair, float64 [S, V, pairs, steps + 1] each."""
    path = np.moveaxis(outcome.path[:, :, :, projection].astype(np.float64), 2, -1)  # [S, V, 2, pairs, steps + 1]
    return path[:, :, 0], path[:, :, 1]


def summarise(setting: Setting, values: Values) -> dict[str, Any]:
    """All numbers, each as mean, low, high, n and the paper's value, which is null where it gives none.

    The seed is the unit: its pairs are of the same three models. A pair for which a definition has no value counts as
    one for which it does not hold.

    Raises:
      InputError: a value that is not finite, as when training has diverged.
    """
    if not np.isfinite(values["accuracy"]).all() or not np.isfinite(values["gap", "train"]).all():
        raise InputError(
            "--learning-rate", f"{setting.learning_rate:g}", "training has diverged; a smaller one is needed"
        )
    paper = PAPER_HOLD[setting.setting]
    choice = setting.projection, setting.definition
    summary: dict[str, Any] = {"paper": {"pairs": PAPER_PAIRS, "hold": paper}}
    summary["share_of_pairs"] = _share(values, *choice, "student") | {"paper": paper / PAPER_PAIRS}
    summary["share_of_pairs_control"] = _share(values, *choice, "control")
    summary["share_of_pairs_over_control"] = with_paper(_over_control(values, *choice))
    summary["share_of_biased_teacher_pairs"] = with_paper(_biased(values, *choice, TEACHER), 1.0)
    summary["as_many_as_the_paper_s"] = _as_many(values, *choice, paper)
    summary["definitions"] = [
        {
            "definition": definition,
            "projection": projection,
            "teacher_biased": with_paper(_biased(values, projection, definition, TEACHER)),
            "student_biased": with_paper(_biased(values, projection, definition, STUDENT)),
            "student_more": _share(values, projection, definition, "student"),
            "control_more": _share(values, projection, definition, "control"),
            "student_over_control": with_paper(_over_control(values, projection, definition)),
            "as_many_as_the_paper_s": _as_many(values, projection, definition, paper),
            "undefined": float(np.mean(~np.isfinite(values["more", projection, definition, "student"]))),
        }
        for projection in PROJECTIONS
        for definition in DEFINITIONS
    ]
    for index, model in enumerate(MODELS):
        for split, name in enumerate(("train", "test")):
            summary[f"{name}_accuracy_{model}"] = with_paper(values["accuracy"][:, index, -1, split])
    matched = {model: _at_equal_training_accuracy(values["accuracy"], model) for model in (CONTROL, STUDENT)}
    summary["test_accuracy_at_equal_training_accuracy_student"] = with_paper(matched[STUDENT])
    summary["test_accuracy_at_equal_training_accuracy_control"] = with_paper(matched[CONTROL])
    summary["test_accuracy_at_equal_training_accuracy_over_control"] = with_paper(matched[STUDENT] - matched[CONTROL])
    return summary | {name: with_paper(seed_values) for name, seed_values in comparison.of_tenths(values).items()}


def _biased(arrays: Values, projection: Any, definition: str, model: int) -> np.ndarray:
    return np.mean(arrays["own", projection, definition][:, model] > 0, -1)


def _holds(arrays: Values, projection: Any, definition: str, model: str) -> np.ndarray:
    return arrays["more", projection, definition, model] > 0  # [S, pairs]


def _share(arrays: Values, projection: Any, definition: str, model: str) -> dict[str, Any]:
    return with_paper(_holds(arrays, projection, definition, model).mean(-1))


def _over_control(arrays: Values, projection: Any, definition: str) -> np.ndarray:
    student, control = (_holds(arrays, projection, definition, model).mean(-1) for model in ("student", "control"))
    return student - control


def _as_many(arrays: Values, projection: Any, definition: str, paper: int) -> dict[str, Any]:
    """Share of seeds in which as large a share of pairs holds as in the paper's one, with Wilson's interval."""
    holds = _holds(arrays, projection, definition, "student")
    seeds = holds.mean(-1) >= paper / PAPER_PAIRS - 1e-9
    interval = stats.binomtest(int(seeds.sum()), len(seeds)).proportion_ci(CONFIDENCE, method="wilson")
    return {"mean": float(seeds.mean()), "low": interval.low, "high": interval.high, "n": len(seeds), "paper": None}


def _at_equal_training_accuracy(accuracy: np.ndarray, model: int) -> np.ndarray:
    """Mean test accuracy less the teacher's where both first get to the same training accuracy, [S]; 0 if nowhere."""
    differences = []
    for seed_accuracy in accuracy:
        teacher_curve, model_curve = at_equal(*seed_accuracy[TEACHER].T, *seed_accuracy[model].T)
        differences.append(np.mean(model_curve - teacher_curve) if len(model_curve) else 0.0)
    return np.array(differences)


def lines(result: Mapping[str, Any]) -> str:
    """The README's table of a result: what the paper says, what was found, and the verdict."""
    paper = result["paper"]
    share, control, over_control = (result[f"share_of_pairs{k}"] for k in ("", "_control", "_over_control"))
    equal = [result[f"test_accuracy_at_equal_training_accuracy_{k}"] for k in ("student", "control", "over_control")]
    gap, as_in_paper = (result[f"hard_gap_student_minus_control_train{ending}"] for ending in ("", "_as_in_paper"))
    others = [
        _other(row)
        for row in result["definitions"]
        if (row["definition"], row["projection"]) != (result["setting"]["definition"], result["setting"]["projection"])
    ]
    rows = (
        (
            "pairs in which the teacher is biased towards the top direction",
            "all",
            quote(result["share_of_biased_teacher_pairs"], 1, scale=100) + "%",
            _most(result["share_of_biased_teacher_pairs"]),
        ),
        (
            "pairs in which the student is more so",
            f"{paper['hold']} of {paper['pairs']}",
            f"{quote(share, 1, scale=100)}%, control {quote(control, 1, scale=100)}%",
            supported(over_control, 1) + ", over the control",
        ),
        (
            "the same, student less control, points",
            "not given",
            quote(over_control, 1, sign=True, scale=100),
            supported(over_control, 1),
        ),
        (
            "seeds with as many such pairs as the paper's one",
            "1 of 1",
            quote(result["as_many_as_the_paper_s"], 1, scale=100) + "%",
            _ordinary(result["as_many_as_the_paper_s"]),
        ),
        ("the same pairs (control's) by other definitions and projections", "not given", "; ".join(others), ""),
        (
            "test accuracy less the teacher's at equal training accuracy, points: student, control",
            "above 0" if result["setting"]["setting"] == "mlp" else "little",
            ", ".join(quote(value, 2, sign=True, scale=100) for value in equal[:2]),
            _at_equal(equal[2], result["setting"]["setting"]),
        ),
        (
            "test accuracy at the end of training: teacher, control, student",
            "not given",
            ", ".join(f"{quote(result[f'test_accuracy_{model}'], 1, scale=100)}%" for model in MODELS),
            "",
        ),
        (
            "gap on hard training points less the control's (phi); (chosen by their own teacher)",
            "below 0",
            f"{quote(gap, sign=True)}; ({number(as_in_paper['mean'], sign=True)})",
            supported(gap, -1),
        ),
        comparison.control_row(result),
    )
    return readme_table(rows)


def _other(row: Mapping[str, Any]) -> str:
    shares = f"{_percent(row['student_more'])} ({_percent(row['control_more'])}"
    none = f"; {number(100 * row['undefined'], 0)}% have no value and count as not more" * (row["undefined"] > 0.005)
    return f"{row['definition']}, {row['projection']}: {shares}{none})"


def _at_equal(over_control: Mapping[str, Any], setting: str) -> str:
    """The paper sees a gain in its MLP, and little of one in random features."""
    if setting == "mlp":
        return f"student over control {supported(over_control, 1)}"
    return "not little: the student is above the control" if supported(over_control, 1) == "supported" else "reproduced"


def _percent(value: Mapping[str, Any]) -> str:
    return number(100 * value["mean"], 0) + "%"


def _most(value: Mapping[str, Any]) -> str:
    low = value["mean"] if value["low"] is None else value["low"]
    return "in nearly all" if low >= 0.95 else "in most" if low > 0.5 else "not reproduced"


def _ordinary(value: Mapping[str, Any]) -> str:
    """Whether the paper's one seed is one that is often drawn: one of twenty at least."""
    if value["low"] >= 0.05:
        return "the paper's is no unusual draw"
    return "the paper's would be a rare draw" if value["high"] < 0.05 else "undecided"
