"""Every number of a finished study: from its dumps, to and from `summary.json`. It needs no accelerator."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattrs
import numpy as np
from cattrs.gen import make_dict_structure_fn

from distill_jax.dumps import DumpReader, dump_path, find_dumps
from distill_jax.errors import InputError
from distill_jax.files import read_json
from distill_jax.measures import comparisons, control_check, findings
from distill_jax.measures.accuracies import Accuracy, Trajectory, accuracies, hits, trajectories
from distill_jax.measures.control_check import ControlCheck
from distill_jax.measures.findings import Deviations, Finding
from distill_jax.measures.interval import Interval
from distill_jax.measures.sweep_summary import SweepSummary, SweptStudent
from distill_jax.students import CONTROL, KINDS, STUDENTS, TEACHER, label_of

FILE = "summary.json"  # in a study's folder
SPLITS = ("train", "test")
ByDecile = dict[str, dict[str, list[Interval]]]


@dataclasses.dataclass(frozen=True)
class StudyFacts:
    """Basic facts of a study: its size, its steps, its data.

    >>> facts = StudyFacts(3, 600, 300, classes=10, train_examples=1000, test_examples=500, train_mislabelled=200)
    >>> facts.one_teacher, facts.train_mislabelled / facts.train_examples
    (False, 0.2)

    Attributes:
      seeds: how many, 0..seeds-1.
      total_steps: the last step, whose dumps are the result.
      switch_step: at which the switched students begin to change their loss.
      classes, train_examples, test_examples: of its data.
      train_mislabelled, test_mislabelled: how many labels are not the true ones.
      students: what each is called, by its name.
      one_teacher: whether all seeds have one, whose luck is then nobody's to inherit (`comparisons.inherited_noise`).
      labels_differ: whether each seed has training labels of its own, so that what two seeds' models differ by is not
        their luck alone.
    """

    seeds: int
    total_steps: int
    switch_step: int
    classes: int
    train_examples: int
    test_examples: int
    train_mislabelled: int
    test_mislabelled: int = 0
    students: dict[str, str] = dataclasses.field(default_factory=dict)
    one_teacher: bool = False
    labels_differ: bool = False

    @property
    def selecting(self) -> str:
        """The model of another seed that chooses class and hard points."""
        return CONTROL if self.one_teacher else TEACHER


@dataclasses.dataclass(frozen=True)
class StudySummary:
    """Every number of a study. But for `timing` and `environment` the same dumps give the same.

    Attributes:
      setting, environment, timing: quoted, as JSON has them.
      study: what it is.
      models: accuracy in [0, 1] at the last step, [model][measure], one per seed.
      deviations: [student][split][statistic] of `deviations.deviations` (sections 3.1, 3.2), paired by seed with the
        control; cross-fitted ones where there are two seeds or more, and then inherited_noise.
      gap_by_decile: [student][split], of ten groups of examples from hard to easy; None with one seed.
      gap_by_decile_as_in_paper: the same by the paper's choice of class and groups.
      accuracy: by measure.
      trajectories: [model][measure] in the course of training.
      control_check: None with one seed, or where student and teacher are different networks.
      findings: the paper's claims with their verdicts.
      sweep: None where nothing is swept.
    """

    setting: dict[str, Any]
    environment: dict[str, Any]
    timing: dict[str, Any]
    study: StudyFacts
    models: dict[str, dict[str, list[float]]]
    deviations: dict[str, dict[str, dict[str, Interval]]]
    gap_by_decile_as_in_paper: ByDecile
    accuracy: dict[str, Accuracy]
    trajectories: dict[str, dict[str, Trajectory]]
    findings: list[Finding]
    gap_by_decile: ByDecile | None = None
    control_check: ControlCheck | None = None
    sweep: SweepSummary | None = None

    @property
    def current_findings(self) -> list[Finding]:
        """The findings by today's rules, whenever the study was made."""
        return _findings(self.deviations, self.accuracy, self.study)

    def as_json(self) -> dict[str, Any]:
        """As `summary.json` has it."""
        return as_json(self)

    @classmethod
    def from_json(cls, value: Any) -> StudySummary:
        """Of `as_json`, by this version or an older one.

        Raises:
          ValueError: it is not.
        """
        try:
            summary = _converter().structure(value, cls)
        except Exception as error:  # whatever a strange file makes of it, in an ExceptionGroup of cattrs'
            raise ValueError("; ".join(cattrs.transform_error(error))) from error
        students = summary.study.students or {student: label_of(student) for student in summary.deviations}
        return dataclasses.replace(summary, study=dataclasses.replace(summary.study, students=students))


def as_json(value: Any) -> Any:
    """A summary's values, mappings and lists as JSON; null for a number that is not finite.

    >>> as_json([0.5, math.nan, {"kd": Interval(0.5, -math.inf, math.inf, 1, "seeds")}])
    [0.5, None, {'kd': {'mean': 0.5, 'low': None, 'high': None, 'n': 1, 'level': 'seeds'}}]
    """
    return _converter().unstructure(value)


def read_summary(path: Path) -> StudySummary:
    """The summary of a finished study.

    Args:
      path: its folder, or the file `summary.json` itself.

    Raises:
      InputError: there is none, or it is damaged.
    """
    file = path / FILE if path.is_dir() else path
    remedy = "must be the summary.json that python -m distill_jax writes"
    value = read_json(file, dict[str, Any], remedy)
    try:
        return StudySummary.from_json(value)
    except ValueError as error:
        raise InputError(file, None, f"{remedy}") from error


