"""Fills the tables of the pages that quote results, from their files: README.md, of docs/, and beside the results.

python -m experiments.pages

A table stands between `<!-- KIND: FILES -->` and `<!-- end -->`. For work on a checkout.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.files import write_result
from experiments import clusters, explorer_frames, image_parity, label_errors, study_tables
from experiments.channel import reading_table
from experiments.channel import summary as channel_summary
from experiments.channel import sweep as channel_sweep
from experiments.comparison import markdown
from experiments.compiled import populations
from experiments.compiled import table as compiled_table
from experiments.eigenspace import bridge_summary
from experiments.eigenspace import summary as eigenspace_summary
from experiments.null_world import picture as null_world_picture
from experiments.paper import document
from experiments.schedule import table as schedule_table
from experiments.throughput import table as throughput_table

PROG = "python -m experiments.pages"
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("benchmarks", "clusters", "how-far", "your-teacher")),
    RESULTS / "README.md",
)
_BLOCK = re.compile(r"(<!-- ([a-z ]+): ([^\n]*) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Fills the tables of pages from the files of results."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    command_line.parse(Setting(), PROG, arguments)
    texts_by_page = {page: filled(page.read_text("utf-8")) for page in PAGES}
    for page, text in texts_by_page.items():
        write_result(page, text.encode())


def filled(text: str) -> str:
    """A page with all of its tables made again.

    Raises:
      InputError: a table is of no known kind, or its file is not what it must be.
    """
    return _BLOCK.sub(lambda match: match[1] + made(match[2], match[3]) + match[5], text)


class Block(NamedTuple):
    """A table of a page: its kind, what it is made from, and what it says."""

    kind: str
    of: str
    text: str


def blocks() -> list[Block]:
    """All tables of all pages."""
    return [Block(*match.group(2, 3, 4)) for page in PAGES for match in _BLOCK.finditer(page.read_text("utf-8"))]


def made(kind: str, of: str) -> str:
    """A table from what it is made from.

    Raises:
      InputError: as `filled`.
    """
    if kind not in KINDS:
        raise InputError(f"<!-- {kind}: {of} -->", None, f"is no kind of table; there are {', '.join(KINDS)}")
    return KINDS[kind](of)


def _studies(names: str) -> str:
    return study_tables.tables([RESULTS / name / "summary.json" for name in names.split()])


def _readings(source: str) -> str:
    """Of a file all readings, or those that are named after it."""
    file, *names = source.split()
    readings = json.loads((ROOT / file).read_text())["readings"]
    return reading_table.lines(
        {"readings": [entry for entry in readings if not names or entry["reading"]["name"] in names]}
    )


def _maps(files: str) -> str:
    return channel_sweep.together([json.loads((ROOT / file).read_text()) for file in files.split()])


def _throughput(command: str) -> str:
    return throughput_table.markdown(sorted(ROOT.glob(command.split()[-1])))


def _from_file(lines: Callable[[Mapping[str, object]], str]) -> Callable[[str], str]:
    return lambda file: markdown(ROOT / file, lines)


KINDS: dict[str, Callable[[str], str]] = {
    "studies": _studies,
    "students": lambda files: study_tables.students([ROOT / file for file in files.split()]),
    "paper": lambda file: document.readme(ROOT / file),
    "null world": _from_file(null_world_picture.lines),
    "channel": _from_file(channel_summary.lines),
    "channel readings": _readings,
    "channel map": _from_file(channel_sweep.lines),
    "count of maps": _maps,
    "eigenspace": _from_file(eigenspace_summary.lines),
    "image parity": _from_file(image_parity.lines),
    "label errors": _from_file(label_errors.lines),
    "bridge": _from_file(bridge_summary.lines),
    "explorer frames": _from_file(explorer_frames.lines),
    "schedule": _from_file(schedule_table.lines),
    "throughput": _throughput,
    "clusters": lambda file: clusters.lines(json.loads((ROOT / file).read_text())),
    "populations": lambda file: populations.lines(ROOT / file),
    "compiled": lambda files: compiled_table.markdown([ROOT / file for file in files.split()]),
}


if __name__ == "__main__":
    command_line.run(main)
