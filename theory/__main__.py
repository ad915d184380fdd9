"""Checks every statement that is covered and says in a line, or with --table of each, what was found.

    python -m theory [--table] [--json FILE] [--figures DIR]

Exit status: 0 if every verdict is the recorded one, 1 if one is not, 2 for wrong input.
"""

import argparse
import collections
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from theory.registry import Result, Verdict, evaluate

PROG = "python -m theory"


class InputError(Exception):
    """The command was given something it cannot do: one line, exit status 2, nothing written."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (all options: {PROG} --help)")


def main(arguments: Sequence[str]) -> int:
    """Runs the command; gives its exit status.

    Raises:
      InputError: arguments that do not fit, or a file or folder that cannot be written.
    """
    options = _options(arguments)
    try:
        from theory.statements import STATEMENTS
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed; pip install 'distill-jax[theory]'") from None
    console = Console()
    if not console.is_terminal:  # a file or a pipe: wide enough to read
        console.width = 140
    started, results = time.monotonic(), []
    with console.status("") as status:  # shown on a terminal alone
        for number, statement in enumerate(STATEMENTS, 1):
            status.update(f"{number} of {len(STATEMENTS)}: {statement.id}")
            results.append(evaluate(statement))
    seconds = time.monotonic() - started
    if options.table:
        console.print(table(results))
    differing = [r.statement.id for r in results if not r.as_recorded]
    console.print(in_short(results, seconds) + ("" if options.table else " (each: --table)"), soft_wrap=True)
    try:
        _write(options, summary(results, seconds))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written: {error.strerror}") from None
    return int(bool(differing))


def in_short(results: Sequence[Result], seconds: float) -> str:
    """What was found, in a line."""
    counts = collections.Counter(result.as_printed for result in results)
    corrected = [result.corrected_verdict for result in results if result.corrected_verdict is not None]
    holding = sum(verdict.holds for verdict in corrected)
    differing = [result.statement.id for result in results if not result.as_recorded]
    return (
        f"{len(results)} statements in {seconds:.0f} s: as printed {counts['holds']} hold, {counts['misprint']} are "
        f"misprints, {counts['fails']} fail; {holding} of {len(corrected)} corrections hold; "
        + (f"not as recorded: {', '.join(differing)}" if differing else "all as recorded")
    )


def table(results: Sequence[Result]) -> Table:
    """Results as a table, a row a statement."""
    shown = Table(show_lines=True)
    shown.add_column("id", no_wrap=True)
    shown.add_column("what it says, as printed, and where it was checked", ratio=4)
    shown.add_column("as printed, evidence", ratio=2)
    shown.add_column("counterexample, and what holds", ratio=4)
    for result in results:
        s, counterexample = result.statement, result.verdict.counterexample
        notes = []
        if counterexample is not None:
            parameters = ", ".join(f"{name} = {value:.4g}" for name, value in counterexample.parameters.items())
            notes.append(f"{parameters}: left {counterexample.lhs:.4g}, right {counterexample.rhs:.4g}")
        if s.corrected is not None:
            notes.append(s.corrected)
        if result.corrected_verdict is not None:
            verdict = result.corrected_verdict
            notes.append(f"{'holds' if verdict.holds else 'DOES NOT HOLD'}: {_evidence(verdict)}")
        record = "" if result.as_recorded else f" (recorded: {s.recorded}, and any correction holds)"
        shown.add_row(
            s.id,
            f"{s.says}\n{s.printed}\nfor {s.domain}",
            f"[bold]{result.as_printed}[/bold]{record}\n{_evidence(result.verdict)}",
            "\n".join(notes),
        )
    return shown


def summary(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """Results as JSON, with the versions they were found with. `points` of what is certified are boxes."""
    return {
        "statements": [result.as_dict() for result in results],
        "as_recorded": all(result.as_recorded for result in results),
        "seconds": round(seconds, 1),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("jax", "jaxlib", "numpy", "python-flint")},
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _evidence(verdict: Verdict) -> str:
    return f"{verdict.evidence}, {verdict.points:,} {'boxes' if verdict.evidence == 'certified' else 'points'}"


def _write(options: argparse.Namespace, results: dict[str, Any]) -> None:
    if options.json is not None:
        text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.figures is not None:
        from theory.figures import FIGURES, save

        options.figures.mkdir(exist_ok=True)
        for name, draw in FIGURES.items():
            save(draw(), options.figures / f"{name}.png")


def _path(typed: str) -> Path:
    if not typed:
        raise argparse.ArgumentTypeError("is given nothing; must be a path")
    try:
        return Path(typed).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{typed} has no such home") from None


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog=PROG, description="Checks the paper's numbered statements.", allow_abbrev=False)
    parser.add_argument("--table", "-v", action="store_true", help="print a row for each statement")
    parser.add_argument("--json", type=_path, metavar="FILE", help="write what was found to this file")
    parser.add_argument("--figures", type=_path, metavar="DIR", help="write the figures to this folder")
    options = parser.parse_args(arguments)
    if options.json is not None and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise InputError(f"--json {options.json}: must be a file in a folder that is there")
    if options.figures is not None:
        folder = options.figures.absolute()
        if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
            raise InputError(f"--figures {options.figures}: must be a folder, or a new one in a folder that is there")
    return options


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # small arrays in float64: nothing for an accelerator
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may be one that is not installed here
    try:
        status = main(sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
