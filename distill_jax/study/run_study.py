"""Runs one study, from its setting to its report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from distill_jax.data.examples import examples_of
from distill_jax.dumps import DumpReader
from distill_jax.machine import processes
from distill_jax.machine.environment import environment
from distill_jax.measures import sweep_summary
from distill_jax.measures.study_summary import summarise
from distill_jax.report.study_report import write_report
from distill_jax.setting import Setting
from distill_jax.students import table
from distill_jax.study import sweep
from distill_jax.study.given_teacher import Source
from distill_jax.study.study import Study


def run_study(
    setting: Setting,
    command: str,
    console: Console,
    *,
    arrays: Mapping[str, Any] | None = None,
    teacher: Source | None = None,
) -> Path | None:
    """Trains what of a study is not yet trained, and writes its summary and report.

    Args:
      setting: the study.
      command: that does it again, quoted in the report.
      console: for what a person should see.
      arrays, teacher: as of `Study`.

    Returns:
      The path of the report; None in all processes but the first.

    Raises:
      InputError, RunError, Interrupted: as `Study`.
    """
    study = Study(setting, console, arrays=arrays, teacher=teacher)
    study.train()
    if not processes.is_first():
        return None
    run, last = setting.run, study.schedule.total_steps
    with console.status("measuring and drawing"):  # shown on a terminal alone
        read = DumpReader(run.workdir)
        swept = None
        kinds = table(setting.students)
        if len(study.students) > len(kinds):
            study_values = sweep.own_values(setting, last)
            swept = sweep_summary.summarise(read, study.students, study_values, run.seeds, last)
        summary = summarise(
            read,
            setting=study.identity,
            environment=environment(command) | {"trained_at": study.commits()},
            timing=study.facts(),
            seeds=run.seeds,
            total_steps=last,
            switch_step=study.switch_step,
            students={name: kind.label for name, kind in kinds.items()},
            sweep=swept,
        )
        examples = None if run.explorer == "none" else examples_of(study.dataset, study.setting.data)
        return write_report(read, summary, examples, run.explorer)
