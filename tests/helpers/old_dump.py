"""Dumps as studies of the first versions have them, written by zarr: a group for each model, seed, step and split."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from distill_jax.dumps import Dump, find_dumps, read_dump, remove_dumps

SHARD, CHUNK = 4096, 1024


def write_old(path: Path, dump: Dump) -> None:
    """Writes one."""
    group = zarr.create_group(path, attributes=dump.attributes | {"examples": len(dump.logits)}, zarr_format=3)
    every_chunk: Any = {"write_empty_chunks": True}
    classes = dump.logits.shape[1]
    logits = group.create_array(
        "logits",
        shape=dump.logits.shape,
        dtype=np.float32,
        shards=(SHARD, classes),
        chunks=(CHUNK, classes),
        compressors=[Crc32cCodec()],
        fill_value=0,
        dimension_names=["example", "class"],
        config=every_chunk,
    )
    logits[:] = dump.logits
    for name in ("label", "true_label", "id"):
        column = getattr(dump, name)
        array = group.create_array(
            name,
            shape=column.shape,
            dtype=column.dtype,
            chunks=column.shape,
            serializer=BytesCodec(endian="little"),
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            fill_value=0,
            dimension_names=["example"],
            config=every_chunk,
        )
        array[:] = column


def make_old(workdir: Path, kept: int = 1) -> int:
    """Makes the dumps of a study old ones, and gives their number; of so many the first alone."""
    found = {path: read_dump(path) for path in list(find_dumps(workdir).values())[::kept]}
    remove_dumps(found)
    for path, dump in found.items():
        write_old(path, dump)
    return len(found)
