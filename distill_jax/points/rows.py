"""The rows of a table of examples: all that the measures say of each, for the students and steps of a seed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from distill_jax.dumps import Dump, DumpReader
from distill_jax.measures import deviations, fidelity
from distill_jax.measures.comparisons import selecting_seed
from distill_jax.measures.deviations import Points, phi
from distill_jax.points.chosen import Chosen
from distill_jax.points.columns import OTHER
from distill_jax.students import CONTROL, TEACHER

Columns = Mapping[str, Any]  # [N] each in the dumps' order, NaN where there is no value; or a value for all
_FIDELITY = [field.name for field in dataclasses.fields(fidelity.Fidelity)]


def rows(read: DumpReader, chosen: Chosen, seed: int, split: str) -> Sequence[Columns]:
    """The columns of `columns.columns`, but for pictures, texts and names, by student and step as `chosen.dumps`
    has them.

    Raises:
      InputError: a dump is missing or damaged, or holds logits that are not finite.
    """
    last, study = chosen.summary.study.total_steps, chosen.summary.study
    teacher, other = read(TEACHER, seed, last, split), selecting_seed(seed, study.seeds)
    selector = None if other is None else read(study.selecting, other, last, split)
    found = []
    for name, step in chosen.dumps:
        student = read(name, seed, step, split)
        control = read(CONTROL, seed, step, split) if step in chosen.steps[CONTROL] else None
        place = {"split": split, "seed": seed, "step": step, "student": name}
        found.append(place | compared(teacher, student, control, selector))
    return found


def compared(teacher: Dump, student: Dump, control: Dump | None, selector: Dump | None) -> dict[str, np.ndarray]:
    """What the measures say of each example of a student's dump, [N] each, in the dumps' order.

    Args:
      teacher, student: with the same examples in the same order.
      control: likewise; None where there is none at that step.
      selector: of a teacher of another seed; None where there is none.

    Raises:
      InputError: as `deviations.compare`.
    """
    own = deviations.per_example(teacher, student)
    ordered = {"mislabelled": own.mislabelled, "X_label": own.x_label, "Y_label": own.y_label}
    ordered |= {"teacher_correct": own.teacher_correct, "student_correct": own.correct}
    ordered |= {name: getattr(own, name) for name in _FIDELITY}
    found = {"id": student.id, "label": student.label, "true_label": student.true_label}
    found |= {name: own.in_dumps_order(values) for name, values in ordered.items()} | _chosen(own, "")
    absent = np.full(len(student.id), np.nan)
    if selector is None:
        names = ("class", "X", "Y", "gap", "tenth", "hard")
        found |= {f"{name}{OTHER}": absent for name in names}
    else:
        found[f"class{OTHER}"] = selector.logits.argmax(axis=1)
        found |= _chosen(deviations.points(teacher, [student], selector)[0], OTHER)
    for name, dump in {"teacher": teacher, "student": student, "control": control}.items():
        found[f"{name}_prediction"] = absent if dump is None else dump.logits.argmax(axis=1)
        found[f"{name}_probability"] = absent if dump is None else expit(phi(dump.logits, student.label))
    return found


def _chosen(points: Points, ending: str) -> dict[str, np.ndarray]:
    """The columns of points by who has chosen their class and order, in the dumps' order."""
    tenth = deviations.tenth(len(points.x))
    values = {"X": points.x, "Y": points.y, "gap": points.y - points.x, "tenth": tenth, "hard": tenth == 1}
    return {f"{name}{ending}": points.in_dumps_order(column) for name, column in values.items()}
