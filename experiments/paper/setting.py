"""Options of the command."""

import dataclasses
import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import tyro

from distill_jax.command.command_line import check_writable
from distill_jax.errors import InputError

PROG = "python -m experiments.paper"
TABLE, PUBLISHED = "table2", "published"
ALL = "all"
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
    scale: Literal["paper", "small"] = "paper"
    """'paper': its data, networks and recipes. 'small': stand-ins for a CPU, two hours on 2 cores for all images."""
    data_dir: Path | None = None
    """Folder that holds the prepared data: cifar10/, cifar100/, glue/, imdb_reviews/ and ag_news_subset/ as TensorFlow
    Datasets prepares them, and tiny-imagenet-200/. Needed where something has to be trained; 'small' needs cifar100 and
    imdb_reviews alone."""
    tokenizer: Path | None = None
    """Folder of RoBERTa's tokenizer, vocab.json and merges.txt, or tokenizer.json. Needed to train on texts."""
    pretrained: Path | None = None
    """Folder with the RoBERTas that texts are fine-tuned from, base/, medium/ and small/ as transformers saves them
    (config.json, model.safetensors). Needed to train on texts at the scale 'paper'; 'small' has none."""
    workdir: Path = Path("work/paper")
    """Folder for studies, figures and results, with a folder in it for each scale."""
    seeds: int = 3
    """Repetitions of every study."""
    figures: Path | None = None
    """Folder for the figures and their page [default: figures/ in the scale's folder]."""
    json: Path | None = None
    """File for the 22 rows of Table 2, where it is made, or for the settings of 'published'."""
    list: bool = False
    """Show every figure, table and study, what is there, and how long the rest is expected to take."""
    markdown: Path | None = None
    """Print the README's lines on a results.json that 'all' has made."""


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
    check_writable("--json", setting.json, ".json")
    if setting.json is not None and not {ALL, TABLE, PUBLISHED} & set(setting.targets):
        raise InputError("--json", setting.json, f"is for the rows of a table; name {TABLE}, {PUBLISHED} or {ALL} too")
    if setting.json is not None and {TABLE, PUBLISHED} <= set(setting.targets):
        raise InputError("--json", setting.json, f"is for the rows of one table; name {TABLE} or {PUBLISHED}, not both")
    if setting.data_dir is not None and not setting.data_dir.is_dir():
        raise InputError("--data-dir", setting.data_dir, "is no folder; must hold the prepared data")
    for option, folder in (("--tokenizer", setting.tokenizer), ("--pretrained", setting.pretrained)):
        if folder is not None and not folder.is_dir():
            raise InputError(option, folder, f"is no folder; {NEEDED[option]}")
    check_writable("--figures", setting.figures)
