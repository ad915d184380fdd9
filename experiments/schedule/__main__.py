"""How far it goes: all of the paper's studies on 1 to 512 chips, scheduled, and with machines that are lost.

    python -m experiments.schedule [--json FILE] [--figures DIR]

Times are those that compilers predict (`experiments.compiled`), and no chip has confirmed them.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_jax.command import command_line
from distill_jax.errors import InputError
from experiments.markdown_table import of_result

PROG = "python -m experiments.schedule"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Schedules all of the paper's studies on some chips, by what compilers predict of their training."""

    chips: tuple[int, ...] = (1, 8, 64, 512)
    """How many there are; of TPUs those beyond whole slices of four stay idle."""
    seeds: tuple[int, ...] = (3, 20)
    """Of each study."""
    losses: tuple[float, ...] = (1 / 24, 1 / 4)
    """How often a machine is lost, for each of its chips and an hour."""
    simulations: int = 50
    """Of each of them."""
    seed: int = 0
    """Of the draws."""
    json: Path | None = None
    """File for the result."""
    figures: Path | None = None
    """Folder for the picture."""
    markdown: Path | None = None
    """Print the tables of such a result file, and compute nothing."""


def validate(setting: Setting) -> None:
    """Checks all values before anything is computed or written.

    Raises:
      InputError: a value that cannot be right.
    """
    for option, values in {"--chips": setting.chips, "--seeds": setting.seeds}.items():
        if not values or min(values) < 1 or len(set(values)) < len(values):
            raise InputError(option, _typed(values), "must be numbers from 1 on, each once")
    if any(rate <= 0 for rate in setting.losses) or len(set(setting.losses)) < len(setting.losses):
        raise InputError(
            "--losses", _typed(setting.losses), "must be above 0, each once; without any loss is always there"
        )
    if setting.simulations < 1:
        raise InputError("--simulations", setting.simulations, "must be 1 or more")
    if setting.seed < 0:
        raise InputError("--seed", setting.seed, "must be 0 or more")
    command_line.check_writable("--json", setting.json, ".json")
    command_line.check_writable("--figures", setting.figures)


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    validate(setting)

    from experiments.schedule import table

    if setting.markdown is not None:
        print(of_result(setting.markdown, table.lines), end="")
        return

    from distill_jax.machine.environment import environment
    from experiments.schedule import result

    console = command_line.console()
    computed: dict[str, Any] = {
        "environment": environment(f"{PROG} {' '.join(arguments)}".strip()),
        "setting": {name: getattr(setting, name) for name in ("chips", "seeds", "losses", "simulations", "seed")},
        "assumptions": result.ASSUMPTIONS,
        "prices": result.PRICES,
    }
    computed |= measure(setting, console.print)
    console.print(table.lines(computed), highlight=False, soft_wrap=True)
    command_line.write_json(setting.json, computed)
    if setting.figures is not None:
        from experiments.comparison import save
        from experiments.schedule import picture

        save({"schedule": picture.figure(computed)}, setting.figures)


def measure(setting: Setting, say: Any) -> dict[str, Any]:
    """'studies', 'rows', 'losses' and 'anomalies' of the result file."""
    from experiments.paper.make import RESULTS
    from experiments.paper.scale import PAPER
    from experiments.paper.studies import studies
    from experiments.schedule import result
    from experiments.schedule.machines import MACHINES
    from experiments.schedule.portions import predictions

    plans = studies(PAPER)
    rows: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []
    for machine in MACHINES.values():
        found = predictions(RESULTS / "compiled", plans, machine)
        for seeds, chips in itertools.product(setting.seeds, setting.chips):
            case = result.Case.of(machine, chips, seeds, found)
            rows += result.scheduled(case)
            lost += [result.with_losses(case, rate, setting.simulations, setting.seed) for rate in setting.losses]
            say(f"{machine.name}, {seeds} seeds, chips {chips}: {rows[-1]['hours']:,.1f} hours")
    return {"studies": len(plans), "rows": rows, "losses": lost, "anomalies": result.anomalies(rows)}


def _typed(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    command_line.run(main)
