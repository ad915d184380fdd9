"""The main job: train a teacher and its students, dump their probabilities, and report how they deviate.

    python -m distill_jax [PRESET | --setting FILE] [--field value ...]
    python -m distill_jax ids DATASET --to FILE [--field value ...]
    python -m distill_jax export WORKDIR --to DIR [--model MODEL --seed N --format FORMAT]
    python -m distill_jax points STUDY --to FILE [--student NAME --seed N --format FORMAT]

`ids`, `export` and `points` are commands of their own, see `VERBS`, each with its --help. --list shows the presets
(--list --json for programs), --version which code this is, --help every field; FILE is the study.json that a study
keeps in its folder. The same command resumes what was interrupted and returns at once what is finished.
"""

import contextlib
import dataclasses
import difflib
import importlib
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from importlib import metadata

from rich.console import Console
from rich.table import Table

from distill_jax import __version__, data, saved_setting
from distill_jax.command import command_line
from distill_jax.command.spelling import by_option
from distill_jax.errors import InputError, printable
from distill_jax.own_code import is_own
from distill_jax.paths import as_typed, local
from distill_jax.presets import PRESETS, preset_for
from distill_jax.setting import NETWORKS, ModelSetting, Setting

PROG = "python -m distill_jax"
# Commands beside the main job, by their first word: the module whose `main` does each, and what it is for.
VERBS = {
    "ids": ("distill_jax.command.ids", "write which example is which, for logits of a teacher of your own"),
    "export": ("distill_jax.command.export", "write a trained network as a file that others load"),
    "points": ("distill_jax.command.points", "write a study's examples for Embedding Atlas, pandas or cleanlab"),
}


def setting_from(arguments: Sequence[str]) -> Setting:
    """The setting that a command line names: a preset with fields replaced.

    Where none is named it is `presets.preset_for` the data that are, and 'digits' where no data are named either.

    Raises:
      InputError: an unknown preset or field, or a value of the wrong type.
    """
    return _named_setting(arguments)[1]


def _named_setting(arguments: Sequence[str]) -> tuple[str, Setting]:
    """`setting_from`, and what it is called: the preset, or the file."""
    rest = list(arguments)
    saved, rest = _saved(rest)
    if saved is not None:
        path, file_setting = saved
        setting = command_line.parse(file_setting, f"{PROG} --setting FILE", rest)
        command_line.refuse_idle(_idle(setting), rest)
        return path, setting
    name = "digits"
    if rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    elif _names_data(rest):
        name = preset_for(command_line.parse(PRESETS["own-data"].setting, f"{PROG} own-data", rest))
    if name not in PRESETS:
        near = difflib.get_close_matches(name, [*PRESETS, *VERBS], 1)
        raise InputError(
            "preset",
            repr(name),
            "is not known" + (f"; did you mean {near[0]}?" if near else f"; there are {', '.join(PRESETS)}"),
        )
    if name.startswith("own-") and not {"--help", "-h"} & {*rest} and not _names_data(rest):
        raise InputError("data.dataset", None, f"must be given for the preset {name}, which is for data of your own")
    setting = command_line.parse(PRESETS[name].setting, f"{PROG} {name}", rest, description=_description(name))
    try:
        command_line.refuse_idle(_idle(setting), rest)
    except InputError:
        data.check_known(setting.data)  # else options are held against a preset for data of another kind
        raise
    return name, setting


def _description(name: str) -> str:
    """What the help says before the options, whose defaults are those of a preset."""
    lines = (
        "One study: a teacher, its students, one of them the control, and how they deviate.",
        f"Defaults: of the preset {name}, {PRESETS[name].purpose}",
        f"Presets: {', '.join(PRESETS)}; --list says what each is for and costs",
    )
    width = min(shutil.get_terminal_size().columns, 120)
    # A line that does not begin with a letter is one of its own for tyro.
    return "\n\n".join(textwrap.fill(line, width, subsequent_indent=" " * 4, break_on_hyphens=False) for line in lines)


def _saved(words: list[str]) -> tuple[tuple[str, Setting] | None, list[str]]:
    """The file of --setting FILE and its setting, and the other words."""
    index = next((i for i, word in enumerate(words) if word.split("=")[0] == "--setting"), None)
    if index is None:
        return None, words
    option, equals, path = words[index].partition("=")
    rest = words[:index] + words[index + (1 if equals else 2) :]
    path = path if equals else next(iter(words[index + 1 : index + 2]), "")
    if not path:
        raise InputError(option, None, "is given nothing; must be a study.json of a study's folder")
    if rest and not rest[0].startswith("-"):
        raise InputError(option, path, f"stands in the place of a preset; must be given without {rest[0]}")
    try:
        return (path, saved_setting.load(local("setting", path))), rest
    except InputError as error:
        raise by_option(error, {"setting": option}) from None


def _names_data(words: Sequence[str]) -> bool:
    return any(word.split("=")[0] == "--dataset" for word in words)


