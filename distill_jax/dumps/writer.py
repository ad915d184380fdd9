"""Dumps written: several groups' at once, by all processes, so that each is there as a whole or not at all.

Each process writes its own rows of logits, or hands them to the first where they share no folder. The first writes
labels too, and the groups' new indices beside the old. When all of that is on disk, the indices, which say that it is
there, are renamed into their places.
"""

import contextlib
import dataclasses
import fcntl
import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax.dumps import group as group_files
from distill_jax.dumps.index import IMPLIED, SHARD_EXAMPLES, Index, Place, sum_of
from distill_jax.errors import InputError
from distill_jax.files import remove

Room = tuple[Sequence[int], Sequence[int]]  # seeds and steps
_FILES_AT_ONCE = 16  # the disk takes what is waited for at once together
_SECONDS = 10.0  # that what another process has just written may take to be seen on a network's disk


def write_dumps(
    items: Sequence[tuple[Path, np.ndarray, Mapping[str, Any]]],
    label: np.ndarray,
    true_label: np.ndarray,
    id: np.ndarray,
    first_row: int = 0,
    room: Room = ((), ()),
    *,
    shared: bool = True,
) -> None:
    """Writes the dumps of several models, seeds and steps on one split; every process calls it with its own rows.

    >>> import tempfile
    >>> from distill_jax.dumps import dump_path, read_dump
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = dump_path(Path(folder), "kd", 0, 600, "test")
    ...     write_dumps([(path, student, {"setting": "a"})], labels, labels, np.arange(40))
    ...     read_dump(path).attributes["setting"]
    'a'

    Args:
      items: a triple for each dump: its name, as of `dump_path`; logits float32 [n, K] of this process's rows; and
        attributes beside those that its name tells.
      label: int32 [N] of the whole split, or [M, N] where the M dumps' models saw different ones.
      true_label, id: [N] of the whole split; like `label` the same in every process.
      first_row: number of the first of this process's rows; a multiple of `SHARD_EXAMPLES`.
      room: all seeds and all steps that are to come, for which the arrays have room at once.
      shared: whether all processes share the folder; else the first alone writes and reads it.

    Raises:
      ValueError: a path is no dump's, or rows do not begin at a shard, which two processes would then write at once.
      InputError: the dumps of a model on a split that are there are of other examples, or damaged.
    """
    from distill_jax.machine import processes  # and with it JAX, which no reader needs

    if first_row % SHARD_EXAMPLES and any(len(logits) for _, logits, _ in items):
        raise ValueError(f"first_row {first_row} is not a multiple of {SHARD_EXAMPLES}")
    columns = {"true_label": np.asarray(true_label, np.int32), "id": np.asarray(id, np.int64)}
    parts = _by_group(items, np.broadcast_to(label, (len(items), len(id))).astype(np.int32, copy=False))
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool, contextlib.ExitStack() as locks:
        if processes.is_first():
            for root in sorted({part.group.parents[1] for part in parts}):
                locks.enter_context(_locked(root))
            _prepare(parts, columns, room, pool)
        processes.barrier("dumps-prepared")
        tasks: list[Future[Any]] = []
        indices = [_write_logits(part, first_row, shared, pool, tasks) for part in parts]
        for part, index in zip(parts, indices, strict=True):  # while the disk is waited for
            sums = processes.summed(group_files.block_sums(index, part.logits, first_row))
            if processes.is_first():
                tasks.append(pool.submit(group_files.write_labels, part.group, index, part.new_labels(index)))
                tasks.append(pool.submit(part.completed(index, sums).write_beside, part.group))
        for task in tasks:
            task.result()
        processes.barrier("dumps-written")
        if processes.is_first():  # the new indices are on disk as all else is
            for part in parts:
                Index.put_in_place(part.group)
    processes.barrier("dumps-complete")


