"""Which example is which: the ids of a data set's examples, in the order that logits of them are given in.

    python -m distill_jax ids DATASET --to FILE.csv|FILE.npz [--field value ...]

DATASET is as of --dataset, or a preset, whose data are meant; --help shows every field.
"""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from distill_jax import data
from distill_jax.command import command_line
from distill_jax.data.dataset import Dataset
from distill_jax.errors import InputError, require
from distill_jax.files import write_bytes, write_text
from distill_jax.presets import PRESETS
from distill_jax.setting import DataSetting

PROG = "python -m distill_jax ids"
SPLITS = ("train", "test")


@dataclasses.dataclass(frozen=True)
class IdsSetting:
    """Writes which example is which: its split, id, label, class and, of pictures in files, its path in their folder.

    Rows are in the order of the data, in which logits of a teacher are given. Labels are the true ones; where there is
    label noise, those that students see stand besides.
    """

    data: Annotated[DataSetting, tyro.conf.arg(name="")] = dataclasses.field(default_factory=DataSetting)
    to: Path | None = None
    """File to write: .csv, a row an example; or .npz, train_id, train_label, train_path and so on."""


def setting_from(arguments: Sequence[str]) -> IdsSetting:
    """The setting that a command line names.

    Raises:
      InputError: an unknown field, or a value of the wrong type; or no data, or no file, are named.
    """
    words, default = list(arguments), IdsSetting()
    if words and not words[0].startswith("-"):
        name = words.pop(0)
        is_preset = name in PRESETS and data.kind(name) == "unknown"
        default = IdsSetting(PRESETS[name].setting.data if is_preset else DataSetting(dataset=name))
    elif not {"--help", "-h"} & {*words} and not any(word.split("=")[0] == "--dataset" for word in words):
        raise InputError(PROG, None, "must be given a data set, as: ids FOLDER --to ids.csv")
    setting = command_line.parse(default, PROG, words)
    require(setting.to is not None, "--to", None, "given: a file that ends in .csv or .npz")
    assert setting.to is not None
    require(setting.to.suffix in (".csv", ".npz"), "--to", setting.to, "a file that ends in .csv or .npz")
    command_line.check_writable("--to", setting.to, setting.to.suffix)
    idle = [("--augment", "it changes no example's id")]
    if setting.data.noise_draw == "per-seed":
        idle.append(("--noise-draw", "every seed has other labels then, and one of them is written"))
    command_line.refuse_idle(idle, words)
    return setting


def columns(dataset: Dataset, paths: Mapping[str, Mapping[int, str]] | None, split: str) -> dict[str, np.ndarray]:
    """The columns of a split, [N] each: id, label, class, path where there are `paths` by id, and noisy_label.

    Raises:
      InputError: a path is not UTF-8, which neither kind of file can hold.
    """
    examples = getattr(dataset, split)
    names = np.array(dataset.names or [str(number) for number in range(dataset.num_classes)])
    found = {"id": examples.id, "label": examples.true_label, "class": names[examples.true_label]}
    if paths is not None:
        found["path"] = np.array([_utf8(paths[split][number]) for number in examples.id.tolist()])
    if any(np.any(s.label != s.true_label) for s in (dataset.train, dataset.test)):
        found["noisy_label"] = examples.label
    return found


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError("data.dataset", repr(path), "is no name in UTF-8; must be, to be written") from None
    return path


def write(path: Path, by_split: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes the columns of both splits, whole or not at all."""
    if path.suffix == ".csv":
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["split", *by_split["train"]])
        for split, of_split in by_split.items():
            rows.writerows((split, *row) for row in zip(*(c.tolist() for c in of_split.values()), strict=True))
        write_text(path, text.getvalue())
        return
    arrays: dict[str, Any] = {f"{split}_{name}": c for split in by_split for name, c in by_split[split].items()}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = setting_from(arguments)
    assert setting.to is not None
    dataset, console = data.load_dataset(setting.data), command_line.console()
    for note in dataset.notes:
        console.print(f"data: {note}", soft_wrap=True)
    paths = data.picture_paths(setting.data)
    by_split = {split: columns(dataset, paths, split) for split in SPLITS}
    write(setting.to, by_split)
    counts = " and ".join(
        f"{len(by_split[s]['id']):,} {name}" for s, name in zip(SPLITS, ("training", "test"), strict=True)
    )
    console.print(f"ids of {counts} examples: {setting.to}", soft_wrap=True)
