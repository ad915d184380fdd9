"""Finished studies side by side, in Markdown: each claim's verdict, who chose the points, and test accuracies.

python -m experiments.study_tables SUMMARY.json [SUMMARY.json ...]

A study's column is named by the folder that its summary lies in, with its parents where two have the same name.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path

import tyro

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.measures.findings import corrected, multiplicity
from distill_jax.measures.interval import quote
from distill_jax.measures.study_summary import StudySummary, read_summary
from distill_jax.report.plots.style import SPLITS
from distill_jax.students import CONTROL, KD, MODELS, label_of
from experiments.markdown_table import markdown_table

PROG = "python -m experiments.study_tables"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Tables of finished studies side by side, in Markdown."""

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
        raise InputError("SUMMARY.json", None, f"must be given, one or more (all options: {PROG} --help)")
    folder_names = {path: path.absolute().parent.name for path in paths}
    name_counts = Counter(folder_names.values())
    studies = {name if name_counts[name] == 1 else str(path.parent): _read(path) for path, name in folder_names.items()}
    heads = [f"`{name}`, n = {study.study.seeds}" for name, study in studies.items()]
    claims = {f.id: f"{f.claim} ({f.paper})" for study in studies.values() for f in study.findings}
    # In the order of the study that has them all, since a study without wrong labels has no claim on these.
    fullest = max(studies.values(), key=lambda study: len(study.findings))
    all_findings = [finding for study in studies.values() for finding in study.findings]
    bold = {
        id(finding)
        for finding, is_significant in zip(all_findings, corrected(all_findings), strict=True)
        if is_significant
    }
    rows = [[claims[f.id], *(_verdict(study, f.id, bold) for study in studies.values())] for f in fullest.findings]
    accuracies = [
        [label_of(m), *(quote(study.accuracy["test_accuracy"].models[m], scale=100) for study in studies.values())]
        for m in MODELS
    ]
    note = f"{multiplicity(all_findings)} Those are in bold."
    parts = [
        markdown_table(["claim", *heads], rows) + f"\n{note}\n",
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
        study_label, labels = f"`{path.absolute().parent.name}`, n = {study.study.seeds}", study.study.students
        accuracy = study.accuracy["test_accuracy"]
        for model in (m for m in accuracy.models if m in labels and m != CONTROL):
            statistics = study.deviations[model]
            than_kd = accuracy.paired.get(f"{model}_minus_{KD}")
            gap, agreement, kl = (
                statistics["train"]["mean_gap_hard"],
                statistics["test"]["agreement"],
                statistics["test"]["kl"],
            )
            rows.append(
                [
                    study_label,
                    labels[model],
                    quote(accuracy.models[model], scale=100),
                    quote(accuracy.paired[f"{model}_minus_{CONTROL}"], sign=True, scale=100),
                    "-" if than_kd is None else quote(than_kd, sign=True, scale=100),
                    quote(gap.against_control, sign=True),
                    quote(agreement.against_control, 1, sign=True, scale=100),
                    quote(kl.against_control, 3, sign=True),
                ]
            )
        if study.sweep is None:
            continue
        for student in (s for s in study.sweep.students if s.name != s.model):
            changes = ", ".join(f"{field} {student.settings[field]:g}" for field in study.sweep.fields)
            test_accuracy, gap = student.statistics["test_accuracy"], student.statistics["train_mean_gap_hard"]
            cells = [quote(test_accuracy, scale=100), quote(test_accuracy.against_control, sign=True, scale=100), "-"]
            cells += [quote(gap.against_control, sign=True), "-", "-"]
            rows.append([study_label, f"{labels[student.model]}, {changes}", *cells])
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


def _choices(studies: Sequence[StudySummary]) -> list[list[str]]:
    """Control and distilled student by who chose class and hard points: another seed's teacher, or their own one."""
    rows = []
    for split, where in SPLITS.items():
        for title, name in {
            f"mean gap, hard points, {where}: by another seed's teacher": "mean_gap_hard",
            f"mean gap, hard points, {where}: by their own, as in the paper": "mean_gap_hard_as_in_paper",
            f"the same of each model's own class, {where}: by another seed's teacher": "confidence_gap_hard",
            f"slope of Y on X, {where}: by another seed's teacher": "slope_instrumented",
            f"slope of Y on X, {where}: by their own, as in the paper": "slope_least_squares",
        }.items():
            sign = "gap" in name
            pairs = [[study.deviations[m][split].get(name) for m in (CONTROL, KD)] for study in studies]
            if all(value is None for pair in pairs for value in pair):
                continue  # of studies that are older than the measure
            cells = [" → ".join("-" if v is None else quote(v, sign=sign) for v in pair) for pair in pairs]
            rows.append([title, *cells])
    return rows


def _read(path: Path) -> StudySummary:
    """A summary with the findings by today's rules: what is committed are the numbers, from which they follow."""
    summary = read_summary(path)
    return dataclasses.replace(summary, findings=summary.current_findings)


def _verdict(study: StudySummary, claim: str, bold: Set[int]) -> str:
    for finding in study.findings:
        if finding.id == claim:
            text = f"{finding.verdict}: {finding.quoted}"
            return f"**{text}**" if id(finding) in bold else text
    return "-"


if __name__ == "__main__":
    command_line.run(main)
