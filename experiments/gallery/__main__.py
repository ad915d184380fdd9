"""The command: makes the pages of docs/gallery/.

    python -m experiments.gallery work/digits work/cifar100-small work/imdb-small

A report is taken from the work folder of a study whose results are kept, and must say what these say. The other pages
are made from result files alone: the figures of the small scale, and the statements of the theory.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.files import write_result

PROG = "python -m experiments.gallery"
ROOT = Path(__file__).parents[2]
MOST_BYTES = 3_000_000  # of a page


@dataclasses.dataclass(frozen=True)
class Setting:
    """Which reports to take, and where the pages go."""

    studies: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Work folders of finished studies, named as their results are; without one the reports that are there stay."""
    to: Path = ROOT / "docs" / "gallery"
    """Folder of the pages."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    command_line.check_writable("--to", setting.to)

    from experiments.gallery import pages, reports

    made = {
        f"{folder.name}.html": reports.report(folder, ROOT / "experiments" / "results") for folder in setting.studies
    }
    made |= {"figures.html": pages.figures(), "theory.html": pages.theory()}
    for name, page in made.items():
        if len(page.encode()) > MOST_BYTES:
            raise InputError(name, f"{len(page.encode()):,} bytes", f"must have {MOST_BYTES:,} at most")
    setting.to.mkdir(exist_ok=True)
    for name, page in made.items():
        write_result(setting.to / name, page.encode())
    write_result(setting.to / "index.html", pages.index(setting.to).encode())
    command_line.console().print(f"{len(made) + 1} pages: {setting.to / 'index.html'}", soft_wrap=True)


if __name__ == "__main__":
    command_line.run(main)
