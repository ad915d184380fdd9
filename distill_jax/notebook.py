"""Studies and comparisons from Python: what a command writes into files, as values that a notebook shows.

import distill_jax

study = distill_jax.run("digits", seeds=3, epochs=20)   # trains, resumes, or finds it finished
study                                                   # its findings and accuracies
study.dump("kd", seed=1).logits

distill_jax.compare(teacher=logits, students={"mine": others, "control": plain}, labels=y, control="control")
"""

import dataclasses
import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_jax.dumps import Dump, as_array, dump_path, read_dump
from distill_jax.errors import InputError
from distill_jax.measures import comparisons, statistics
from distill_jax.measures.findings import SIGNS, Finding
from distill_jax.measures.interval import Interval, quote
from distill_jax.measures.study_summary import FILE, StudySummary, read_summary
from distill_jax.report import plots
from distill_jax.report.rows import ROWS
from distill_jax.students import CONTROL, KD, TEACHER, label_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from distill_jax.setting import Setting


@dataclasses.dataclass(frozen=True)
class FinishedStudy:
    """A study whose report is written.

    Attributes:
      folder: its `run.workdir`.
      summary: every number of it.
    """

    folder: Path
    summary: StudySummary = dataclasses.field(repr=False)

    @property
    def students(self) -> dict[str, str]:
        """The students' labels in figures and reports, by name."""
        return self.summary.study.students

    @property
    def findings(self) -> list[Finding]:
        """Each claim with its verdict."""
        return self.summary.findings

    def accuracy(self, model: str, split: str = "test") -> Interval:
        """A model's accuracy at the end, in [0, 1]."""
        return self.summary.accuracy[f"{split}_accuracy"].models[model]

    def deviation(self, student: str, name: str, split: str = "train") -> Interval:
        """A statistic of `deviations.deviations`, with `minus_control`, paired by seed."""
        return self.summary.deviations[student][split][name]

    def dump(self, model: str, seed: int = 0, split: str = "test", step: int | None = None) -> Dump:
        """A model's logits, at the end or a snapshot's step.

        Raises:
          InputError: there are none.
        """
        last = self.summary.study.total_steps
        return read_dump(dump_path(self.folder, model, seed, last if step is None else step, split))

    def measure(self, of: Callable[[Dump, Dump], float], split: str = "test") -> dict[str, Interval]:
        """A number of one's own, of each student against its teacher: mean and 95% interval over seeds::

            study.measure(lambda teacher, student: np.abs(teacher.logits - student.logits).mean())["kd"].mean

        Args:
          of: (teacher's dump, student's dump) of one seed and split -> a number.

        Returns:
          By student, with `per_seed` and, but for the control, `minus_control`, paired by seed. Where all seeds have
          one teacher, intervals are over students of that one.
        """
        values: dict[str, list[float]] = {name: [] for name in self.students}
        for seed in range(self.summary.study.seeds):
            teacher = self.dump(TEACHER, seed, split)
            for name, seed_values in values.items():
                seed_values.append(float(of(teacher, self.dump(name, seed, split))))
        intervals: dict[str, Interval] = {}
        for name, seed_values in values.items():
            minus_control = None if name == CONTROL else statistics.paired(seed_values, values[CONTROL])
            intervals[name] = dataclasses.replace(
                statistics.over_seeds(seed_values).of(seed_values), minus_control=minus_control
            )
        return intervals

    def scatter(self, *names: str, seed: int = 0, splits: Sequence[str] = ("train", "test")) -> "Figure":
        """Teacher against students in phi space; without names the control and the distilled one."""
        students = names or (CONTROL, KD)
        dumps = [self.dump(name, seed, split) for name in students for split in splits]
        return plots.scatter([self.dump(TEACHER, seed, s) for s in splits], dumps, self.summary.deviations)

    def _repr_html_(self) -> str:
        accuracies = self.summary.accuracy["test_accuracy"].models
        models = {TEACHER: label_of(TEACHER), **self.students}
        accuracy_table = _table(
            ["", "Test accuracy, %"], [[models[m], quote(accuracies[m], scale=100)] for m in models]
        )
        verdicts = [[f"{SIGNS[f.verdict]} {f.verdict}", f.claim, f.quoted] for f in self.findings]
        return accuracy_table + _table(["Verdict", "Claim", "By"], verdicts)


