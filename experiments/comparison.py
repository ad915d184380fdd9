"""Teacher, control and student of many seeds side by side: as dumps for the library, as numbers beside the paper's."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from distill_jax.dumps import Dump
from distill_jax.measures import deviations
from distill_jax.measures.findings import verdict
from distill_jax.measures.interval import number
from distill_jax.measures.statistics import holm, over_seeds
from distill_jax.report import plots
from experiments import json_interval
from experiments.json_interval import quote

MODELS = ("teacher", "control", "student")  # the order of axis V
TEACHER, CONTROL, STUDENT = range(3)
SPLITS = ("train", "test")
_TENTHS = (("hard", 0), ("easy", -1))
_CHOICES = (("gap", ""), ("gap as in paper", "_as_in_paper"))  # of `gaps`, and how the names of their values end
NAMES = dict(zip(MODELS, ("teacher", "one_hot", "kd"), strict=True))  # as the library calls them


def dumps(logits: np.ndarray, label: np.ndarray, true_label: np.ndarray, seed: int, split: str) -> list[Dump]:
    """The models of one seed as dumps.

    Args:
      logits: float32 [V, N, K].
      label, true_label: int32 [N].
      seed: its number.
      split: 'train' or 'test'.
    """
    return [
        Dump(
            model_logits,
            label,
            true_label,
            np.arange(len(label)),
            {"model": NAMES[model], "seed": seed, "split": split},
        )
        for model, model_logits in zip(MODELS, logits, strict=True)
    ]


def gaps(
    logits: np.ndarray, selector: np.ndarray, label: np.ndarray, true_label: np.ndarray, split: str
) -> dict[Any, np.ndarray]:
    """Mean gap of control and student to the teacher in each tenth of the examples, float64 [S, 2, 10].

    Args:
      logits: float32 [S, V, N, K].
      selector: those of a second teacher of the same points, float32 [S, N, K].
      label, true_label: int32 [S, N].
      split: 'train' or 'test'.

    Returns:
      ('gap', split): class and tenths are chosen by the second teacher.
      ('gap as in paper', split): by the students' own one.
    """
    rows_by_choice: dict[Any, list[Any]] = {("gap", split): [], ("gap as in paper", split): []}
    for seed, (seed_logits, selector_logits, *labels) in enumerate(
        zip(logits, selector, label, true_label, strict=True)
    ):
        teacher, *students = dumps(seed_logits, *labels, seed, split)
        choices = Dump(selector_logits, teacher.label, teacher.true_label, teacher.id, teacher.attributes), teacher
        for choice_rows, chooser in zip(rows_by_choice.values(), choices, strict=True):
            points = deviations.points(teacher, students, chooser)
            choice_rows.append([deviations.gap_by_decile(student_points) for student_points in points])
    return {name: np.array(rows) for name, rows in rows_by_choice.items()}


def of_tenths(measured: Mapping[Any, np.ndarray]) -> dict[str, np.ndarray]:
    """The gaps of `gaps` on hard and on easy points by name, [S] each; the paper's choice ends in '_as_in_paper'."""
    values = {}
    for split, (choice, ending), (tenth, index) in itertools.product(SPLITS, _CHOICES, _TENTHS):
        control, student = measured[choice, split][:, :, index].T
        values |= {
            f"{tenth}_gap_control_{split}{ending}": control,
            f"{tenth}_gap_student_{split}{ending}": student,
            f"{tenth}_gap_student_minus_control_{split}{ending}": student - control,
        }
    return values


def control_row(result: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """The row of a table on a built-in check: another draw of the teacher deviates in nothing from it."""
    gaps = [result[f"{tenth}_gap_control_{split}"] for split, (tenth, _) in itertools.product(SPLITS, _TENTHS)]
    quoted = ", ".join(quote(gap, sign=True) for gap in gaps)
    description = "the control's gaps: hard and easy training points, hard and easy test points"
    return description, "must be 0", quoted, "off 0" if any(holm([json_interval.read(gap) for gap in gaps])) else "so"


def with_paper(values: np.ndarray, paper: float | None = None) -> dict[str, Any]:
    """Mean, low, high and n of one value per seed, and the paper's, null where it gives none."""
    interval = over_seeds(values).as_json()
    del interval["level"]
    return interval | {"paper": paper}


def beside(value: Mapping[str, Any]) -> str:
    """On which side of 0 a value of `with_paper` is that the paper claims nothing of."""
    return {"supported": "above 0", "contradicted": "below 0"}.get(supported(value, 1), "around 0")


def supported(value: Mapping[str, Any], claimed: int) -> str:
    """The verdict on a claim that a value of `with_paper` is above 0 (1) or below it (-1)."""
    return verdict(json_interval.read(value), claimed)


def readme_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of what the paper says, its value, ours and the verdict, as the README's lines."""
    head = ["| of the paper | there | here | verdict |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def table(result: Mapping[str, Any]) -> Table:
    """The numbers of a result that are beside the paper's, for the terminal."""
    rows = Table("", "mean [95% interval]", "the paper's", box=None, pad_edge=False)
    for name, value in result.items():
        if isinstance(value, dict) and {"mean", "paper"} <= set(value):
            rows.add_row(name, quote(value, 4), number(value["paper"], 4))
    return rows


def save(pictures: Mapping[str, Figure], folder: Path) -> None:
    """Writes pictures by their names, as PNG and SVG."""
    for name, picture in pictures.items():
        plots.save(picture, folder, name)


def markdown(path: Path, lines: Callable[[Mapping[str, Any]], str]) -> str:
    """The README's lines on a result file; that there is none, where it does not exist."""
    return lines(json.loads(path.read_text())) if path.exists() else "No results are committed yet.\n"
