"""Per-example logits on disk: the boundary between training and everything that reads its results.

One dump is one zarr v3 group at ``dumps/<model>/seed-<k>/step-<n>/<split>`` that holds

    logits      float32 [N, K]   the model's logits, in evaluation mode, without augmentation
    label       int32 [N]        the label training sees (with its noise)
    true_label  int32 [N]        the label before noise; equal to ``label`` where there is none
    id          int64 [N]        the example's stable id in its split

and the attributes ``model``, ``seed``, ``step``, ``split``, ``num_classes`` and ``setting`` (the run's hash).
Logits are sharded along the examples; a shard is written whole by one process. The columns, which every process
knows whole, are a file each, of the first process: the disk waits for files rather than for bytes. A dump is written
beside its place and renamed when all of it is on disk, so that it is there as a whole or not at all.
"""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorstore as ts

from distill_jax import processes
from distill_jax.errors import InputError

SHARD_EXAMPLES = 4096  # rows of logits in one file
CHUNK_EXAMPLES = 1024  # rows of them read at once
_DTYPES = {"logits": "float32", "label": "int32", "true_label": "int32", "id": "int64"}
_PLACE = re.compile(r"(?P<model>[^/]+)/seed-(?P<seed>\d+)/step-(?P<step>\d+)/(?P<split>train|test)$")


@dataclasses.dataclass(frozen=True)
class Dump:
    """One model's outputs on one split.

    Attributes:
      logits: float32 [N, K].
      label: int32 [N], as training saw them.
      true_label: int32 [N], before noise.
      id: int64 [N].
      attributes: model, seed, step, split, num_classes, setting.
    """

    logits: np.ndarray
    label: np.ndarray
    true_label: np.ndarray
    id: np.ndarray
    attributes: dict[str, Any]


def dump_path(workdir: Path, model: str, seed: int, step: int, split: str) -> Path:
    """Where a dump is kept."""
    return workdir / "dumps" / model / f"seed-{seed}" / f"step-{step}" / split


def find_dumps(workdir: Path) -> dict[tuple[str, int, int, str], Path]:
    """All complete dumps below a work directory, by (model, seed, step, split)."""
    root = workdir / "dumps"
    found = {}
    for path in sorted(root.glob("*/seed-*/step-*/*")):
        match = _PLACE.fullmatch(path.relative_to(root).as_posix())
        if match:
            found[match["model"], int(match["seed"]), int(match["step"]), match["split"]] = path
    return found


