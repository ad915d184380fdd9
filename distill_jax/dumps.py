"""Per-example logits on disk: the boundary between training and everything that reads its results.

The dumps of one model on one split are arrays of all seeds and steps, see `dump_group`. Each is known by a name as if
it were a folder of its own, ``DIR/dumps/<model>/seed-<k>/step-<n>/<split>``, and by that is written, found and read.
In the first versions it was one (`old_dumps`), which is still read.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax import dump_group, old_dumps
from distill_jax.dump_index import INDEX, PLACE, SPLITS, Index, Place, remedy
from distill_jax.dump_index import SHARD_EXAMPLES as SHARD_EXAMPLES
from distill_jax.dump_writer import DumpWriter as DumpWriter
from distill_jax.dump_writer import remove_dumps as remove_dumps
from distill_jax.dump_writer import write_dumps as write_dumps
from distill_jax.errors import InputError, one_line

_SAMPLE_ROWS = 100  # rows, to tell probabilities from logits
_SUM_TOLERANCE = 0.05  # by how much the sum of probabilities may miss 1: of bfloat16, or of few digits


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

    Raises:
      InputError: what says so is damaged.
    """
    paths = dict(old_dumps.find(workdir / "dumps"))
    for split in SPLITS:
        for group in (workdir / "dumps").glob(f"*/{split}"):
            if (index := Index.read(group)) is not None:
                for seed, step in index.present(group):
                    place = group.parent.name, seed, step, split
                    paths[place] = dump_path(workdir, *place)
    return dict(sorted(paths.items(), key=lambda item: item[1]))


def find_steps(folder: Path, split: str) -> dict[int, Path]:
    """All complete dumps of one split of one model and seed, by step; `folder` is DIR/dumps/MODEL/seed-N.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     of_first, of_last = (save_dump(folder, Dump.of(student, labels, model="kd", step=n)) for n in (0, 600))
    ...     sorted(find_steps(Path(folder) / "dumps" / "kd" / "seed-0", "test"))
    [0, 600]

    Raises:
      InputError: what says so is damaged.
    """
    if Place.named_by(folder / "step-0" / split) is None:
        folder = folder.resolve()  # a link to one
    paths = {}
    for path in folder.glob(f"step-*/{split}"):
        if (old := Place.named_by(path)) is not None:
            paths[old.step] = path
    place = Place.named_by(folder / "step-0" / split)
    index = None if place is None else Index.read(place.group)
    if place is not None and index is not None:
        present = index.present(place.group)
        paths |= {step: folder / f"step-{step}" / split for seed, step in present if seed == place.seed}
    return paths


def dump_exists(path: Path) -> bool:
    """Whether a dump is there, complete.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_dump(folder, student_of_seed_0)
    ...     dump_exists(path), dump_exists(path.with_name("train"))
    (True, False)

    Raises:
      InputError: what says so is damaged.
    """
    return _complete(path) is not None or path.exists()


def _complete(path: Path) -> tuple[Place, Index] | None:
    """The place of a dump that is there, with its group's index; None for one that is not, or is an old one."""
    place = Place.named_by(path)
    index = None if place is None else Index.read(place.group)
    if place is None or index is None or not index.is_present(*place):
        return None
    return place, index


def save_dump(workdir: Path | str, dump: Dump) -> Path:
    """Writes a dump to the place in a work directory that its attributes name, and gives the name of that.

    Where there is one, it is replaced. The logits become float32.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_dump(folder, student_of_seed_0).relative_to(folder).as_posix()
    'dumps/mine/seed-2/step-0/test'

    Raises:
      InputError: the dump has no name of a model or a split, as `Dump.of` gives it; or it is of other examples than
        those of its model and split that are there.
    """
    attributes = {"seed": 0, "step": 0, **dump.attributes}
    absent = [name for name in ("model", "split") if not attributes.get(name)]
    if absent:
        raise InputError("dump", None, f"has no {' and no '.join(absent)} among its attributes; make it by Dump.of")
    path = dump_path(Path(workdir), *(attributes[name] for name in ("model", "seed", "step", "split")))
    if not PLACE.search(path.as_posix()):
        raise InputError("dump", None, f"cannot be at {path}; must have a plain name, whole numbers, and train or test")
    write_dumps([(path, dump.logits, attributes)], dump.label, dump.true_label, dump.id)
    return path


def dump_attributes(path: Path) -> dict[str, Any]:
    """The attributes of a dump.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dump_attributes(save_dump(folder, student_of_seed_0))
    {'model': 'mine', 'seed': 2, 'step': 0, 'split': 'test', 'num_classes': 4, 'examples': 40}

    Raises:
      InputError: it cannot be read, or is of another model, seed, step or split than its place says.
    """
    complete = _complete(path)
    return old_dumps.attributes(path) if complete is None else complete[1].attributes(*complete[0][1:])


def read_dump(path: Path) -> Dump:
    """Reads one dump, by its name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_dump(save_dump(folder, student_of_seed_0)).label[:6].tolist()
    [0, 1, 2, 3, 0, 1]

    Raises:
      InputError: there is no dump of that name, or it is damaged.
    """
    path = Path(path)
    complete = _complete(path)
    if complete is not None:
        (group, seed, step), index = complete
        try:
            return Dump(**dump_group.read(group, index, seed, step), attributes=index.attributes(seed, step))
        except InputError as error:
            if error.field == "dump":
                raise
            raise InputError("dump", path, f"is damaged: {error}; {remedy(group)}") from error
    if (path / INDEX).exists():
        raise InputError(
            "dump", path, "holds several dumps; must be one of them, such as dumps/kd/seed-0/step-600/test"
        )
    if not path.exists():
        raise InputError("dump", path, "is not there; run the same command again to write it")
    if not any((path / name).exists() for name in ("zarr.json", *old_dumps.ARRAYS)):
        raise InputError("dump", path, "is none; must be a folder such as dumps/kd/seed-0/step-600/test")
    attributes = old_dumps.attributes(path)
    try:
        return Dump(**old_dumps.arrays(path, attributes), attributes=attributes)
    except (OSError, ValueError, KeyError, InputError) as error:
        raise InputError("dump", path, f"is damaged: {one_line(error)[:160]}; {old_dumps.REMEDY}") from error
