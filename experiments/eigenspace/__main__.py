"""The command: trains all seeds, shows the numbers beside the paper's, and writes result and figures."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

from distill_jax.command import command_line
from experiments.eigenspace.setting import Setting, filled, idle, validate

PROG = "python -m experiments.eigenspace"
_NOT_OF_A_RESULT = ("json", "figures", "seeds", "data_dir")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = filled(command_line.parse(Setting(), PROG, arguments))
    command_line.refuse_idle(idle(setting), arguments)
    validate(setting)

    from distill_jax.machine import backend, program_cache
    from distill_jax.machine.environment import environment
    from experiments import comparison
    from experiments.eigenspace.data import load
    from experiments.eigenspace.population import outcomes
    from experiments.eigenspace.summary import summarise, values
    from experiments.many_seeds.seed_store import PartialResults, collect

    dataset = load(setting)
    # The cores are devices that share the seeds, not a batch: any number will do that divides 840 evenly.
    backend.use_cores(840)
    program_cache.keep_programs(None)
    console = command_line.console()
    result: dict[str, Any] = {
        "environment": environment(f"{PROG} {' '.join(arguments)}".strip()),
        "setting": {k: v for k, v in dataclasses.asdict(setting).items() if k not in _NOT_OF_A_RESULT},
    }
    partial_results = PartialResults(setting.json, result)
    arrays, first, seconds = collect(
        partial(outcomes, setting, dataset), setting.seeds, values, partial_results, console
    )
    result |= {"seconds": seconds, **summarise(setting, arrays)}
    console.print(comparison.table(result))
    command_line.write_json(setting.json, result)
    partial_results.remove()
    if setting.figures is not None:
        from distill_jax.report.plots import scatter
        from experiments.eigenspace import picture

        splits = (("train", first.logits), ("test", first.test_logits))
        dumps_by_split = []
        for split, logits in splits:
            points = getattr(first.drawn, split)
            dumps_by_split.append(comparison.dumps(logits[0], points.label[0], points.true_label[0], 0, split))
        name = f"eigenspace-{setting.setting}"
        pictures = {
            f"{name}-paths": picture.paths(setting, first),
            f"{name}-bias": picture.distributions(setting, arrays),
            f"{name}-scatter": scatter([d[0] for d in dumps_by_split], [s for d in dumps_by_split for s in d[1:]]),
        }
        comparison.save(pictures, setting.figures)
    console.print(f"{setting.seeds} seeds in {seconds['wall']:.0f} s ({seconds['cpu']:.0f} s of CPU time)")


if __name__ == "__main__":
    command_line.run(main)