def summarise(
    read: DumpReader,
    setting: Mapping[str, Any],
    environment: Mapping[str, Any],
    timing: Mapping[str, Any],
    *,
    seeds: int,
    total_steps: int,
    switch_step: int,
    students: Mapping[str, str] | None = None,
    sweep: SweepSummary | None = None,
) -> StudySummary:
    """Every number of a finished study.

    Args:
      read: of the dumps of teacher and students, of seeds 0..seeds-1, at `total_steps` and before.
      setting: the study's setting; quoted, and `data`, `teacher`, `student` name what was run.
      environment: quoted; the report's heading shows `device`, and `command` is printed to be repeated.
      timing: quoted; the report's heading shows `total_seconds`.
      seeds, total_steps, switch_step: as of `StudyFacts`.
      students: what each is called, by name, the control and the distilled one among them; None for `STUDENTS`.
      sweep: where there is one.

    Raises:
      InputError: a dump is missing or damaged.
    """
    labels = dict(students or {name: KINDS[name].label for name in STUDENTS})
    models = [TEACHER, *labels]
    dump_keys = {k for k in find_dumps(read.workdir) if k[0] in models and k[1] < seeds and k[2] <= total_steps}
    for model, seed, split in itertools.product(models, range(seeds), SPLITS):
        if (model, seed, total_steps, split) not in dump_keys:
            path = dump_path(read.workdir, model, seed, total_steps, split)
            raise InputError("dump", path, "is not there; run the same command again to write it")
    correct, sizes = hits(dump_keys, seeds, read)
    teachers = [read.at(total_steps, "train")(TEACHER, seed) for seed in range(min(seeds, 2))]
    one_teacher = seeds > 1 and np.array_equal(teachers[0].logits, teachers[1].logits)
    labels_differ = seeds > 1 and not np.array_equal(teachers[0].label, teachers[1].label)
    facts = {"students": labels, "one_teacher": one_teacher, "labels_differ": labels_differ, **sizes}
    study = StudyFacts(seeds, total_steps, switch_step, **facts)
    deviations, as_in_paper, crossed = _deviations(read, list(labels), seeds, total_steps, labels_differ)
    accuracy = accuracies(correct, models, seeds, total_steps)
    quoted = {"setting": setting, "environment": environment, "timing": timing}
    is_draw = seeds > 1 and setting.get("teacher") == setting.get("student")
    return StudySummary(
        **json.loads(json.dumps(quoted, default=str)),  # paths and tuples as JSON has them
        study=study,
        models={
            model: {k: list(measured.models[model].per_seed) for k, measured in accuracy.items()} for model in models
        },
        deviations=deviations,
        gap_by_decile_as_in_paper=as_in_paper,
        gap_by_decile=crossed,
        accuracy=accuracy,
        trajectories=trajectories(correct, models, seeds),
        control_check=control_check.check(deviations[CONTROL]) if is_draw else None,
        findings=_findings(deviations, accuracy, study),
        sweep=sweep,
    )


def _deviations(
    read: DumpReader, students: list[str], seeds: int, step: int, labels_differ: bool
) -> tuple[dict[str, dict[str, dict[str, Interval]]], ByDecile, ByDecile | None]:
    """Of each student and split its deviations, and its gap by tenth as in the paper and as another teacher chooses."""
    deviations: dict[str, dict[str, dict[str, Interval]]] = {student: {} for student in students}
    as_in_paper: ByDecile = {student: {} for student in students}
    crossed: ByDecile | None = {student: {} for student in students} if seeds > 1 else None
    for split in SPLITS:
        read_split = read.at(step, split)
        compared = comparisons.compare(read_split, students, seeds)
        inherited = {} if labels_differ else comparisons.inherited_noise(read_split, students, seeds)
        for student, values in comparisons.intervals(compared).items():
            extra = {"inherited_noise": inherited[student]} if student in inherited else {}
            deviations[student][split] = values | extra
        for gaps in (as_in_paper, crossed):
            if gaps is not None:
                for student, tenths in comparisons.gaps_by_tenth(compared, gaps is crossed).items():
                    gaps[student][split] = tenths
    return deviations, as_in_paper, crossed


def _findings(deviations: Deviations, accuracy: Mapping[str, Accuracy], study: StudyFacts) -> list[Finding]:
    found = findings.findings(
        deviations,
        accuracy["test_accuracy"],
        seeds=study.seeds,
        mislabelled=study.train_mislabelled > 0,
        labels_differ=study.labels_differ,
    )
    older = study.one_teacher and all(f.difference.wider == 1 for f in found if f.unit != "points")
    return [findings.of_an_older_version(f) if older and f.unit != "points" else f for f in found]


@functools.cache
def _converter() -> cattrs.Converter:
    """Of summaries to JSON and back; a number that is not finite is null there."""
    converter = cattrs.Converter()
    converter.register_unstructure_hook(float, lambda value: value if math.isfinite(value) else None)
    converter.register_structure_hook(float, lambda value, _: math.nan if value is None else float(value))
    converter.register_unstructure_hook(Interval, Interval.as_json)
    converter.register_structure_hook(Interval, lambda value, _: Interval.from_json(value))
    student = make_dict_structure_fn(SweptStudent, converter)
    own_fields = {field.name for field in dataclasses.fields(SweptStudent)}
    converter.register_unstructure_hook(
        SweptStudent,
        lambda swept: {
            "name": swept.name,
            "model": swept.model,
            **swept.settings,
            "statistics": converter.unstructure(swept.statistics),
        },
    )
    converter.register_structure_hook(
        SweptStudent,
        lambda value, kind: student(
            value | {"settings": {k: v for k, v in value.items() if k not in own_fields}}, kind
        ),
    )
    return converter
