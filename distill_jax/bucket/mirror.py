"""A folder on this machine and its likeness in a bucket, which is at every moment as a kill could have left the folder.

Some files are marks: each says of other files that they are complete. Of a change the files are written first, then
the names of all, then the marks; and before files that a mark speaks of are replaced or removed, it is. So whoever
finds the likeness, wherever its writing was stopped, may go on with it as with a folder.
"""

import bisect
import contextlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from distill_jax.bucket.claim import FOLDER
from distill_jax.bucket.objects import Object, Objects
from distill_jax.files import read_json, remove, write_text

Covered = Callable[[str], str | None]
NAMES = f"{FOLDER}/names.json"  # of all files, for lists that are late
RECORD = ".likeness.json"  # of this folder, what is known of the bucket
_NOT_KEPT = re.compile(r"(^|/)\.[^/]*(/|$)|\.partial$|\.__lock$|orbax-checkpoint-tmp")
_REMEDY = "remove that file and run the same command"


class Stat(NamedTuple):
    """By what a file is known to be the one that it was."""

    size: int
    mtime: int
    inode: int


_PERHAPS = Stat(-1, -1, -1)  # of one that was about to be written when it was recorded


class Mirror:
    """A folder and its likeness.

    >>> import tempfile
    >>> objects = Objects("run.workdir", "memory://bucket/likeness")
    >>> with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as elsewhere:
    ...     write_text(Path(here) / "summary.json", "{}")
    ...     written = Mirror(Path(here), objects).push()
    ...     brought = Mirror(Path(elsewhere), objects).pull()
    ...     written, brought, (Path(elsewhere) / "summary.json").read_text()
    (1, 1, '{}')

    Args:
      folder: on this machine; is made where it is not there.
      objects: those of the likeness.
      covered: from the name of a file to that of the folder that it speaks of, or None of a file that is no mark.

    Attributes:
      claim: the last one under which the folder was as its likeness, or ahead of it; None where none is known.
      check: raises where nothing may be changed in the bucket any more.
    """

    def __init__(self, folder: Path, objects: Objects, covered: Covered = lambda name: None):
        self._folder, self._objects, self._covered = folder, objects, covered
        self.check: Callable[[], None] = lambda: None
        folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, tuple[Stat, str]] = {}  # what the bucket has, as files here and versions there
        self.claim: int | None = None
        self._recall()

    def _recall(self) -> None:
        path = self._folder / RECORD
        if path.exists():
            kind = dict[str, Any]
            record = read_json(path, kind, _REMEDY)
            self.claim = record["claim"]
            self._known = {name: (Stat(*stat), version) for name, (stat, version) in record["files"].items()}

    def _remember(self) -> None:
        record = {"claim": self.claim, "files": self._known}
        write_text(self._folder / RECORD, json.dumps(record))

    def pull(self, claim: int | None = None) -> int:
        """Makes the folder as its likeness is.

        Args:
          claim: the last one that others have made; where it is this folder's own, what it has more than its likeness
            was made here since, and stays.

        Returns:
          How many files were brought.
        """
        listed = {name: about for name, about in self._objects.list().items() if not _NOT_KEPT.search(name)}
        named = json.loads(self._objects.read(NAMES) or b"[]")
        ahead = claim is not None and claim == self.claim
        self.claim = None
        self._remember()
        here = _files(self._folder)
        if ahead:
            unchanged = [name for name, (stat, _) in self._known.items() if here.get(name) == stat]
            self._leave_out([n for n in unchanged if n not in listed and self._objects.size(n) is None])
            return self._done(claim, 0)
        new = sorted(name for name in {*listed, *named} if not self._is_same(name, listed, here))
        self._leave_out([name for name in here if name not in listed and name not in named])
        self._bring([name for name in new if self._covered(name) is not None], listed)  # and then what they speak of
        self._bring([name for name in new if self._covered(name) is None], listed)
        return self._done(claim, len(new))

    def _done(self, claim: int | None, brought: int) -> int:
        self.claim = claim
        self._remember()
        return brought

    def _is_same(self, name: str, listed: Mapping[str, Object], here: Mapping[str, Stat]) -> bool:
        known = self._known.get(name)
        return known is not None and name in listed and known == (here.get(name), listed[name].version)

    def _bring(self, names: list[str], listed: Mapping[str, Object]) -> None:
        """Brings files; those that are there no more are left out."""
        absent: list[str] = []

        def bring(name: str) -> None:
            path = self._folder / name
            if self._objects.download(name, path):
                self._known[name] = _stat(path), listed[name].version if name in listed else ""
            else:
                absent.append(name)

        self._objects.each(bring, names)
        self._leave_out(absent)

    def _leave_out(self, names: list[str]) -> None:
        """Removes files here; marks first."""
        for name in sorted(names, key=lambda name: self._covered(name) is None):
            remove(self._folder / name)
            self._known.pop(name, None)
            with contextlib.suppress(OSError):  # a folder that is not empty, or gone
                for folder in (self._folder / name).parents:
                    if folder == self._folder:
                        break
                    folder.rmdir()

    def push(self) -> int:
        """Makes the likeness as the folder is, but for what changes meanwhile.

        Returns:
          How many files were written or removed; 0 where it is as the folder is.

        Raises:
          InputError, Unreached: of the bucket.
        """
        known = {name: stat for name, (stat, _) in self._known.items()}
        if (seen := self._here()) == known:
            return 0
        self.check()
        marks = dict(self._marks(seen))
        here = self._here()  # after the marks, and so with all that they speak of
        new = [name for name in here if known.get(name) != here[name]]
        files = {name for name in new if self._covered(name) is None}
        replaced = [name for name in files if name in known]
        gone = [name for name in known if name not in here]
        covered = {name: folder for name in known if (folder := self._covered(name)) is not None}
        stale = _marks_of(files, {name: folder for name, folder in covered.items() if name not in here})
        self._forget({*stale, *_marks_of(replaced, covered)})
        self._known |= dict.fromkeys(new, (_PERHAPS, ""))
        self._remember()
        written: dict[str, Stat] = {}
        self._objects.each(lambda name: self._write(name, here[name], written), files)
        if here.keys() != known.keys():
            self.check()
            self._objects.write(NAMES, json.dumps(sorted(here)).encode())
        self._write_marks(marks, here, {*gone, *(files - written.keys())}, written)
        self._forget({*_marks_of(gone, covered), *(name for name in gone if name in covered)} - written.keys())
        self._forget([name for name in gone if name not in covered])
        self._known |= {name: (stat, "") for name, stat in written.items()}
        self._remember()
        return max(len(gone) + len(written), 1)

    def _here(self) -> dict[str, Stat]:
        """The folder's files, but for marks that speak of none."""
        files = _files(self._folder)
        names = sorted(files)

        def speaks(name: str) -> bool:
            if (folder := self._covered(name)) is None:
                return True
            first = bisect.bisect_left(names, f"{folder}/")
            return first < len(names) and _within(names[first], folder)

        return {name: stat for name, stat in files.items() if speaks(name)}

    def _marks(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """What the marks among some files say."""
        for name in names:
            if self._covered(name) is not None:
                with contextlib.suppress(FileNotFoundError):
                    yield name, (self._folder / name).read_bytes()

    def _forget(self, names: Collection[str]) -> None:
        """Removes objects."""
        if names:
            self.check()
            self._objects.remove(names)
            for name in names:
                self._known.pop(name, None)

    def _write(self, name: str, stat: Stat, written: dict[str, Stat]) -> None:
        """Writes a file, if none has taken its place since the marks were read; else the next time."""
        path = self._folder / name
        with contextlib.suppress(FileNotFoundError):
            now = _stat(path)
            if now.inode == stat.inode and now.size >= stat.size:  # which may have grown, as curves do
                self.check()
                self._objects.upload(name, path)
                written[name] = now

    def _write_marks(
        self, marks: Mapping[str, bytes], here: Mapping[str, Stat], late: Collection[str], written: dict[str, Stat]
    ) -> None:
        """Writes marks of which all that they speak of is in the bucket, none `late`, and that still say the same."""
        for name, content in marks.items():
            folder, known = self._covered(name), self._known.get(name)
            if folder is None or name not in here or (known is not None and known[0] == here[name]):
                continue
            if any(_within(other, folder) for other in late):
                continue
            path = self._folder / name
            with contextlib.suppress(FileNotFoundError):
                if path.read_bytes() == content and _stat(path) == here[name]:
                    self.check()
                    self._objects.write(name, content)
                    written[name] = here[name]


def _files(folder: Path) -> dict[str, Stat]:
    """The files of a folder that are whole, by name."""
    found: dict[str, Stat] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            if not _NOT_KEPT.search(relative):
                with contextlib.suppress(FileNotFoundError):
                    found[relative] = _stat(path)
    return found


def _stat(path: Path) -> Stat:
    status = path.stat()
    return Stat(status.st_size, status.st_mtime_ns, status.st_ino)


def _marks_of(names: Collection[str], covered: Mapping[str, str]) -> list[str]:
    """The marks that speak of some of these files."""
    return [mark for mark, folder in covered.items() if any(_within(name, folder) for name in names)]


def _within(name: str, folder: str) -> bool:
    return name.startswith(f"{folder}/")
