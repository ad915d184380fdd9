"""The paper's experiments: figures and Table 2, at the paper's scale or one for a CPU.

    python -m experiments.paper --list
    python -m experiments.paper all --scale small --data-dir DIR --tokenizer DIR --workdir W

The same command goes on with what was interrupted, and trains nothing that is there. With --print-commands it prints
what would train each study, for any scheduler; with --on ray or --on slurm studies are trained there.
"""

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown

from distill_jax.command import command_line
from distill_jax.setting import RunSetting
from experiments.paper.rows import TABLE_2
from experiments.paper.scale import PAPER, SCALES
from experiments.paper.setting import ALL, PROG, PUBLISHED, TABLE, Setting, parts, validate
from experiments.paper.studies import Planned, studies

if TYPE_CHECKING:  # these import JAX, before which the options are looked at
    from experiments.paper.figures import Figure
    from experiments.paper.make import Maker


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments, flags=True)

    from distill_jax.machine import processes
    from distill_jax.study.checks import check_run
    from experiments.paper import document
    from experiments.paper.figures import FIGURES

    plans = studies(SCALES[setting.scale])
    validate(setting, list(FIGURES), plans, studies(PAPER))
    check_run(RunSetting(seeds=setting.seeds, **setting.run))
    if setting.markdown is not None:
        sys.stdout.write(document.readme(setting.markdown))
        return
    with contextlib.ExitStack() as stack:
        if setting.distributed:
            stack.enter_context(processes.connected(setting.coordinator, setting.processes, setting.process_id))
        _make(setting, plans, f"{PROG} {shlex.join(arguments)}")


def _make(setting: Setting, plans: Mapping[str, Planned], command: str) -> None:
    """Does what was asked for, once this process has joined the others."""
    from distill_jax.machine import processes
    from experiments.compiled.studies import predicted
    from experiments.paper import listing
    from experiments.paper.figures import FIGURES
    from experiments.paper.make import RESULTS, Maker

    is_first = not setting.distributed or processes.is_first()
    console = command_line.console(quiet=not is_first, stderr=setting.print_commands)
    on_chips = predicted(RESULTS / "compiled", setting.seeds) if setting.scale == PAPER.name else {}
    maker = Maker(setting, plans, console, on_chips)
    if setting.list or not setting.targets:
        listing.show(plans, maker.outcomes, setting.seeds, maker.records(), on_chips, console)
        rows = listing.rows(plans, maker.outcomes, setting.seeds, maker.records(), on_chips)
        command_line.write_json(setting.json, rows)
        return
    everything = ALL in setting.targets
    named = {name for target in setting.targets for name in parts(target, FIGURES)}
    figures = [figure for figure in FIGURES.values() if everything or figure.name in named]
    wanted = {*setting.targets, *(name for figure in figures for name in figure.studies)}
    needed = [name for name in plans if everything or name in wanted]
    if everything and setting.tokenizer is None:
        needed = maker.without_texts(needed)
    if setting.print_commands:
        sys.stdout.write("".join(f"{line}\n" for line in maker.commands(needed)))
        return
    maker.train(needed)
    if is_first and setting.part is None:
        with maker.drawing():
            _draw(setting, maker, figures, command, console)


def _draw(setting: Setting, maker: "Maker", figures: Sequence["Figure"], command: str, console: Console) -> None:
    """Makes figures and tables of the studies that are there."""
    from distill_jax.machine.environment import environment
    from experiments.paper import published, table2

    everything = ALL in setting.targets
    figure_results = {
        figure.name: figure_result for figure in figures if (figure_result := maker.draw(figure)) is not None
    }
    tables = {}
    if everything or TABLE in setting.targets:
        tables[TABLE] = maker.table(TABLE_2, table2.rows)
        console.print(Markdown(table2.lines(tables[TABLE])))
    if everything or PUBLISHED in setting.targets:
        tables[PUBLISHED] = maker.table(published.SETTINGS, published.rows)
        console.print(Markdown(f"{published.LEGEND}\n{published.lines(tables[PUBLISHED])}"))
    if setting.json is not None:
        rows = tables[PUBLISHED if PUBLISHED in setting.targets else TABLE]
        run_environment = environment(command)
        command_line.write_json(setting.json, [row | {"environment": run_environment} for row in rows])
    if everything:
        maker.write_all(figure_results, tables[TABLE], tables[PUBLISHED], command)


if __name__ == "__main__":
    command_line.run(main)
