"""Per-example logits on disk: the boundary between training and everything that reads its results.

The dumps of one model on one split are arrays of all seeds and steps, see `group`. Each is known by a name as if it
were a folder of its own, ``DIR/dumps/<model>/seed-<k>/step-<n>/<split>``, and by that is written, found and read. In
the first versions it was one (`old`), which is still read. Nothing here needs JAX.
"""

from distill_jax.dumps.dump import Dump, as_array
from distill_jax.dumps.index import SHARD_EXAMPLES
from distill_jax.dumps.reader import DumpReader
from distill_jax.dumps.reading import (
    dump_attributes,
    dump_exists,
    dump_path,
    find_dumps,
    find_steps,
    read_dump,
    save_dump,
)
from distill_jax.dumps.writer import DumpWriter, remove_dumps, write_dumps

__all__ = [
    "SHARD_EXAMPLES",
    "Dump",
    "DumpReader",
    "DumpWriter",
    "as_array",
    "dump_attributes",
    "dump_exists",
    "dump_path",
    "find_dumps",
    "find_steps",
    "read_dump",
    "remove_dumps",
    "save_dump",
    "write_dumps",
]
