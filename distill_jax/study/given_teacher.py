"""A teacher that is not trained here: logits in files, dumps of another study, or what a function of one's own says."""

import dataclasses
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from distill_jax.data.arrays_file import read_arrays
from distill_jax.data.dataset import Dataset
from distill_jax.dumps import Dump, as_array, dump_exists, dump_path, find_steps, read_dump, write_dumps
from distill_jax.errors import InputError
from distill_jax.machine import processes
from distill_jax.own_code import imported, is_own
from distill_jax.paths import local
from distill_jax.randomness import Stream, generator
from distill_jax.students import TEACHER
from distill_jax.training.predict import process_rows

SPLITS = ("train", "test")
Logits = dict[str, np.ndarray]  # of each split, float32 [N, K]
Named = tuple[str, str | None]  # the field or argument it was given as, and its name, for a message
Source = str | Mapping[str, Any] | Callable[[np.ndarray], Any]
_FIELD = "given.logits"
_REMEDY = "must be a file of numpy.savez with train and test, logits [N, K]"
_BATCH = 256  # examples that a function is given at once
_CHANCE = 1.2  # times the accuracy of a guess, below which a teacher is none
_OWN_SEED = re.compile(r"seed-\d+")


@dataclasses.dataclass(frozen=True, eq=False)
class GivenTeacher:
    """The teachers of a study's seeds.

    Attributes:
      named: as they were named.
      of_seed: from a seed to its teacher's logits of the data set's examples.
      digest: from a seed to a digest of these, which names it wherever they lie.
      one: whether it is the same for all seeds.
      identity: JSON values that name it, of the first seed, in a study's identity.
    """

    named: tuple[str, ...]
    of_seed: Callable[[int], Logits]
    digest: Callable[[int], str]
    one: bool
    identity: Mapping[str, Any]

    def description(self, dataset: Dataset, augment: str) -> Iterator[str]:
        """Lines on how good it is, and on what is augmented."""
        yield from self.judged(dataset, "are its rows in the order of the data?")
        if augment != "none":
            yield (
                f"teacher: its logits are of images as they are, and stay so where the augmentation {augment} changes "
                "what students see; for logits of the very images train the teacher here, or augment by none"
            )

    def judged(self, dataset: Dataset, doubt: str) -> Iterator[str]:
        """Lines on how good it is, by which one sees whether it is of these data, with a doubt where it is not."""
        accuracies = {s: np.mean(self.of_seed(0)[s].argmax(1) == getattr(dataset, s).true_label) for s in SPLITS}
        text = ", ".join(f"{accuracy:.1%} right on {split}" for split, accuracy in accuracies.items())
        yield f"teacher: logits of {', '.join(self.named)}, {text}"
        if accuracies["test"] <= _CHANCE / dataset.num_classes:
            yield f"warning: the teacher is no better than chance; {doubt}"


def given_teacher(sources: Sequence[Source], dataset: Dataset) -> GivenTeacher:
    """The teacher that is named; of several, the mean of their logits.

    Args:
      sources: of each logits by 'train' and 'test'; a function from inputs as the data set has them, [B, ...], to
        logits [B, K]; or what names it: a file of arrays; 'module:function'; a folder of dumps of a model, as
        'work/a/dumps/teacher', of which each seed is given that seed's last ones, or a single seed's, as
        'work/a/dumps/teacher/seed-0', for all.

    Raises:
      InputError: one is none of these, or is not of this data set.
    """
    readers = [_source(source, dataset) for source in sources]

    one_for_all = all(is_same for _, is_same in readers)
    if any(is_same for _, is_same in readers) and not one_for_all:
        fault = "are in part the same for all seeds and in part each seed's own; give what is one or the other"
        raise InputError(_FIELD, ", ".join(_names(sources)), fault)

    @functools.lru_cache(maxsize=1)
    def mean(seed: int) -> Logits:
        logits_by_source = [read(seed) for read, _ in readers]
        return {
            split: np.stack([by_split[split] for by_split in logits_by_source]).mean(0, np.float32) for split in SPLITS
        }

    @functools.cache
    def digest(seed: int) -> str:
        content, logits = hashlib.sha256(), logits_of_seed(seed)
        for split in SPLITS:
            content.update(np.ascontiguousarray(logits[split]).data)
        return content.hexdigest()[:12]

    def logits_of_seed(seed: int) -> Logits:
        return mean(0 if one_for_all else seed)

    identity = {"name": "given logits", "logits": digest(0)}
    return GivenTeacher(_names(sources), logits_of_seed, digest, one_for_all, identity)


