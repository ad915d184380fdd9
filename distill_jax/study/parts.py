"""A study in parts: models of some of its seeds, trained in a folder of their own, which the whole study takes in.

A part's folder is a study's work folder, with fewer seeds. So parts are trained at once by whoever is given them, on
machines that share the study's folder or its bucket, and each may be killed, go on, or be split as any study may.
"""

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from distill_jax import files, paths
from distill_jax.bucket.claim import Claim
from distill_jax.bucket.objects import Objects
from distill_jax.dumps import Dump, dump_attributes, dump_path, find_dumps, read_dump, write_dumps
from distill_jax.machine import processes
from distill_jax.setting import RunSetting, Setting, changed
from distill_jax.study import workdir
from distill_jax.study.workdir import PARTS, RunFolder, populations
from distill_jax.training.population import Member
from distill_jax.training.predict import process_rows

_TAKEN = "taken-in.json"  # in the folder of a part, which models its study has
_AT_ONCE = 2**30  # bytes of logits that are read at once, where one dump has not more
_Key = tuple[str, int, int, str]  # of a dump: model, seed, step and split


def located(setting: Setting) -> Setting:
    """The setting, with the folder of its part, if it has one, in the place of the study's.

    >>> located(changed(Setting(), run={"part_seeds": 2, "part": 1})).run.workdir.as_posix()
    'work/parts/1'
    """
    if setting.run.part is None:
        return setting
    return changed(setting, run={"workdir": folder(setting.run.workdir, setting.run.part)})


def folder(study: Path, part: int) -> Path:
    """The folder of a part of a study."""
    return study / PARTS / str(part)


def study_of(place: Path) -> Path | None:
    """The study's folder, of a part's; None of a study's, and of a part in a bucket, which has its folder elsewhere."""
    return place.parents[1] if place.name.isdecimal() and place.parent.name == PARTS else None


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
        if (whole := _study_here(run)) is not None:
            stack.enter_context(workdir.lock(whole, shared=True))
            workdir.claim(whole, dict(identity), shared=True)
        stack.enter_context(workdir.lock(run.workdir))
        return stack.pop_all()


def check_whole(run: RunSetting, identity: Mapping[str, Any]) -> None:
    """Checks that a part's study is at home where it is to be taken in, if anything is there.

    Raises:
      InputError: another one is.
    """
    if (whole := _study_here(run)) is not None and workdir.is_claimed(whole):
        workdir.claim(whole, dict(identity), shared=True)


def _study_here(run: RunSetting) -> Path | None:
    return study_of(run.workdir) if run.part is not None else None


def require_free(setting: Setting) -> None:
    """Sees, where a study is in a bucket, that nobody is at work there on a part of it, or of a part on all of it.

    The claim for a moment tells who comes there next that others have been at it. On this machine, and on a disk that
    machines share, `lock` does both.

    Args:
      setting: as `paths.resolved` gives it.

    Raises:
      InputError: somebody is.
    """
    if (address := paths.address(setting.run.workdir)) is None:
        return
    study = Objects("run.workdir", address)
    of_parts = sorted({name.partition("/")[0] for name in (study / PARTS).list()})
    for place in [study] if setting.run.part is not None else [study / PARTS / part for part in of_parts]:
        Claim.take(place).release()


def there(study: Path) -> list[Path]:
    """The folders of a study's parts that have something to take in, in order."""
    found = [path for path in (study / PARTS).glob("*") if path.name.isdecimal() and (path / "runs").exists()]
    return sorted(found, key=lambda path: int(path.name))


def taken(part: Path) -> set[Member]:
    """The models of a part that its study has taken in."""
    path = part / _TAKEN
    remedy = "remove that file; what it is of is trained again if it is asked for"
    read = files.read_json(path, list[tuple[str, int, list[tuple[str, float]]]], remedy) if path.exists() else []
    return {Member(model, seed, tuple(map(tuple, changes))) for model, seed, changes in read}


def take_in(
    study: Path,
    identity: Mapping[str, Any],
    check: Callable[[Path], None],
    room: tuple[Sequence[int], Sequence[int]],
    *,
    shared: bool,
    say: Callable[[str], None],
) -> None:
    """Makes what is trained in the parts of a study, finished or not, the study's own.

    Where it is stopped, the next call goes on with it. What the study has already stays as it is.

    Args:
      study: its folder, which is locked.
      identity: of the study.
      check: raises where dumps in a folder are not the study's.
      room, shared: as of `write_dumps`, for all of the study.
      say: tells a person.

    Raises:
      InputError: a part is being trained, is another study's or is damaged.
    """
    for place in processes.seen_by_first(lambda: there(study)):
        with processes.by_first(lambda part=place: _locked(part, identity, check)) or nullcontext():
            for dumps, targets in _dumps(place, study):
                rows = process_rows(len(dumps[0].id), jax.process_index(), jax.process_count())
                items = [(path, dump.logits[rows], dump.attributes) for path, dump in zip(targets, dumps, strict=True)]
                labels = np.stack([dump.label for dump in dumps])
                write_dumps(items, labels, dumps[0].true_label, dumps[0].id, rows.start, room, shared=shared)
            if processes.is_first():
                say(f"part {place.name}: {_take_runs(place, study)} trainings are taken in")
                for path in place.iterdir():
                    if path.name not in (_TAKEN, ".lock"):
                        files.remove(path)
        processes.barrier("part-taken-in")


def _locked(part: Path, identity: Mapping[str, Any], check: Callable[[Path], None]) -> IO[str]:
    workdir.claim(part, dict(identity))
    check(part)
    return workdir.lock(part)


def _dumps(part: Path, study: Path) -> Iterator[tuple[list[Dump], list[Path]]]:
    """A part's dumps that its study has not, some of a model, step and split at once; and their names there."""

    def together(key: _Key) -> tuple[str, int, str]:
        return key[0], key[2], key[3]

    missing = processes.seen_by_first(lambda: sorted(_missing(part, study), key=together))
    for _, group in itertools.groupby(missing, together):
        keys = list(group)
        said = processes.seen_by_first(functools.partial(dump_attributes, dump_path(part, *keys[0])))
        at_once = max(_AT_ONCE // (4 * said["examples"] * said["num_classes"]), 1)
        for start in range(0, len(keys), at_once):
            some = keys[start : start + at_once]
            found = (dump_path(part, *key) for key in some)
            dumps = processes.seen_by_first(functools.partial(list, map(read_dump, found)))
            yield dumps, [dump_path(study, *key) for key in some]


def _missing(part: Path, study: Path) -> list[_Key]:
    """The dumps of a part that its study has not."""
    own = find_dumps(study)
    found = find_dumps(part).items()
    return [key for key, path in found if key not in own or dump_attributes(own[key]) != dump_attributes(path)]


def _take_runs(part: Path, study: Path) -> int:
    """Moves a part's populations into the study's folder, unless it has got further there; says how many."""
    (study / "runs").mkdir(exist_ok=True)
    finished = {m for population in populations(study) if population.is_finished for m in population.members}
    of_part, count = populations(part), 0
    ended = taken(part).union(*(population.members for population in of_part if population.is_finished))
    # Before they are moved, so that no kill lets somebody train them once more.
    files.write_text(part / _TAKEN, json.dumps(sorted(dataclasses.astuple(m) for m in ended)))
    for population in of_part:
        own = RunFolder.of(study, population.members)
        if not finished.issuperset(population.members) and own.steps()[-1:] <= population.steps()[-1:]:
            files.remove(own.folder)
            population.folder.rename(own.folder)
            count += 1
    return count
