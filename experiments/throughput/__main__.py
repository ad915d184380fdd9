"""The command: measures the rows asked for, one after another, and shows and keeps what came out."""

import contextlib
import dataclasses
import fnmatch
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.files import write_bytes

PROG = "python -m experiments.throughput"


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures training, evaluation and dumps against this device's roofline and against PyTorch, in one run."""

    quick: bool = False
    """A few rows in short rounds: under 5 minutes on 2 CPU cores."""
    rows: str | None = None
    """Only the rows whose name fits this pattern, such as 'cifar-resnet20/*/bfloat16/*' [default: all]."""
    json: Path | None = None
    """File for the results. The same command goes on with the file of an interrupted run."""
    figure: Path | None = None
    """File for the picture, a .png."""
    repeats: int | None = None
    """Rounds in which the sides take turns [default: 5; with --quick 3]."""
    seconds: float | None = None
    """How long each side runs in a round, about [default: 1; with --quick 0.4]."""
    peer: bool = True
    """Measure PyTorch too (extra: bench)."""
    compiled_peer: bool = True
    """Measure PyTorch compiled too, not eager alone."""
    dump_dir: Path | None = None
    """Folder on whose disk dumps are written [default: the system's for temporary files]."""
    list: bool = False
    """Show the rows and which would be left out here, and measure nothing."""
    table: tuple[Path, ...] = ()
    """Print the README's table of these files of results (with --figure draw the one), and measure nothing."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = command_line.parse(Options(), PROG, arguments, flags=True)
    console = command_line.console()  # lines of a file are not cut at 80
    _check(options)
    if options.table:
        _show(options.table, options.figure)
        return
    # Ours and PyTorch's both take the accelerator's memory as they need it, not nearly all of it at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    from distill_jax.machine import backend
    from experiments.throughput import results
    from experiments.throughput.measure import why_not
    from experiments.throughput.table import console_table

    backend.use_cores(16)  # as the main job does; every batch here is a multiple of 16
    rows = _chosen(options)
    if options.list:
        for row in rows:
            console.print(
                row.name, f"left out: {why}" if (why := why_not(row)) else "", soft_wrap=True, highlight=False
            )
        return
    environment, peers = _sides(options, console, f"{PROG} {' '.join(arguments)}".strip())
    saved_rows = [] if options.json is None else results.begin(options.json, environment)
    measured = _measure(options, rows, saved_rows, environment, peers, console)
    console.print(console_table([row for row in measured if row["examples_per_s"] is not None]))
    if options.figure is not None:
        _draw(measured, options.figure)


def _show(files: Sequence[Path], figure: Path | None) -> None:
    """Prints the table of files of results, and draws the picture of one."""
    from experiments.throughput import results
    from experiments.throughput.table import markdown

    print(markdown(files), end="")
    if figure is not None:
        _draw(results.read(files[0], "--table"), figure)


def _draw(measured: list[dict[str, Any]], path: Path) -> None:
    from distill_jax.report.plots.style import encode
    from experiments.throughput.picture import roofline

    write_bytes(path, encode(roofline(measured), "throughput")["png"])


def _check(options: Options) -> None:
    """Checks what can be checked before JAX starts.

    Raises:
      InputError: a value that cannot be right.
    """
    if options.repeats is not None and options.repeats < 1:
        raise InputError("--repeats", options.repeats, "must be 1 or more")
    if options.seconds is not None and not 0 < options.seconds <= 60:
        raise InputError("--seconds", f"{options.seconds:g}", "must be more than 0 and at most 60")
    command_line.check_writable("--json", options.json, ".json")
    command_line.check_writable("--figure", options.figure, ".png")
    if options.figure is not None and len(options.table) > 1:
        raise InputError(
            "--table", None, f"{len(options.table)} files; with --figure it must be one, whose roofline is drawn"
        )
    if options.dump_dir is not None and not os.access(options.dump_dir, os.W_OK):
        raise InputError("--dump-dir", options.dump_dir, "must be a folder that can be written to")


def _chosen(options: Options) -> list[Any]:
    """The rows asked for.

    Raises:
      InputError: none has such a name.
    """
    from experiments.throughput.grid import QUICK, rows

    chosen = list(rows())
    if options.quick:
        chosen = [row for row in chosen if any(fnmatch.fnmatchcase(row.name, pattern) for pattern in QUICK)]
    if options.rows is not None:
        chosen = [row for row in chosen if fnmatch.fnmatchcase(row.name, options.rows)]
    if not chosen:
        quick = " --quick" if options.quick else ""
        raise InputError("--rows", options.rows, f"fits no row; {PROG}{quick} --list shows their names")
    return chosen


def _sides(options: Options, console: Console, command: str) -> tuple[dict[str, Any], Any]:
    """On what this is measured, and the peers, with a line on each that is missing."""
    from distill_jax.machine.environment import environment
    from experiments.throughput import pytorch

    run_environment, peers = environment(command), None
    if options.peer:
        peer, why = pytorch.find()
        if peer is None:
            console.print(f"without PyTorch{why}", soft_wrap=True, markup=False)
        else:
            peers = peer.Peers(options.compiled_peer)
            run_environment["versions"] |= peer.VERSIONS
    return run_environment, peers


def _measure(
    options: Options,
    rows: Sequence[Any],
    saved_rows: list[dict[str, Any]],
    environment: dict[str, Any],
    peers: Any,
    console: Console,
) -> list[dict[str, Any]]:
    """All rows' results, those that were saved first; each is written as soon as it is there."""
    import jax

    from experiments.throughput import results
    from experiments.throughput.measure import measure, not_measured, why_not
    from experiments.throughput.roofline import measure_roofs
    from experiments.throughput.table import line

    done = {row["row"] for row in saved_rows}
    todo = [row for row in rows if row.name not in done]
    to_measure = [row for row in todo if why_not(row) is None]
    if len(todo) < len(rows):
        console.print(f"{len(rows) - len(todo)} of {len(rows)} rows were there already")
    roofs = measure_roofs(sorted({row.dtype for row in to_measure} | {"float32"}))
    if len(to_measure) < len(todo):
        console.print(f"{len(todo) - len(to_measure)} of {len(rows)} rows are left out here; --list says why")
    peak = ", ".join(f"{value / 1e9:,.0f} GFLOP/s in {dtype}" for dtype, value in roofs.peak.items())
    console.print(f"{environment['device']}: {roofs.bandwidth / 1e9:,.1f} GB/s, {peak}", soft_wrap=True)
    rounds = options.repeats or (3 if options.quick else 5)
    seconds = options.seconds or (0.4 if options.quick else 1.0)
    started, number = time.monotonic(), 0
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.dump_dir)))
        for row in todo:
            why = why_not(row)
            if why is None:
                number += 1
                try:
                    result = measure(row, roofs, peers, rounds, seconds, folder, environment)
                    outcome = line(result)
                except jax.errors.JaxRuntimeError as error:
                    if "RESOURCE_EXHAUSTED" not in str(error):
                        raise
                    why = "more memory than there is"
                    outcome = f"{row.name}: not run: {why}"
                remaining = (time.monotonic() - started) / number * (len(to_measure) - number)
                progress = f"[{number}/{len(to_measure)}, ETA {remaining / 60:.0f} min]"
                console.print(f"{progress} {outcome}", soft_wrap=True, markup=False, highlight=False)
            if why is not None:
                result = not_measured(row, why, environment)
            while peers is not None and peers.notes:
                console.print(peers.notes.pop(0), soft_wrap=True, markup=False)
            saved_rows.append(result)
            if options.json is not None:
                results.write(options.json, saved_rows)
    names = {row.name for row in rows}
    return [row for row in saved_rows if row["row"] in names]


if __name__ == "__main__":
    command_line.run(main)
