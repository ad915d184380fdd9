"""Finished studies side by side, in Markdown: each claim's verdict, who chose the points, and test accuracies.

python -m experiments.study_tables SUMMARY.json [SUMMARY.json ...]

A study's column is named by the folder that its summary lies in, with its parents where two have the same name.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import tyro

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.files import read_json
from distill_jax.measures.findings import corrected, findings, multiplicity, quoted
from distill_jax.measures.statistics import quote
from distill_jax.report.plots.style import SPLITS
from distill_jax.students import CONTROL, MODELS, label_of

PROG = "python -m experiments.study_tables"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Which studies."""

    summaries: tyro.conf.Positional[tuple[Path, ...]] = ()
    """summary.json of each, which `distill_jax` writes."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    print(tables(setting.summaries), end="")


def tables(paths: Sequence[Path]) -> str:
    """All tables.

    Raises:
      InputError: a file is no study's summary, or none is given.
    """
    if not paths:
        raise InputError(f"SUMMARY.json: must be given, one or more (all options: {PROG} --help)")
    short = {path: path.absolute().parent.name for path in paths}
    alike = Counter(short.values())
    studies = {name if alike[name] == 1 else str(path.parent): _read(path) for path, name in short.items()}
    heads = [f"`{name}`, n = {of['study']['seeds']}" for name, of in studies.items()]
    claims = {f["id"]: f"{f['claim']} ({f['paper']})" for of in studies.values() for f in of["findings"]}
    # In the order of the study that has them all, since a study without wrong labels has no claim on these.
    most = max(studies.values(), key=lambda of: len(of["findings"]))
    every = [finding for of in studies.values() for finding in of["findings"]]
    bold = {id(finding) for finding, also in zip(every, corrected(every), strict=True) if also}
    rows = [[claims[f["id"]], *(_verdict(of, f["id"], bold) for of in studies.values())] for f in most["findings"]]
    accuracies = [
        [label_of(m), *(quote(of["accuracy"]["test_accuracy"]["models"][m], scale=100) for of in studies.values())]
        for m in MODELS
    ]
    said = f"{multiplicity(every)} Those are in bold."
    parts = [
        _table(["claim", *heads], rows) + f"\n{said}\n",
        _table(["control → distilled", *heads], _choices(list(studies.values()))),
        _table(["test accuracy, %", *heads], accuracies),
    ]
    return "\n".join(parts)


def _choices(studies: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Control and distilled student by who chose class and hard points: another seed's teacher, or their own one."""
    rows = []
    for split, where in SPLITS.items():
        for title, names in {
            f"mean gap, hard points, {where}": ("mean_gap_hard", "mean_gap_hard_as_in_paper"),
            f"slope of Y on X, {where}": ("slope_instrumented", "slope_least_squares"),
        }.items():
            for name, how in zip(names, ("by another seed's teacher", "by their own, as in the paper"), strict=True):
                sign = name.startswith("mean_gap")
                both = [[of["deviations"][m][split].get(name) for m in (CONTROL, "kd")] for of in studies]
                cells = [" → ".join("-" if v is None else quote(v, sign=sign) for v in pair) for pair in both]
                rows.append([f"{title}: {how}", *cells])
    return rows


def _read(path: Path) -> Mapping[str, Any]:
    what = "must be the summary.json that python -m distill_jax writes"
    summary = read_json(path, dict[str, Any], what)
    try:
        _ = summary["study"]["seeds"], summary["accuracy"]["test_accuracy"]["models"]
        # By today's rules: what is committed are the numbers, from which they follow.
        summary = summary | {"findings": findings(summary)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: {what}") from error
    return summary


def _verdict(study: Mapping[str, Any], claim: str, bold: Set[int]) -> str:
    for finding in study["findings"]:
        if finding["id"] == claim:
            said = f"{finding['verdict']}: {quoted(finding)}"
            return f"**{said}**" if id(finding) in bold else said
    return "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    command_line.run(main)
