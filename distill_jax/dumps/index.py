"""What is complete of the dumps of one model and split: a small file beside their logits, which alone is believed.

It is replaced when the data it speaks of are on disk, so that a dump is there as a whole or not at all, whenever a
writing is stopped. It keeps the sum of every dump's logits and of every column, by which data are known again that are
another's, or older than it.
"""

import dataclasses
import functools
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from distill_jax.errors import InputError, one_line
from distill_jax.files import beside, write_beside

SHARD_EXAMPLES = 4096  # rows of logits in one file, of each of its seeds
SPLITS = ("train", "test")
IMPLIED = ("model", "seed", "step", "split", "num_classes", "examples")  # attributes that the place and arrays tell
INDEX = "logits/complete.json"  # within an array, where zarr looks for no other
PLACE = re.compile(r"(?P<model>[^/]+)/seed-(?P<seed>\d+)/step-(?P<step>\d+)/(?P<split>train|test)$")


class Place(NamedTuple):
    """Which dump of a group is meant.

    >>> place = Place.named_by(Path("dumps/kd/seed-3/step-600/test"))
    >>> place.group.relative_to(Path.cwd()).as_posix(), place.seed, place.step
    ('dumps/kd/test', 3, 600)

    Attributes:
      group: the folder of its model and split.
      seed, step: of the dump in it.
    """

    group: Path
    seed: int
    step: int

    @classmethod
    def named_by(cls, path: Path) -> "Place | None":
        """The place that a dump's name stands for; None where it is no such name."""
        path = Path(os.path.abspath(path))  # without links: a folder that one leads to may have another name
        match = PLACE.search(path.as_posix())
        if match is None:
            return None
        return cls(path.parents[2] / match["split"], int(match["seed"]), int(match["step"]))


