"""Per-example logits on disk: the boundary between training and everything that reads its results.

One dump is one zarr v3 group at ``dumps/<model>/seed-<k>/step-<n>/<split>`` that holds

    logits      float32 [N, K]   the model's logits, in evaluation mode, without augmentation
    label       int32 [N]        the label training sees (with its noise)
    true_label  int32 [N]        the label before noise; equal to ``label`` where there is none
    id          int64 [N]        the example's stable id in its split

and the attributes ``model``, ``seed``, ``step``, ``split``, ``num_classes``, ``examples`` (N) and ``setting`` (the
run's hash). When it is read, arrays are checked by the sums of their bytes, and attributes by place and shapes.
Logits are sharded along the examples; a shard is written whole by one process. The columns, which every process
knows whole, are a file each, of the first process: the disk waits for files rather than for bytes. A dump is written
beside its place and renamed when all of it is on disk, so that it is there as a whole or not at all.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from distill_jax.errors import InputError, one_line
from distill_jax.files import beside, read_json, remove, sync

SHARD_EXAMPLES = 4096  # rows of logits in one file
CHUNK_EXAMPLES = 1024  # rows of them read at once
_REMEDY = "remove that folder and run the same command to write it again"
_SAMPLE_ROWS = 100  # rows, to tell probabilities from logits
_SUM_TOLERANCE = 0.05  # by how much the sum of probabilities may miss 1: of bfloat16, or of few digits
_FILES_AT_ONCE = 32  # the disk takes what is waited for at once together
_DTYPES = {"logits": "float32", "label": "int32", "true_label": "int32", "id": "int64"}
_PLACE = re.compile(r"(?P<model>[^/]+)/seed-(?P<seed>\d+)/step-(?P<step>\d+)/(?P<split>train|test)$")


@dataclasses.dataclass(frozen=True)
class Dump:
    """One model's outputs on one split, from whatever made them: arrays of NumPy, JAX or PyTorch, or lists.

    Attributes:
      logits: float32 or float64 [N, K], K >= 2; what else is given becomes float32.
      label: int32 [N], as training saw them, in [0, K); integers [N] or [N, 1] may be given.
      true_label: int32 [N], before noise; likewise.
      id: int64 [N]; likewise.
      attributes: model, seed, step, split, num_classes, setting; all may be absent.

    Raises:
      InputError: an array has another shape, is not of numbers of its kind, or `logits` are probabilities.

    Example:
      >>> Dump([[2.0, -1.0], [0.5, 0.0]], label=[0, 1], true_label=[0, 1], id=[7, 8], attributes={}).logits.shape
      (2, 2)
    """

    logits: np.ndarray
    label: np.ndarray
    true_label: np.ndarray
    id: np.ndarray
    attributes: dict[str, Any]

    @classmethod
    def of(
        cls,
        logits: Any,
        label: Any,
        *,
        model: str,
        split: str = "test",
        seed: int = 0,
        step: int = 0,
        true_label: Any = None,
        id: Any = None,
    ) -> "Dump":
        """A dump of logits of one's own.

        Args:
          logits, label: as above.
          model: what to call it; figures tell students apart by it.
          split: 'train' or 'test'.
          seed, step: whole numbers.
          true_label: None for `label`.
          id: None numbers the examples.

        Example:
          >>> Dump.of([[2.0, -1.0], [0.5, 0.0]], [0, 1], model="mine").attributes["split"]
          'test'
        """
        if split not in ("train", "test"):
            raise InputError("split", repr(split), "must be train or test")
        true_label = label if true_label is None else true_label
        number = np.arange(len(as_array("label", label))) if id is None else id
        return cls(logits, label, true_label, number, {"model": model, "split": split, "seed": seed, "step": step})

    def __post_init__(self) -> None:
        if not isinstance(self.attributes, Mapping):
            raise InputError("attributes", repr(self.attributes), "must be a dictionary, which may be empty")
        logits = as_array("logits", self.logits)
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise InputError("logits", None, f"have the shape {logits.shape}; must be [N, K], of 2 classes or more")
        if not (np.issubdtype(logits.dtype, np.number) or logits.dtype.name == "bfloat16") or np.iscomplexobj(logits):
            raise InputError("logits", None, f"are {logits.dtype}; must be numbers")
        if logits.dtype not in (np.float32, np.float64):
            logits = logits.astype(np.float32)
        sample = logits[:_SAMPLE_ROWS]
        if len(sample) and sample.min() >= 0 and np.allclose(sample.sum(axis=1), 1, atol=_SUM_TOLERANCE):
            raise InputError(
                "logits", None, "are probabilities, since each row's sum is 1; must be logits, or their logarithms"
            )
        object.__setattr__(self, "logits", logits)
        for name, dtype in (("label", np.int32), ("true_label", np.int32), ("id", np.int64)):
            array = as_array(name, getattr(self, name))
            array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
            if array.shape != logits.shape[:1] or array.dtype.kind not in "iu":
                raise InputError(
                    name, None, f"is {array.dtype} {array.shape}; must be integers [{len(logits)}], as logits"
                )
            if name == "id" and array.size and array.max() >= 2**63:
                raise InputError("id", array.max(), "must be below 2^63")
            if name != "id" and array.size and not (array.min() >= 0 and array.max() < logits.shape[1]):
                raise InputError(
                    name, None, f"has values from {array.min()} to {array.max()}; must be in 0 to {logits.shape[1] - 1}"
                )
            object.__setattr__(self, name, array.astype(dtype, copy=False))


def as_array(name: str, given: Any) -> np.ndarray:
    """A NumPy array of what is given: of NumPy, JAX or PyTorch, or lists.

    >>> as_array("label", [[0, 1], [2, 3]]).tolist(), as_array("logits", jnp.ones(2) / 2).tolist()
    ([[0, 1], [2, 3]], [0.5, 0.5])

    Raises:
      InputError: it is none.
    """
    try:
        if hasattr(given, "detach"):  # PyTorch's, which may have a gradient, lie on a device or be bfloat16
            given = given.detach().cpu()
            given = given.float() if given.is_floating_point() else given
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(name, None, f"cannot be made an array: {one_line(error)}") from error


def dump_path(workdir: Path, model: str, seed: int, step: int, split: str) -> Path:
    """Where a dump is kept.

    >>> dump_path(Path("work"), "kd", 0, 600, "test").as_posix()
    'work/dumps/kd/seed-0/step-600/test'
    """
    return workdir / "dumps" / model / f"seed-{seed}" / f"step-{step}" / split


def find_dumps(workdir: Path) -> dict[tuple[str, int, int, str], Path]:
    """All complete dumps below a work directory, by (model, seed, step, split).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_dump(folder, student_of_seed_0)
    ...     list(find_dumps(Path(folder)))
    [('mine', 2, 0, 'test')]
    """
    root = workdir / "dumps"
    paths = {}
    for path in sorted(root.glob("*/seed-*/step-*/*")):
        match = _PLACE.fullmatch(path.relative_to(root).as_posix())
        if match:
            paths[match["model"], int(match["seed"]), int(match["step"]), match["split"]] = path
    return paths


def find_steps(folder: Path, split: str) -> dict[int, Path]:
    """All complete dumps of one split of one model and seed, by step; `folder` is DIR/dumps/MODEL/seed-N.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     of_first, of_last = (save_dump(folder, Dump.of(student, labels, model="kd", step=n)) for n in (0, 600))
    ...     sorted(find_steps(Path(folder) / "dumps" / "kd" / "seed-0", "test"))
    [0, 600]
    """
    paths = {}
    for path in folder.resolve().glob(f"step-*/{split}"):
        match = _PLACE.search(path.as_posix())
        if match:
            paths[int(match["step"])] = path
    return paths


def _spec(path: Path, name: str, shape: Sequence[int]) -> dict[str, Any]:
    little_endian, checksum = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
    if name == "logits":  # their digits do not compress: 7% saved for a third of the speed
        file_shape = [SHARD_EXAMPLES, *shape[1:]]
        sharding = {
            "chunk_shape": [CHUNK_EXAMPLES, *shape[1:]],
            "codecs": [little_endian, checksum],
            "index_codecs": [little_endian, checksum],
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    else:
        file_shape = list(shape)
        codecs = [little_endian, {"name": "zstd", "configuration": {"level": 1}}, checksum]
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path / name)},
        "context": {"file_io_sync": False},  # which would wait for folders too, one by one; see `_write`
        "store_data_equal_to_fill_value": True,  # so that a shard that is not there is one that was lost
        "metadata": {
            "shape": list(shape),
            "data_type": _DTYPES[name],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": file_shape}},
            "codecs": codecs,
            "dimension_names": ["example", "class"][: len(shape)],
            "fill_value": 0,
        },
    }


def _write(store: ts.TensorStore, array: np.ndarray, file: Path) -> None:
    """Writes the array of one file, and waits until it is on disk."""
    store.write(array, can_reference_source_data_indefinitely=True).result()  # not copied: it does not change
    sync(file)


def write_dumps(
    items: Sequence[tuple[Path, np.ndarray, dict[str, Any]]],
    label: np.ndarray,
    true_label: np.ndarray,
    id: np.ndarray,
    first_row: int = 0,
) -> None:
    """Writes the dumps of several models on one split; every process calls it with its own rows.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_dumps([(Path(folder) / "test", student, {"seed": 2})], labels, labels, np.arange(40))
    ...     read_dump(Path(folder) / "test").attributes
    {'seed': 2, 'examples': 40}

    Args:
      items: a triple for each model: its path, logits float32 [n, K] of this process's rows, and attributes.
      label: int32 [N] of the whole split, or [M, N] where the M models saw different ones.
      true_label, id: [N] of the whole split; like `label` the same in every process.
      first_row: number of the first of this process's rows; a multiple of `SHARD_EXAMPLES`.

    Raises:
      ValueError: rows that do not begin at a shard, which two processes would then write at once.
    """
    from distill_jax.machine import processes  # and with it JAX, which no reader needs

    if first_row % SHARD_EXAMPLES and any(len(logits) for _, logits, _ in items):
        raise ValueError(f"first_row {first_row} is not a multiple of {SHARD_EXAMPLES}")
    labels = np.broadcast_to(label, (len(items), len(id)))
    folders = [beside(path) for path, _, _ in items]
    shapes = {folder: (len(id), logits.shape[1]) for folder, (_, logits, _) in zip(folders, items, strict=True)}
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        tasks, stores = [], {}
        if processes.is_first():
            for folder, (_, _, attributes) in zip(folders, items, strict=True):
                _make_group(folder, attributes | {"examples": len(id)})
            stores = _open_stores(shapes, _DTYPES, create=True)
        processes.barrier("dump-created")
        stores = stores or _open_stores(shapes, ["logits"], create=False)
        for folder, (_, logits, _) in zip(folders, items, strict=True):
            for start in range(0, len(logits), SHARD_EXAMPLES):
                shard, row = logits[start : start + SHARD_EXAMPLES].astype(np.float32, copy=False), first_row + start
                target = stores[folder, "logits"][row : row + len(shard)]
                file = folder / "logits" / "c" / str(row // SHARD_EXAMPLES) / "0"
                tasks.append(pool.submit(_write, target, shard, file))
        if processes.is_first():
            for folder, model_label in zip(folders, labels, strict=True):
                for name, array in {"label": model_label, "true_label": true_label, "id": id}.items():
                    tasks.append(pool.submit(_write, stores[folder, name], array, folder / name / "c" / "0"))
                nodes = [folder, *(folder / name for name in _DTYPES)]
                tasks += [pool.submit(sync, node / "zarr.json") for node in nodes]
        for task in tasks:
            task.result()
    processes.barrier("dump-written")
    if processes.is_first():
        for folder, (path, _, _) in zip(folders, items, strict=True):
            if path.is_symlink():  # that leads nowhere
                path.unlink()
            folder.rename(path)
    processes.barrier("dump-renamed")


def _make_group(folder: Path, attributes: dict[str, Any]) -> None:
    remove(folder)
    folder.mkdir(parents=True)
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(group, indent=1))


def _open_stores(
    shapes: Mapping[Path, tuple[int, int]], names: Iterable[str], create: bool
) -> dict[tuple[Path, str], ts.TensorStore]:
    """The arrays of these names in each folder, whose logits have these shapes [N, K]; all are opened at once."""
    futures = {
        (folder, name): ts.open(_spec(folder, name, shape if name == "logits" else shape[:1]), create=create)
        for name in names
        for folder, shape in shapes.items()
    }
    return {key: future.result() for key, future in futures.items()}


def save_dump(workdir: Path | str, dump: Dump) -> Path:
    """Writes a dump to the place in a work directory that its attributes name, and gives that place.

    Where there is one, it is replaced. The logits become float32.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_dump(folder, student_of_seed_0).relative_to(folder).as_posix()
    'dumps/mine/seed-2/step-0/test'

    Raises:
      InputError: the dump has no name of a model or a split, as `Dump.of` gives it.
    """
    attributes = {"seed": 0, "step": 0, **dump.attributes}
    absent = [name for name in ("model", "split") if not attributes.get(name)]
    if absent:
        raise InputError("dump", None, f"has no {' and no '.join(absent)} among its attributes; make it by Dump.of")
    path = dump_path(Path(workdir), *(attributes[name] for name in ("model", "seed", "step", "split")))
    if not _PLACE.search(path.as_posix()):
        raise InputError("dump", None, f"cannot be at {path}; must have a plain name, whole numbers, and train or test")
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    attributes["num_classes"] = dump.logits.shape[1]
    write_dumps([(path, dump.logits, attributes)], dump.label, dump.true_label, dump.id)
    return path


class DumpWriter:
    """`write_dumps` behind the back of a training that goes on; use as a context manager.

    Several processes write before they go on, since they have to meet.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, DumpWriter() as write:
    ...     write([(Path(folder) / "test", student, {})], labels, labels, np.arange(40))
    ...     write.wait()
    ...     read_dump(Path(folder) / "test").logits.shape
    (40, 4)
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
        import jax

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


