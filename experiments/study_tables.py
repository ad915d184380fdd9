"""Finished studies side by side, in Markdown: each claim's verdict, and test accuracies.

python -m experiments.study_tables SUMMARY.json [SUMMARY.json ...]

A study's column is named by the folder that its summary lies in, with its parents where two have the same name.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from distill_jax.errors import InputError
from distill_jax.findings import findings, multiplicity, quoted
from distill_jax.plots.style import LABELS
from distill_jax.setting import MODELS
from distill_jax.statistics import quote
from experiments import command_line

PROG = "python -m experiments.study_tables"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Which studies."""

    summaries: tyro.conf.Positional[tuple[Path, ...]] = ()
    """summary.json of each, which `experiments.distill` writes."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    print(tables(setting.summaries), end="")


def tables(paths: Sequence[Path]) -> str:
    """Both tables.

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
    rows = [[claims[f["id"]], *(_verdict(of, f["id"]) for of in studies.values())] for f in most["findings"]]
    accuracies = [
        [LABELS[m], *(quote(of["accuracy"]["test_accuracy"]["models"][m], scale=100) for of in studies.values())]
        for m in MODELS
    ]
    every = [finding for of in studies.values() for finding in of["findings"]]
    of_accuracies = _table(["test accuracy, %", *heads], accuracies)
    return f"{_table(['claim', *heads], rows)}\n{multiplicity(every)}\n\n{of_accuracies}"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        summary = json.loads(path.read_text())
        _ = summary["study"]["seeds"], summary["accuracy"]["test_accuracy"]["models"]
        # By today's rules: what is committed are the numbers, from which they follow.
        summary = summary | {"findings": findings(summary)}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); must be a study's summary.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: must be the summary.json that python -m experiments.distill writes") from error
    return summary


def _verdict(study: Mapping[str, Any], claim: str) -> str:
    for finding in study["findings"]:
        if finding["id"] == claim:
            return f"{finding['verdict']}: {quoted(finding)}"
    return "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    command_line.run(main)
