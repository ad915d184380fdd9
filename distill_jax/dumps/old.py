"""Dumps as they were kept at first: a zarr v3 group for each model, seed, step and split, which are still read.

It holds ``logits`` float32 [N, K], ``label``, ``true_label`` int32 [N] and ``id`` int64 [N], and its attributes
``model``, ``seed``, ``step``, ``split``, ``num_classes``, ``examples`` (N) and ``setting``.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from distill_jax.dumps.index import PLACE
from distill_jax.errors import InputError
from distill_jax.files import read_json

ARRAYS = ("logits", "label", "true_label", "id")
REMEDY = "remove that folder and run the same command to write it again"


def find(root: Path) -> Iterator[tuple[tuple[str, int, int, str], Path]]:
    """Those below a folder of dumps, by (model, seed, step, split)."""
    for path in sorted(root.glob("*/seed-*/step-*/*")):
        match = PLACE.fullmatch(path.relative_to(root).as_posix())
        if match:
            yield (match["model"], int(match["seed"]), int(match["step"]), match["split"]), path


def attributes(path: Path) -> dict[str, Any]:
    """The attributes of one.

    Raises:
      InputError: it cannot be read, or is of another model, seed, step or split than its place says.
    """
    found = read_json(path / "zarr.json", dict[str, Any], REMEDY).get("attributes")
    if not isinstance(found, dict):
        raise InputError("dump", path / "zarr.json", f"is damaged (has no attributes); {REMEDY}")
    match = PLACE.search(path.as_posix())
    for name, expected in match.groupdict().items() if match else ():
        if name in found and str(found[name]) != expected:
            raise InputError("dump", path, f"is that of {name} {found[name]}; must be where it belongs")
    return found


def arrays(path: Path, said: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of one, whose attributes are these.

    Raises:
      OSError, ValueError, KeyError: it is damaged.
    """
    places = {name: {"driver": "file", "path": os.path.abspath(path / name)} for name in ARRAYS}
    futures = {name: ts.open({"driver": "zarr3", "kvstore": place}) for name, place in places.items()}
    opened: dict[str, Any] = {name: future.result() for name, future in futures.items()}
    reads = {name: store.read() for name, store in opened.items()}
    found = {name: read.result() for name, read in reads.items()}
    for name, store in opened.items():  # zarr reads a missing shard as zeros
        shards = -(-store.shape[0] // store.chunk_layout.write_chunk.shape[0])
        if sum(file.is_file() for file in (path / name / "c").rglob("*")) != shards:
            raise ValueError(f"a shard of {name} is not there")
    shape = (said.get("examples"), said.get("num_classes"))
    if any(expected not in (None, actual) for expected, actual in zip(shape, found["logits"].shape, strict=True)):
        raise ValueError(f"its logits have the shape {found['logits'].shape}, and it says {shape}")
    return found
