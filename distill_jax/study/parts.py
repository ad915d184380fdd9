"""A study in parts: models of some of its seeds, trained in a folder of their own, which the whole study takes in.

A part's folder is a study's work folder, with fewer seeds. So parts are trained at once by whoever is given them, on
machines that share the study's folder or its bucket, and each may be killed, go on, or be split as any study may.
"""

import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from distill_jax import files
from distill_jax.dumps import Dump, dump_attributes, dump_path, find_dumps, read_dump, write_dumps
from distill_jax.machine import processes
from distill_jax.setting import RunSetting, Setting, changed
from distill_jax.study import workdir
from distill_jax.study.workdir import PARTS, RunFolder, populations
from distill_jax.training.population import Member
from distill_jax.training.predict import process_rows

_TAKEN = "taken-in.json"  # in the folder of a part, which models its study has
_Key = tuple[str, int, int, str]  # of a dump: model, seed, step and split


def located(setting: Setting) -> Setting:
    """The setting, with the folder of its part, if it has one, in the place of the study's.

    >>> located(changed(Setting(), run={"part_seeds": 2, "part": 1})).run.workdir.as_posix()
    'work/parts/1'
    """
    if setting.run.part is None:
        return setting
    return changed(setting, run={"workdir": setting.run.workdir / PARTS / str(setting.run.part)})


def lock(run: RunSetting, identity: Mapping[str, Any]) -> ExitStack:
    """Takes a work folder for this process alone; of a part that, and the study's folder together with other parts.

    Args:
      run: with the work folder where it is at work.
      identity: of the study.

    Returns:
      What is to be closed.

    Raises:
      InputError: as `workdir.claim`.
    """
    with ExitStack() as stack:
        if (whole := _whole(run)) is not None:
            stack.enter_context(workdir.lock(whole, shared=True))
            workdir.claim(whole, dict(identity), shared=True)
        stack.enter_context(workdir.lock(run.workdir))
        return stack.pop_all()


def check_whole(run: RunSetting, identity: Mapping[str, Any]) -> None:
    """Checks that a part's study is at home where it is to be taken in, if anything is there.

    Raises:
      InputError: another one is.
    """
    if (whole := _whole(run)) is not None and workdir.is_claimed(whole):
        workdir.claim(whole, dict(identity), shared=True)


def _whole(run: RunSetting) -> Path | None:
    """The study's folder of a part; None of a study, and of a part that is in a bucket, where its study is not here."""
    place = run.workdir.parent
    return place.parent if run.part is not None and place.name == PARTS else None


def there(folder: Path) -> list[Path]:
    """The folders of a study's parts that have something to take in, in order."""
    found = [path for path in (folder / PARTS).glob("*") if path.name.isdecimal() and (path / "runs").exists()]
    return sorted(found, key=lambda path: int(path.name))


def taken(part: Path) -> set[Member]:
    """The models of a part that its study has taken in."""
    path = part / _TAKEN
    remedy = "remove that file; what it is of is trained again if it is asked for"
    read = files.read_json(path, list[tuple[str, int, list[tuple[str, float]]]], remedy) if path.exists() else []
    return {Member(model, seed, tuple(map(tuple, changes))) for model, seed, changes in read}


def take_in(
    folder: Path, identity: Mapping[str, Any], check: Callable[[Path], None], shared: bool, say: Callable[[str], None]
) -> None:
    """Makes what is trained in the parts of a study, finished or not, the study's own.

    Where it is stopped, the next call goes on with it. What the study has already stays as it is.

    Args:
      folder: of the study, which is locked.
      identity: of the study.
      check: raises where dumps in a folder are not the study's.
      shared: as of `write_dumps`.
      say: tells a person.

    Raises:
      InputError: a part is being trained, is another study's or is damaged.
    """
    for place in processes.seen_by_first(lambda: there(folder)):
        with processes.by_first(lambda part=place: _locked(part, identity, check)) or nullcontext():
            _take_dumps(place, folder, shared)
            if processes.is_first():
                say(f"part {place.name}: {_take_runs(place, folder)} trainings are taken in")
                for path in place.iterdir():
                    if path.name not in (_TAKEN, ".lock"):
                        files.remove(path)
        processes.barrier("part-taken-in")


def _locked(part: Path, identity: Mapping[str, Any], check: Callable[[Path], None]) -> IO[str]:
    workdir.claim(part, dict(identity))
    check(part)
    return workdir.lock(part)


def _take_dumps(part: Path, folder: Path, shared: bool) -> None:
    """Writes a part's dumps into the study's folder, those of a model, step and split at once."""
    missing = processes.seen_by_first(lambda: _missing(part, folder))
    room = sorted({seed for _, seed, _, _ in missing}), sorted({step for _, _, step, _ in missing})

    def together(key: _Key) -> tuple[str, int, str]:
        return key[0], key[2], key[3]

    for _, group in itertools.groupby(sorted(missing, key=together), together):
        keys = list(group)
        paths = [dump_path(part, *key) for key in keys]
        dumps: list[Dump] = processes.seen_by_first(functools.partial(list, map(read_dump, paths)))
        rows = process_rows(len(dumps[0].id), jax.process_index(), jax.process_count())
        targets = [dump_path(folder, *key) for key in keys]
        items = [(path, dump.logits[rows], dump.attributes) for path, dump in zip(targets, dumps, strict=True)]
        labels = np.stack([dump.label for dump in dumps])
        write_dumps(items, labels, dumps[0].true_label, dumps[0].id, rows.start, room, shared=shared)


def _missing(part: Path, folder: Path) -> list[_Key]:
    """The dumps of a part that its study has not."""
    own = find_dumps(folder)
    found = find_dumps(part).items()
    return [key for key, path in found if key not in own or dump_attributes(own[key]) != dump_attributes(path)]


def _take_runs(part: Path, folder: Path) -> int:
    """Moves a part's populations into the study's folder, unless it has got further there; says how many."""
    (folder / "runs").mkdir(exist_ok=True)
    finished = {m for population in populations(folder) if population.is_finished for m in population.members}
    of_part, count = populations(part), 0
    ended = taken(part).union(*(population.members for population in of_part if population.is_finished))
    # Before they are moved, so that no kill lets somebody train them once more.
    files.write_text(part / _TAKEN, json.dumps(sorted(dataclasses.astuple(m) for m in ended)))
    for population in of_part:
        own = RunFolder.of(folder, population.members)
        if not finished.issuperset(population.members) and own.steps()[-1:] <= population.steps()[-1:]:
            files.remove(own.folder)
            os.replace(population.folder, own.folder)
            count += 1
    return count
