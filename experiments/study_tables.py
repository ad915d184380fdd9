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
from distill_jax.students import CONTROL, KD, MODELS, label_of
from experiments.markdown_table import markdown_table

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
        markdown_table(["claim", *heads], rows) + f"\n{said}\n",
        markdown_table(["control → distilled", *heads], _choices(list(studies.values()))),
        markdown_table(["test accuracy, %", *heads], accuracies),
    ]
    return "\n".join(parts)


def students(paths: Sequence[Path]) -> str:
    """A row for each student of studies, but for the control: what it gains, and how it deviates from its teacher.

    Raises:
      InputError: as `tables`.
    """
    rows = []
    for path in paths:
        study = _read(path)
        labels = study["study"].get("students") or {m: label_of(m) for m in study["deviations"]}
        accuracy = study["accuracy"]["test_accuracy"]
        for model in (m for m in accuracy["models"] if m in labels and m != CONTROL):
            of = study["deviations"][model]
            than_kd = accuracy["paired"].get(f"{model}_minus_{KD}")
            gap, agreement, kl = of["train"]["mean_gap_hard"], of["test"]["agreement"], of["test"]["kl"]
            rows.append(
                [
                    f"`{path.absolute().parent.name}`, n = {study['study']['seeds']}",
                    labels[model],
                    quote(accuracy["models"][model], scale=100),
                    quote(accuracy["paired"][f"{model}_minus_{CONTROL}"], sign=True, scale=100),
                    "-" if than_kd is None else quote(than_kd, sign=True, scale=100),
                    quote(gap["minus_control"], sign=True),
                    quote(agreement["minus_control"], 1, sign=True, scale=100),
                    quote(kl["minus_control"], 3, sign=True),
                ]
            )
        for of_it in (study.get("sweep") or {"students": [], "fields": []})["students"]:
            changes = [f"{f} {of_it[f]:g}" for f in study["sweep"]["fields"]]
            if of_it["name"] != of_it["model"]:
                of = of_it["statistics"]
                rows.append(
                    [
                        f"`{path.absolute().parent.name}`, n = {study['study']['seeds']}",
                        f"{labels[of_it['model']]}, {', '.join(changes)}",
                        quote(of["test_accuracy"], scale=100),
                        quote(of["test_accuracy"]["minus_control"], sign=True, scale=100),
                        "-",
                        quote(of["train_mean_gap_hard"]["minus_control"], sign=True),
                        "-",
                        "-",
                    ]
                )
    head = [
        "study",
        "student",
        "test accuracy, %",
        "minus control",
        "minus KD",
        "gap, hard training points, minus control",
    ]
    head += ["agreement, test, points, minus control", "KL, test, nats, minus control"]
    return markdown_table(head, rows)


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


if __name__ == "__main__":
    command_line.run(main)
