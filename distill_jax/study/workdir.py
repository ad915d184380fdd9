"""One study's folder: whose it is, that one command at a time works in it, and what in it is finished."""

import dataclasses
import fcntl
import json
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import jax

from distill_jax import class_names, files
from distill_jax.errors import InputError
from distill_jax.files import read_json, write_text
from distill_jax.identity import differences, digest
from distill_jax.machine import processes
from distill_jax.machine.seals import complete_steps, seals_of
from distill_jax.training.population import Member

SAVED = "study.json"  # the whole setting, to be given back by --setting
PARTS = "parts"  # the folder of those that are trained apart, see `parts`
_COVERED = (  # of a small file what it says is complete
    (re.compile(r"((?:parts/\d+/)?dumps/[^/]+/[^/]+)/logits/complete\.json"), r"\1"),
    (re.compile(r"((?:parts/\d+/)?runs/[^/]+)/seals/([^/]+)\.json"), r"\1/checkpoints/\2"),
    (re.compile(r"((?:parts/\d+/)?runs/[^/]+)/done\.json"), r"\1"),
)
_READ = (".lock", "setting.json", SAVED, class_names.FILE, "networks", "runs", "dumps")
_SEEN = ".seen-by-all-"  # begins the name of what the processes look for
_REMOVE = "remove that file and run the same command"


def claim(workdir: Path, identity: dict[str, Any], shared: bool = False) -> None:
    """Makes a work directory a study's, or sees that it is.

    Args:
      shared: as of `lock`.

    Raises:
      InputError: as `lock`, or it holds another study.
    """
    with lock(workdir, shared):
        _hold(workdir, identity)


def check_plain(workdir: Path) -> None:
    """Checks that a pipe is in no file's place, which would be waited for for ever; of what is the user's own, nothing.

    Raises:
      InputError: one is.
    """
    files.check_plain(workdir / name for name in _READ)


def is_claimed(workdir: Path) -> bool:
    """Whether it says whose it is."""
    return (workdir / "setting.json").exists()


def covered(name: str) -> str | None:
    """What a file of a study's folder says is complete: a folder there; None of a file that says so of none.

    >>> covered("runs/kd-seed-0-1a2b3c/seals/600.json"), covered("summary.json")
    ('runs/kd-seed-0-1a2b3c/checkpoints/600', None)
    """
    return next((match.expand(folder) for mark, folder in _COVERED if (match := mark.fullmatch(name))), None)


def mend(workdir: Path) -> None:
    """Makes the folders of seals that are not there, of populations none of whose checkpoints is complete.

    A bucket has no empty folders, and a training without one is taken for one that is older than seals.
    """
    for place in (workdir, *(workdir / PARTS).glob("*")):
        for population in (place / "runs").glob("*/checkpoints"):
            seals_of(population).mkdir(exist_ok=True)