def _names(sources: Sequence[Source]) -> tuple[str, ...]:
    return tuple(s if isinstance(s, str) else getattr(s, "__name__", "arrays") for s in sources)


def _source(source: Source, dataset: Dataset) -> tuple[Callable[[int], Logits], bool]:
    """From a seed to its logits, and whether they are the same for all."""
    if isinstance(source, Mapping):
        missing = [split for split in SPLITS if split not in source]
        if missing:
            raise InputError(
                "teacher", None, f"has no {', '.join(missing)}; must be logits [N, K] by 'train' and 'test'"
            )
        logits = {
            split: _checked(("teacher", None), split, as_array(split, source[split]), None, dataset)[0]
            for split in SPLITS
        }
        return lambda _: logits, True
    if callable(source):
        logits = _from_function(("teacher", getattr(source, "__name__", str(source))), source, dataset)
        return lambda _: logits, True
    name = source
    origin = (_FIELD, name)
    if is_own(name) and not Path(name).exists():
        logits = _from_function(origin, imported(name, _FIELD), dataset)
        return lambda _: logits, True
    path = local(_FIELD, name)
    is_one_seed = _OWN_SEED.fullmatch(path.resolve().name) is not None
    if path.is_dir() or (is_one_seed and path.parent.is_dir() and not path.exists()):

        def read_seed(seed: int) -> Logits:
            folder = path if is_one_seed else path / f"seed-{seed}"
            return {split: _from_dump(origin, folder, split, dataset) for split in SPLITS}

        return read_seed, is_one_seed
    logits = _from_file(path, dataset)
    return lambda _: logits, True


def _from_file(path: Path, dataset: Dataset) -> Logits:
    ids = [f"{split}_id" for split in SPLITS]
    arrays, others = read_arrays(path, SPLITS, _FIELD, f"{_REMEDY}, and perhaps train_id and test_id [N]", ids)
    if others:
        raise InputError(_FIELD, path, f"has {', '.join(sorted(others))} besides; {_REMEDY}")
    logits = {}
    for split in SPLITS:
        ids_of_split = arrays.get(f"{split}_id")
        logits[split], _ = _checked((_FIELD, str(path)), split, arrays[split], ids_of_split, dataset)
    return logits


def _from_dump(origin: Named, folder: Path, split: str, dataset: Dataset) -> np.ndarray:
    steps = find_steps(folder, split)
    if not steps:
        raise InputError(*origin, f"has no dump {folder.name}/step-N/{split}; must be as DIR/dumps/teacher of a study")
    dump, examples = read_dump(steps[max(steps)]), getattr(dataset, split)
    logits, rows = _checked(origin, split, dump.logits, dump.id, dataset)
    if not np.array_equal(dump.true_label[rows], examples.true_label):
        raise InputError(*origin, f"{split} is of other examples, whose labels differ; must be of the same data set")
    return logits


def _from_function(origin: Named, function: Callable[[np.ndarray], Any], dataset: Dataset) -> Logits:
    logits = {}
    for split in SPLITS:
        examples = getattr(dataset, split)
        parts = [as_array("logits", function(examples.x[i : i + _BATCH])) for i in range(0, len(examples.x), _BATCH)]
        sizes = {part.shape for part in parts[:-1]} | {(_BATCH, *parts[-1].shape[1:])}
        if len(sizes) > 1 or parts[-1].ndim != 2:
            listed = ", ".join(map(str, sorted({part.shape for part in parts})))
            raise InputError(*origin, f"gives {listed} of {_BATCH} examples; must be logits [B, K]")
        logits[split], _ = _checked(origin, split, np.concatenate(parts), None, dataset)
    return logits


