"""Table 2: the paper's accuracies beside ours, and whether they are the same.

The paper's are of one run, or it does not say of how many. So a row is *reproduced* where each of its three test
accuracies is within the prediction interval of one more run of ours, mean +- t s sqrt(1 + 1 / n) over n seeds, of a
level that all three together hold 95% (Bonferroni): a row *differs* in at most one case of twenty if nothing does.
How much that says is said with it: *reproduced to +-2.5* has intervals that end up to 2.5 points from our means, and
would not have noticed a smaller difference.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from distill_jax.measures.findings import verdict
from distill_jax.measures.interval import Interval, number
from distill_jax.measures.statistics import CONFIDENCE
from distill_jax.measures.study_summary import as_json
from experiments.json_interval import quote
from experiments.markdown_table import markdown_table
from experiments.paper.outcome import Outcome
from experiments.paper.rows import TABLE_2, Row
from experiments.paper.scale import PAPER

MODELS = ("teacher", "one_hot", "kd")
SPLITS = ("train", "test")


def rows(outcomes: Mapping[str, Outcome], not_run: Mapping[str, Mapping[str, Any]], scale: str) -> list[dict[str, Any]]:
    """All 22 rows as JSON values, accuracies in %.

    Args:
      outcomes: the finished studies by the rows' names.
      not_run: of the rows that are not: `command`, `expected_seconds` and `expected_on`, null where unknown.
      scale: by its name.

    Returns:
      dataset, teacher, student as the paper names them; paper[split][model]; study, stands_for (what is run in its
      place at the scale), step, n; ours[split][model] with mean, low, high, per_seed, or null; in both `gain`, that of
      distillation over one-hot training in test accuracy; difference[split][model], ours less the paper's, at the
      paper's scale; status and, where it is not run, what `not_run` has.
    """
    return [_row(row, outcomes.get(row.name), not_run.get(row.name, {}), scale) for row in TABLE_2]


def _row(row: Row, outcome: Outcome | None, not_run: Mapping[str, Any], scale: str) -> dict[str, Any]:
    paper = {s: dict(zip(MODELS, getattr(row, s), strict=True)) for s in SPLITS}
    result: dict[str, Any] = {
        "dataset": row.dataset,
        "teacher": row.teacher,
        "student": row.student,
        "study": row.name,
        "scale": scale,
        "paper": paper | {"gain": round(row.test[2] - row.test[1], 2)},
        "ours": None,
        "difference": None,
        "status": "not run",
    }
    if outcome is None:
        return result | {"command": None, "expected_seconds": None, "expected_on": None} | not_run
    accuracy = outcome.summary.accuracy
    ours = {s: {m: percent(accuracy[f"{s}_accuracy"].models[m]) for m in MODELS} for s in SPLITS}
    gain = percent(accuracy["test_accuracy"].paired["kd_minus_one_hot"])
    result |= {"stands_for": outcome.plan.title, "step": outcome.last, "n": outcome.seeds}
    result["ours"] = as_json(ours | {"gain": gain})
    if scale != PAPER.name:
        return result | {"status": f"stand-in; gain {verdict(gain, 1)}"}
    differences = {s: {m: ours[s][m].mean - paper[s][m] for m in MODELS} for s in SPLITS}
    if any(len(ours["test"][m].per_seed) < 2 for m in MODELS):
        return result | {"difference": differences, "status": "undecided: one seed"}
    reaches = {m: _reach(ours["test"][m].per_seed) for m in MODELS}
    is_within = all(abs(differences["test"][m]) <= reaches[m] for m in MODELS)
    status = f"reproduced to \N{PLUS-MINUS SIGN}{number(max(reaches.values()), 1)}" if is_within else "differs"
    return result | {"difference": differences, "status": status}


def percent(value: Interval) -> Interval:
    """An interval of a share in %."""
    return value.times(100)


def _reach(per_seed: Sequence[float]) -> float:
    """How far from the mean the prediction interval of one more run ends, of two seeds or more."""
    n = len(per_seed)
    t = stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / len(MODELS), n - 1)
    return float(t * np.std(per_seed, ddof=1) * math.sqrt(1 + 1 / n))


def lines(table: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, of test accuracies."""
    names = "teacher, one-hot, KD"
    head = ["data set, teacher → student", f"paper: {names}", "gain", f"ours: {names}", "gain", "n", "status"]
    body = []
    for row in table:
        paper, ours = row["paper"], row["ours"]
        cells = [
            f"{row['dataset']}, {row['teacher']} → {row['student']}",
            ", ".join(number(paper["test"][m]) for m in MODELS),
            number(paper["gain"], sign=True),
        ]
        if ours:
            cells += [", ".join(quote(ours["test"][m]) for m in MODELS), quote(ours["gain"], sign=True), str(row["n"])]
        else:
            cells += [number(None)] * 3
        body.append([*cells, row["status"]])
    return markdown_table(head, body) + "\n" + missing(table)


def missing(table: Sequence[Mapping[str, Any]]) -> str:
    """The commands of the rows that are not run, in Markdown, with their expected times."""
    commands = [
        f"- not run: `{row['command']}`, expected time "
        + (
            "not measured"
            if row["expected_seconds"] is None
            else f"{row['expected_seconds']:.0f} s on {row['expected_on']}"
        )
        for row in table
        if row["status"] == "not run" and row["command"]
    ]
    return "".join(f"{line}\n" for line in commands)
