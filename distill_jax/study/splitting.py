"""Begun populations that no longer fit, or are no longer all wanted: each member goes on from where it got furthest.

What a folder holds decides it, and nothing else is noted: a member's training is at the newest complete checkpoint that
has it, whichever population's that is. So a population that is taken apart is only read. It counts until the parts have
complete checkpoints of their own, which are as new, and is removed when all its members are finished elsewhere.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import jax

from distill_jax.errors import InputError, RunError, one_line
from distill_jax.files import write_text
from distill_jax.identity import digest
from distill_jax.machine import backend, processes
from distill_jax.study.workdir import RunFolder, populations
from distill_jax.training.origin import Origin
from distill_jax.training.population import Member


@dataclasses.dataclass(frozen=True)
class Begun:
    """A begun population and how its members go on.

    Attributes:
      population: as it was begun.
      step: of its newest checkpoint.
      portions: of those members that have got furthest there, how they go on: all together, or in parts.
    """

    population: RunFolder
    step: int
    portions: tuple[tuple[Member, ...], ...]

    @property
    def is_split(self) -> bool:
        """Whether it does not go on as it was begun."""
        return self.portions != (self.population.members,)


def begun(
    folders: Iterable[RunFolder],
    unfinished: Iterable[Member],
    most: int,
    split: Callable[[list[Member]], Sequence[Sequence[Member]]],
) -> list[Begun]:
    """The begun populations with members that go on from there; no member is in two of them.

    Args:
      folders: all populations.
      unfinished: the members that are to be trained on.
      most: members of a population.
      split: makes populations of members.
    """
    free = set(unfinished)

    def is_whole(population: RunFolder) -> bool:
        return len(population.members) <= most and free.issuperset(population.members)

    with_steps = [(population.steps()[-1], population) for population in folders if population.steps()]
    # Of those at the same step first the largest that need not be split.
    with_steps.sort(key=lambda at: (-at[0], not is_whole(at[1]), -len(at[1].members)))
    result = []
    for step, population in with_steps:
        members = [m for m in population.members if m in free]
        if members:
            portions = [population.members] if is_whole(population) else split(members)
            result.append(Begun(population, step, tuple(map(tuple, portions))))
            free -= set(members)
    return result


def said(split: Begun, name: Callable[[Sequence[Member]], str], wanted: Iterable[Member], most: int) -> str:
    """A line for a person on a population that is split.

    Args:
      name: names members.
      wanted: all members of the study.
      most: members of a population.
    """
    going_on = [m for portion in split.portions for m in portion]
    if len(going_on) > most:
        reason = "no longer fit"
    elif not set(wanted).issuperset(split.population.members):
        reason = "are no longer all asked for"
    else:
        reason = "no longer all go on from the same step"
    who = "they" if len(going_on) == len(split.population.members) else name(going_on)
    count = len(split.portions)
    parts = f"from step {split.step} " + ("together" if count == 1 else f"in {count} portions")
    return f"{name(split.population.members)}, were begun together and {reason}: {who} go on {parts}"


def origin(workdir: Path, members: Sequence[Member], digest_of: Callable[[Member], str]) -> Origin | None:
    """Where a population's members have got further than in its own folder; None where they go on in that, or begin.

    The first process has seen the folder as it is, and tells the others.

    Args:
      digest_of: names a member's run, see `run_digest`.

    Raises:
      InputError: they were begun there by other code or with other settings.
    """
    return processes.seen_by_first(lambda: _origin(workdir, members, digest_of))


def _origin(workdir: Path, members: Sequence[Member], digest_of: Callable[[Member], str]) -> Origin | None:
    own = RunFolder.of(workdir, members)
    others = [p for p in populations(workdir) if p != own and p.steps() and set(p.members).issuperset(members)]
    population = max(others, key=lambda p: p.steps()[-1], default=None)
    if population is None or own.steps()[-1:] >= population.steps()[-1:]:
        return None
    try:
        digests = population.digests() or [digest_of(m) for m in population.members]
    except KeyError as error:
        raise InputError(
            population.folder,
            None,
            f"was begun by an older version, with models that are no longer asked for ({error.args[0]}); ask for them "
            "once more, or remove that folder, whose models are then trained again",
        ) from error
    rows = [population.members.index(m) for m in members]
    for member, row in zip(members, rows, strict=True):
        if digests[row] != digest_of(member):
            raise InputError(
                population.folder,
                None,
                f"has {member.name}, seed {member.seed}, of other settings of its loss, other features or code; remove "
                "that folder, whose models are then trained again, or choose another folder than `run.workdir`",
            )
    of = digest(digests)
    return Origin(population.folder, tuple(population.steps()), tuple(rows), len(population.members), of)


def carry_over(found: Origin, population: RunFolder) -> None:
    """Gives a population that goes on from another what that says of its members: commits, curves, trackers' runs.

    It may be done again, after a kill in the middle of it.
    """
    before = RunFolder(found.folder, ())
    population.folder.mkdir(parents=True, exist_ok=True)
    write_text(population.folder / "commits.json", json.dumps(before.commits()))
    names = {(m.name, m.seed) for m in population.members}
    curves, lines = found.folder / "scalars.jsonl", []
    for line in curves.read_text().splitlines() if curves.exists() else []:
        try:
            row = json.loads(line)
            if (row["model"], row["seed"]) in names:
                lines.append(line + "\n")
        except (ValueError, KeyError):
            break  # the line that was being written when the process was killed
    write_text(population.folder / "scalars.jsonl", "".join(lines))
    of_members = {f"{model}-seed-{seed}.json" for model, seed in names}
    for path in (found.folder / "trackers").glob("*.json"):
        if path.name.partition("-")[2] in of_members:
            target = population.folder / "trackers" / path.name
            target.parent.mkdir(exist_ok=True)
            write_text(target, path.read_text())


def shortage(error: Exception, members: Sequence[Member]) -> str:
    """What to say where a population was too large for the devices after all, so that fewer members are tried.

    Raises:
      RunError: there are no fewer, or there are several processes, of which the others wait for this one.
      JaxRuntimeError: it is another error.
    """
    if not backend.is_out_of_memory(error):
        raise error
    said = f"the memory of the devices is too small ({one_line(error)[:160]})"
    if len(members) == 1:
        raise RunError(f"{said}, for one model at a time; use devices that have more, or more of them") from error
    if jax.process_count() > 1:
        raise RunError(
            f"{said}; with a `run.population` of {len(members) // 2} the same command goes on from the last checkpoint"
        ) from error
    return said


def remove_superseded(workdir: Path, finished: Mapping[Member, RunFolder]) -> None:
    """Removes populations that were begun, and whose members are all finished in others."""
    for population in populations(workdir):
        if not population.is_finished and finished.keys() >= set(population.members):
            (population.folder / "members.json").unlink()  # from here on it is none
            shutil.rmtree(population.folder)
