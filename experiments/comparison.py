"""Teacher, control and student of many seeds side by side: as dumps for the library, as numbers beside the paper's."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from distill_jax import deviations
from distill_jax.dumps import Dump
from distill_jax.findings import verdict
from distill_jax.statistics import number, over_seeds, quote

MODELS = ("teacher", "control", "student")  # the order of axis V
TEACHER, CONTROL, STUDENT = range(3)
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
        Dump(own, label, true_label, np.arange(len(label)), {"model": NAMES[model], "seed": seed, "split": split})
        for model, own in zip(MODELS, logits, strict=True)
    ]


def gaps(logits: np.ndarray, label: np.ndarray, true_label: np.ndarray, split: str) -> np.ndarray:
    """Mean gap of control and student to the teacher in each tenth of the examples, float64 [S, 2, 10].

    Args:
      logits: float32 [S, V, N, K].
      label, true_label: int32 [S, N].
      split: 'train' or 'test'.
    """
    rows = []
    for seed, of_seed in enumerate(zip(logits, label, true_label, strict=True)):
        teacher, *students = dumps(*of_seed, seed, split)
        rows.append([deviations.gap_by_decile(deviations.per_example(teacher, student)) for student in students])
    return np.array(rows)


def with_paper(values: np.ndarray, paper: float | None = None) -> dict[str, Any]:
    """Mean, low, high and n of one value per seed, and the paper's, null where it gives none."""
    interval = over_seeds(values).as_dict()
    del interval["level"]
    return interval | {"paper": paper}


def beside(value: Mapping[str, Any]) -> str:
    """On which side of 0 a value of `with_paper` is that the paper claims nothing of."""
    return {"supported": "above 0", "contradicted": "below 0"}.get(supported(value, 1), "around 0")


def supported(value: Mapping[str, Any], claimed: int) -> str:
    """The verdict on a claim that a value of `with_paper` is above 0 (1) or below it (-1)."""
    return verdict(dict(value) | {"level": "seeds"}, claimed)


def readme_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of what the paper says, its value, ours and the verdict, as the README's lines."""
    head = ["| of the paper | there | here | verdict |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def table(said: Mapping[str, Any]) -> Table:
    """The numbers of a result that are beside the paper's, for the terminal."""
    rows = Table("", "mean [95% interval]", "the paper's", box=None, pad_edge=False)
    for name, value in said.items():
        if isinstance(value, dict) and {"mean", "paper"} <= set(value):
            rows.add_row(name, quote(value, 4), number(value["paper"], 4))
    return rows


def save(pictures: Mapping[str, Figure], folder: Path) -> None:
    """Writes pictures by their names, as PNG and SVG."""
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        for suffix in ("png", "svg"):
            picture.savefig(folder / f"{name}.{suffix}")


def markdown(path: Path, lines: Callable[[Mapping[str, Any]], str]) -> str:
    """The README's lines on a result file; that there is none, where it does not exist."""
    return lines(json.loads(path.read_text())) if path.exists() else "No results are committed yet.\n"
