"""What there is to be done: of each study portions of its teachers, then of its students, as large as programs are."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_jax.students import TEACHER
from distill_jax.study import sweep
from distill_jax.training.population import Member, seeds, split
from distill_jax.training.schedule import Schedule
from experiments.compiled.results import read
from experiments.compiled.studies import DATA, Part, parts
from experiments.paper.studies import Planned
from experiments.schedule.machines import Machine
from experiments.schedule.plan import Task
from experiments.schedule.run import Run

FILES = ("studies-v5e-2x2", "studies-h100", "imagenet")  # the predictions, in results/compiled
# Measured on CPUs (docs/optimisation-log.md, docs/benchmarks.md): a command's imports, and how fast dumps are written.
START_SECONDS, DUMP_BYTES_A_SECOND = 3.2, 861e6


@dataclasses.dataclass(frozen=True)
class Portion:
    """Models that are trained side by side, and that one process claims.

    Attributes:
      study: its name.
      members: who is trained.
      run: how.
      teachers: the place, in the list of all portions, of that of its teachers; None of teachers.
    """

    study: str
    members: tuple[Member, ...]
    run: Run
    teachers: int | None

    @property
    def is_of_teachers(self) -> bool:
        """Whether it is trained before students are."""
        return self.teachers is None


@dataclasses.dataclass(frozen=True)
class Predicted:
    """A study's programs on a machine.

    Attributes:
      plan: the study.
      teachers, students: its two programs.
      rows: what was predicted of them, in this order.
    """

    plan: Planned
    teachers: Part
    students: Part
    rows: tuple[Mapping[str, Any], Mapping[str, Any]]


def predictions(folder: Path, plans: Mapping[str, Planned], machine: Machine) -> list[Predicted]:
    """Of all studies.

    Raises:
      InputError: a file is none of predictions.
      KeyError: a program was not compiled for the machine.
    """
    rows = {row["row"]: row for name in FILES for row in read(folder / f"{name}.json") if row["chip"] == machine.target}
    found = []
    for plan in plans.values():
        teachers, students = parts(plan)
        found.append(Predicted(plan, teachers, students, (rows[teachers.program], rows[students.program])))
    return found


def too_large(found: Sequence[Predicted], machine: Machine, chips: int) -> list[str]:
    """Studies of which one model alone may not fit, where there are fewer chips than a program was compiled for.

    Then all chips' memory is one's, and a model is taken to need its share of it. By this it need not be too large, nor
    fit for certain: it was not compiled.
    """
    needs = {p.plan.name: max(row["memory_gib"] / row["members"] for row in p.rows) * machine.chips for p in found}
    return [name for name, need in needs.items() if chips < machine.chips and need > machine.memory_gib]


def run(predicted: Predicted, role: int, slower: float) -> Run:
    """How the teachers (0) or the students (1) of a study are trained, each step so many times as slow."""
    plan, row = predicted.plan, predicted.rows[role]
    _, classes, train, test = DATA[plan.setting.data.dataset]
    step, members, batch = slower * row["step_seconds_predicted"], row["members"], plan.setting.train.batch_size
    # An example is taken to be evaluated no faster than it is trained on.
    evaluated = step * (train + test) / batch
    written = 4 * members * (train + test) * classes / DUMP_BYTES_A_SECOND
    return Run(
        schedule=Schedule.of(plan.setting, train),
        most=row["steps_a_call"],
        start_seconds=START_SECONDS,
        compile_seconds=row["compile_seconds"],
        step_seconds=step,
        dump_seconds=evaluated + written,
        checkpoint_seconds=plan.setting.run.checkpoint_seconds,
    )


def portions(found: Sequence[Predicted], number: int, slower: float = 1.0) -> list[Portion]:
    """All portions of all studies, with so many seeds of each: as large as their programs are, seed by seed."""
    listed: list[Portion] = []
    for predicted in found:
        plan, sizes = predicted.plan, [row["members"] for row in predicted.rows]
        runs = [run(predicted, role, slower) for role in (0, 1)]
        place_by_seed: dict[int, int] = {}
        for part in split([Member(TEACHER, seed) for seed in range(number)], sizes[0]):
            place_by_seed |= dict.fromkeys(seeds(part), len(listed))
            listed.append(Portion(plan.name, tuple(part), runs[0], None))
        members = [m for seed in range(number) for m in sweep.students(plan.setting, plan.steps, seed)]
        for part in split(members, sizes[1]):
            listed.append(Portion(plan.name, tuple(part), runs[1], place_by_seed[part[0].seed]))
    return listed


def tasks(listed: Sequence[Portion]) -> list[Task]:
    """Portions as tasks, each claimed by itself: every one starts a process and compiles its programs."""
    return [Task(portion.run.seconds(), portion.teachers) for portion in listed]


def whole(listed: Sequence[Portion]) -> dict[str, Task]:
    """Studies as tasks, each claimed as a whole, as one command works on one study: in one process, compiled once."""
    by_study: dict[str, list[Run]] = {}
    for portion in listed:
        by_study.setdefault(portion.study, []).append(portion.run)
    return {study: _in_one_process(runs) for study, runs in by_study.items()}


def of_seeds(listed: Sequence[Portion]) -> dict[tuple[str, int], Task]:
    """Parts of studies as tasks, as --part-seeds makes them: teachers that train together, and then their students.

    Each is named by its study and the place of its teachers in the list. The task that makes the study of them is left
    out, as reports are.
    """
    by_part: dict[tuple[str, int], list[Run]] = {}
    for place, portion in enumerate(listed):
        teachers = place if portion.teachers is None else portion.teachers
        by_part.setdefault((portion.study, teachers), []).append(portion.run)
    return {part: _in_one_process(runs) for part, runs in by_part.items()}


def _in_one_process(runs: Sequence[Run]) -> Task:
    """One after another, each kind compiled once."""
    begun = START_SECONDS + sum(run.restart_seconds - START_SECONDS for run in set(runs))
    return Task(begun + sum(run.trained(0, run.schedule.total_steps) for run in runs))