@dataclasses.dataclass(frozen=True)
class Index:
    """What a group holds. Its order of seeds and steps is that of the arrays' rows.

    >>> import tempfile
    >>> index = Index("kd", "test", examples=40, num_classes=4, shard_seeds=64).with_room([0, 1], [600])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     group = Path(folder) / "kd" / "test"
    ...     (group / "logits").mkdir(parents=True)
    ...     index.write(group)
    ...     Index.read(group) == index
    True

    Attributes:
      model, split: whose they are.
      examples, num_classes: of the split.
      shard_seeds, shard_steps: seeds and steps in one file of logits.
      label_seeds: seeds in one file of labels.
      seeds, steps: that there is room for.
      sums: of the columns: 'true_label', 'id', and 'label/3' for seed 3.
      dumps: of each seed and step that is complete the sum of its logits and its further attributes.
    """

    model: str
    split: str
    examples: int
    num_classes: int
    shard_seeds: int = 1
    shard_steps: int = 1
    label_seeds: int = 1
    seeds: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    sums: Mapping[str, int] = dataclasses.field(default_factory=dict)
    dumps: Mapping[tuple[int, int], tuple[int, Mapping[str, Any]]] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, group: Path) -> "Index | None":
        """That of a group's folder; None where there is none.

        Raises:
          InputError: it is damaged, or another group's.
        """
        file = group / INDEX
        try:
            index = _parsed(file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else one_line(error)[:160]
            raise InputError(file, None, f"is damaged ({reason}); {remedy(group)}") from error
        names = [Path(way(group)) for way in (os.path.abspath, os.path.realpath)]  # either, where one is a link
        for name, of_folder in (("model", [n.parent.name for n in names]), ("split", [n.name for n in names])):
            if getattr(index, name) not in of_folder:
                said = f"is that of {name} {getattr(index, name)}; must be where it belongs, as when made"
                raise InputError("dump", group, said)
        return index

    def write(self, group: Path) -> None:
        """Writes it to a group's folder; when this returns it is on disk."""
        self.write_beside(group)
        self.put_in_place(group)

    def write_beside(self, group: Path) -> None:
        """Writes it to disk without putting it in place of the one that is there."""
        value = dataclasses.asdict(self)
        value["dumps"] = [[seed, step, *self.dumps[seed, step]] for seed, step in sorted(self.dumps)]
        value["sums"] = dict(sorted(self.sums.items()))  # the same bytes, in whatever order they were written
        text = json.dumps({"index": value, "crc32": zlib.crc32(_canonical(value))})
        write_beside(group / INDEX, text.encode())

    @staticmethod
    def put_in_place(group: Path) -> None:
        """Puts the one that `write_beside` has written in place."""
        os.replace(beside(group / INDEX), group / INDEX)

    def with_room(self, seeds: Iterable[int], steps: Iterable[int]) -> "Index":
        """One that has rows for these too, after those that there are.

        >>> Index("kd", "test", 40, 4, 64, seeds=(0, 2)).with_room([1, 2], [600]).seeds
        (0, 2, 1)
        """
        return dataclasses.replace(
            self, seeds=tuple(dict.fromkeys([*self.seeds, *seeds])), steps=tuple(dict.fromkeys([*self.steps, *steps]))
        )

    def without(self, dumps: Iterable[tuple[int, int]]) -> "Index":
        """One in which the dumps of these seeds and steps are not complete."""
        gone = set(dumps)
        return dataclasses.replace(self, dumps={key: value for key, value in self.dumps.items() if key not in gone})

    def shards(self, seed: int, step: int) -> list[str]:
        """The files of logits that a dump is in, within the folder of its group.

        >>> Index("kd", "test", 5000, 4, shard_seeds=2, seeds=(0, 1, 2), steps=(0, 600)).shards(2, 600)
        ['logits/c/1/1/0/0', 'logits/c/1/1/1/0']
        """
        row, column = self.seeds.index(seed) // self.shard_seeds, self.steps.index(step) // self.shard_steps
        return [f"logits/c/{row}/{column}/{block}/0" for block in range(self.blocks)]

    @property
    def blocks(self) -> int:
        """Files of logits that a dump is in."""
        return -(-self.examples // SHARD_EXAMPLES)

    def is_present(self, group: Path, seed: int, step: int) -> bool:
        """Whether a dump is complete, and its files there."""
        return (seed, step) in self.dumps and all((group / file).is_file() for file in self.shards(seed, step))

    def present(self, group: Path) -> list[tuple[int, int]]:
        """The seeds and steps of the dumps that are complete and whose files are there."""
        known: dict[str, bool] = {}

        def is_there(file: str) -> bool:
            if file not in known:
                known[file] = (group / file).is_file()
            return known[file]

        return [key for key in self.dumps if all(is_there(file) for file in self.shards(*key))]

    def attributes(self, seed: int, step: int) -> dict[str, Any]:
        """What is said of a dump."""
        further = self.dumps[seed, step][1]
        place = {"model": self.model, "seed": seed, "step": step, "split": self.split}
        return place | {"num_classes": self.num_classes, **further, "examples": self.examples}


def sum_of(arrays: Sequence[np.ndarray]) -> int:
    """CRC-32 of the bytes of arrays, one after another.

    >>> sum_of([np.zeros(3, np.int32)]) == sum_of([np.zeros(2, np.int32), np.zeros(1, np.int32)])
    True
    """
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc


def remedy(place: Path) -> str:
    """What to do where a folder or file of dumps is damaged, for the end of a message.

    >>> remedy(Path("dumps/kd/test"))
    'remove dumps/kd/test and run the same command to write it again'
    """
    return f"remove {place} and run the same command to write it again"


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@functools.lru_cache(maxsize=16)
def _parsed(content: bytes) -> Index:
    whole = json.loads(content)
    if not isinstance(whole, dict) or not isinstance(value := whole.get("index"), dict):
        raise ValueError("holds something else than it should")
    if whole.get("crc32") != zlib.crc32(_canonical(value)):
        raise ValueError("is not as it was written")
    dumps = {(seed, step): (crc, attributes) for seed, step, crc, attributes in value["dumps"]}
    return Index(**value | {"seeds": tuple(value["seeds"]), "steps": tuple(value["steps"]), "dumps": dumps})
