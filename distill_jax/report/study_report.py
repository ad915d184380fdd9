"""A report that a person can read, from a study's summary and the dumps behind it.

`write_report` writes the summary as `summary.json`, draws the figures and puts both into `report.html`. It needs no
accelerator and no checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from distill_jax.dumps import DumpReader
from distill_jax.files import write_result
from distill_jax.measures import findings
from distill_jax.measures.accuracies import pairs
from distill_jax.measures.control_check import EXPECTED
from distill_jax.measures.data_maps import data_maps
from distill_jax.measures.interval import number, quote
from distill_jax.measures.study_summary import FILE, SPLITS, StudySummary
from distill_jax.report import explorer, inline_svg, plots
from distill_jax.report.forest import forest
from distill_jax.report.headline import headline
from distill_jax.report.plots.style import in_order
from distill_jax.report.rows import GROUPS, ROWS
from distill_jax.students import CONTROL, KD, KINDS, SWITCHED, TEACHER, look_of

if TYPE_CHECKING:
    from distill_jax.data.examples import Examples


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page: its template and anchor, its name in the contents, and its heading."""

    id: str
    short: str
    title: str


SECTIONS = (
    Section("pair", "Pair", "Control and distilled student"),
    Section("claims", "Claims", "The paper's claims"),
    Section("evidence", "Evidence", "The evidence, claim by claim"),
    Section("study", "Study", "The study"),
    Section("accuracy", "Accuracy", "Accuracy"),
    Section("examples", "Examples", "Teacher against student, example by example"),
    Section("numbers", "Numbers", "Underfitting in numbers"),
    Section("mislabelled", "Mislabelled", "Mislabelled points"),
    Section("evolution", "Evolution", "How the deviations evolve"),
    Section("data_maps", "Data maps", "Which examples are learned, and how steadily"),
    Section("others", "Others", "The other students"),
    Section("training", "Training", "In the course of training"),
    Section("sweep", "Sweep", "The sweep"),
    Section("care", "Care", "How to read this with care"),
    Section("run", "Run", "What was run"),
)
SNAPSHOTS_SHOWN = 5  # columns of the evolution figure


def draw(read: DumpReader, summary: StudySummary) -> dict[str, Figure]:
    """The figures of the report, by name; those of single examples show seed 0.

    Raises:
      InputError: a dump is missing or damaged.
    """
    last, switch = summary.study.total_steps, summary.study.switch_step
    teachers = [read(TEACHER, 0, last, split) for split in SPLITS]
    students = in_order(summary.study.students)
    final = {m: [read(m, 0, last, split) for split in SPLITS] for m in students}
    steps = {m: measures["train_accuracy"].step for m, measures in summary.trajectories.items()}
    shown_steps = _spread(steps[KD], switch)
    snapshots = [read(m, 0, step, "train") for m in students for step in shown_steps if step in steps[m]]
    figures = {
        "scatter": plots.scatter(teachers, final[CONTROL] + final[KD], summary.deviations),
        "evolution": plots.evolution(teachers[0], snapshots, switch),
    }
    figures |= {
        f"scatter_{name}": plots.scatter(teachers, [dump for s in names for dump in final[s]], summary.deviations)
        for name, names in _others(students).items()
    }
    if maps := data_maps(read, summary):
        figures["data_maps"] = plots.data_map(maps)
    return figures | drawn_from(summary)