def _write_logits(part: "_Part", first_row: int, shared: bool, pool: Executor, tasks: list[Future[Any]]) -> Index:
    """Begins to write logits, in tasks that are added to; gives the index of their group.

    Where the folder is not shared, the other processes hand their rows to the first, those of a file at a time.
    """
    from distill_jax.machine import processes

    if shared or processes.is_first():
        index = part.index()
        tasks += group_files.write_logits(part.group, index, part.items(), first_row, pool)
    else:
        index = part.new()
    if shared:
        return index
    places = processes.of_all([first_row, len(part.logits[0])])
    for process, (first, count) in list(enumerate(places))[1:]:
        for start in range(0, count, SHARD_EXAMPLES):
            rows = slice(start, min(start + SHARD_EXAMPLES, count))
            logits = None
            if process == processes.number():
                logits = np.stack([of_item[rows] for of_item in part.logits]).astype(np.float32, copy=False)
            shape = (len(part.keys), rows.stop - start, index.num_classes)
            logits = processes.array_of(process, logits, shape, np.float32)
            if processes.is_first():
                items = ((*key, of_item) for key, of_item in zip(part.keys, logits, strict=True))
                # Before the next come, so that no more than these are kept.
                for task in group_files.write_logits(part.group, index, items, first + start, pool):
                    task.result()
    return index


def remove_dumps(paths: Iterable[Path]) -> None:
    """Removes those of these dumps that are there.

    >>> import tempfile
    >>> from distill_jax import dumps
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = dumps.save_dump(folder, student_of_seed_0)
    ...     remove_dumps([path])
    ...     dumps.dump_exists(path)
    False
    """
    places = []
    for path in paths:
        remove(path)
        if (place := Place.named_by(path)) is not None:
            places.append(place)
    for group in dict.fromkeys(place.group for place in places):
        if not group.exists():
            continue
        with _locked(group.parents[1]):
            index = Index.read(group)
            if index is None:
                continue
            left = index.without((place.seed, place.step) for place in places if place.group == group)
            if not left.dumps:
                remove(group)
                group_files.describe_all(group.parents[1])
            elif left != index:
                left.write(group)


