"""Shared parts of the sources: raw splits, and checks of `data.data_dir` and `data.label`."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from distill_jax.data.dataset import Split, Vocabulary
from distill_jax.errors import InputError
from distill_jax.paths import local
from distill_jax.setting import DataSetting


@dataclasses.dataclass(frozen=True, eq=False)
class Raw:
    """A data set as its source has it: whole, and without noise (`true_label` is `label`).

    Attributes:
      train, test, num_classes, vocabulary, names, notes, titles: as in `Dataset`.
    """

    train: Split
    test: Split
    num_classes: int
    vocabulary: Vocabulary | None = None
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    titles: tuple[str, ...] | None = None


def data_folder(setting: DataSetting, content: str) -> Path:
    """The existing folder that `data.data_dir` names.

    Args:
      setting: names the folder.
      content: what it should hold, for the message.

    Raises:
      InputError: it is not given or is no folder.
    """
    if setting.data_dir is None:
        raise InputError("data.data_dir", None, f"must be given for `data.dataset` {setting.dataset}: {content}")
    folder = local("data.data_dir", setting.data_dir)
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise InputError("data.data_dir", folder, f"{state}; must be {content}")
    return folder


def listed(what: str, names: Iterable[str], most: int = 6) -> tuple[str, ...]:
    """What is said of some things by name: a line, or none where there are none.

    >>> listed("classes without a test picture", ["owl", "hen"])
    ('classes without a test picture: hen, owl',)
    """
    ordered = sorted(names)
    line = ", ".join(ordered[:most]) + (f" and {len(ordered) - most:,} more" if len(ordered) > most else "")
    return (f"{what}: {line}",) if ordered else ()


def not_read(called: str, names: Iterable[str]) -> tuple[str, ...]:
    """What is said of things that the data have and this project does not read: a line, or none where there are none.

    >>> not_read("columns", ["title", "date"])
    ('columns that are not read: date, title',)
    """
    return listed(f"{called} that are not read", names)


def check_label(setting: DataSetting, known: list[str]) -> None:
    """Checks `data.label` against the labels that the data set has.

    Raises:
      InputError: it has no such label.
    """
    if setting.label not in known:
        raise InputError("data.label", setting.label, f"must be {' or '.join(known)} for {setting.dataset}")
