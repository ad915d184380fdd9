"""Options of the command."""

import dataclasses
import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from distill_jax.command.command_line import check_writable
from distill_jax.errors import InputError, require
from distill_jax.pairs import Names
from distill_jax.paths import address
from distill_jax.setting import READ, WRITTEN, RunSetting

PROG = "python -m experiments.paper"
TABLE, PUBLISHED = "table2", "published"
ALL = "all"
ENGINE_OPTIONS = {  # that each takes
    "here": (),
    "ray": ("address", "cpus", "gpus", "tpus"),
    "slurm": ("partition", "time", "sbatch", "cpus", "gpus"),
}
# Fields of `RunSetting` that are taken here too. No other fields are: a scale's precision and recipes name its studies.
RUN = (
    *("part_seeds", "part", "population", "memory_gib", "checkpoint_seconds"),
    *("distributed", "coordinator", "processes", "process_id"),
)
NEEDED = {
    "--tokenizer": "must be that of RoBERTa's tokenizer, vocab.json and merges.txt, or tokenizer.json",
    "--pretrained": "must be one with base/, medium/ and small/, each a RoBERTa as transformers saves it",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """The paper's experiments. Studies that are missing are trained, those there are used again."""

    targets: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to make: names of figures ('fig1' is all parts of it) or of studies, 'table2' or 'published' (which train
    nothing: what is not there is said to be not run), or 'all', without the texts where no tokenizer is given. --list
    shows them."""
    scale: Literal["paper", "small", "rehearsal"] = "paper"
    """'paper': its data, networks and recipes. 'small': stand-ins for a CPU, an hour on 2 cores.
    'rehearsal': every study by its name in seconds, of digits that need no folder, to try a cluster with."""
    data_dir: Path | None = dataclasses.field(default=None, metadata=READ)
    """Folder that holds the prepared data: cifar10/, cifar100/, glue/, imdb_reviews/ and ag_news_subset/ as TensorFlow
    Datasets prepares them, and tiny-imagenet-200/. Needed where something has to be trained; 'small' needs cifar100 and
    imdb_reviews alone, 'rehearsal' none."""
    tokenizer: Path | None = None
    """Folder of RoBERTa's tokenizer, vocab.json and merges.txt, or tokenizer.json. Needed to train on texts."""
    pretrained: Path | None = None
    """Folder with the RoBERTas that texts are fine-tuned from, base/, medium/ and small/ as transformers saves them
    (config.json, model.safetensors). Needed to train on texts at the scale 'paper'; 'small' has none."""
    workdir: Path = dataclasses.field(default=Path("work/paper"), metadata=WRITTEN)
    """Folder for studies, figures and results, with a folder in it for each scale. It may be in a bucket (gs://, s3://),
    as --data-dir: machines then need no disk that they share."""
    cache_dir: Path | None = dataclasses.field(default=None, metadata=WRITTEN)
    """Folder for decoded arrays and compiled programs [default: ~/.cache/distill-jax]; in a bucket for
    compiled programs alone, of all machines."""
    seeds: int = 3
    """Repetitions of every study."""
    figures: Path | None = None
    """Folder for the figures and their page [default: figures/ in the scale's folder]."""
    json: Path | None = None
    """File for the 22 rows of Table 2, where it is made, for the settings of 'published', or for what --list shows."""
    list: bool = False
    """Show every figure, table and study, what is there, and how long the rest is expected to take."""
    print_commands: bool = False
    """Print a shell command for each study that is still to be trained, the longest first, and train none. They may be
    run in any order and at once, on machines that share --workdir; the same command without this makes the rest. With
    --part-seeds there is one for each part."""
    part_seeds: int | None = None
    """Seeds of a part of a study, whose models train apart from others'. On Ray and SLURM each part is a task of its
    own, and one more makes the study of them [default: all are one part]."""
    part: int | None = None
    """Train this part of each study alone, the first of which is 0, and draw nothing."""
    population: int | None = None
    """Most models trained at once in one program [default: by the backend and the model]."""
    memory_gib: float | None = None
    """Memory of one device that a program may take, in GiB [default: what the device reports]."""
    checkpoint_seconds: float = RunSetting.checkpoint_seconds
    """Least time between two checkpoints, in seconds; 0 writes one after every dispatch."""
    on: Literal["here", "ray", "slurm"] = "here"
    """Where studies are trained: in this process, one after another; or each as a task of Ray (extra: ray) or of SLURM
    (extra: slurm), several at once, on machines that share this folder and --workdir. What is lost goes on elsewhere
    from its last checkpoint; Ctrl-C here makes all save and stop."""
    address: str | None = None
    """ray: HOST:PORT of a cluster's head, or auto [default: $RAY_ADDRESS, else this machine alone]."""
    partition: str | None = None
    """slurm: the partition [default: SLURM's]."""
    time: int | None = None
    """slurm: minutes that a study is given at a time, after which it saves and is queued again [default: 1440]."""
    sbatch: Names = dataclasses.field(default_factory=dict)
    """slurm: further options of sbatch, as account=NAME."""
    cpus: int | None = None
    """ray, slurm: CPUs of each study [default: beside a GPU or TPU 1, else on Ray all of the smallest node, under SLURM
    its default]."""
    gpus: int | None = None
    """ray, slurm: GPUs of each study [default: 1 where Ray's cluster has any, else 0]."""
    tpus: int | None = None
    """ray: TPU chips of each study [default: all of a node's, where the cluster has TPUs and no GPUs]."""
    distributed: Annotated[bool, tyro.conf.FlagConversionOff] = False
    """Join other processes, which are given the same command, and train each study together. On a TPU slice or under
    SLURM the three options below are found by themselves."""
    coordinator: str | None = None
    """distributed: address:port of process 0."""
    processes: int | None = None
    """distributed: number of processes."""
    process_id: int | None = None
    """distributed: number of this process, from 0."""
    markdown: Path | None = None
    """Print the README's lines on a results.json that 'all' has made."""

    @property
    def run(self) -> dict[str, Any]:
        """What a study's `RunSetting` has from here, beside its folder and seeds."""
        return {name: getattr(self, name) for name in RUN}


def parts(target: str, figures: Collection[str]) -> list[str]:
    """The figures that a target names: itself, or all parts, as fig1a and fig1b of fig1; none if it is no figure.

    figure1 is fig1.
    """
    target = re.sub(r"^figure(?=\d)", "fig", target)
    has_parts = target[-1:].isdigit()
    return [name for name in figures if name == target or (has_parts and name[:-1] == target and name[-1].isalpha())]


def validate(setting: Setting, figures: list[str], studies: Collection[str], of_paper: Collection[str]) -> None:
    """Checks all values before anything is computed or written.

    Args:
      setting: what was asked for.
      figures: names of all figures.
      studies, of_paper: names of the studies of its scale, and of the paper's.

    Raises:
      InputError: one line that names the option, its value and what would be right.
    """
    known = [ALL, TABLE, PUBLISHED, *figures, *studies]
    for target in setting.targets:
        if target in of_paper and target not in studies:
            raise InputError(target, None, f"has no stand-in at --scale {setting.scale}; must be made at --scale paper")
        if target not in known and not parts(target, figures):
            near = difflib.get_close_matches(target, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {ALL} and what --list shows"
            raise InputError("target", repr(target), f"is no figure, table or study; {hint}")
    if setting.seeds < 1:
        raise InputError("--seeds", setting.seeds, "must be 1 or more")
    _validate_run(setting)
    check_writable("--json", setting.json, ".json")
    if setting.json is not None and not setting.list and not {ALL, TABLE, PUBLISHED} & set(setting.targets):
        raise InputError("--json", setting.json, f"is for the rows of a table; name {TABLE}, {PUBLISHED} or {ALL} too")
    if setting.json is not None and not setting.list and {TABLE, PUBLISHED} <= set(setting.targets):
        raise InputError("--json", setting.json, f"is for the rows of one table; name {TABLE} or {PUBLISHED}, not both")
    if setting.data_dir is not None and address(setting.data_dir) is None and not setting.data_dir.is_dir():
        raise InputError("--data-dir", setting.data_dir, "is no folder; must hold the prepared data")
    for option, folder in (("--tokenizer", setting.tokenizer), ("--pretrained", setting.pretrained)):
        if folder is not None and not folder.is_dir():
            raise InputError(option, folder, f"is no folder; {NEEDED[option]}")
    check_writable("--figures", setting.figures)


def _validate_run(setting: Setting) -> None:
    """Checks how the work is to be carried out."""
    if setting.print_commands:
        if not setting.targets:
            raise InputError("--print-commands", None, f"must have targets before it, such as {ALL}")
        for option in ("list", "json", "markdown", "distributed"):
            if getattr(setting, option):
                raise InputError("--print-commands", None, f"must be given without --{option}")
    if setting.on != "here":
        for option in ("list", "print_commands", "distributed"):
            if getattr(setting, option):
                raise InputError("--on", setting.on, f"must be given without --{option.replace('_', '-')}")
    if setting.part is not None:
        given = [name for name in ("list", "print_commands", "json", "figures", "markdown") if getattr(setting, name)]
        given += ["on"] if setting.on != "here" else []
        for option in given:
            fault = f"must be given without --{option.replace('_', '-')}"
            raise InputError("--part", setting.part, fault)
        require(bool(setting.targets), "--part", setting.part, "given with studies to train")
    for option in dict.fromkeys(name for names in ENGINE_OPTIONS.values() for name in names):
        value, takers = getattr(setting, option), [on for on, names in ENGINE_OPTIONS.items() if option in names]
        if value not in (None, {}) and setting.on not in takers:
            raise InputError(f"--{option}", None, f"must be left out, since it is for --on {' or '.join(takers)}")
    for option, least in (("time", 1), ("cpus", 1), ("gpus", 0), ("tpus", 0)):
        value = getattr(setting, option)
        require(value is None or value >= least, f"--{option}", value, f"{least} or more")
    if setting.distributed and (setting.list or not setting.targets):
        raise InputError("--distributed", True, f"must have targets to train, such as {ALL}, and no --list")
