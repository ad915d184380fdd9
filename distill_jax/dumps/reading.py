"""The names of dumps, and what is found and read by them."""

from pathlib import Path
from typing import Any

from distill_jax.dumps import group as group_files
from distill_jax.dumps import old
from distill_jax.dumps.dump import Dump
from distill_jax.dumps.index import INDEX, PLACE, SPLITS, Index, Place, remedy
from distill_jax.dumps.writer import write_dumps
from distill_jax.errors import InputError, one_line


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
    paths = dict(old.find(workdir / "dumps"))
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
    return old.attributes(path) if complete is None else complete[1].attributes(*complete[0][1:])


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
            return Dump(**group_files.read(group, index, seed, step), attributes=index.attributes(seed, step))
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
    if not any((path / name).exists() for name in ("zarr.json", *old.ARRAYS)):
        raise InputError("dump", path, "is none; must be a folder such as dumps/kd/seed-0/step-600/test")
    attributes = old.attributes(path)
    try:
        return Dump(**old.arrays(path, attributes), attributes=attributes)
    except (OSError, ValueError, KeyError, InputError) as error:
        raise InputError("dump", path, f"is damaged: {one_line(error)[:160]}; {old.REMEDY}") from error
