"""Runs one study, from its setting to its report."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from distill_jax.bucket.at_hand import at_hand
from distill_jax.data import folder_of
from distill_jax.data.examples import examples_of
from distill_jax.dumps import DumpReader
from distill_jax.machine import processes
from distill_jax.machine.environment import environment
from distill_jax.measures import sweep_summary
from distill_jax.measures.study_summary import summarise
from distill_jax.paths import resolved
from distill_jax.report.study_report import write_report
from distill_jax.setting import Setting
from distill_jax.students import table
from distill_jax.study import parts, sweep, workdir
from distill_jax.study.given_teacher import Source
from distill_jax.study.study import Study
from distill_jax.training import progress


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
      The path of the report, on this machine; None in all processes but the first, and of a part of a study.

    Raises:
      InputError, RunError, Interrupted: as `Study`.
    """
    say = functools.partial(progress.say, console)
    more = {"mend": workdir.mend, "data_part": folder_of(setting.data.dataset), "first": processes.is_first()}
    setting = resolved(setting)
    processes.by_first(functools.partial(parts.require_free, setting))
    setting = parts.located(setting)
    with at_hand(setting, workdir.covered, say, **more) as here:
        study = Study(here, console, arrays=arrays, teacher=teacher)
        study.train()
        if not processes.is_first() or setting.run.part is not None:
            return None
        with console.status("measuring and drawing"):  # shown on a terminal alone
            return _report(study, command)


def _report(study: Study, command: str) -> Path:
    """Writes the summary and the report of a study that is trained; gives the report's path."""
    run, last = study.setting.run, study.schedule.total_steps
    read, swept = DumpReader(run.workdir), None
    kinds = table(study.setting.students)
    if len(study.students) > len(kinds):
        study_values = sweep.own_values(study.setting, last)
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
