"""The dumps of one model and split as a zarr v3 group, for all seeds and steps.

    logits      float32 [seed, step, example, class]; NaN where nothing was dumped yet
    label       int32 [seed, example]; -1 where nothing was dumped yet
    true_label  int32 [example]
    id          int64 [example]
    seed, step  int64 [seed], [step]

One file of logits, a shard, has `SHARD_EXAMPLES` rows of several seeds at one step: of all that train together, whose
dumps are written at once, and of more seeds and steps where they are small. A shard that is written into later is
written anew and renamed into its place by TensorStore, so that the dumps in it are never lost. What is complete is said
by the group's `Index`. The group, and the folder of all dumps, say of all their arrays what these are (zarr's
consolidated metadata).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from distill_jax.dumps.index import SHARD_EXAMPLES, SPLITS, Index, remedy, sum_of
from distill_jax.errors import InputError, one_line
from distill_jax.files import remove, sync, write_text

CHUNK_EXAMPLES = 1024  # rows of logits read at once
_SMALL, _LARGE = 2**22, 2**23  # bytes that are written anew as fast as new ones; most of a file
_TINY = 2**20  # bytes of steps that share a file: a tenth slower than each in its own
_PLACES = 256  # seeds times steps of a file, most; each has its place in the file's table
_COORDINATES = 1024  # seeds or steps in one file
_LITTLE_ENDIAN, _CHECKSUM = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
_ZSTD = {"name": "zstd", "configuration": {"level": 1}}


def steps_in_shard(dump_bytes: int, seeds: int, steps: int) -> int:
    """How many steps one file holds: several where all seeds of them are small.

    >>> steps_in_shard(14_400, seeds=24, steps=9), steps_in_shard(1_638_400, seeds=3, steps=9)
    (3, 1)

    Args:
      dump_bytes: bytes of one seed and step in it.
      seeds, steps: that are to come.
    """
    return max(min(steps, _TINY // max(dump_bytes * seeds, 1), _PLACES // max(seeds, 1)), 1)


def seeds_in_shard(seed_bytes: int, together: int, steps: int = 1) -> int:
    """How many seeds one file holds.

    >>> seeds_in_shard(57_480, together=8), seeds_in_shard(57_480, together=8, steps=3)
    (72, 24)
    >>> seeds_in_shard(1_638_400, together=8)
    5

    Args:
      seed_bytes: bytes of one seed and step in it.
      together: seeds that are written at once.
      steps: in the file.
    """
    seed_bytes = max(seed_bytes * steps, 1)
    small = min(_SMALL // seed_bytes, _PLACES // steps)
    return max(min(max(together, small), _LARGE // seed_bytes), 1)


def create(group: Path, index: Index, true_label: np.ndarray, id: np.ndarray, pool: Executor) -> None:
    """Makes a new group of an index in place of what is there, with the columns that all its dumps share."""
    remove(group)
    (group / "logits").mkdir(parents=True)
    describe(group, index, pool, {"true_label": true_label, "id": id})


def describe(group: Path, index: Index, pool: Executor, columns: Mapping[str, np.ndarray] | None = None) -> None:
    """Writes what the arrays are, with room for the seeds and steps of the index, and these; and new columns."""
    arrays = _arrays(index)
    list(pool.map(lambda name: _write_json(group / name / "zarr.json", arrays[name]), arrays))
    said = {"model": index.model, "split": index.split, "num_classes": index.num_classes}
    values = {"seed": np.array(index.seeds, np.int64), "step": np.array(index.steps, np.int64), **(columns or {})}
    tasks = [pool.submit(_write_file, group, name, "c/0", [((), array)], group) for name, array in values.items()]
    tasks.append(pool.submit(_write_json, group / "zarr.json", _group(said, arrays)))
    tasks.append(pool.submit(_write_json, group.parent / "zarr.json", _group({})))
    for task in tasks:
        task.result()


def describe_all(root: Path) -> None:
    """Writes in the folder of all dumps what the arrays of all groups are, by which it is opened as a whole."""
    described = {}
    for file in sorted(root.glob("*/*/zarr.json")):
        if file.parent.name not in SPLITS:
            continue
        model, split = file.parent.relative_to(root).parts
        try:
            group = json.loads(file.read_bytes())
            inside = group.pop("consolidated_metadata")["metadata"]
        except (OSError, ValueError, LookupError, TypeError):  # not as it was written, or an old dump's
            continue
        described |= {model: _group({}), f"{model}/{split}": group}
        described |= {f"{model}/{split}/{name}": array for name, array in inside.items()}
    _write_json(root / "zarr.json", _group({}, described))


def write_labels(group: Path, index: Index, labels: Mapping[int, np.ndarray]) -> None:
    """Writes the labels of some seeds, int32 [N] each."""
    rows = {index.seeds.index(seed): label for seed, label in labels.items()}
    for block in sorted({row // index.label_seeds for row in rows}):
        of_block = [((row,), label) for row, label in rows.items() if row // index.label_seeds == block]
        _write_file(group, "label", f"c/{block}/0", of_block, group)


def write_logits(
    group: Path, index: Index, items: Iterable[tuple[int, int, np.ndarray]], first_row: int, pool: Executor
) -> list[Future[None]]:
    """Begins to write logits of some seeds and steps.

    Args:
      items: seed, step and float32 [n, K], rows of the split from `first_row` on.
      first_row: a multiple of `SHARD_EXAMPLES`.
      pool: what writes them.

    Returns:
      What is done when a file is on disk, each. It raises InputError where one that holds other dumps too is damaged.
    """
    parts: dict[str, list[tuple[tuple[Any, ...], np.ndarray]]] = {}  # of each file
    for seed, step, logits in items:
        place, files = (index.seeds.index(seed), index.steps.index(step)), index.shards(seed, step)
        for block, rows in _blocks(logits, first_row):
            start = block * SHARD_EXAMPLES
            parts.setdefault(files[block], []).append(((*place, slice(start, start + len(rows))), rows))

    def write(file: str) -> None:
        array, _, inside = file.partition("/")
        _write_file(group, array, inside, parts[file], (group / file).parents[1])

    return [pool.submit(write, file) for file in parts]


def block_sums(index: Index, logits: Sequence[np.ndarray], first_row: int) -> np.ndarray:
    """The sums of blocks of `SHARD_EXAMPLES` rows of logits, whose first row is `first_row` of the split.

    Returns:
      uint32 [len(logits), blocks of the split], 0 for blocks that are not among them.
    """
    sums = np.zeros((len(logits), index.blocks), np.uint32)
    for item, of_item in enumerate(logits):
        for block, rows in _blocks(of_item, first_row):
            sums[item, block] = sum_of([rows])
    return sums


def _blocks(logits: np.ndarray, first_row: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(logits), SHARD_EXAMPLES):
        rows = logits[start : start + SHARD_EXAMPLES].astype(np.float32, copy=False)
        yield (first_row + start) // SHARD_EXAMPLES, rows


def sum_of_blocks(sums: np.ndarray) -> int:
    """The sum that an index keeps of a dump's logits, from those of their blocks, uint32 [blocks]."""
    return sum_of([sums.astype(np.uint32)])


