"""A built-in check: where student and teacher are the same network, the control is a second draw of the teacher.

Its cross-fitted gaps must then be 0 and its instrumented slope 1, but for chance. Where they are not, seeds, selection
or recipe are not what they should be, and no number of the study is to be believed before it is known why.
"""

from collections.abc import Mapping
from typing import Any

from distill_jax.measures.statistics import holm, shifted
from distill_jax.students import CONTROL

EXPECTED = {"mean_gap_hard": 0.0, "mean_gap_easy": 0.0, "slope_instrumented": 1.0}


def check(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whether the control is where it must be.

    Args:
      summary: as from `report.summarise`, with `setting`, `study` and `deviations`.

    Returns:
      None with one seed, or where student and teacher are different networks. Else rows: split, statistic, expected,
      value (an interval), within (whether it includes what is expected), off (whether it excludes it also by Holm's
      correction for the number of rows); passed, that none is off: with sound code it fails in 5% of all studies.
    """
    networks = [summary["setting"].get(role) for role in ("teacher", "student")]
    if summary["study"]["seeds"] < 2 or networks[0] != networks[1]:
        return None
    rows: list[dict[str, Any]] = []
    for split, values in summary["deviations"][CONTROL].items():
        for name, expected in EXPECTED.items():
            value = values[name]
            within = value["low"] is not None and value["low"] <= expected <= value["high"]
            rows.append({"split": split, "statistic": name, "expected": expected, "value": value, "within": within})
    away = [shifted(row["value"], row["expected"]) for row in rows]
    for row, off in zip(rows, holm(away), strict=True):
        row["off"] = off
    return {"rows": rows, "passed": not any(row["off"] for row in rows)}
