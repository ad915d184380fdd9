"""Runs many seeds in batches and keeps partial results, so that an interrupted run goes on where it was."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from rich.console import Console

from distill_jax.files import write_result
from experiments.resumable_rows import SAME

_Portion = TypeVar("_Portion")
Values = dict[Any, np.ndarray]
_MADE, _SECONDS = "made", "seconds"


class PartialResults:
    """A file beside a result's that holds what there is of it; of another setting or commit it is not read."""

    def __init__(self, result: Path | None, content: Mapping[str, Any]):
        """For a result file, or none to keep nothing; `content` has its 'environment' and 'setting'."""
        self._path = None if result is None else result.with_suffix(".seeds.npz")
        origin = {name: content["environment"][name] for name in SAME} | {"setting": content["setting"]}
        self._made = json.dumps(origin, default=str, sort_keys=True)

    def read(self) -> tuple[Values, np.ndarray]:
        """The values by name, none or those of the first seeds, and what they took: seconds of wall and CPU time."""
        values: Values = {}
        if self._path is not None and self._path.exists():
            try:
                with np.load(io.BytesIO(self._path.read_bytes())) as file:
                    if str(file[_MADE]) == self._made:
                        values = {_name(key): file[key] for key in file.files if key not in (_MADE, _SECONDS)}
                        return values, file[_SECONDS]
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # not whole, or no such file
                pass
        return {}, np.zeros(2)

    def write(self, values: Values, seconds: np.ndarray) -> None:
        """Writes all values in place of those there were."""
        if self._path is not None:
            data = io.BytesIO()
            keys = {json.dumps(name): array for name, array in values.items()}
            np.savez(data, allow_pickle=False, **{_MADE: np.array(self._made), _SECONDS: seconds}, **keys)
            write_result(self._path, data.getvalue())

    def remove(self) -> None:
        """Removes the file, when the result is there."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Collected(NamedTuple, Generic[_Portion]):
    """The values of all seeds.

    Attributes:
      values: by name, each with a leading axis of seeds.
      first: the first portion as it came; of the first seed alone where the values of the portion were kept.
      seconds: of wall and CPU time, over all sittings.
    """

    values: Values
    first: _Portion
    seconds: dict[str, float]


def collect(
    outcomes: Callable[[range], Iterable[_Portion]],
    seeds: int,
    values: Callable[[_Portion], Values],
    kept: PartialResults | None = None,
    console: Console | None = None,
) -> Collected[_Portion]:
    """The values of every seed.

    Args:
      outcomes: from a range of seeds to their outcomes, a portion at a time, in order.
      seeds: how many, from 0 on.
      values: of a portion's seeds by name, each with a leading axis of seeds.
      kept: goes on from what is there, and keeps what comes.
      console: told after each portion how many seeds there are, and how long the rest will take.
    """
    arrays, before = ({}, np.zeros(2)) if kept is None else kept.read()
    arrays = {name: array[:seeds] for name, array in arrays.items()}  # fewer may be asked for than there are
    done_before = done = len(next(iter(arrays.values()))) if arrays else 0
    first, started, spent = None, _now(), np.zeros(2)
    for portion in outcomes(range(done_before, seeds)) if done_before < seeds else ():
        first = portion if first is None else first
        portion_values = values(portion)
        arrays = {name: np.concatenate([arrays[name], new]) if done else new for name, new in portion_values.items()}
        done = len(next(iter(arrays.values())))
        spent = _now() - started
        if kept is not None:
            kept.write(arrays, before + spent)
        if console is not None:
            remaining = spent[0] / (done - done_before) * (seeds - done)
            console.print(f"{done} of {seeds} seeds, ETA {remaining / 60:.1f} min", highlight=False)
    if done_before or first is None:
        first = next(iter(outcomes(range(1))))
    wall, cpu = map(float, before + spent)
    return Collected(arrays, first, {"wall": wall, "cpu": cpu})


def _now() -> np.ndarray:
    return np.array([time.monotonic(), time.process_time()])


def _name(key: str) -> Any:
    name = json.loads(key)
    return tuple(name) if isinstance(name, list) else name
