"""The main job: train a teacher and its students, dump their probabilities, and report how they deviate.

    python -m experiments.distill [PRESET] [--field value ...]

--list shows the presets, --help every field. The same command resumes what was interrupted and returns at once
what is finished.
"""

import contextlib
import difflib
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from distill_jax import processes
from distill_jax.errors import InputError
from distill_jax.setting import NETWORKS, Setting
from experiments import command_line
from experiments.presets import PRESETS, preset_for

PROG = "python -m experiments.distill"


def setting_from(arguments: Sequence[str]) -> Setting:
    """The setting that a command line names: a preset with fields replaced.

    Where none is named it is `presets.preset_for` the data that are, and 'digits' where no data are named either.

    Raises:
      InputError: an unknown preset or field, or a value of the wrong type.
    """
    rest = list(arguments)
    name = "digits"
    if rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    elif any(word.split("=")[0] == "--dataset" for word in rest):
        name = preset_for(command_line.parse(PRESETS["own-data"].setting, f"{PROG} own-data", rest))
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 1)
        raise InputError(
            f"preset {name!r} is not known"
            + (f"; did you mean {near[0]}?" if near else f"; there are {', '.join(PRESETS)}")
        )
    setting = command_line.parse(PRESETS[name].setting, f"{PROG} {name}", rest)
    _check_networks(setting, rest)
    return setting


def _check_networks(setting: Setting, words: Sequence[str]) -> None:
    """Checks that what is typed of a network is of the one that is meant, which would ignore it."""
    for role in ("teacher", "student"):
        network = getattr(setting, role).name
        for word in words:
            group, _, field = word.split("=")[0].partition(".")
            field = field.partition(".")[0]
            if group == f"--{role}" and field not in ("name", *NETWORKS[network]):
                has = ", ".join(f"{group}.{name}" for name in NETWORKS[network]) or "no options"
                raise InputError(f"{word}: must be left out, since --{role}.name {network} has {has}")


def print_presets(console: Console) -> None:
    """A table of the presets."""
    table = Table("preset", "what it is for", "expected cost", box=None, pad_edge=False)
    for name, preset in PRESETS.items():
        table.add_row(name, preset.purpose, preset.cost)
    console.print(table)


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    if "--list" in arguments:
        print_presets(command_line.console())
        return
    setting = setting_from(arguments)
    run = setting.run
    with contextlib.ExitStack() as stack:
        if run.distributed:
            stack.enter_context(processes.connected(run.coordinator, run.processes, run.process_id))
        _run(setting, arguments)


def _run(setting: Setting, arguments: Sequence[str]) -> None:
    """Runs the study, once this process has joined the others."""
    from distill_jax import backend, program_cache
    from distill_jax.progress import require_tensorboard
    from experiments.complete import complete

    run = setting.run
    if run.tensorboard:
        require_tensorboard()
    if not run.distributed:  # where processes must have as many devices as each other
        backend.use_cores(setting.train.batch_size)
    program_cache.keep_programs(setting.data.cache_dir)
    console = command_line.console(quiet=not processes.is_first())
    report = complete(setting, f"{PROG} {' '.join(arguments)}".strip(), console)
    console.print(f"report: {report}", soft_wrap=True)


if __name__ == "__main__":
    command_line.run(main)