def drawn_from(summary: StudySummary) -> dict[str, Figure]:
    """Those of the report's figures that show no single examples, for which the summary is enough."""
    crossed, as_in_paper = summary.gap_by_decile, summary.gap_by_decile_as_in_paper
    figures = {
        "accuracy": plots.accuracy(summary.trajectories, summary.study.switch_step),
        "underfitting": plots.underfitting(crossed, as_in_paper, selecting=summary.study.selecting),
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


def write_report(
    read: DumpReader,
    summary: StudySummary,
    examples: Mapping[str, Examples] | None = None,
    explore: Literal["part", "full", "none"] = "part",
) -> Path:
    """Writes `summary.json`, `figures/*.png` and `*.svg`, and `report.html`, each whole or not at all.

    Args:
      read: of the study's dumps; the report is written beside them.
      summary: of it.
      examples: by split, what the explorer shows of them; None for their ids and labels alone.
      explore: as the setting's `run.explorer`.

    Returns:
      The path of report.html: one file that loads nothing from elsewhere.

    Raises:
      InputError: a dump is missing or damaged.
      RunError: a file cannot be written.
    """
    images, workdir = {}, read.workdir
    for name, figure in draw(read, summary).items():
        plots.save(figure, workdir / "figures", name)
        images |= inlined(figure, name)
    text = json.dumps(summary.as_json(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_result(workdir / FILE, (text + "\n").encode())
    path = workdir / "report.html"
    shown = None if explore == "none" else explorer.explorer(read, summary, examples, folder=explore == "full")
    if explore == "full":
        explorer.write_folder(read, summary, examples)
    write_result(path, render(summary, images, shown).encode())
    return path


def inlined(figure: Figure, name: str) -> dict[str, Markup]:
    """A figure of `draw` as `render` wants it; of the scatter plots each split by itself, since one is at the top."""
    panels = inline_svg.panels(figure, name, by_row=name == "scatter")
    if name != "scatter":
        return {name: panels.html(f"Figure: {name.replace('_', ' ')}")}
    shown = {}
    for (split, title), row, legend in zip(plots.SPLITS.items(), panels.rows, panels.legends, strict=True):
        shown[f"{name}_{split}"] = inline_svg.Panels([row], legend).html(f"Student against teacher, {title}")
    return shown


def render(summary: StudySummary, images: Mapping[str, str], explorer: str | None = None) -> str:
    """The report as HTML.

    Args:
      summary: of the study.
      images: figures by their names in `draw`, as PNG in base64 or as markup of SVG; those that are not given are left
        out. Of 'scatter' the two splits may be given each by itself, as 'scatter_train' and 'scatter_test'.
      explorer: markup that stands at the top in place of the scatter plots, which are then further below and in print.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("page")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quote": quote, "number": number, "duration": _duration, "measured": _measured}
    environment.tests["known"] = math.isfinite
    models = in_order([TEACHER, *summary.study.students])
    colors = {model: inline_svg.variable(look_of(model)["color"]) for model in models}
    others = _others(models[1:])
    return environment.get_template("report.html.jinja").render(
        s=summary,
        sections=[section for section in SECTIONS if _is_there(section.id, summary, images, others)],
        images=images,
        explorer=None if explorer is None else Markup(explorer),
        labels={TEACHER: KINDS[TEACHER].label, **summary.study.students},
        colors=colors,
        dark_colors=inline_svg.dark_colors([*images.values(), *colors.values()]),
        models=models,
        others=others,
        pairs=pairs(models[1:]),
        pair="scatter_train" if "scatter_train" in images else "scatter",
        splits=plots.SPLITS,
        groups=GROUPS,
        checked=[row for row in ROWS if row[0] in EXPECTED],
        headline=headline(summary),
        findings=summary.current_findings,
        forest=forest(summary.current_findings),
        multiplicity=findings.multiplicity(summary.current_findings),
    )


def _is_there(section: str, summary: StudySummary, images: Collection[str], others: Collection[str]) -> bool:
    """Whether a study has something to say in a section."""
    needed = {
        "mislabelled": summary.study.train_mislabelled > 0,
        "evolution": "evolution" in images,
        "data_maps": "data_maps" in images,
        "others": "scatter_others" in images,
        "training": "accuracy" in images or "scatter_switched" in images,
        "sweep": summary.sweep is not None,
    }
    return needed.get(section, True)


def _measured(value: float) -> str:
    """A time, a rate or a count in as many digits as say something."""
    return f"{value:,.2f}" if abs(value) < 100 and value != int(value) else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
