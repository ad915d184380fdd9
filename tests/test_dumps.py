import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray
import zarr
from command import ROOT

from distill_jax.dumps import SHARD_EXAMPLES, dump_path, find_dumps, read_dump, write_dumps
from distill_jax.errors import InputError

ROWS, CLASSES = SHARD_EXAMPLES + 1000, 7


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, ROWS).astype(np.int32)
    label[:SHARD_EXAMPLES] = 0  # a whole shard of what zarr would take for nothing
    return {"label": label, "true_label": label[::-1].copy(), "id": np.arange(ROWS) * 3 - 5}


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(size=(ROWS, CLASSES)).astype(np.float32)


def attributes(path):
    return {
        "model": "kd",
        "seed": 3,
        "step": 10,
        "split": path.name,
        "num_classes": CLASSES,
        "setting": "abc",
    }


@pytest.fixture
def dump(tmp_path, columns, logits):
    path = dump_path(tmp_path, "kd", 3, 10, "train")
    write_dumps([(path, logits, attributes(path))], **columns)
    return path


def test_dumps_are_read_measured_and_drawn_without_jax():
    code = (
        "import sys, distill_jax\n"
        "distill_jax.dumps.read_dump, distill_jax.deviations, distill_jax.statistics, distill_jax.plots\n"
        "import distill_jax.measures.findings\n"
        "print([n for n in ('jax', 'flax', 'transformers', 'tensorflow_datasets', 'pyarrow') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_what_is_read_is_what_was_written(dump, columns, logits):
    read = read_dump(dump)
    np.testing.assert_array_equal(read.logits, logits)
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(read, name), column)
    assert read.attributes == attributes(dump) | {"examples": len(logits)}
    assert find_dumps(dump.parents[4]) == {("kd", 3, 10, "train"): dump}


def test_zarr_and_xarray_open_it(dump, columns, logits):
    group = zarr.open_group(dump, mode="r")
    np.testing.assert_array_equal(group["logits"][:], logits)
    assert group["logits"].shards == (SHARD_EXAMPLES, CLASSES)
    assert dict(group.attrs) == attributes(dump) | {"examples": len(logits)}
    with xarray.open_zarr(dump, consolidated=False) as dataset:
        assert dict(dataset.sizes) == {"example": ROWS, "class": CLASSES}
        np.testing.assert_array_equal(dataset["id"], columns["id"])


def test_same_arrays_make_the_same_bytes(dump, tmp_path, columns, logits):
    again = dump_path(tmp_path / "again", "kd", 3, 10, "train")
    write_dumps([(again, logits, attributes(again))], **columns)
    files = sorted(f.relative_to(dump) for f in dump.rglob("*") if f.is_file())
    assert files == sorted(f.relative_to(again) for f in again.rglob("*") if f.is_file())
    assert all((dump / f).read_bytes() == (again / f).read_bytes() for f in files)


def test_a_dump_cut_short_is_absent_and_can_be_written_again(dump, columns, logits):
    partial = dump.with_name("train.partial")
    dump.rename(partial)
    shutil.rmtree(partial / "logits" / "c")
    assert find_dumps(dump.parents[4]) == {}
    write_dumps([(dump, logits, attributes(dump))], **columns)
    np.testing.assert_array_equal(read_dump(dump).logits, logits)
    assert not partial.exists()


def test_rows_must_begin_at_a_shard(tmp_path, columns, logits):
    path = dump_path(tmp_path, "kd", 3, 10, "train")
    with pytest.raises(ValueError, match="multiple"):
        write_dumps([(path, logits, {})], **columns, first_row=1)


def _truncate(path):
    file = next(f for f in sorted(path.rglob("*")) if f.is_file() and f.stat().st_size > 1000)
    file.write_bytes(file.read_bytes()[:500])


def _flip_a_bit(path):
    file = path / "logits" / "c" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 16
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        shutil.rmtree,
        _truncate,
        _flip_a_bit,
        lambda path: (path / "zarr.json").write_text("{"),
        lambda path: (path / "zarr.json").write_text(json.dumps({"zarr_format": 3})),
        lambda path: (path / "label" / "c" / "0").unlink(),
        lambda path: shutil.rmtree(path / "id"),
    ],
)
def test_damage_is_one_line(dump, damage):
    damage(dump)
    with pytest.raises(
        InputError, match=r"^(dump )?.*/step-10/train(/zarr.json)?: is (not there|damaged).*remove that folder"
    ) as raised:
        read_dump(dump)
    assert "\n" not in str(raised.value)