def run(
    setting: "Setting | str | None" = None,
    *,
    dataset: Mapping[str, Any] | None = None,
    teacher: Mapping[str, Any] | Callable[[np.ndarray], Any] | str | None = None,
    quiet: bool = False,
    **fields: Any,
) -> FinishedStudy:
    """Trains what of a study is not yet trained, writes its report, and opens it.

    Args:
      setting: a `Setting`, or the name of a preset; None for 'digits', or 'own-data' where there is a data set.
      dataset: arrays of one's own, x_train, y_train, x_test and y_test, as `data.sources.npz` describes them; all else
        of the setting holds for them: label noise, parts, augmentation.
      teacher: one that is there already: logits [N, K] of 'train' and 'test', a function from inputs as the data have
        them to logits, or what `given.logits` takes.
      quiet: says nothing while it works.
      fields: of the setting's groups, by their names alone: `seeds=3, epochs=20, workdir=...`.

    Raises:
      InputError, RunError, Interrupted: as the command's lines say.
    """
    from rich.console import Console

    from distill_jax.machine import program_cache
    from distill_jax.study.run_study import run_study

    chosen = setting if setting is not None else "digits" if dataset is None else "own-data"
    full_setting, teacher_argument = _changed(_setting(chosen), fields), teacher
    if isinstance(teacher, str):
        given = dataclasses.replace(full_setting.given, logits=(teacher,))
        full_setting, teacher = dataclasses.replace(full_setting, given=given), None
    if full_setting.run.part is not None:
        raise InputError("run.part", full_setting.run.part, "must be left out, since a part has no report to be opened")
    program_cache.keep_programs(full_setting.data.cache_dir)
    console = Console(quiet=quiet, markup=False, emoji=False)
    run_study(
        full_setting,
        _call(setting, fields, dataset=dataset, teacher=teacher_argument),
        console,
        arrays=dataset,
        teacher=teacher,
    )
    return open_study(full_setting.run.workdir, full_setting.data.cache_dir)


def _call(setting: Any, fields: Mapping[str, Any], **keywords: Any) -> str:
    """The call of `run`, for the report; arrays and functions by what they are."""
    arguments = {name: value for name, value in keywords.items() if value is not None} | dict(fields)
    parts = [] if setting is None else [repr(setting)]
    parts += [f"{name}={value!r}" if _is_short(value) else f"{name}=..." for name, value in arguments.items()]
    return f"distill_jax.run({', '.join(parts)})"


def _is_short(value: Any) -> bool:
    """Whether a value can be written down: no array, and nothing that holds one."""
    if isinstance(value, Mapping):
        return all(map(_is_short, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_short, value))
    return value is None or isinstance(value, str | int | float | Path) or dataclasses.is_dataclass(value)


def _setting(setting_or_name: "Setting | str") -> "Setting":
    from distill_jax.presets import PRESETS

    if not isinstance(setting_or_name, str):
        return setting_or_name
    if setting_or_name not in PRESETS:
        raise InputError("preset", repr(setting_or_name), f"is not known; there are {', '.join(PRESETS)}")
    return PRESETS[setting_or_name].setting


def _changed(setting: "Setting", fields: Mapping[str, Any]) -> "Setting":
    """A setting with fields of itself, or of its groups whose options have no prefix, replaced."""
    groups = ("data", "objective", "optimizer", "train", "run")
    for name, argument in fields.items():
        owners = [group for group in groups if name in {f.name for f in dataclasses.fields(getattr(setting, group))}]
        if not owners and not hasattr(setting, name):
            raise InputError(name, None, "is no field of a setting; must be one of a setting or of its groups")
        current = getattr(setting if not owners else getattr(setting, owners[0]), name)
        value = tuple(argument) if isinstance(current, tuple) and isinstance(argument, list) else argument
        value = Path(str(value)) if isinstance(current, Path) else value
        changed = value if not owners else dataclasses.replace(getattr(setting, owners[0]), **{name: value})
        setting = dataclasses.replace(setting, **{owners[0] if owners else name: changed})
    return setting


def open_study(folder: Path | str, cache_dir: Path | None = None) -> FinishedStudy:
    """A finished study.

    Args:
      folder: its `run.workdir`, which may be in a bucket.
      cache_dir: where it is brought to from there [default: ~/.cache/distill-jax].

    Raises:
      InputError: there is none in the folder.
    """
    from distill_jax.bucket.at_hand import brought

    folder = brought("run.workdir", folder, cache_dir)
    if not (folder / FILE).exists():
        raise InputError(folder, None, f"has no {FILE}; must be the `run.workdir` of a finished study")
    return FinishedStudy(folder, read_summary(folder))


@dataclasses.dataclass(frozen=True)
class Deviations:
    """How students deviate from their teachers on one split.

    Attributes:
      split: 'train' or 'test'.
      intervals: [student][statistic], over seeds or, of one seed, over examples; with a control also `minus_control`,
        paired by seed. The statistics are those of `deviations.deviations`.
      control: which student is the control; None without one.
      teachers, students: of each seed, and of each student and seed.
    """

    split: str
    intervals: dict[str, dict[str, Interval]] = dataclasses.field(repr=False)
    control: str | None
    teachers: list[Dump] = dataclasses.field(repr=False)
    students: dict[str, list[Dump]] = dataclasses.field(repr=False)

    def scatter(self, seed: int = 0) -> "Figure":
        """Teacher against students in phi space, of one seed."""
        statistics = {name: {self.split: values} for name, values in self.intervals.items()}
        return plots.scatter([self.teachers[seed]], [dumps[seed] for dumps in self.students.values()], statistics)

    def _repr_html_(self) -> str:
        head, rows = [f"Against the teacher, {self.split}"], []
        others = [name for name in self.intervals if name != self.control]
        order = [self.control, *others] if self.control is not None else others
        for name in order:
            head += [name, *([f"minus {self.control}"] if self.control is not None and name != self.control else [])]
        for key, title, digits, sign, scale in ROWS:
            if any(key in values and math.isfinite(values[key].mean) for values in self.intervals.values()):
                row = [title]
                for name in order:
                    value = self.intervals[name][key]
                    row.append(quote(value, digits, sign, scale))
                    row += [] if value.minus_control is None else [quote(value.minus_control, digits, True, scale)]
                rows.append(row)
        return _table(head, rows)