def _checked(
    origin: Named, split: str, logits: np.ndarray, ids: np.ndarray | None, dataset: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Logits in the order of the data set's examples, float32 [N, K], and which of the given rows these are, [N]."""
    if logits.ndim != 2 or logits.shape[1] != dataset.num_classes:
        raise InputError(
            *origin, f"{split} has the shape {logits.shape}; must be [N, {dataset.num_classes}], a row an example"
        )
    examples = getattr(dataset, split)
    given_ids = np.arange(len(logits)) if ids is None else ids
    zeros = np.zeros(len(logits), np.int32)
    try:
        logits = Dump(logits, zeros, zeros, given_ids, {}).logits.astype(np.float32)
    except InputError as error:
        raise InputError(*origin, f"the {error.field} of {split} {error.fault}") from None
    if not np.isfinite(logits).all():
        raise InputError(*origin, f"{split} has NaN or infinite values; must be finite")
    if ids is None:
        if len(logits) != len(examples.label):
            raise InputError(
                *origin,
                f"{split} has {len(logits)} rows for {len(examples.label)} examples; must be one for each, in the "
                "data's order, or have their ids",
            )
        return logits, given_ids
    rows = _rows(np.asarray(ids).reshape(-1), examples.id)
    if rows is None:
        raise InputError(
            *origin, f"{split} lacks examples of the data set by their ids; must have all {len(examples.id)}, each once"
        )
    return logits[rows], rows


def _rows(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Where the wanted ids are among the given; None if one is not, or one is there twice."""
    order = np.argsort(ids, kind="stable")
    positions = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    rows = order[positions]
    return rows if len(np.unique(ids)) == len(ids) and np.array_equal(ids[rows], wanted) else None


def write(
    teacher: GivenTeacher, dataset: Dataset, workdir: Path, step: int, digests: Mapping[int, str], *, shared: bool
) -> bool:
    """Writes the teacher's dumps that are not there, from which a study goes on as from a trained one's.

    Args:
      step: the last of the study, whose dumps they are.
      digests: of each seed, what makes its teacher what it is.
      shared: as of `write_dumps`.

    Returns:
      Whether any was not there.
    """
    any_written = False
    for seed, split in itertools.product(digests, SPLITS):
        path = dump_path(workdir, TEACHER, seed, step, split)
        if processes.seen_by_first(functools.partial(dump_exists, path)):
            continue
        examples, logits = getattr(dataset, split), teacher.of_seed(seed)[split]
        rows = process_rows(len(logits), jax.process_index(), jax.process_count())
        items = [(path, logits[rows], {"setting": digests[seed]})]
        label, room = dataset.label(split, seed), (list(digests), [step])
        write_dumps(items, label, examples.true_label, examples.id, rows.start, room, shared=shared)
        any_written = True
    return any_written


def shuffled(logits: np.ndarray, label: np.ndarray, seed: int, how: str) -> np.ndarray:
    """A teacher's logits given to other examples, which asks whether what it knows of each matters.

    Args:
      logits: [N, K].
      label: int [N].
      seed: of the permutation.
      how: 'none'; 'within-class', among the examples of a label, by which the teacher knows the class and no more;
        'all', among all, by which it knows nothing.

    Returns:
      [N, K], the same rows in another order.
    """
    if how == "none":
        return logits
    rng, rows = generator(seed, Stream.SHUFFLE), np.arange(len(label))
    groups = [rows] if how == "all" else [np.flatnonzero(label == value) for value in np.unique(label)]
    for group in groups:
        rows[group] = rng.permutation(group)
    return logits[rows]
