"""A finished study, for tables and figures: its summary, and its dumps example by example."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.bucket.at_hand import brought, with_file
from distill_jax.dumps import Dump, dump_path, read_dump
from distill_jax.errors import InputError
from distill_jax.identity import identity
from distill_jax.measures import comparisons, deviations
from distill_jax.measures.interval import Interval
from distill_jax.measures.study_summary import FILE, StudySummary, read_summary
from distill_jax.students import CONTROL, KD
from distill_jax.study import sweep
from experiments.paper.studies import Planned


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished study.

    Attributes:
      plan: what was asked for.
      folder: its work directory, which may be in a bucket.
      summary: its numbers.
      cache_dir: where it is brought from there, as of `paths.cache_folder`.
    """

    plan: Planned
    folder: Path
    summary: StudySummary
    cache_dir: Path | None = None

    @functools.cached_property
    def here(self) -> Path:
        """Its work directory on this machine, where it is brought when it is asked for first."""
        return brought("run.workdir", self.folder, self.cache_dir)

    @property
    def seeds(self) -> int:
        """Number of repetitions."""
        return self.summary.study.seeds

    @property
    def last(self) -> int:
        """The last step."""
        return self.summary.study.total_steps

    def dump(self, model: str, split: str, seed: int = 0, step: int | None = None) -> Dump:
        """A model's dump [default: its last].

        Raises:
          InputError: it is missing or damaged.
        """
        return read_dump(dump_path(self.here, model, seed, self.last if step is None else step, split))

    def comparison(
        self,
        student: str,
        split: str,
        seed: int = 0,
        step: int | None = None,
        class_from: deviations.ClassFrom = "teacher",
    ) -> deviations.Comparison:
        """The final teacher against a student at some step [default: the last]; see `deviations.compare`."""
        other = comparisons.selecting_seed(seed, self.seeds)
        at = self.last if step is None else step
        return _comparison(self.here, student, split, seed, other, self.last, at, class_from)

    def pair(
        self, student: str, split: str, seed: int = 0, class_from: deviations.ClassFrom = "teacher"
    ) -> deviations.PerExample:
        """The final teacher against a student at the last step, as the paper draws them."""
        return self.comparison(student, split, seed, class_from=class_from).own

    def over(
        self,
        statistic: Callable[[deviations.Comparison], Mapping[str, float]],
        split: str,
        class_from: deviations.ClassFrom = "teacher",
        students: Sequence[str] = (CONTROL, KD),
        crossed: Collection[str] = deviations.CROSSED,
    ) -> dict[str, dict[str, Interval]]:
        """Named values of comparisons, [student][name], as intervals over seeds; each has `minus_control`, paired.

        `crossed` names those at points that another seed's teacher has chosen.
        """
        compared = comparisons.pooled(
            [
                {s: self.comparison(s, split, seed, class_from=class_from) for s in students}
                for seed in range(self.seeds)
            ]
        )
        values = {s: [statistic(seed_comparisons[s]) for seed_comparisons in compared] for s in students}
        spreads = comparisons.denominators(compared)
        intervals: dict[str, dict[str, Interval]] = {}
        for student, student_rows in values.items():
            intervals[student] = {}
            for name in student_rows[0]:
                student_values, control_values = ([v[name] for v in rows] for rows in (student_rows, values[CONTROL]))
                interval, minus_control = (
                    comparisons.interval(name, values_of_seeds, name in crossed, spreads, difference).within(
                        *comparisons.possible(name, difference)
                    )
                    for difference, values_of_seeds in (
                        (False, student_values),
                        (True, np.subtract(student_values, control_values).tolist()),
                    )
                )
                intervals[student][name] = dataclasses.replace(interval, minus_control=minus_control)
        return intervals


@functools.lru_cache(maxsize=64)
def _comparison(
    folder: Path, student: str, split: str, seed: int, other: int | None, last: int, step: int, class_from: Any
) -> deviations.Comparison:
    def read(model: str, seed: int, at: int) -> Dump:
        return read_dump(dump_path(folder, model, seed, at, split))

    selector = None if other is None else read("teacher", other, last)
    return deviations.compare(read("teacher", seed, last), read(student, seed, step), selector, class_from)


def finished(plan: Planned, folder: Path, seeds: int = 1, cache_dir: Path | None = None) -> Outcome | None:
    """The outcome of a study; None where it is not finished with so many seeds, or the folder holds another one."""
    place = with_file("run.workdir", folder / plan.name, FILE, cache_dir)
    try:
        summary = read_summary(place)
    except InputError:
        return None
    setting = {k: v for k, v in summary.setting.items() if k != "fingerprint"}
    present = {s.name for s in summary.sweep.students} if summary.sweep is not None else set()
    enough = summary.study.seeds >= seeds
    wanted = {m.name for m in sweep.students(plan.setting, plan.steps)} if plan.setting.sweep.switch_step else set()
    if not enough or not wanted <= present or not _is_of(plan, setting):
        return None
    return Outcome(plan, folder / plan.name, summary, cache_dir)


def _is_of(plan: Planned, saved: Mapping[str, Any]) -> bool:
    """Whether a setting is the plan's. Where no pretrained weights are named any are right."""
    wanted = identity(plan.setting)
    for role in plan.pretrained:
        roberta = wanted[role]["roberta"]
        roberta["pretrained"] = roberta["pretrained"] or saved[role].get("roberta", {}).get("pretrained")
    return wanted == saved
