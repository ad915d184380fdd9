"""Trains the studies that are missing, draws figures from those that are there, and makes the table."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from distill_jax import backend, plots
from distill_jax.environment import environment
from distill_jax.workdir import write_result
from experiments.complete import complete
from experiments.paper import document, table2
from experiments.paper.cost import Record, committed, expected
from experiments.paper.figures import Figure
from experiments.paper.outcome import Outcome, finished
from experiments.paper.rows import IMAGE_ROWS
from experiments.paper.setting import PROG, Setting
from experiments.paper.studies import Planned

RESULTS = Path(__file__).parents[1] / "results"
_SEEDS = Setting().seeds


class Maker:
    """What one call of the command works on.

    Args:
      setting: what was asked for.
      plans: all studies of its scale.
      console: for what a person should see.
    """

    def __init__(self, setting: Setting, plans: Mapping[str, Planned], console: Console):
        self._setting, self._plans, self._console = setting, plans, console
        self._folder = setting.workdir / setting.scale
        self.pictures = setting.figures or self._folder / "figures"
        found = {name: finished(plan, self._folder, setting.seeds) for name, plan in plans.items()}
        self.outcomes: dict[str, Outcome] = {name: outcome for name, outcome in found.items() if outcome is not None}

    def records(self) -> list[Record]:
        """What studies have taken: those of committed results, then those that are there."""
        summaries = [outcome.summary for outcome in self.outcomes.values()]
        return committed(RESULTS) + [Record(s["setting"], s["timing"], s["environment"]["device"]) for s in summaries]

    def train(self, names: Sequence[str]) -> None:
        """Trains the studies that are not there.

        Raises:
          InputError, RunError, Interrupted: as `Study`.
        """
        missing = [name for name in names if name not in self.outcomes]
        if not missing:
            return
        # The devices share each batch, of whichever study.
        backend.use_cores(math.gcd(*(self._plans[name].setting.train.batch_size for name in missing)))
        backend.keep_programs(None)
        for number, name in enumerate(missing, 1):
            plan = self._plans[name]
            self._console.print(f"study {number} of {len(missing)}, {name}: {plan.title}", soft_wrap=True)
            setting = plan.located(self._folder, self._setting.data_dir, self._setting.seeds)
            complete(setting, self.command(name), self._console)
            outcome = finished(plan, self._folder, self._setting.seeds)
            assert outcome is not None
            self.outcomes[name] = outcome

    def command(self, *targets: str) -> str:
        """The command that makes something at this scale."""
        words = [*targets, "--scale", self._setting.scale, "--data-dir", str(self._setting.data_dir or "DIR")]
        words += ["--workdir", str(self._setting.workdir)]
        words += ["--seeds", str(self._setting.seeds)] if self._setting.seeds != _SEEDS else []
        return f"{PROG} {shlex.join(words)}"

    def draw(self, figure: Figure) -> dict[str, Any]:
        """Draws a figure, writes it as PNG and SVG, and its numbers and caption as JSON, and gives these.

        Raises:
          InputError: a dump is missing or damaged.
          RunError: a file cannot be written.
        """
        outcomes = [self.outcomes[name] for name in figure.studies]
        drawn = figure.draw(outcomes)
        said = {
            "paper": figure.paper,
            "studies": {outcome.plan.name: outcome.plan.title for outcome in outcomes},
            "caption": figure.caption(drawn, min(outcome.seeds for outcome in outcomes)),
            "numbers": drawn.numbers,
        }
        for suffix, data in plots.encode(drawn.picture, figure.name).items():
            write_result(self.pictures / f"{figure.name}.{suffix}", data)
        _write_json(self.pictures / f"{figure.name}.json", said)
        self._console.print(f"{figure.name}: {self.pictures / figure.name}.png", soft_wrap=True)
        return said

    def table(self) -> list[dict[str, Any]]:
        """The 22 rows of Table 2; those that are not run say what would, and how long that is expected to take."""
        records, not_run = self.records(), {}
        for row in IMAGE_ROWS:
            time = expected(self._plans[row.name], self._setting.seeds, records)
            not_run[row.name] = {
                "command": self.command(row.name),
                "expected_seconds": time and time.seconds,
                "expected_on": time and time.device,
            }
        return table2.rows(self.outcomes, not_run, self._setting.scale)

    def write_all(self, figures: Mapping[str, Any], table: Sequence[Mapping[str, Any]], command: str) -> None:
        """Writes all results, results.json, and the page that shows them, results.md."""
        results = {
            "environment": environment(command),
            "scale": self._setting.scale,
            "studies": document.studies(self.outcomes),
            "table2": table,
            "figures": figures,
        }
        _write_json(self.pictures / "results.json", results)
        write_result(self.pictures / "results.md", document.page(results).encode())
        self._console.print(f"all: {self.pictures / 'results.md'}", soft_wrap=True)


def _write_json(path: Path, value: Any) -> None:
    write_result(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
