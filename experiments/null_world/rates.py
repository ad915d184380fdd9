"""Verdicts of many studies by the functions that make those of a trained one, counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill_jax.measures import comparisons, control_check, deviations, findings
from distill_jax.measures.interval import Interval
from distill_jax.measures.statistics import CONFIDENCE, proportion
from distill_jax.students import CONTROL
from experiments.null_world.worlds import World, draw

NOMINAL = 0.05
SELECTIONS = ("cross-fitted", "as_in_paper")
VERDICTS = ("below_hard", "underfits_hard", "underfit_share", "exaggerates", "exaggerates_more")
# Which of them are to be supported, by the field of a world that makes it deviate.
TRUE = {
    "lowered": ("below_hard", "underfits_hard", "underfit_share"),
    "stretched": ("exaggerates", "exaggerates_more"),
}
_SPLIT = "test"
_CHECK = "control_check"
_EASY = ("underfit_fraction_easy", "underfit_fraction_easy_as_in_paper", "mean_gap_easy_as_in_paper")
_UNUSED = (*_EASY, "confidence_gap_easy")
Counts = Counter[tuple[str, ...]]


def count(world: World, studies: int, seed: Sequence[int]) -> Counts:
    """How often each verdict was given by each selection, and the control found to be off.

    Args:
      world: which the studies are drawn from.
      studies: how many.
      seed: of the draws.

    Returns:
      Counts by (verdict, selection, 'supported', ...), and by ('control_check',) of the checks that failed.
    """
    counts: Counts = Counter()
    for dumps in draw(world, studies, np.random.default_rng(seed)):
        compared = comparisons.compare_points(lambda *key: dumps[key], ("one_hot", "kd"), world.seeds)  # noqa: B023
        values = comparisons.intervals(compared, _decisive)
        for selection in SELECTIONS:
            for name, verdict in _verdicts(values, selection).items():
                counts[name, selection, verdict] += 1
        counts[(_CHECK,)] += not control_check.check({_SPLIT: values[CONTROL]}).passed
    return counts


def _decisive(comparison: deviations.Comparison, _: Any) -> dict[str, float]:
    return {name: value for name, value in deviations.decisive(comparison).items() if name not in _UNUSED}


def _verdicts(values: Mapping[str, Mapping[str, Interval]], selection: str) -> dict[str, str]:
    """The verdicts by the cross-fitted values, or by those that there are without them."""
    left_out = () if selection == "cross-fitted" else deviations.CROSSED
    selected = {
        model: {_SPLIT: {name: value for name, value in statistics.items() if name not in left_out}}
        for model, statistics in values.items()
    }
    verdicts = {
        finding.id.removesuffix(f"_{_SPLIT}"): finding.verdict for finding in findings.of_deviations(selected, _SPLIT)
    }
    share = deviations.preferred(selected["kd"][_SPLIT], "underfit_fraction_hard")
    return verdicts | {"underfit_share": findings.verdict(share.against_control, 1)}


def null_rows(name: str, counts: Counts, studies: int) -> list[dict[str, Any]]:
    """Of a world without deviation, for each verdict and selection: how often it is false, which way, or undecided."""
    rows = []
    for verdict in VERDICTS:
        for selection in SELECTIONS:
            times = {outcome: counts[verdict, selection, outcome] for outcome in findings.SIGNS}
            rows.append(
                {
                    "world": name,
                    "verdict": verdict,
                    "selection": selection,
                    "false_positive_rate": _rate(times["supported"] + times["contradicted"], studies),
                    "supported": _rate(times["supported"], studies),
                    "contradicted": _rate(times["contradicted"], studies),
                    "undecided": _rate(times["undecided"], studies),
                }
            )
    return rows


def control_row(name: str, counts: Counts, studies: int) -> dict[str, Any]:
    """How often a study of a world without deviation is said not to be believed."""
    return {"world": name, "failure_rate": _rate(counts[(_CHECK,)], studies)}


def power_rows(name: str, world: World, counts: Counts, studies: int) -> list[dict[str, Any]]:
    """Of a world with a deviation, for each verdict that is then right: how often it is given, or its opposite."""
    expected = TRUE["lowered" if world.lowered else "stretched"]
    return [
        {
            "world": name,
            "seeds": world.seeds,
            "verdict": verdict,
            "selection": selection,
            **{
                outcome: _rate(counts[verdict, selection, outcome], studies)
                for outcome in ("supported", "contradicted")
            },
        }
        for verdict in expected
        for selection in SELECTIONS
    ]


def above_nominal(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Which cross-fitted rates of `null_rows` lie above the nominal one with all of their interval.

    An interval lies above a rate of exactly 5% in at most 2.5% of all cases. `above_corrected` has those that do so too
    where the chance is 2.5% for all rates together (Bonferroni).
    """
    crossed = [row for row in rows if row["selection"] == "cross-fitted"]
    above: dict[float, list[str]] = {}
    for tests in (1, len(crossed)):
        above[tests] = []
        for row in crossed:
            rate = row["false_positive_rate"]
            interval = proportion(round(rate["mean"] * rate["n"]), rate["n"], 1 - (1 - CONFIDENCE) / tests)
            if interval.low > NOMINAL:
                above[tests].append(f"{row['world']}: {row['verdict']}")
    return {
        "rates": len(crossed),
        "above": above[1],
        "above_corrected": above[len(crossed)],
        "most_expected_by_chance": len(crossed) * (1 - CONFIDENCE) / 2,
    }


def _rate(times: int, studies: int) -> dict[str, Any]:
    rate = proportion(times, studies).as_json()
    del rate["level"]
    return rate
