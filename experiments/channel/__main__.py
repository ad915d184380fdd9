"""The command: trains all seeds, shows the numbers beside the paper's, and writes result and figures."""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from rich.console import Console

from distill_jax.statistics import quote
from experiments import command_line
from experiments.channel.setting import Setting, validate

PROG = "python -m experiments.channel"


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    validate(setting)

    from distill_jax import backend
    from distill_jax.environment import environment
    from experiments.channel import sweep

    cells = sweep.grid(setting)
    # The cores are devices that share the seeds, not a batch: any number will do that divides 840 evenly.
    backend.use_cores(840)
    backend.keep_programs(None)
    said = {
        "environment": environment(f"{PROG} {' '.join(arguments)}".strip()),
        "setting": {k: v for k, v in dataclasses.asdict(setting).items() if k not in ("json", "figures", "sweep")},
    }
    console = Console(width=None if sys.stdout.isatty() else 160)
    if cells:
        _map(setting, cells, said, console)
    else:
        del said["setting"]["seeds"]  # which is the n of every number
        _compare(setting, said, console)


def _compare(setting: Setting, said: dict[str, Any], console: Console) -> None:
    """One setting's numbers beside the paper's."""
    from experiments.channel.population import outcomes
    from experiments.channel.summary import dumps, summarise, values
    from experiments.collected import Kept, collect
    from experiments.comparison import save, table

    kept = Kept(setting.json, said)
    how = partial(outcomes, setting), setting.seeds, partial(values, setting)
    found, first, seconds = collect(*how, kept, console)
    said |= {"seconds": seconds, **summarise(setting, found)}
    console.print(table(said))
    command_line.write_json(setting.json, said)
    kept.remove()
    if setting.figures is not None:
        from distill_jax.plots import scatter
        from experiments.channel.picture import figure

        of_seed = {split: dumps(first, 0, split) for split in ("train", "test")}
        teachers, students = [d[0] for d in of_seed.values()], [s for d in of_seed.values() for s in d[1:]]
        pictures = {
            "channel": figure(found, setting.train_examples // setting.batch_size),
            "channel_scatter": scatter(teachers, students),
        }
        save(pictures, setting.figures)
    console.print(f"{setting.seeds} seeds in {seconds['wall']:.0f} s ({seconds['cpu']:.0f} s of CPU time)")


def _map(setting: Setting, cells: Sequence[dict[str, Any]], said: dict[str, Any], console: Console) -> None:
    """The gain over a grid of settings, a cell at a time; each is kept as soon as it is there."""
    from experiments.channel import sweep
    from experiments.comparison import save
    from experiments.resumed import one_by_one, pieces

    names = list(cells[0])
    rows = said["sweep"] = pieces(setting.json, said | {"sweep": []}, "sweep")

    def measure(cell: dict[str, Any]) -> str:
        rows.append(sweep.measure(setting, cell))
        which = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in cell.items())
        gain = quote(rows[-1]["paired_gain_over_control"], sign=True, scale=100)
        return f"{which}: {gain} points over the control"

    todo = [cell for cell in cells if not sweep.of_cell(rows, cell)]
    one_by_one(setting.json, said, todo, len(cells), measure, console)
    if setting.figures is not None:
        shown = [row for cell in cells for row in sweep.of_cell(rows, cell)]
        save({f"channel-{'-'.join(names)}": sweep.figure(shown, names)}, setting.figures)


if __name__ == "__main__":
    command_line.run(main)