@dataclasses.dataclass(frozen=True)
class _Part:
    """What is written of one group.

    Attributes:
      group: its folder.
      names: of each dump the path that stands for it.
      keys: of each its seed and step.
      logits: of each float32 [n, K], this process's rows.
      labels: of each int32 [N].
      attributes: of each.
    """

    group: Path
    names: list[Path] = dataclasses.field(default_factory=list)
    keys: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    logits: list[np.ndarray] = dataclasses.field(default_factory=list)
    labels: list[np.ndarray] = dataclasses.field(default_factory=list)
    attributes: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def items(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Seed, step and logits of each."""
        return ((*key, logits) for key, logits in zip(self.keys, self.logits, strict=True))

    def seed_labels(self) -> dict[int, np.ndarray]:
        """The labels by seed."""
        return {seed: label for (seed, _), label in zip(self.keys, self.labels, strict=True)}

    @functools.cached_property
    def label_sums(self) -> dict[int, int]:
        """Their sums by seed."""
        return {seed: sum_of([label]) for seed, label in self.seed_labels().items()}

    def new(self, seeds: Iterable[int] = (), steps: Iterable[int] = ()) -> Index:
        """The index of the group that is made for these, with room for these seeds and steps."""
        k, n = self.logits[0].shape[1], len(self.labels[0])
        together, dump_bytes = len(self.seed_labels()), 4 * k * min(n, SHARD_EXAMPLES)
        index = Index(self.group.parent.name, self.group.name, n, k).with_room(seeds, steps)
        shard_steps = group_files.steps_in_shard(dump_bytes, len(index.seeds), len(index.steps))
        return dataclasses.replace(
            index,
            shard_seeds=group_files.seeds_in_shard(dump_bytes, together, shard_steps),
            shard_steps=shard_steps,
            label_seeds=group_files.seeds_in_shard(4 * n, together),
        )

    def index(self) -> Index:
        """That of the group, once it has room for these."""
        end = time.monotonic() + _SECONDS
        while True:
            index = Index.read(self.group)
            if index is not None and all(seed in index.seeds and step in index.steps for seed, step in self.keys):
                return index
            if time.monotonic() > end:
                raise InputError("dump", self.group, "is not as the first process sees it; must be in a shared folder")
            time.sleep(0.1)

    def new_labels(self, index: Index) -> dict[int, np.ndarray]:
        """Those that are not yet written, by seed."""
        sums, labels = self.label_sums, self.seed_labels()
        return {seed: label for seed, label in labels.items() if index.sums.get(f"label/{seed}") != sums[seed]}

    def completed(self, index: Index, sums: np.ndarray) -> Index:
        """The group's index when these are there, whose logits' blocks have these sums."""
        found = zip(self.keys, sums, self.attributes, strict=True)
        written = {key: (group_files.sum_of_blocks(of_key), attributes) for key, of_key, attributes in found}
        labels = {f"label/{seed}": sum_of_seed for seed, sum_of_seed in self.label_sums.items()}
        return dataclasses.replace(index, sums={**index.sums, **labels}, dumps={**index.dumps, **written})


def _by_group(items: Iterable[tuple[Path, np.ndarray, Mapping[str, Any]]], labels: np.ndarray) -> list[_Part]:
    parts: dict[Path, _Part] = {}
    for (path, logits, attributes), label in zip(items, labels, strict=True):
        place = Place.named_by(path)
        if place is None:
            raise ValueError(f"{path} is no dump's; must be as dumps/kd/seed-0/step-600/test")
        part = parts.setdefault(place.group, _Part(place.group))
        part.names.append(path)
        part.keys.append((place.seed, place.step))
        part.logits.append(logits)
        part.labels.append(label)
        part.attributes.append({name: value for name, value in attributes.items() if name not in IMPLIED})
    return list(parts.values())


def _prepare(parts: Sequence[_Part], columns: Mapping[str, np.ndarray], room: Room, pool: Executor) -> None:
    """Makes groups that are not there, and room in those that are; what is to be written is not there from here on."""
    sums = {name: sum_of([column]) for name, column in columns.items()}
    changed: dict[Path, Index] = {}
    for part in parts:
        for path in part.names:
            remove(path)  # an old dump
        seeds, steps = ([*more, *own] for more, own in zip(room, zip(*part.keys, strict=True), strict=True))
        index = Index.read(part.group)
        if index is not None:
            there = set(index.present(part.group)) - set(part.keys)
            kept = index.without(index.dumps.keys() - there)
            if kept != index:
                kept.write(part.group)
            index = kept
        if index is None or not index.dumps:
            index = dataclasses.replace(part.new(seeds, steps), sums=sums)
            group_files.create(part.group, index, **columns, pool=pool)
            changed[part.group] = index
            continue
        _check(part, index, sums)
        grown = index.with_room(seeds, steps)
        if grown != index:
            group_files.describe(part.group, grown, pool)
            changed[part.group] = grown
    for root in {group.parents[1] for group in changed}:
        group_files.describe_all(root)
    list(pool.map(lambda group: changed[group].write(group), changed))


def _check(part: _Part, index: Index, sums: Mapping[str, int]) -> None:
    """Checks that dumps are of the examples of those that are there."""
    new = part.new()
    fault = None
    if (new.examples, new.num_classes) != (index.examples, index.num_classes):
        fault = f"{new.examples} examples of {new.num_classes} classes, not {index.examples} of {index.num_classes}"
    elif any(index.sums.get(name) != value for name, value in sums.items()):
        fault = "other examples, by their ids or true labels"
    elif changed := part.new_labels(index).keys() & {seed for seed, _ in index.dumps}:
        fault = f"other labels of seed {min(changed)}"
    if fault is not None:
        raise InputError(
            "dump",
            part.names[0],
            f"has {fault} than those of {index.model} on {index.split} that are there; must be of the same, or of a "
            "model of another name",
        )


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """While nobody else writes dumps into a folder; a disk that knows no locks has none."""
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class DumpWriter:
    """`write_dumps` behind the back of a training that goes on; use as a context manager.

    Several processes write before they go on, since they have to meet.

    Args:
      shared: as of `write_dumps`.

    >>> import tempfile
    >>> from distill_jax.dumps import dump_path, read_dump
    >>> with tempfile.TemporaryDirectory() as folder, DumpWriter() as write:
    ...     path = dump_path(Path(folder), "kd", 0, 600, "test")
    ...     write([(path, student, {})], labels, labels, np.arange(40))
    ...     write.wait()
    ...     read_dump(path).logits.shape
    (40, 4)
    """

    def __init__(self, shared: bool = True) -> None:
        self._pool, self._pending, self._shared = ThreadPoolExecutor(1), None, shared

    def __enter__(self) -> "DumpWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def __call__(self, *args: Any) -> None:
        """Begins what `write_dumps` does with these arguments, when what was begun before is done.

        Raises:
          OSError, ValueError: what was begun before has failed.
        """
        import jax

        self.wait()
        if jax.process_count() > 1:
            write_dumps(*args, shared=self._shared)
        else:
            self._pending = self._pool.submit(write_dumps, *args)

    def wait(self) -> None:
        """Returns when all that was begun is on disk.

        Raises:
          OSError, ValueError: it has failed.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()
