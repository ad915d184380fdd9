"""The paper's experiments: figures and Table 2, at the paper's scale or one for a CPU.

    python -m experiments.paper --list
    python -m experiments.paper all --scale small --data-dir DIR --tokenizer DIR --workdir W

The same command goes on with what was interrupted, and trains nothing that is there.
"""

import shlex
import sys
from collections.abc import Sequence

from rich.markdown import Markdown

from distill_jax.command import command_line
from experiments.paper.rows import TABLE_2
from experiments.paper.scale import PAPER, SCALES
from experiments.paper.setting import ALL, PROG, PUBLISHED, TABLE, Setting, parts, validate
from experiments.paper.studies import studies


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments, flags=True)

    from distill_jax.machine.environment import environment
    from experiments.compiled.studies import predicted
    from experiments.paper import document, listing, published, table2
    from experiments.paper.figures import FIGURES
    from experiments.paper.make import RESULTS, Maker

    plans = studies(SCALES[setting.scale])
    validate(setting, list(FIGURES), plans, studies(PAPER))
    if setting.markdown is not None:
        sys.stdout.write(document.readme(setting.markdown))
        return
    console = command_line.console()
    maker = Maker(setting, plans, console)
    if setting.list or not setting.targets:
        on_chips = predicted(RESULTS / "compiled", setting.seeds) if setting.scale == PAPER.name else {}
        listing.show(plans, maker.outcomes, setting.seeds, maker.records(), on_chips, console)
        return
    everything = ALL in setting.targets
    named = {name for target in setting.targets for name in parts(target, FIGURES)}
    figures = [figure for figure in FIGURES.values() if everything or figure.name in named]
    wanted = {*setting.targets, *(name for figure in figures for name in figure.studies)}
    needed = [name for name in plans if everything or name in wanted]
    maker.train(maker.without_texts(needed) if everything and setting.tokenizer is None else needed)
    figure_results = {
        figure.name: figure_result for figure in figures if (figure_result := maker.draw(figure)) is not None
    }
    command = f"{PROG} {shlex.join(arguments)}"
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
