"""The command: trains all seeds, shows the numbers beside the paper's, and writes result and figures."""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from experiments import command_line
from experiments.channel.setting import Setting, validate

PROG = "python -m experiments.channel"


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    validate(setting)

    from distill_jax import backend
    from distill_jax.environment import environment
    from distill_jax.workdir import write_text
    from experiments.channel import sweep
    from experiments.channel.population import outcomes
    from experiments.channel.summary import collect, summarise
    from experiments.comparison import save, table

    cells = sweep.grid(setting)
    # The cores are devices that share the seeds, not a batch: any number will do that divides 840 evenly.
    backend.use_cores(840)
    backend.keep_programs(None)
    console = Console(width=None if sys.stdout.isatty() else 160)
    started, cpu = time.monotonic(), time.process_time()
    found, first = collect(setting, outcomes(setting, range(setting.seeds)))
    seconds = {"wall": time.monotonic() - started, "cpu": time.process_time() - cpu}
    choice = {k: v for k, v in dataclasses.asdict(setting).items() if k not in ("json", "figures", "seeds", "sweep")}
    said: dict[str, Any] = {
        "environment": environment(f"{PROG} {' '.join(arguments)}".strip()),
        "setting": choice,
        "seconds": seconds,
        **summarise(setting, found),
    }
    console.print(table(said))
    if cells:
        said["sweep"] = sweep.measure(setting, cells, console.print)
    if setting.json is not None:
        write_text(setting.json, json.dumps(said, indent=1) + "\n")
    if setting.figures is not None:
        from distill_jax.plots import scatter
        from experiments.channel.picture import figure
        from experiments.channel.summary import dumps

        of_seed = {split: dumps(first, 0, split) for split in ("train", "test")}
        teachers, students = [d[0] for d in of_seed.values()], [s for d in of_seed.values() for s in d[1:]]
        pictures = {
            "channel": figure(found, setting.train_examples // setting.batch_size),
            "channel_scatter": scatter(teachers, students),
        }
        if cells:
            pictures["channel_sweep"] = sweep.figure(said["sweep"], list(cells[0]))
        save(pictures, setting.figures)
    console.print(f"{setting.seeds} seeds in {seconds['wall']:.0f} s ({seconds['cpu']:.0f} s of CPU time)")


if __name__ == "__main__":
    command_line.run(main)
