"""A report that a person can read, from a study's summary and the dumps behind it.

`write_report` writes the summary as `summary.json`, draws the figures and puts both into `report.html`. It needs no
accelerator and no checkpoint.
"""

import base64
import json
import math
from collections.abc import Collection
from pathlib import Path

import jinja2
import numpy as np
from matplotlib.figure import Figure

from distill_jax.dump_reader import DumpReader
from distill_jax.files import write_result
from distill_jax.measures import findings
from distill_jax.measures.accuracies import pairs
from distill_jax.measures.interval import number, quote
from distill_jax.measures.study_summary import FILE, SPLITS, StudySummary
from distill_jax.report import plots
from distill_jax.report.rows import ROWS
from distill_jax.students import CONTROL, KD, KINDS, SWITCHED, TEACHER, look_of

CHECKED = {"mean_gap_hard": "gap of hard points", "mean_gap_easy": "of easy ones", "slope_instrumented": "slope"}
SNAPSHOTS_SHOWN = 5  # columns of the evolution figure


def draw(read: DumpReader, summary: StudySummary) -> dict[str, Figure]:
    """The figures of the report, by name; those of single examples show seed 0.

    Raises:
      InputError: a dump is missing or damaged.
    """
    last, switch = summary.study.total_steps, summary.study.switch_step
    teachers = [read(TEACHER, 0, last, split) for split in SPLITS]
    students = list(summary.study.students)
    final = {m: [read(m, 0, last, split) for split in SPLITS] for m in students}
    steps = {m: measures["train_accuracy"].step for m, measures in summary.trajectories.items()}
    shown_steps = _spread(steps[KD], switch)
    snapshots = [read(m, 0, step, "train") for m in students for step in shown_steps if step in steps[m]]
    figures = {
        "scatter": plots.scatter(teachers, final[CONTROL] + final[KD], summary.deviations),
        "underfitting": plots.underfitting(
            summary.gap_by_decile,
            summary.gap_by_decile_as_in_paper,
            selecting=CONTROL if summary.study.one_teacher else TEACHER,
        ),
        "evolution": plots.evolution(teachers[0], snapshots, switch),
        "accuracy": plots.accuracy(summary.trajectories, switch),
    }
    figures |= {
        f"scatter_{name}": plots.scatter(teachers, [dump for s in names for dump in final[s]], summary.deviations)
        for name, names in _others(students).items()
    }
    if summary.sweep is not None:
        figures |= {f"sweep_{field}": plots.sweep(summary.sweep, field) for field in summary.sweep.fields}
    if summary.study.train_mislabelled:
        figures["mislabelled"] = plots.mislabelled(summary.deviations)
    return figures


def _others(students: Collection[str]) -> dict[str, list[str]]:
    """Students beside the control and the distilled one that share a figure: the two switched ones, and all others."""
    switched = [s for s in students if s in SWITCHED]
    other_students = [s for s in students if s not in (CONTROL, KD, *SWITCHED)]
    return {name: students for name, students in (("switched", switched), ("others", other_students)) if students}


def _spread(steps: list[int], switch_step: int) -> list[int]:
    """At most SNAPSHOTS_SHOWN steps: the first, the last before the switch, the last, and some between."""
    if len(steps) <= SNAPSHOTS_SHOWN:
        return steps
    switch_index = max((i for i, step in enumerate(steps) if step <= switch_step), default=0)
    before = np.linspace(0, switch_index, SNAPSHOTS_SHOWN // 2 + 1).round().astype(int)
    after = np.linspace(switch_index, len(steps) - 1, SNAPSHOTS_SHOWN // 2 + 1).round().astype(int)
    return [steps[i] for i in sorted({*before.tolist(), *after.tolist()})]


def write_report(read: DumpReader, summary: StudySummary) -> Path:
    """Writes `summary.json`, `figures/*.png` and `*.svg`, and `report.html`, each whole or not at all.

    Args:
      read: of the study's dumps; the report is written beside them.
      summary: of it.

    Returns:
      The path of report.html: one file that loads nothing from elsewhere.

    Raises:
      InputError: a dump is missing or damaged.
      RunError: a file cannot be written.
    """
    images, workdir = {}, read.workdir
    for name, figure in draw(read, summary).items():
        images[name] = base64.b64encode(plots.save(figure, workdir / "figures", name)["png"]).decode()
    text = json.dumps(summary.as_json(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_result(workdir / FILE, (text + "\n").encode())
    path = workdir / "report.html"
    write_result(path, render(summary, images).encode())
    return path


def render(summary: StudySummary, images: dict[str, str]) -> str:
    """The report as HTML, from a summary and PNG figures in base64, by name; those that are not given are left out."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"quote": quote, "number": number, "duration": _duration}
    environment.tests["known"] = math.isfinite
    labels = {TEACHER: KINDS[TEACHER].label, **summary.study.students}
    template = environment.from_string(Path(__file__).with_name("study_report.html.jinja").read_text("utf-8"))
    return template.render(
        s=summary,
        images=images,
        labels=labels,
        colors={model: look_of(model)["color"] for model in labels},
        models=list(labels),
        others=_others(summary.study.students),
        pairs=pairs(summary.study.students),
        splits=plots.SPLITS,
        rows=ROWS,
        checked=CHECKED,
        multiplicity=findings.multiplicity(summary.findings),
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
