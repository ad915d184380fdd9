"""Pictures in WebDataset's shards: archives of tar in which the files of an example stand together."""

import dataclasses
import functools
import re
import tarfile
from pathlib import Path

from distill_jax.data.sources import picture_set
from distill_jax.data.sources.photographs import SUFFIXES
from distill_jax.data.sources.picture_set import Picture
from distill_jax.data.sources.source import Raw, check_label, not_read
from distill_jax.errors import InputError, one_line
from distill_jax.paths import local
from distill_jax.setting import DataSetting

_TEST = ("test", "val", "valid", "validation")  # in this order
_SHARD = re.compile(rf"(?:.*[-_])?(?P<split>train|{'|'.join(_TEST)})(?:[-_]\d+)?\.tar", re.IGNORECASE)
_LABEL = ".cls"
_LONGEST_LABEL = 1000  # bytes
_CONTENT = "train-*.tar and test-*.tar (or val-*), in which KEY.jpg stands beside KEY.cls, its class"


def present(folder: Path) -> bool:
    """Whether a folder holds shards."""
    return bool(_shards(folder))


def read(setting: DataSetting) -> Raw:
    """Pictures as of `image_folder`; the class of each is what its KEY.cls says, a number or a word.

    Test pictures are those of `test`, or else of `val`; without either a fifth of each class is held out. id is a
    picture's number among all of its split, in the order of shards and of what is in them. Nothing is unpacked: what is
    in an archive is read from its place there.

    Raises:
      InputError: a shard cannot be read, a picture has no class, or as `picture_set.read`.
    """
    check_label(setting, ["label"])
    folder = local("data.dataset", setting.dataset)
    shards = _shards(folder)
    if "train" not in shards:
        raise InputError("data.dataset", setting.dataset, f"has no shard of train; must have {_CONTENT}")
    test = next((name for name in _TEST if name in shards), None)
    parts = {"train": shards["train"]} | ({} if test is None else {"test": shards[test]})
    unread: set[str] = set()
    pictures = {
        split: [picture for path in paths for picture in _of_shard(setting.dataset, path, unread)]
        for split, paths in parts.items()
    }
    files = [path for paths in parts.values() for path in paths]
    raw = picture_set.read(setting, pictures, folder, files, {"train": "train", "test": test or "the test split"})
    others = set(shards) - {"train", test}
    notes = not_read("shards", others) + not_read("files in shards", unread)
    return dataclasses.replace(raw, notes=raw.notes + notes)


def _shards(folder: Path) -> dict[str, list[Path]]:
    """The shards of each split by its name in lower case, in order."""
    shards: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (match := _SHARD.fullmatch(path.name)) and path.is_file():
            shards.setdefault(match["split"].lower(), []).append(path)
    return shards


def _of_shard(dataset: str, path: Path, unread: set[str]) -> list[Picture]:
    """The pictures of a shard; to `unread` are added the suffixes of other files in it."""
    places: dict[str, tuple[str, int, int]] = {}
    classes: dict[str, str] = {}
    try:
        _check_end(path)
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                key, suffix = _split(member.name)
                if suffix in SUFFIXES:
                    if key in places:
                        raise InputError("data.dataset", dataset, f"{path.name}: {key} has two pictures; must have one")
                    places[key] = member.name, member.offset_data, member.size
                elif suffix == _LABEL:
                    content = archive.extractfile(member)
                    assert content is not None  # of a file
                    classes[key] = content.read(_LONGEST_LABEL).decode().strip()
                else:
                    unread.add(suffix or member.name)
    except (tarfile.TarError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            "data.dataset", dataset, f"{path.name} cannot be read: {one_line(error)}; must have {_CONTENT}"
        ) from error
    if without := [name for key, (name, *_) in places.items() if not classes.get(key)]:
        raise InputError(
            "data.dataset", dataset, f"{path.name}: {without[0]} has no {_LABEL} beside it; must have {_CONTENT}"
        )
    return [
        Picture(f"{path.name} {name}", functools.partial(_content, path, offset, size), classes[key])
        for key, (name, offset, size) in places.items()
    ]


def _check_end(path: Path) -> None:
    """Checks that an archive has its end, without which it would be read as a shorter one."""
    size = path.stat().st_size
    if any(_content(path, max(size - tarfile.BLOCKSIZE, 0), tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("has no end, as one that was not copied whole")


def _split(name: str) -> tuple[str, str]:
    """Key and suffix of a file, as WebDataset has them: at the first point of its last part."""
    folder, slash, file = name.rpartition("/")
    key, point, suffix = file.partition(".")
    return folder + slash + key, (point + suffix).lower()


def _content(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
