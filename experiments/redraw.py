"""Draws again, without computing, the pictures of kept results that follow from their numbers alone.

python -m experiments.redraw [--to DIR]

Those of single examples are not among them: they need dumps, and so the command that made them.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from distill_jax.command import command_line
from distill_jax.files import write_result
from distill_jax.measures.study_summary import read_summary
from distill_jax.report import plots
from distill_jax.report.study_report import drawn_from
from experiments import json_interval
from experiments.channel import sweep
from experiments.eigenspace import bridge_picture
from experiments.null_world import picture as null_world
from experiments.paper.figures import beyond, interpolation
from experiments.paper.scale import SCALES
from experiments.paper.studies import studies
from experiments.schedule import picture as schedule
from experiments.throughput import picture as throughput
from experiments.throughput import results as throughput_results

PROG = "python -m experiments.redraw"
RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Draws again the pictures of kept results that follow from their numbers alone."""

    to: Path = RESULTS
    """Folder for them; those that are there are replaced."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    command_line.check_writable("--to", setting.to)
    for name, figure in pictures():
        write_result(setting.to / f"{name}.png", plots.encode(figure, name)["png"])
        print(f"{name}.png")


def pictures() -> Iterator[tuple[str, Figure]]:
    """The pictures, by their places below `RESULTS`."""
    for path in sorted(RESULTS.glob("channel-*.json")):
        if rows := _read(path).get("sweep"):
            yield path.stem, sweep.figure(rows, [name for name in rows[0] if name in sweep.FIELDS])
    yield "eigenspace-bridge", bridge_picture.figure(_read(RESULTS / "eigenspace-bridge.json")["rows"])
    yield "null_world", null_world.figure(_read(RESULTS / "null_world.json"))
    yield "schedule", schedule.figure(_read(RESULTS / "schedule.json"))
    for path in sorted(RESULTS.glob("throughput/*.json")):
        yield f"throughput/{path.stem}", throughput.roofline(throughput_results.read(path, "--table"))
    yield from of_paper(_read(RESULTS / "paper-small" / "results.json"))
    for path in sorted(RESULTS.glob("*/summary.json")):
        for name, figure in drawn_from(read_summary(path)).items():
            if path.with_name(f"{name}.png").exists():
                yield f"{path.parent.name}/{name}", figure


def of_paper(results: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Those of `experiments.paper` that have all they show among their numbers."""
    plans, folder = studies(SCALES[results["scale"]]), f"paper-{results['scale']}"
    numbers = {name: figure["numbers"] for name, figure in results["figures"].items()}
    shown = [plans[name] for name in numbers["prediction"]["settings"]]
    yield f"{folder}/prediction", beyond.prediction_picture(_intervals(numbers["prediction"]), shown)
    settings = numbers["interpolation"]["settings"]
    sizes = [results["studies"][name]["study"]["train_examples"] for name in settings]
    correlations = numbers["interpolation"]["rank_correlations"]
    drawn = interpolation.picture(list(settings.values()), correlations, [plans[name] for name in settings], sizes)
    yield f"{folder}/interpolation", drawn
    precisions = [name for name in numbers["precision"]["kd"]["test_accuracy"] if name != "difference"]
    title = next(iter(results["figures"]["precision"]["studies"].values()))
    yield f"{folder}/precision", beyond.precision_picture(_intervals(numbers["precision"]), title, precisions)


def _intervals(value: Any) -> Any:
    """Numbers of a result file with its intervals as values."""
    if not isinstance(value, dict):
        return value
    return json_interval.read(value) if {"mean", "low"} <= set(value) else {k: _intervals(v) for k, v in value.items()}


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


if __name__ == "__main__":
    command_line.run(main)