def _idle(setting: Setting) -> Iterator[tuple[str, str]]:
    """Options that have no effect beside the setting's others, each with why.

    Not those whose request is met without (the seed of a label noise of 0).
    """
    for role in ("teacher", "student"):
        network = getattr(setting, role)
        network_fields = NETWORKS.get(network.name, ("settings",))
        has = ", ".join(f"--{role}.{field}" for field in network_fields) or "no options"
        for field in dataclasses.fields(ModelSetting):
            if field.name not in ("name", *network_fields):
                yield f"--{role}.{field.name}", f"--{role}.name {network.name} has {has}"
        if network.roberta.pretrained is not None:
            for field in ("layers", "units"):
                yield f"--{role}.roberta.{field}", f"--{role}.roberta.pretrained says how many there are"
    if setting.given.logits:
        for field in dataclasses.fields(ModelSetting):
            yield f"--teacher.{field.name}", "--teacher.logits gives what the teacher says"
    if setting.given.weights is None:
        for option in ("--teacher.mean", "--teacher.std"):
            yield option, "--teacher.weights names no weights that were trained with it"
    optimizer = setting.optimizer
    if optimizer.optimizer != "sgd" and not is_own(optimizer.optimizer):
        yield "--momentum", f"--optimizer {optimizer.optimizer} has none of that kind"
    if optimizer.decay != "step":
        for option in ("--decay-factor", "--decay-epochs"):
            yield option, f"--decay {optimizer.decay} has none, as step has"
    name = setting.data.dataset
    if not data.needs_folder(name):
        yield "--data-dir", f"--dataset {name} is " + ("part of scikit-learn" if name == "digits" else "a path itself")
    if not data.is_of_pictures(name):
        yield "--skip-broken", f"--dataset {name} is no folder of pictures"
    if data.kind(name) == "arrays":
        for option in ("--tokenizer", "--length", "--truncation", "--length-buckets"):
            yield option, f"--dataset {name} is not of texts"


def version() -> str:
    """The version of this project and of JAX, with the commit where it is run from a clone.

    >>> version().split()[0]
    'distill-jax'
    """
    from distill_jax.machine.environment import commit

    at = commit()
    where = "" if at is None else f" (commit {at[:12]}{at[40:]})"  # 40 digits, and perhaps '+'
    return f"distill-jax {__version__}{where}, JAX {metadata.version('jax')}"


def print_presets(console: Console) -> None:
    """A table of the presets."""
    table = Table("preset", "what it is for", "expected cost", box=None, pad_edge=False)
    for name, preset in PRESETS.items():
        table.add_row(name, preset.purpose, preset.cost)
    console.print(table)


def _listed(arguments: Sequence[str]) -> None:
    """Prints the presets, for people or as JSON: of each its name, purpose, cost and setting."""
    words = [word for word in arguments if word not in ("--list", "--json")]
    if words:
        raise InputError("--list", None, f"must be given alone or with --json, and not with {words[0]}")
    if "--json" in arguments:
        rows = [{"preset": name, **dataclasses.asdict(preset)} for name, preset in PRESETS.items()]
        print(json.dumps(rows, indent=1, default=str))
    else:
        print_presets(command_line.console())


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    if arguments and arguments[0] in VERBS:
        importlib.import_module(VERBS[arguments[0]][0]).main(arguments[1:])
        return
    if "--help" in arguments or "-h" in arguments:
        for verb, (_, purpose) in VERBS.items():
            print(f"{PROG} {verb} --help: {purpose}")
    if "--version" in arguments:
        print(version())
        return
    if "--list" in arguments:
        _listed(arguments)
        return
    name, setting = _named_setting(arguments)
    run = setting.run
    if not run.distributed or run.process_id == 0:
        at_once = f"distill-jax {__version__}: {name}, work folder {as_typed(str(run.workdir))}; importing JAX"
        print(printable(at_once), flush=True)
    from distill_jax.machine import processes  # only now: from here on seconds may pass without a word

    with contextlib.ExitStack() as stack:
        if run.distributed:
            stack.enter_context(processes.connected(run.coordinator, run.processes, run.process_id))
        _run(setting, arguments)


def _run(setting: Setting, arguments: Sequence[str]) -> None:
    """Runs the study, once this process has joined the others."""
    from distill_jax.machine import backend, processes, program_cache
    from distill_jax.study.run_study import run_study

    if not setting.run.distributed:  # where processes must have as many devices as each other
        backend.use_cores(setting.train.batch_shards or setting.train.batch_size)
    program_cache.keep_programs(setting.data.cache_dir)
    console = command_line.console(quiet=not processes.is_first())
    report = run_study(setting, f"{PROG} {' '.join(arguments)}".strip(), console)
    if report is not None:  # of a part there is none
        console.print(f"report: {as_typed(str(report))}", soft_wrap=True)