def lock(workdir: Path, shared: bool = False) -> IO[str]:
    """Takes a work directory, new or begun, for this process alone.

    Args:
      shared: others may take it too, who say so as well.

    Returns:
      A file to keep open; the directory is free again when that is closed or the process ends.

    Raises:
      InputError: it cannot be written, or another process or study is at work in it.
    """
    if workdir.exists() and not workdir.is_dir():
        raise InputError("run.workdir", workdir, "is no folder; must be one, or new")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock_file = (workdir / ".lock").open("a")
    except OSError as error:
        raise InputError(
            "run.workdir", workdir, f"cannot be written ({error.strerror}); choose a folder that can"
        ) from error
    try:
        fcntl.flock(lock_file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock_file.close()
        raise InputError(
            "run.workdir", workdir, "is in use by another process; wait for it or choose another folder"
        ) from error
    except BaseException:
        lock_file.close()
        raise
    return lock_file


def _hold(workdir: Path, identity: dict[str, Any]) -> None:
    """Makes the folder this study's, or sees that it is."""
    path = workdir / "setting.json"
    if not path.exists():
        write_text(path, json.dumps(identity, indent=1))
        return
    remedy = f"remove it and run the study's own command, or choose another folder than `run.workdir` {workdir}"
    stored = read_json(path, dict[str, Any], remedy)
    if stored != identity:
        raise InputError(
            "run.workdir", workdir, f"holds another setting ({differences(identity, stored)[0]}); choose another folder"
        )


def is_shared(workdir: Path, seconds: float = 2.0) -> bool:
    """Whether every process sees, and may write into, what the first has just made in the work directory.

    A folder of another disk may have all that this one has, but no name that is new. Where a network's disk shows it
    later than within so many seconds, the first process writes and reads alone, which is slower and as right.
    """
    if jax.process_count() == 1:
        return True
    name = processes.seen_by_first(lambda: f"{_SEEN}{secrets.token_hex(8)}")
    processes.by_first(lambda: _make_only(workdir / name))
    try:
        return processes.everywhere(lambda: processes.is_first() or _can_write(workdir / name, seconds))
    finally:
        if processes.is_first():
            files.remove(workdir / name)


def _make_only(folder: Path) -> None:
    """Makes a new folder where none is left of a process that was killed while others looked for it."""
    for left in folder.parent.glob(f"{_SEEN}*"):
        files.remove(left)
    folder.mkdir()


def _can_write(folder: Path, seconds: float) -> bool:
    """Whether a folder appears in time, and can be written into."""
    end = time.monotonic() + seconds
    try:
        while not folder.is_dir():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        (folder / str(jax.process_index())).touch()
    except OSError:
        return False
    return True


def network_folder(workdir: Path, role: str) -> Path:
    """Where it is said of which kind and sizes a role's networks for texts are, as Hugging Face says it."""
    return workdir / "networks" / role


def inputs_file(workdir: Path) -> Path:
    """Where it is said what the networks are given and what they say, see `export.inputs`."""
    return workdir / "networks" / "inputs.json"


def tokenizer_folder(workdir: Path) -> Path:
    """Where the tokenizer of a study of texts is kept, as transformers saves it."""
    return workdir / "networks" / "tokenizer"


def fitting(workdir: Path, role: str, most: int, limit: float, devices: int) -> int:
    """How many members to train at once: `most`, or what was found to fit into `limit` bytes of so many devices."""
    path = workdir / "runs" / f"fitting-{role}.json"
    stored = read_json(path, dict[str, float], _REMOVE) if path.exists() else {}
    # Older versions did not say of how many devices.
    found = stored.get("most"), stored.get("bytes"), stored.get("devices", devices)
    return int(stored["members"]) if found == (most, limit, devices) else most


def remember_fitting(workdir: Path, role: str, most: int, limit: float, devices: int, members: int) -> None:
    """Keeps what was found, so that a resumed study has the same populations."""
    (workdir / "runs").mkdir(exist_ok=True)
    found = {"most": most, "bytes": limit, "devices": devices, "members": members}
    write_text(workdir / "runs" / f"fitting-{role}.json", json.dumps(found))


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A population's folder."""

    folder: Path
    members: tuple[Member, ...]

    @classmethod
    def of(cls, workdir: Path, members: Sequence[Member]) -> "RunFolder":
        """The folder, new or begun, of these members trained together."""
        models = list(dict.fromkeys(m.name for m in members))
        seeds = sorted({m.seed for m in members})
        name = models[0] if len(models) == 1 else "students"
        span = f"seed-{seeds[0]}" if len(seeds) == 1 else f"seeds-{seeds[0]}-{seeds[-1]}"
        code = digest([dataclasses.astuple(m) for m in members])[:6]
        return cls(workdir / "runs" / f"{name}-{span}-{code}", tuple(members))

    def begin(self, commit: str | None, digests: Sequence[str] = ()) -> None:
        """Makes the folder, and says in it who is trained and, of every call that goes on with it, by which code.

        Args:
          digests: of each member's run, see `run_digest`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        commits = self.commits()
        if commits[-1:] != [commit]:
            write_text(self.folder / "commits.json", json.dumps([*commits, commit]))
        if digests:
            write_text(self.folder / "digests.json", json.dumps(list(digests)))
        write_text(self.folder / "members.json", json.dumps([dataclasses.astuple(m) for m in self.members]))

    def commits(self) -> list[str | None]:
        """The commits of the code that trained it, in order; None is one outside a git checkout."""
        path = self.folder / "commits.json"
        return read_json(path, list[str | None], _REMOVE) if path.exists() else []

    def digests(self) -> list[str]:
        """Of each member's run, as it was begun; empty where it was by an older version."""
        path = self.folder / "digests.json"
        digests = read_json(path, list[str], _REMOVE) if path.exists() else []
        if digests and len(digests) != len(self.members):
            raise InputError(path, None, f"is of another population; {_REMOVE}")
        return digests

    def finish(self, facts: dict[str, Any]) -> None:
        """Marks that all of the population's dumps and its last checkpoint are on disk."""
        write_text(self.folder / "done.json", json.dumps(facts, indent=1))

    @property
    def is_finished(self) -> bool:
        """Whether it is marked so."""
        return (self.folder / "done.json").exists()

    def facts(self) -> dict[str, float]:
        """The facts that `finish` has written: seconds of every kind, and numbers of examples."""
        return read_json(self.folder / "done.json", dict[str, float], _REMOVE)

    def checkpoint(self, step: int | None = None) -> bool:
        """Whether there is a checkpoint, of a given step or of any."""
        return any((self.folder / "checkpoints").glob(str(step) if step is not None else "[0-9]*"))

    def steps(self) -> tuple[int, ...]:
        """Steps of which there is a complete checkpoint, ascending."""
        return tuple(complete_steps(self.folder / "checkpoints"))


def populations(workdir: Path) -> list[RunFolder]:
    """The populations that were ever begun."""
    folders = []
    for path in sorted((workdir / "runs").glob("*/members.json")):
        remedy = f"remove {path.parent}, whose models are then trained again"
        members = tuple(
            Member(model, seed, tuple((field, value) for field, value in changes))
            for model, seed, changes in read_json(path, list[tuple[str, int, list[tuple[str, float]]]], remedy)
        )
        if not members or RunFolder.of(workdir, members).folder != path.parent:
            raise InputError(path, None, f"is of another population; {remedy}")
        folders.append(RunFolder(path.parent, members))
    return folders
