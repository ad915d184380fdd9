"""The command: trains all seeds, shows the numbers beside the paper's, and writes result and figures."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rich.console import Console

from distill_jax.command import command_line
from distill_jax.errors import InputError
from experiments.channel import readings
from experiments.channel.setting import Setting, SweepSetting, validate
from experiments.json_interval import quote

PROG = "python -m experiments.channel"


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = readings.parse(PROG, arguments)
    names = list(readings.READINGS) if setting.reading == "all" else [setting.reading]
    settings = [readings.parse(PROG, arguments, name) for name in names]
    for candidate in settings:
        validate(candidate)
    if len(settings) > 1 and (setting.figures is not None or setting.sweep != SweepSetting()):
        raise InputError("--reading", "all", "is a table; --figures and --sweep need one reading")

    from distill_jax.machine import backend, program_cache
    from distill_jax.machine.environment import environment
    from experiments.channel import sweep

    cells = sweep.grid(settings[0])
    # The cores are devices that share the seeds, not a batch: any number will do that divides 840 evenly.
    backend.use_cores(840)
    program_cache.keep_programs(None)
    result = {"environment": environment(f"{PROG} {' '.join(arguments)}".strip())}
    console = command_line.console()
    if len(settings) > 1:
        _readings(settings, result, console)
    elif cells:
        _map(settings[0], cells, result, console)
    else:
        _compare(settings[0], result, console)


def _compare(setting: Setting, result: dict[str, Any], console: Console) -> None:
    """One setting's numbers beside the paper's."""
    from experiments.channel.population import outcomes
    from experiments.channel.reading_table import statement
    from experiments.channel.summary import dumps, summarise, values
    from experiments.comparison import save, table
    from experiments.many_seeds.seed_store import PartialResults, collect

    result |= {"reading": readings.described(setting), "setting": setting.said()}
    partial_results = PartialResults(setting.json, result)
    collect_arguments = partial(outcomes, setting), setting.seeds, partial(values, setting)
    arrays, first, seconds = collect(*collect_arguments, partial_results, console)
    result |= {"seconds": seconds, **summarise(setting, arrays)}
    console.print(f"Reading {statement(result['reading'])}", highlight=False)
    console.print(table(result))
    command_line.write_json(setting.json, result)
    partial_results.remove()
    if setting.figures is not None:
        from distill_jax.report.plots import scatter
        from experiments.channel.picture import figure

        dumps_by_split = {split: dumps(first, 0, split) for split in ("train", "test")}
        teachers, students = (
            [d[0] for d in dumps_by_split.values()],
            [s for d in dumps_by_split.values() for s in d[1:]],
        )
        name = _picture(setting)
        pictures = {
            name: figure(arrays, setting.train_examples // setting.batch_size),
            f"{name}_scatter": scatter(teachers, students),
        }
        save(pictures, setting.figures)
    console.print(f"{setting.seeds} seeds in {seconds['wall']:.0f} s ({seconds['cpu']:.0f} s of CPU time)")


def _readings(settings: Sequence[Setting], result: dict[str, Any], console: Console) -> None:
    """The numbers of all readings, one after another; each is kept as soon as it is there."""
    from experiments.channel import reading_table
    from experiments.resumable_rows import load_partial, measure_each

    descriptions = [readings.described(setting) for setting in settings]
    changed = {description["name"]: description["changed"] for description in descriptions if description["changed"]}
    result["setting"] = settings[0].said() | {"reading": "all", "seeds": settings[0].seeds, "changed": changed}
    rows = result["readings"] = load_partial(settings[0].json, result | {"readings": []}, "readings")

    def measure(setting: Setting) -> str:
        rows.append(reading_table.measure(setting))
        gain = quote(rows[-1]["paired_gain"], sign=True, scale=100)
        return f"{setting.reading}: right signs {quote(rows[-1]['update_sign_share'], scale=100)}%, gain {gain} points"

    measured_names = {row["reading"]["name"] for row in rows}
    todo = [setting for setting in settings if setting.reading not in measured_names]
    measure_each(settings[0].json, result, todo, len(settings), measure, console)
    console.print(reading_table.table(result))
    for line in reading_table.statements(result):
        console.print(line, highlight=False)


def _map(setting: Setting, cells: Sequence[dict[str, Any]], result: dict[str, Any], console: Console) -> None:
    """Gain, accuracy and signs over a grid of settings, a cell at a time; each is kept as soon as it is there."""
    from experiments.channel import sweep
    from experiments.comparison import save
    from experiments.resumable_rows import load_partial, measure_each

    names = list(cells[0])
    result |= {"reading": readings.described(setting), "setting": setting.said() | {"seeds": setting.seeds}}
    rows = result["sweep"] = load_partial(setting.json, result | {"sweep": []}, "sweep")

    def measure(cell: dict[str, Any]) -> str:
        rows.append(sweep.measure(setting, cell))
        cell_text = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in cell.items())
        gain = quote(rows[-1]["paired_gain_over_control"], sign=True, scale=100)
        return f"{cell_text}: {gain} points over the control"

    todo = [cell for cell in cells if not sweep.of_cell(rows, cell)]
    measure_each(setting.json, result, todo, len(cells), measure, console)
    if setting.figures is not None:
        shown = [row for cell in cells for row in sweep.of_cell(rows, cell)]
        save({f"{_picture(setting)}-{'-'.join(names)}": sweep.figure(shown, names)}, setting.figures)


def _picture(setting: Setting) -> str:
    """The name of a picture, which has the reading's where that is not the printed one."""
    return "channel" if setting.reading == "printed" else f"channel-{setting.reading}"


if __name__ == "__main__":
    command_line.run(main)
