"""The command: draws studies by the thousand from worlds with and without a deviation, and counts their verdicts.

    python -m experiments.null_world [--studies N] [--json FILE] [--figures DIR]

A verdict on a study from a world without deviation is false whenever it is 'supported' or 'contradicted'; its intervals
have 95%, so that 5% of the studies may have one. Of two rates the first is by the choice of class and points that
verdicts are made by, another seed's teacher's; the second by the paper's, the student's own teacher's.
"""

import contextlib
import dataclasses
import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console

from distill_jax.command import command_line
from distill_jax.errors import InputError
from experiments.markdown_table import of_result

PROG = "python -m experiments.null_world"
_PORTION = 50  # studies that a process is handed at once


@dataclasses.dataclass(frozen=True)
class Setting:
    """How many studies of each world, and where the numbers go."""

    studies: int = 2000
    """Studies that are drawn from each world without deviation; from each with one, a quarter as many."""
    seed: int = 0
    """Of the draws."""
    processes: int | None = None
    """How many processes share the work [default: one for each core]."""
    json: Path | None = None
    """File for the result."""
    figures: Path | None = None
    """Folder for the picture."""
    markdown: Path | None = None
    """Print the tables of such a result file, and draw nothing."""


def validate(setting: Setting) -> None:
    """Checks all values before anything is computed or written.

    Raises:
      InputError: a value that cannot be right.
    """
    if setting.studies < 1:
        raise InputError("--studies", setting.studies, "must be 1 or more")
    if setting.seed < 0:
        raise InputError("--seed", setting.seed, "must be 0 or more")
    if setting.processes is not None and setting.processes < 1:
        raise InputError("--processes", setting.processes, "must be 1 or more")
    command_line.check_writable("--json", setting.json, ".json")
    command_line.check_writable("--figures", setting.figures)


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    validate(setting)

    from experiments.null_world import picture

    if setting.markdown is not None:
        print(of_result(setting.markdown, picture.lines), end="")
        return

    from distill_jax.machine.environment import environment

    result: dict[str, Any] = {
        "environment": environment(f"{PROG} {' '.join(arguments)}".strip()),
        "setting": {"studies": setting.studies, "seed": setting.seed},
    }
    console = command_line.console()
    result |= measure(setting, console)
    for table in picture.tables(result):
        console.print(table, "", sep="\n")
    console.print(picture.summary(result), highlight=False)
    command_line.write_json(setting.json, result)
    if setting.figures is not None:
        from experiments.comparison import save

        save({"null_world": picture.figure(result)}, setting.figures)


def measure(setting: Setting, console: Console) -> dict[str, Any]:
    """All worlds' rates: 'worlds', 'control_check', 'power' and 'above_nominal' of the result file."""
    from distill_jax.machine import backend
    from experiments.null_world import rates
    from experiments.null_world.worlds import DEVIATING, NULL
    from experiments.resumable_rows import measure_each

    result: dict[str, Any] = {"worlds": [], "control_check": [], "power": []}
    worlds = list({**NULL, **DEVIATING}.items())

    def measure_world(number: int) -> str:
        name, world = worlds[number]
        studies = setting.studies if name in NULL else max(1, setting.studies // 4)
        portions = [min(_PORTION, studies - start) for start in range(0, studies, _PORTION)]
        seeds = [(setting.seed, number, portion) for portion in range(len(portions))]
        counts = sum(spread(rates.count, [world] * len(portions), portions, seeds), Counter())
        if name in NULL:
            result["worlds"] += (rows := rates.null_rows(name, counts, studies))
            result["control_check"].append(rates.control_row(name, counts, studies))
            return f"{name}: false verdicts up to {_most(rows, 'false_positive_rate')}"
        result["power"] += (rows := rates.power_rows(name, world, counts, studies))
        return f"{name}: right verdicts up to {_most(rows, 'supported')}"

    with _processes(min(setting.processes or backend.cores(), -(-setting.studies // _PORTION))) as spread:
        measure_each(None, result, range(len(worlds)), len(worlds), measure_world, console)
    return result | {"above_nominal": rates.above_nominal(result["worlds"])}


@contextlib.contextmanager
def _processes(number: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that so many processes share."""
    if number == 1:
        yield map
        return
    # New ones, not copies of this one, whose threads (JAX has some) a copy would lack. Ctrl-C is for this one alone.
    new = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, new, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _most(rows: Sequence[dict[str, Any]], name: str) -> str:
    """The highest of the rates by another seed's choice, and by the own teacher's."""
    most = {row["selection"]: 0.0 for row in rows}
    for row in rows:
        most[row["selection"]] = max(most[row["selection"]], row[name]["mean"])
    return " / ".join(f"{100 * rate:.1f}%" for rate in most.values())


if __name__ == "__main__":
    command_line.run(main)
