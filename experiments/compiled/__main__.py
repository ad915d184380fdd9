"""Compiles the training steps for TPUs and GPUs that are not there, and says what their compilers say of them.

    python -m experiments.compiled --for v5e:1 v5e:2x2 h100 [--rows PATTERN] [--json FILE] [--figures DIR]

Needs the extra `compile` for TPUs; for GPUs JAX's CUDA plugin, which needs no driver.
"""

import concurrent.futures.process
import dataclasses
import fnmatch
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from distill_jax.command import command_line
from distill_jax.errors import InputError, RunError
from experiments.compiled import targets

PROG = "python -m experiments.compiled"


@dataclasses.dataclass(frozen=True)
class Options:
    """Compiles programs for accelerators that are not there; predicts time, memory and what bounds them."""

    chips: Annotated[tuple[str, ...], tyro.conf.arg(name="for")] = ()
    """Chips or slices: v4, v5e, v5p, v6e with :1 or a slice such as :2x2 (v4, v5p :2x2x1); a100, h100, h200, b200 with
    a number of GPUs."""
    rows: str | None = None
    """Only the programs whose name fits this pattern, such as 'cifar-resnet*/kd/bfloat16/*' [default: all]. Names
    that end in shards4 are of --batch-shards 4: the time is that of all programs that a step calls, without a host's
    to call them."""
    json: Path | None = None
    """File for the results. The same command goes on with the file of an interrupted run."""
    figures: Path | None = None
    """Folder for the picture."""
    jobs: int | None = None
    """Programs compiled at the same time [default: one for each CPU core]."""
    list: bool = False
    """Show the programs, and compile nothing."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = command_line.parse(Options(), PROG, arguments, flags=True)
    _check(options)
    targets.prepare()
    console = command_line.console(200)

    from experiments.compiled import results
    from experiments.compiled.rows import programs
    from experiments.compiled.table import table

    names = [name for name in programs() if options.rows is None or fnmatch.fnmatchcase(name, options.rows)]
    if not names:
        raise InputError("--rows", options.rows, f"fits no program; {PROG} --list shows their names")
    if options.list:
        for name in names:
            console.print(name, soft_wrap=True, highlight=False)
        return
    for name in options.chips:
        targets.target(name)
    command_line.stop_when_terminated()
    environment = results.environment(f"{PROG} {' '.join(arguments)}".strip())
    rows = results.begin(options.json, environment)
    done = {(row["chip"], row["row"]) for row in rows}
    wanted = [(chip, name) for chip in options.chips for name in names]
    todo = [pair for pair in wanted if pair not in done]
    if len(todo) < len(wanted):
        console.print(f"{len(wanted) - len(todo)} of {len(wanted)} were there already")
    for row in _compiled(todo, options.jobs, console):
        rows.append(row | {"environment": environment})
        rows.sort(key=lambda row: wanted.index(key) if (key := (row["chip"], row["row"])) in wanted else -1)
        results.write(options.json, rows)
    shown = [row for row in rows if (row["chip"], row["row"]) in wanted]
    console.print(table(shown))
    if options.figures is not None:
        from experiments.compiled.picture import draw

        if fitting := [row for row in shown if row["fits"]]:
            draw(fitting, options.figures)
        else:
            console.print("no program fits, and there is no picture of them")


def _check(options: Options) -> None:
    """Checks what can be checked before JAX starts.

    Raises:
      InputError: a value that cannot be right.
    """
    if not options.chips and not options.list:
        raise InputError("--for", None, "must name chips or slices, such as v5e:1 h100")
    for name in options.chips:
        targets.parse(name)
    if len(set(options.chips)) < len(options.chips):
        raise InputError("--for", " ".join(options.chips), "must name each once")
    if options.jobs is not None and options.jobs < 1:
        raise InputError("--jobs", options.jobs, "must be 1 or more")
    command_line.check_writable("--json", options.json, ".json")
    command_line.check_writable("--figures", options.figures)


def _compiled(todo: Sequence[tuple[str, str]], jobs: int | None, console: Console) -> Iterator[dict[str, Any]]:
    """The results as they come, each with a line on the console."""
    from distill_jax.machine import backend
    from experiments.compiled.prediction import predict_named
    from experiments.compiled.table import line

    started = time.monotonic()
    # In processes: a compiler runs on one thread for most of its time, and one that fails takes its process with it.
    pool = concurrent.futures.ProcessPoolExecutor(jobs or backend.cores(), multiprocessing.get_context("spawn"))
    with pool:
        try:
            waiting = {pool.submit(predict_named, *pair): pair for pair in todo}
            for number, future in enumerate(concurrent.futures.as_completed(waiting), 1):
                row = future.result()
                remaining = (time.monotonic() - started) / number * (len(todo) - number)
                message = f"[{number}/{len(todo)}, ETA {remaining / 60:.0f} min] {line(row)}"
                console.print(message, soft_wrap=True, markup=False, highlight=False)
                yield row
        except concurrent.futures.process.BrokenProcessPool as error:
            raise RunError(
                "a compiler has ended its process; the same command goes on, --jobs 1 shows where"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():  # which would compile on for minutes
                process.kill()
            raise


if __name__ == "__main__":
    command_line.run(main)