def read(group: Path, index: Index, seed: int, step: int) -> dict[str, np.ndarray]:
    """The arrays of one dump by name: logits [N, K], label, true_label and id [N].

    Raises:
      InputError: they are damaged, or others than those that the index knows.
    """
    row, column = index.seeds.index(seed), index.steps.index(step)
    places = {"logits": (row, column), "label": (row,), "true_label": (), "id": ()}
    reads = {}
    try:
        stores = {name: _opening(group / name) for name in places}
        for name, (dtype, shape) in _parts(index).items():
            store, place = stores[name].result(), places[name]
            if store.dtype.name != dtype or store.shape[len(place) :] != shape:
                raise ValueError(f"its {name} is {store.dtype.name} {store.shape}")
            reads[name] = store[place].read()
        found = {name: reads[name].result() for name in places if name != "logits"}
        for name, array in found.items():
            if sum_of([array]) != index.sums.get(f"label/{seed}" if name == "label" else name):
                raise ValueError(f"its {name} is another than it was")
    except (OSError, ValueError, IndexError) as error:
        raise _damaged(group, seed, step, group, error) from error
    folder = (group / index.shards(seed, step)[0]).parents[1]
    try:
        logits = reads["logits"].result()
        blocks = [sum_of([logits[i : i + SHARD_EXAMPLES]]) for i in range(0, len(logits), SHARD_EXAMPLES)]
        if sum_of_blocks(np.array(blocks)) != index.dumps[seed, step][0]:
            raise ValueError("its logits are others than they were")
    except (OSError, ValueError) as error:
        raise _damaged(group, seed, step, folder, error) from error
    return found | {"logits": logits}