def _spec(path: Path, name: str, shape: Sequence[int]) -> dict[str, Any]:
    little, checked = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
    if name == "logits":  # their digits do not compress: 7% saved for a third of the speed
        in_file = [SHARD_EXAMPLES, *shape[1:]]
        inner = {
            "chunk_shape": [CHUNK_EXAMPLES, *shape[1:]],
            "codecs": [little, checked],
            "index_codecs": [little, checked],
        }
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    else:
        in_file = list(shape)
        codecs = [little, {"name": "zstd", "configuration": {"level": 1}}, checked]
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path / name)},
        "context": {"file_io_sync": False},  # synced together, in `write_dumps`: the disk is waited for once
        "store_data_equal_to_fill_value": True,  # so that a shard that is not there is one that was lost
        "metadata": {
            "shape": list(shape),
            "data_type": _DTYPES[name],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": in_file}},
            "codecs": codecs,
            "dimension_names": ["example", "class"][: len(shape)],
            "fill_value": 0,
        },
    }


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def write_dumps(
    items: Sequence[tuple[Path, np.ndarray, dict[str, Any]]],
    label: np.ndarray,
    true_label: np.ndarray,
    id: np.ndarray,
    first_row: int = 0,
) -> None:
    """Writes the dumps of several models on one split; every process calls it with its own rows.

    Args:
      items: a triple for each model: its path, logits float32 [n, K] of this process's rows, and attributes.
      label: int32 [N] of the whole split, or [M, N] where the M models saw different ones.
      true_label, id: [N] of the whole split; like `label` the same in every process.
      first_row: number of the first of this process's rows; a multiple of `SHARD_EXAMPLES`.

    Raises:
      ValueError: rows that do not begin at a shard, which two processes would then write at once.
    """
    if first_row % SHARD_EXAMPLES and any(len(logits) for _, logits, _ in items):
        raise ValueError(f"first_row {first_row} is not a multiple of {SHARD_EXAMPLES}")
    labels = np.broadcast_to(label, (len(items), len(id)))

    def opened(name: str, shapes: Sequence[tuple[int, ...]], create: bool) -> list[ts.TensorStore]:
        paths = [_partial(path) for path, _, _ in items]
        futures = [ts.open(_spec(p, name, shape), create=create) for p, shape in zip(paths, shapes, strict=True)]
        return [future.result() for future in futures]

    def write(store: ts.TensorStore, array: np.ndarray) -> ts.WriteFutures:
        return store.write(array, can_reference_source_data_indefinitely=True)  # not copied: it does not change

    shapes, stores, writes = [(len(id), logits.shape[1]) for _, logits, _ in items], [], []
    if processes.is_first():
        for path, _, attributes in items:
            shutil.rmtree(_partial(path), ignore_errors=True)
            _partial(path).mkdir(parents=True)
            group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
            (_partial(path) / "zarr.json").write_text(json.dumps(group, indent=1))
        stores = opened("logits", shapes, create=True)
        columns = {"label": labels, "true_label": [true_label] * len(items), "id": [id] * len(items)}
        for name, arrays in columns.items():
            of_each = opened(name, [id.shape] * len(items), create=True)
            writes += [write(store, array) for store, array in zip(of_each, arrays, strict=True)]
    processes.barrier("dump-created")
    for (_, logits, _), store in zip(items, stores or opened("logits", shapes, create=False), strict=True):
        if len(logits):
            rows = slice(first_row, first_row + len(logits))
            writes.append(write(store[rows], logits.astype(np.float32, copy=False)))
    for written in writes:
        written.result()
    processes.barrier("dump-written")
    if processes.is_first():  # and no earlier: others' temporary files would come and go
        _sync([_partial(path) for path, _, _ in items])
        for path, _, _ in items:
            _partial(path).rename(path)
    processes.barrier("dump-renamed")


class DumpWriter:
    """`write_dumps` behind the back of a training that goes on; use as a context manager.

    Several processes write before they go on, since they have to meet.
    """

    def __init__(self) -> None:
        self._pool, self._pending = ThreadPoolExecutor(1), None

    def __enter__(self) -> "DumpWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def __call__(self, *args: Any) -> None:
        """Begins what `write_dumps` does with these arguments, when what was begun before is done.

        Raises:
          OSError, ValueError: what was begun before has failed.
        """
        self.wait()
        if jax.process_count() > 1:
            write_dumps(*args)
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


def _sync(folders: Sequence[Path]) -> None:
    """Waits until every file below these folders is on disk; many at once, which the disk takes together."""

    def one(file: Path) -> None:
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    files = [Path(root) / name for folder in folders for root, _, names in os.walk(folder) for name in names]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(one, files))


def read_dump(path: Path) -> Dump:
    """Reads one dump.

    Raises:
      InputError: there is no dump at `path`, or it is damaged.
    """
    path = Path(path)
    try:
        attributes = json.loads((path / "zarr.json").read_text())["attributes"]
        futures = {
            name: ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}})
            for name in _DTYPES
        }
        opened = {name: future.result() for name, future in futures.items()}
        reads = {name: store.read() for name, store in opened.items()}
        arrays = {name: read.result() for name, read in reads.items()}
        for name, store in opened.items():  # zarr reads a missing shard as zeros
            shards = -(-store.shape[0] // store.chunk_layout.write_chunk.shape[0])
            if sum(file.is_file() for file in (path / name / "c").rglob("*")) != shards:
                raise ValueError(f"a shard of {name} is not there")
    except (OSError, ValueError, KeyError) as error:
        what = "is not there" if not path.exists() else "is damaged: " + " ".join(str(error).split())[:120]
        raise InputError(
            f"dump {path} {what}; remove that folder and run the same command to write it again"
        ) from error
    return Dump(**arrays, attributes=attributes)