def dump_attributes(path: Path) -> dict[str, Any]:
    """The attributes of a dump.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dump_attributes(save_dump(folder, student_of_seed_0))
    {'seed': 2, 'step': 0, 'model': 'mine', 'split': 'test', 'num_classes': 4, 'examples': 40}

    Raises:
      InputError: it cannot be read, or is of another model, seed, step or split than its place says.
    """
    attributes = read_json(path / "zarr.json", dict[str, Any], _REMEDY).get("attributes")
    if not isinstance(attributes, dict):
        raise InputError("dump", path / "zarr.json", f"is damaged (has no attributes); {_REMEDY}")
    match = _PLACE.search(path.as_posix())
    for name, expected in match.groupdict().items() if match else ():
        if name in attributes and str(attributes[name]) != expected:
            raise InputError("dump", path, f"is that of {name} {attributes[name]}; must be where it belongs")
    return attributes


def read_dump(path: Path) -> Dump:
    """Reads one dump.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_dump(save_dump(folder, student_of_seed_0)).label[:6].tolist()
    [0, 1, 2, 3, 0, 1]

    Raises:
      InputError: there is no dump at `path`, or it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("dump", path, f"is not there; {_REMEDY}")
    if not any((path / name).exists() for name in ("zarr.json", *_DTYPES)):
        raise InputError("dump", path, "is none; must be a folder such as dumps/kd/seed-0/step-600/test")
    attributes = dump_attributes(path)
    try:
        futures = {
            name: ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}})
            for name in _DTYPES
        }
        opened = {name: future.result() for name, future in futures.items()}
        reads = {name: store.read() for name, store in opened.items()}
        arrays = {name: read.result() for name, read in reads.items()}
        store: Any
        for name, store in opened.items():  # zarr reads a missing shard as zeros
            shards = -(-store.shape[0] // store.chunk_layout.write_chunk.shape[0])
            if sum(file.is_file() for file in (path / name / "c").rglob("*")) != shards:
                raise ValueError(f"a shard of {name} is not there")
        shape = (attributes.get("examples"), attributes.get("num_classes"))
        if any(expected not in (None, actual) for expected, actual in zip(shape, arrays["logits"].shape, strict=True)):
            raise ValueError(f"its logits have the shape {arrays['logits'].shape}, and it says {shape}")
        return Dump(**arrays, attributes=attributes)
    except (OSError, ValueError, KeyError, InputError) as error:
        raise InputError("dump", path, f"is damaged: {one_line(error)[:160]}; {_REMEDY}") from error