def _damaged(group: Path, seed: int, step: int, place: Path, error: Exception) -> InputError:
    path = group.parent / f"seed-{seed}" / f"step-{step}" / group.name
    return InputError("dump", path, f"is damaged: {one_line(error)[:160]}; {remedy(place)}")


def _parts(index: Index) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype and shape of one dump's part of each array."""
    n, k = index.examples, index.num_classes
    columns = {"label": "int32", "true_label": "int32", "id": "int64"}
    return {"logits": ("float32", (n, k))} | {name: (dtype, (n,)) for name, dtype in columns.items()}


def _arrays(index: Index) -> dict[str, dict[str, Any]]:
    """What the arrays are, as zarr's metadata."""
    seeds, steps = len(index.seeds), len(index.steps)
    n, k = index.examples, index.num_classes
    column, compressed = ["example"], [_LITTLE_ENDIAN, _ZSTD, _CHECKSUM]
    # The digits of logits do not compress: 7% saved for a third of the speed.
    logits = _sharded([1, 1, CHUNK_EXAMPLES, k], [_LITTLE_ENDIAN, _CHECKSUM])
    shard = [index.shard_seeds, index.shard_steps, SHARD_EXAMPLES, k]
    label, label_shard = _sharded([1, n], compressed), [index.label_seeds, n]
    return {
        "logits": _array("float32", [seeds, steps, n, k], shard, logits, ["seed", "step", "example", "class"], "NaN"),
        "label": _array("int32", [seeds, n], label_shard, label, ["seed", *column], -1),
        "true_label": _array("int32", [n], [n], compressed, column, 0),
        "id": _array("int64", [n], [n], compressed, column, 0),
        "seed": _array("int64", [seeds], [_COORDINATES], compressed, ["seed"], 0),
        "step": _array("int64", [steps], [_COORDINATES], compressed, ["step"], 0),
    }


def _array(
    dtype: str, shape: Sequence[int], file: Sequence[int], codecs: Sequence[Any], names: Sequence[str], fill: Any
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(file)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": list(codecs),
        "attributes": {"coordinates": "id"} if "example" in names and dtype != "int64" else {},  # to xarray
        "dimension_names": list(names),
        "storage_transformers": [],
    }


def _sharded(chunk: Sequence[int], codecs: Sequence[Any]) -> list[Any]:
    more = {"index_codecs": [_LITTLE_ENDIAN, _CHECKSUM], "index_location": "end"}
    return [{"name": "sharding_indexed", "configuration": {"chunk_shape": list(chunk), "codecs": list(codecs), **more}}]


def _group(attributes: Mapping[str, Any], inside: Mapping[str, Any] | None = None) -> dict[str, Any]:
    group = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    if inside is not None:
        group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": dict(inside)}
    return group


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Writes it where it is not as it was."""
    text = json.dumps(value, indent=1)
    if not file.is_file() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)


# New files are waited for by us, each as soon as it is written; one that takes another's place, by TensorStore before.
_CONTEXTS = {replaces: ts.Context({"file_io_sync": replaces}) for replaces in (False, True)}


def _opening(array: Path, replaces: bool = False) -> Any:
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(array)},
        "store_data_equal_to_fill_value": True,  # so that a shard that is not there is one that was lost
    }
    return ts.open(spec, open=True, context=_CONTEXTS[replaces])


def _write_file(group: Path, name: str, file: str, parts: Sequence[tuple[Any, Any]], lost: Path) -> None:
    """Writes parts of an array that lie in one file, which is written once, and waits until it is on disk.

    `lost` is what to remove where the file that is there is damaged.
    """
    path = group / name / file
    replaces = path.exists()
    transaction = ts.Transaction()
    try:
        store = _opening(group / name, replaces).result().with_transaction(transaction)
        targets = [store[place] for place, _ in parts]
    except (OSError, ValueError, IndexError) as error:
        raise InputError("dump", group, f"is damaged: {one_line(error)[:160]}; {remedy(group)}") from error
    try:
        writes = [
            target.write(part, can_reference_source_data_indefinitely=True)  # not copied: it does not change
            for target, (_, part) in zip(targets, parts, strict=True)
        ]
        for write in writes:
            write.result()
        transaction.commit_async().result()
    except ValueError as error:
        if replaces and "DATA_LOSS" in str(error):
            raise InputError("dump", path, f"is damaged: {one_line(error)[:160]}; {remedy(lost)}") from error
        raise
    if not replaces:
        sync(path)
