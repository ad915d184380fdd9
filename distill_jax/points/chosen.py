"""Which part of a finished study is meant: students, seeds, splits and steps."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_jax.dumps import find_dumps
from distill_jax.errors import InputError
from distill_jax.files import read_json
from distill_jax.measures.study_summary import FILE, SPLITS, StudySummary, read_summary
from distill_jax.students import CONTROL, TEACHER
from distill_jax.study.workdir import check_plain, is_claimed

_AGAIN = "run the study's command again"


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A part of a finished study.

    Attributes:
      workdir: the study's folder.
      summary: its numbers.
      students: names of students, in the study's order.
      seeds: numbers of its repetitions.
      splits: 'train', 'test' or both.
      steps: of every model's dumps, in order; of each chosen one those that are meant.
    """

    workdir: Path
    summary: StudySummary
    students: tuple[str, ...]
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    steps: Mapping[str, tuple[int, ...]]

    @property
    def dumps(self) -> list[tuple[str, int]]:
        """The students and steps of a seed and split."""
        return [(student, step) for student in self.students for step in self.steps[student]]


def choose(
    workdir: Path,
    students: Sequence[str] = (),
    seeds: Sequence[int] = (),
    splits: Sequence[str] = (),
    every_step: bool = False,
    teacher: bool = False,
) -> Chosen:
    """A part of a study; what is not named is meant wholly.

    Args:
      workdir: of the study.
      students: names of dumps, also of a sweep's.
      seeds, splits: of the study.
      every_step: all steps of which there are dumps, and not the last alone.
      teacher: whether the teacher may be named beside the students.

    Raises:
      InputError: there is no such study, or it is not finished, or it has no such student or seed.
    """
    check_plain(workdir)
    if not is_claimed(workdir):
        raise InputError(workdir, None, "holds no study; must be the `run.workdir` of one")
    if not (workdir / FILE).exists():
        raise InputError(workdir, None, f"is a study that is not finished; {_AGAIN}")
    summary = read_summary(workdir)
    study, swept = summary.study, summary.sweep.students if summary.sweep is not None else []
    known = list(dict.fromkeys([*study.students, *(s.name for s in swept)]))
    _check("student", students, [TEACHER, *known] if teacher else known)
    _check("seed", seeds, range(study.seeds))
    _check("split", splits, SPLITS)
    models = [s for s in [TEACHER, *known] if s in students] or known
    steps = {model: _steps(workdir, summary, model) if every_step else (study.total_steps,) for model in models}
    steps.setdefault(CONTROL, _steps(workdir, summary, CONTROL))
    return Chosen(
        workdir,
        summary,
        tuple(models),
        tuple(sorted({*seeds})) or tuple(range(study.seeds)),
        tuple(s for s in SPLITS if s in splits) or SPLITS,
        steps,
    )


def _steps(workdir: Path, summary: StudySummary, model: str) -> tuple[int, ...]:
    """The steps at which a model was dumped, by the summary, or of a sweep's student by the disk."""
    if model in summary.trajectories:
        return tuple(summary.trajectories[model]["train_accuracy"].step)
    last = summary.study.total_steps
    return tuple(sorted({last, *(step for name, _, step, _ in find_dumps(workdir) if name == model and step < last)}))


def choose_one(
    workdir: Path, students: Sequence[str], seeds: Sequence[int], split: str, every_step: bool = False
) -> Chosen:
    """One model, teacher or student, of one seed and split; a study's only seed need not be named.

    Raises:
      InputError: as `choose`, or they are none or more than one.
    """
    chosen = choose(workdir, students, seeds, [split], every_step, teacher=True)
    if len(students) != 1:
        known = ", ".join([TEACHER, *choose(workdir).students])
        raise InputError("student", None, f"must name one, of {known}")
    if len(chosen.seeds) != 1:
        raise InputError("seed", None, f"must name one, of 0 to {chosen.summary.study.seeds - 1}")
    return chosen


def identity_of(workdir: Path) -> dict[str, Any]:
    """What names the study of a folder, as `study.workdir` keeps it."""
    return read_json(workdir / "setting.json", dict[str, Any], "must be the `run.workdir` of a study")


def _check(field: str, named: Sequence[Any], known: Sequence[Any]) -> None:
    for name in named:
        if name not in known:
            some = f"0 to {len(known) - 1}" if isinstance(known, range) else ", ".join(known)
            raise InputError(field, name, f"is none of the study's; there are {some}")
