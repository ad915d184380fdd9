"""Folders of studies as a few files of bounded size, and back: whole, or the ones before, at every moment."""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from distill_jax.errors import InputError
from distill_jax.files import write_bytes

PART = 15 * 2**20  # bytes
PARTS = 4
_NAME = re.compile(r"studies-([0-9a-f]{12})-(\d+)of(\d+)\.tar")


def pack(folders: Sequence[Path], out: Path) -> tuple[list[str], list[str]]:
    """Packs folders, the first first, as far as they fit.

    Left out are dumps, which a study makes again from its last checkpoints, and reports, which are made from dumps.

    Returns:
      The names of folders that are in, and of those for which there was no room.
    """
    packed, left_out, content = [], [], b""
    for folder in folders:
        added = _tar(folder)
        if len(content) + len(added) <= PART * PARTS:
            content += added
            packed.append(folder.name)
        else:
            left_out.append(folder.name)
    digest, before = hashlib.sha256(content).hexdigest()[:12], list(_parts(out))
    count = -(-len(content) // PART)
    for number in range(count):
        part_file = out / f"studies-{digest}-{number + 1}of{count}.tar"
        write_bytes(part_file, content[number * PART : (number + 1) * PART])
    for path in before:
        if digest not in path.name:
            path.unlink()
    return packed, left_out


def unpack(out: Path, into: Path) -> list[str]:
    """Unpacks what was packed last; what is not whole is passed over.

    Returns:
      The names of the folders, none where there is nothing.

    Raises:
      InputError: there are parts and none are whole.
    """
    sets: dict[str, dict[int, Path]] = {}
    for path in _parts(out):
        match = _NAME.fullmatch(path.name)
        assert match is not None
        sets.setdefault(match[1], {})[int(match[2])] = path
    for digest, parts in sets.items():
        content = b"".join(parts[number].read_bytes() for number in sorted(parts))
        if hashlib.sha256(content).hexdigest()[:12] == digest:
            return _untar(content, into)
    if sets:
        raise InputError("--out", out, "its studies-*.tar are not whole; bring all parts of one, or remove them")
    return []


def _parts(out: Path) -> Iterable[Path]:
    return sorted(path for path in out.glob("studies-*.tar") if _NAME.fullmatch(path.name))


def _tar(folder: Path) -> bytes:
    """A folder's files, one tar after another being read as one with `ignore_zeros`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).parts
            if path.is_file() and inside[0] not in ("dumps", "figures", "report.html", ".lock"):
                archive.add(path, str(Path(folder.name, *inside)), recursive=False)
    return stream.getvalue()


def _untar(content: bytes, into: Path) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r", ignore_zeros=True) as archive:
        archive.extractall(into, filter="data")
        return sorted({Path(name).parts[0] for name in archive.getnames()})
