"""The numbers of an explorer from a study's dumps: what each model makes of each example shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distill_jax.measures import deviations
from distill_jax.report.explorer.parts import packed, quantised
from distill_jax.report.explorer.shown import Selection, Shown, selections
from distill_jax.students import TEACHER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distill_jax.dumps import Dump, DumpReader
    from distill_jax.measures.study_summary import StudySummary

TOP = 3  # classes of each model, at the last step


def of_split(read: DumpReader, summary: StudySummary, shown: Shown, split: str) -> dict[str, Any]:
    """What all seeds share: `id` int64 [n] and `true_label` [n], as `parts.packed` has them.

    Raises:
      InputError: a dump is missing or damaged.
    """
    dump, rows = read(TEACHER, 0, summary.study.total_steps, split), shown.rows[split]
    return packed({"id": dump.id[rows], "true_label": _classes(dump.true_label[rows])})


def of_seed(read: DumpReader, summary: StudySummary, shown: Shown, split: str, seed: int) -> dict[str, Any]:
    """What the models of one seed make of a split's examples, as `parts.packed` has it.

    Of n examples, S students and T steps: `label` [n]; `hard` [n], 1 where it is of the hard tenth by the own
    teacher's choice and 2 by the other's, summed; `chosen` and `chosen_other` [n], the class that X and Y are about;
    `x` [n] and `y` [S, T, n]; `x_other` [m] and `y_other` [S, T, m] of the m examples whose two classes differ; `guess`
    [S, T, n] and `teacher_guess` [n]; `top_class` and `top_share` [1 + S, n, 3] of teacher and students, in 255ths.
    X and Y are quantised between the ends that `scale` has.

    Raises:
      InputError: a dump is missing or damaged.
    """
    rows, names, last = shown.rows[split], list(summary.study.students), summary.study.total_steps
    chosen = selections(read, summary, seed, split)
    own, other = chosen["own"], chosen.get("other", chosen["own"])
    differ = np.flatnonzero(own.chosen[rows] != other.chosen[rows])
    y, y_other, guess = [], [], []
    for name in names:
        for step in shown.steps:
            dump = read(name, seed, step, split)
            logits = dump.logits[rows]
            y.append(_phi(logits, own.chosen[rows]))
            y_other.append(_phi(logits[differ], other.chosen[rows[differ]]))
            guess.append(logits.argmax(axis=1))
    values = {
        "x": own.x[rows],
        "y": np.array(y).reshape(len(names), len(shown.steps), -1),
        "x_other": other.x[rows[differ]],
        "y_other": np.array(y_other).reshape(len(names), len(shown.steps), -1),
    }
    low, high = _ends(values)
    teacher = read(TEACHER, seed, last, split)
    top_class, top_share = _top([teacher, *(read(name, seed, last, split) for name in names)], rows)
    arrays = {
        "label": _classes(teacher.label[rows]),
        "hard": _hard(chosen)[rows],
        "chosen": _classes(own.chosen[rows]),
        "chosen_other": _classes(other.chosen[rows]),
        **{name: quantised(value, low, high) for name, value in values.items()},
        "guess": _classes(np.array(guess).reshape(values["y"].shape)),
        "teacher_guess": _classes(teacher.logits[rows].argmax(axis=1)),
        "top_class": top_class,
        "top_share": top_share,
    }
    return packed(arrays, scale=[low, high])


def _phi(logits: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """phi, NaN where logits are not finite: a snapshot may hold what training came back from."""
    with np.errstate(invalid="ignore", over="ignore"):
        return deviations.phi(logits, chosen) if len(logits) else np.zeros(0)


def _ends(values: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The least and the largest value, apart from each other."""
    finite = np.concatenate([value[np.isfinite(value)] for value in values.values()])
    low, high = float(finite.min()), float(finite.max())
    return low, high if high > low else low + 1.0


def _hard(chosen: Mapping[str, Selection]) -> np.ndarray:
    marks = np.zeros(len(chosen["own"].hard), np.uint8)
    for name, bit in (("own", 1), ("other", 2)):
        if name in chosen:
            marks[chosen[name].hard] |= bit
    return marks


def _top(dumps: list[Dump], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest classes of each model with their probabilities in 255ths, [models, n, 3 or 2]."""
    classes, shares = [], []
    for dump in dumps:
        z = dump.logits[rows].astype(np.float64)
        top = np.argsort(-z, axis=1, kind="stable")[:, : min(TOP, z.shape[1])]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        classes.append(top)
        shares.append(np.rint(255 * np.take_along_axis(p, top, axis=1)))
    return _classes(np.array(classes)), np.array(shares).astype(np.uint8)


def _classes(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16)