def compare(
    teacher: Any,
    students: Mapping[str, Any],
    labels: Any,
    *,
    true_labels: Any = None,
    ids: Any = None,
    control: str | None = None,
    split: str = "test",
) -> Deviations:
    """The report's numbers from logits of one's own, whatever made them.

    >>> compare(teacher, {"student": student}, labels).intervals["student"]["agreement"].mean
    0.925

    Args:
      teacher: logits [N, K]; of several seeds [S, N, K], or a list. One teacher may be that of all seeds.
      students: likewise by name, of as many seeds each.
      labels: int [N], as training saw them; [S, N] where each seed has its own.
      true_labels: int [N], before noise; None where there is none.
      ids: int [N]; None numbers the examples.
      control: name of a student that is trained without the teacher, and in all else like the others: each of these is
        then compared with it too, paired by seed.
      split: 'train' or 'test'; names the figures.

    Raises:
      InputError: arrays that do not belong together; the line says which.
    """
    if control is not None and control not in students:
        raise InputError("control", repr(control), f"is none of the students; must be of {', '.join(students)}")
    teachers, logits_by_student = _aligned(teacher, students)
    examples = _examples(labels, true_labels, ids, len(teachers))
    teacher_dumps = _dumps(TEACHER, split, teachers, examples)
    dumps = {name: _dumps(name, split, logits, examples) for name, logits in logits_by_student.items()}
    # By the name that the measures know a control by
    internal_names = {name: CONTROL if name == control else f"student {name}" for name in logits_by_student}
    given_names = {internal: name for name, internal in internal_names.items()}

    def read(model: str, seed: int) -> Dump:
        return teacher_dumps[seed] if model == TEACHER else dumps[given_names[model]][seed]

    intervals = comparisons.intervals(comparisons.compare(read, list(given_names), len(teachers)))
    for name, value in comparisons.inherited_noise(read, list(given_names), len(teachers)).items():
        intervals[name]["inherited_noise"] = value
    return Deviations(
        split, {given_names[name]: values for name, values in intervals.items()}, control, teacher_dumps, dumps
    )


def _examples(labels: Any, true_labels: Any, ids: Any, seeds: int) -> list[tuple[np.ndarray, Any, Any]]:
    """Labels, true labels and ids as each seed has them."""
    label_array = np.asarray(labels)
    by_seed = [label_array] * seeds if label_array.ndim == 1 else list(label_array)
    if len(by_seed) != seeds:
        raise InputError("labels", None, f"are of {len(by_seed)} seeds; must be [N], or [{seeds}, N] as the students")
    return [
        (label, label if true_labels is None else true_labels, np.arange(len(label)) if ids is None else ids)
        for label in by_seed
    ]


def _dumps(name: str, split: str, logits: Sequence[Any], examples: Sequence[tuple[np.ndarray, Any, Any]]) -> list[Dump]:
    """One model's dump of each seed."""
    return [
        Dump(of_seed, *columns, {"model": name, "seed": seed, "split": split})
        for seed, (of_seed, columns) in enumerate(zip(logits, examples, strict=True))
    ]


def _aligned(teacher: Any, students: Mapping[str, Any]) -> tuple[list[Any], dict[str, list[Any]]]:
    """The teacher's logits of each seed, and each student's, of as many seeds."""
    logits_by_student = {name: _by_seed(name, logits) for name, logits in students.items()}
    if not logits_by_student:
        raise InputError("students", None, "are none; must be a dictionary of logits by name")
    seeds = len(next(iter(logits_by_student.values())))
    if any(len(arrays) != seeds for arrays in logits_by_student.values()):
        counts = ", ".join(f"{name} {len(arrays)}" for name, arrays in logits_by_student.items())
        raise InputError("students", None, f"have different numbers of seeds ({counts}); must have one number")
    teachers = _by_seed("teacher", teacher)
    if len(teachers) not in (1, seeds):
        raise InputError("teacher", None, f"is of {len(teachers)} seeds; must be of 1, or {seeds} as the students")
    return teachers * (seeds if len(teachers) == 1 else 1), logits_by_student


def _by_seed(name: str, logits: Any) -> list[Any]:
    """Logits of each seed."""
    if isinstance(logits, list | tuple) and all(getattr(array, "ndim", 0) == 2 for array in logits):
        return list(logits)
    array = as_array(name, logits)
    if array.ndim not in (2, 3):
        raise InputError(
            name, None, f"has the shape {array.shape}; must be logits [N, K], or of several seeds [S, N, K]"
        )
    return list(array) if array.ndim == 3 else [array]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in HTML."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag} style='text-align:left'>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', head)}</thead><tbody>{body}</tbody></table>"
