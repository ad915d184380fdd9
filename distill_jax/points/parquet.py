"""A study's examples as one table in a Parquet file, written as it is made, a seed and a split at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_jax import __version__, class_names
from distill_jax.data.progress_log import logged
from distill_jax.dumps import DumpReader
from distill_jax.files import unwritable, whole
from distill_jax.points.chosen import Chosen
from distill_jax.points.columns import columns, schema
from distill_jax.points.rows import Columns, rows
from distill_jax.points.shown import Shown

GROUP = 16_384  # rows of a group, which is what a reader has in memory at once
_PICTURES = 2**26  # most bytes of a group's pictures before they are files
_REPEATING = ("split", "student", "label_name", "true_label_name", "text", "image.bytes", "image.path")
_NAMED = {"label_name": "label", "true_label_name": "true_label"}


def write(chosen: Chosen, to: Path, shown: Shown | None, group: int = GROUP) -> int:
    """Writes a row for each split, seed, example, student and step, in this order, whole or not at all.

    A row group is of one seed and split, and has each picture or text once however many students it has: a dictionary
    holds what repeats. It is bounded in rows and, for large pictures, in bytes.

    Args:
      chosen: of a study.
      to: the file, which is replaced if it is there.
      shown: pictures or texts; None leaves them out.
      group: most rows of a group.

    Returns:
      How many rows there are.

    Raises:
      InputError: a dump is missing or damaged.
      RunError: the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    names = class_names.read(chosen.workdir)
    table = columns(None if shown is None else shown.kind, names is not None)
    arrow_schema, count = schema(table, names, _about(chosen)), 0
    repeating = [path for path in _REPEATING if path.partition(".")[0] in arrow_schema.names]
    measured = [name for name in arrow_schema.names if name not in ("image", "text")]
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": repeating, "write_statistics": measured}
    options["dictionary_pagesize_limit"] = 2 * _PICTURES
    groups = _groups(chosen, shown, group, names or [], arrow_schema)
    with unwritable(to), whole(to) as temporary, parquet.ParquetWriter(temporary, arrow_schema, **options) as writer:
        for arrays in logged(groups, _total(chosen, shown, group), "row groups"):
            writer.write_table(pa.Table.from_arrays(arrays, schema=arrow_schema), row_group_size=group)
            count += len(arrays[0])
    return count


def _about(chosen: Chosen) -> dict[str, Any]:
    study = chosen.summary.study
    return {
        "study": chosen.workdir.absolute().name,
        "distill_jax": __version__,
        "total_steps": study.total_steps,
        "seeds": study.seeds,
        "students": study.students,
        "setting": chosen.summary.setting,
        "trained_at": chosen.summary.environment.get("trained_at"),
    }


def _groups(
    chosen: Chosen, shown: Shown | None, group: int, names: Sequence[str], arrow_schema: Any
) -> Iterator[list[Any]]:
    """The columns of each row group as Arrow arrays."""
    read, size = DumpReader(chosen.workdir), _examples(chosen, shown, group)
    for split in chosen.splits:
        for seed in chosen.seeds:
            found = rows(read, chosen, seed, split)
            count = len(found[0]["id"])
            for start in range(0, count, size):
                examples = slice(start, min(start + size, count))
                yield [_array(field, found, examples, shown, names) for field in arrow_schema]


def _examples(chosen: Chosen, shown: Shown | None, group: int) -> int:
    """How many examples a row group is of, each of which has as many rows as there are dumps."""
    pictures = max(1, 0 if shown is None else shown.examples["train"].split.x[:1].nbytes)
    return max(1, min(group // len(chosen.dumps), _PICTURES // pictures))


def _total(chosen: Chosen, shown: Shown | None, group: int) -> int:
    sizes = {"train": chosen.summary.study.train_examples, "test": chosen.summary.study.test_examples}
    return len(chosen.seeds) * sum(-(-sizes[split] // _examples(chosen, shown, group)) for split in chosen.splits)


def _array(field: Any, found: Sequence[Columns], examples: slice, shown: Shown | None, names: Sequence[str]) -> Any:
    """A column of some examples, an example's rows beside each other; null where a number is NaN."""
    import pyarrow as pa

    ids = found[0]["id"]
    if shown is not None and field.name == shown.kind:
        once = shown.arrow(str(found[0]["split"]), ids[examples])
        return once.take(pa.array(np.repeat(np.arange(len(once)), len(found))))
    if field.name in _NAMED:
        numbers = _array(pa.field(_NAMED[field.name], pa.int64()), found, examples, None, names)
        return pa.array(names, pa.string()).take(numbers)
    parts = [np.broadcast_to(part[field.name], ids.shape)[examples] for part in found]
    values = np.stack(parts, axis=1).ravel()
    return pa.array(values, mask=np.isnan(values) if values.dtype.kind == "f" else None).cast(field.type)
