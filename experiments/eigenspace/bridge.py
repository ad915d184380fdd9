"""The command: from the theory to the paper's experiment by one departure at a time, with a result and a figure."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from distill_jax.command import command_line
from experiments.eigenspace.departures import BridgeSetting, departures
from experiments.eigenspace.setting import validate
from experiments.json_interval import quote
from experiments.resumable_rows import load_partial, measure_each

PROG = "python -m experiments.eigenspace.bridge"


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    bridge = command_line.parse(BridgeSetting(), PROG, arguments)
    rows = departures(bridge)
    for setting in rows.values():
        validate(setting)
    command_line.check_writable("--json", bridge.json, ".json")
    command_line.check_writable("--figures", bridge.figures)

    from distill_jax.machine import backend, program_cache
    from distill_jax.machine.environment import environment
    from experiments.comparison import save
    from experiments.eigenspace import bridge_summary
    from experiments.eigenspace.bridge_picture import figure
    from experiments.eigenspace.data import load

    dataset = load(next(iter(rows.values())))
    backend.use_cores(840)
    program_cache.keep_programs(None)
    choice = {k: v for k, v in dataclasses.asdict(bridge).items() if k not in ("json", "figures", "data_dir")}
    result: dict[str, Any] = {"environment": environment(f"{PROG} {' '.join(arguments)}".strip()), "setting": choice}
    result["rows"] = load_partial(bridge.json, result | {"rows": {}}, "rows")
    console = command_line.console()

    def measure_row(name: str) -> str:
        began = time.monotonic()
        row = bridge_summary.measure(rows[name], dataset)
        result["rows"][name] = {"seconds": time.monotonic() - began, **row}
        exaggeration = quote(row["exaggeration_student"], 3, sign=True)
        return f"{name}: the student's bias less the teacher's {exaggeration}"

    todo = [name for name in rows if name not in result["rows"]]
    measure_each(bridge.json, result, todo, len(rows), measure_row, console)
    result["rows"] = {name: result["rows"][name] for name in rows}
    console.print(bridge_summary.table(result))
    if bridge.figures is not None:
        save({"eigenspace-bridge": figure(result["rows"])}, bridge.figures)


if __name__ == "__main__":
    command_line.run(main)
