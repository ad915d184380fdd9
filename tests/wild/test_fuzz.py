"""Random data, settings and damages: each gives the right result, or one line; never a traceback or another number.

python -m pytest -m slow -n 0 -s tests/wild/test_fuzz.py          # counts of outcomes are printed at the end
DISTILL_JAX_FUZZ=10 python -m pytest -m slow ...                  # ten times as many examples
"""

import collections
import contextlib
import csv
import io
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import write_npz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from small_study import QUIET, setting

from distill_jax.command import main as distill
from distill_jax.command.spelling import options
from distill_jax.data import load_dataset
from distill_jax.data.sources import text_files
from distill_jax.dumps import find_dumps, read_dump, remove_dumps
from distill_jax.errors import InputError, RunError
from distill_jax.fields import leaves
from distill_jax.presets import PRESETS
from distill_jax.setting import DataSetting
from distill_jax.study.study import Study
from distill_jax.study.workdir import populations
from distill_jax.training.population import Member

pytestmark = pytest.mark.slow

_TIMES = float(os.environ.get("DISTILL_JAX_FUZZ", "1"))
_FOUND = collections.Counter()


def fuzzed(examples):
    return settings(
        max_examples=max(int(examples * _TIMES), 1),
        deadline=60_000,  # ms, for a hang
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def counts():
    yield
    for (kind, outcome), count in sorted(_FOUND.items()):
        print(f"{kind}: {outcome} {count:,}")
    print(f"in all {sum(_FOUND.values()):,} examples")


def outcome(kind, f):
    """What `f` gives; None where it refuses in one line."""
    found = said = None
    try:
        found = f()
    except (InputError, RunError) as error:
        said = str(error)
    _FOUND[kind, "taken, and right" if said is None else "refused in one line"] += 1
    assert said is None or (10 < len(said) < 2000 and len(said.splitlines()) == 1), said
    return found


@st.composite
def damage(draw, content: bytes):
    """Bytes with one to three changes."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        how = draw(st.sampled_from(["flip", "cut", "delete", "insert", "double", "zero"]))
        size = draw(st.integers(1, 64))
        if how == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[at:]
        elif how == "delete":
            del content[at : at + size]
        elif how == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif how == "double":
            content[at:at] = content[at : at + size]
        elif how == "zero":
            content[at : at + size] = bytes(len(content[at : at + size]))
    return bytes(content)


# Arrays

NAMES = ("x_train", "y_train", "x_test", "y_test")
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).map(str.strip).filter(bool)


@st.composite
def inputs(draw, count, shape, right):
    if right:
        dtype, elements = draw(
            st.sampled_from([("uint8", st.integers(0, 255)), ("float32", st.floats(0, 1, width=32))])
        )
        return draw(arrays_of.arrays(dtype, (count, *shape), elements=elements))
    dtype = draw(st.sampled_from(["uint8", "float32", "float64", "float16", "int64", "bool", "complex64"]))
    return draw(arrays_of.arrays(dtype, (count, *shape)))


@st.composite
def outputs(draw, count, right):
    if right:
        known = draw(st.lists(st.one_of(st.integers(-(2**31), 2**31 - 1)), min_size=2, max_size=4, unique=True))
        if draw(st.booleans()):
            known = draw(st.lists(WORDS, min_size=2, max_size=4, unique=True))
        found = np.array([known[i % len(known)] for i in range(count)])
        return found[:, None] if draw(st.booleans()) else found
    dtype = draw(st.sampled_from(["float32", "bool", "int32", "uint64", "int64"]))
    return draw(arrays_of.arrays(dtype, draw(st.sampled_from([(count,), (count, 1), (count, 2)]))))


@st.composite
def own_arrays(draw):
    right = draw(st.booleans())  # in most ways, else hardly any would be
    counts = (draw(st.integers(8, 20)), draw(st.integers(1, 8))) if right else (draw(st.integers(0, 6)),) * 2
    shapes = [(4, 4), (4, 4, 3), (4, 5, 1), (6,)]
    shape = draw(st.sampled_from(shapes if right else [*shapes, (3, 8, 8), (8, 8, 2), (), (1, 1, 1, 1), (4, 0)]))
    x, y = draw(inputs(counts[0], shape, right)), draw(outputs(counts[0], right))
    found = dict(zip(NAMES, (x, y, x[: counts[1]], y[: counts[1]]), strict=True))
    if not right and draw(st.booleans()):
        found["y_test"] = draw(outputs(counts[1], False))
    for name in draw(st.sampled_from([[]] * 9 + [["x_test"], ["y_train"]])):
        del found[name]
    return found


def load(path):
    return load_dataset(DataSetting(dataset=str(path), augment="none"))


def check_arrays(dataset, given):
    """Checks what was read against what was written, by means of its own."""
    y = {split: given[f"y_{split}"].reshape(-1) for split in ("train", "test")}
    known = sorted(set(y["train"].tolist()))
    assert dataset.num_classes == len(known) >= 2
    for split in ("train", "test"):
        part, x = getattr(dataset, split), given[f"x_{split}"]
        wanted = x if x.dtype == np.uint8 else x.astype(np.float32)
        np.testing.assert_array_equal(part.x.reshape(wanted.shape), wanted)
        assert np.isfinite(part.x).all()
        assert [known[k] for k in part.label.tolist()] == y[split].tolist()
        np.testing.assert_array_equal(part.label, part.true_label)
        np.testing.assert_array_equal(part.id, np.arange(len(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@fuzzed(600)
@given(data=st.data())
def test_arrays(folder, data):
    given_arrays = data.draw(own_arrays())
    path = folder / "own.npz"
    np.savez(path, **given_arrays)
    dataset = outcome(".npz", lambda: load(path))
    if dataset is not None:
        check_arrays(dataset, given_arrays)


@fuzzed(600)
@given(data=st.data())
def test_bytes_of_arrays(folder, data):
    whole = write_npz(folder / "whole.npz")
    path = folder / "damaged.npz"
    path.write_bytes(data.draw(damage(whole.read_bytes())))
    dataset = outcome("bytes of .npz", lambda: load(path))
    if dataset is not None:
        with np.load(whole) as file:
            check_arrays(dataset, dict(file))


# Texts

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.sampled_from(["a film", "not, a film", 'a "film"', "it's", " spaces ", "two\nlines", "\u00e9\U0001f600"]),
)


@st.composite
def rows_of(draw):
    columns = draw(st.permutations(["text", "label", *draw(st.sampled_from([[], ["text_pair"], ["more", "é"]]))]))
    count = draw(st.integers(0, 8))
    labels = draw(st.sampled_from([st.integers(-3, 5), WORDS, st.sampled_from(["a", "b"])]))
    rows = [{c: draw(labels if c == "label" else TEXTS) for c in columns} for _ in range(count)]
    return columns, rows


def as_csv(columns, rows, end, mark):
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return (mark + stream.getvalue()).encode()


def as_jsonl(rows, ascii_only, end, mark):
    return (mark + "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in rows)).encode()


def read_texts(path):
    return text_files._read("--dataset own: ", [path])


def csv_s(content):
    """What Python's reader finds where nothing is checked."""
    stream = io.StringIO(content.decode("utf-8-sig"), newline="")
    return list(csv.DictReader(stream))


def jsonl_s(content):
    return [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]


def check_texts(found, rows):
    first, second, labels, more = found.first, found.second, found.label, found.unread
    assert first == [row["text"] for row in rows]
    assert second == ([row["text_pair"] for row in rows] if "text_pair" in rows[0] else None)
    assert more == {name for row in rows for name in row} - {"text", "text_pair", "label"}
    assert labels == [row["label"].strip() if isinstance(row["label"], str) else row["label"] for row in rows]


@fuzzed(600)
@given(data=st.data())
def test_texts(folder, data):
    columns, rows = data.draw(rows_of())
    end, mark = data.draw(st.sampled_from(["\n", "\r\n"])), data.draw(st.sampled_from(["", "\ufeff"]))
    kind = data.draw(st.sampled_from([".csv", ".jsonl"]))
    whole = as_csv(columns, rows, end, mark) if kind == ".csv" else as_jsonl(rows, data.draw(st.booleans()), end, mark)
    damaged = data.draw(st.booleans())
    content = data.draw(damage(whole)) if damaged else whole
    path = folder / f"train{kind}"
    path.write_bytes(content)
    found = outcome(f"bytes of {kind}" if damaged else kind, lambda: read_texts(path))
    empty = any(not row[c].strip() for row in rows for c in row if c in ("text", "text_pair"))
    if found is not None:
        expected = (csv_s if kind == ".csv" else jsonl_s)(content) if damaged or kind == ".csv" else rows
        check_texts(found, expected)
    elif not damaged:
        assert empty or not rows or (kind == ".csv" and any("\r" in str(v) for row in rows for v in row.values()))


# Settings

VALUES = st.one_of(
    st.integers(-5, 200).map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
    st.floats(0, 2).map(str),
    st.sampled_from(
        ["True", "False", "None", "", "nan", "inf", "-1", "1e300", "0x10", "\u0661", "digits", "sgd", "adam"]
    ),
    st.sampled_from(
        ["mlp", "resnet-cifar", "roberta", "mobilenet-v2", "float32", "bfloat16", "cosine", "all-outcomes"]
    ),
    st.sampled_from(["~", ".", "..", "a b", "[x]", "a\nb", "é", "s3://b/x", "\\", "\ud800", "-", "--"]),
    st.text(st.characters(exclude_characters="/\0"), max_size=5),
)
# Which open ports, write beside the work directory, or would be right in any folder.
LEFT_OUT = ("--distributed", "--coordinator", "--processes", "--process-id", "--workdir", "--dataset", "--cache-dir")
OWN_DATA = PRESETS["own-data"].setting
OPTIONS = {option: value for field, value in leaves(OWN_DATA) if (option := options(OWN_DATA)[field]) not in LEFT_OUT}
OF_ITS_KIND = {
    bool: st.booleans().map(str),
    int: st.integers(0, 60).map(str),
    float: st.floats(0, 2).map(str),
    tuple: st.floats(0, 1).map(str),
    type(None): st.integers(1, 20).map(str),
}


@fuzzed(300)
@given(data=st.data())
def test_settings(folder, data):
    options = data.draw(st.lists(st.sampled_from(sorted(OPTIONS)), min_size=1, max_size=4, unique=True))
    likely = data.draw(st.booleans())
    kinds = {option: OF_ITS_KIND.get(type(OPTIONS[option]), VALUES) if likely else VALUES for option in options}
    words = [word for option in options for word in (option, data.draw(kinds[option]))]
    work = folder / "setting"
    shutil.rmtree(work, ignore_errors=True)
    fixed = ["own-data", "--dataset", str(write_npz(folder / "own.npz")), "--workdir", str(work)]
    fixed += ["--cache-dir", str(folder / "cache")]
    fixed += [] if "--batch-size" in options else ["--batch-size", "20"]

    def study():
        with contextlib.suppress(SystemExit), contextlib.chdir(folder):
            return Study(distill.setting_from([*fixed, *words]), QUIET)

    found = outcome("settings", study)
    assert work.exists() == (found is not None)
    if found is not None:
        assert found.schedule.total_steps >= 1
        for _, value in leaves(found.setting):
            assert not isinstance(value, float) or math.isfinite(value)


# Work directories


@pytest.fixture(scope="module")
def made(folder):
    """A finished study and its dumps."""
    npz = write_npz(folder / "study.npz")
    run = {"workdir": folder / "made", "seeds": 1, "checkpoint_seconds": 0.0, "keep_checkpoints": 100}
    Study(setting(run["workdir"], data={"dataset": str(npz)}, run=run), QUIET).train()
    return npz, run, dumps(folder / "made")


def dumps(folder):
    return {key: read_dump(path) for key, path in find_dumps(folder).items()}


def interrupted(work):
    """Takes the end of the students' training away."""
    (students,) = (p for p in populations(work) if Member("kd", 0) in p.members)
    last = max(step for *_, step, _ in find_dumps(work))
    (students.folder / "done.json").unlink()
    shutil.rmtree(students.folder / "checkpoints" / str(last))
    (students.folder / "seals" / f"{last}.json").unlink()
    found = find_dumps(work).items()
    remove_dumps([path for (model, _, step, _), path in found if model != "teacher" and step == last])


@st.composite
def harm(draw, work: Path):
    """Something done to one or two files of a folder."""
    for _ in range(draw(st.integers(1, 2))):
        files = sorted(path for path in work.rglob("*") if path.is_file())
        path = draw(st.sampled_from(files))
        how = draw(st.sampled_from(["damage"] * 5 + ["delete", "delete folder", "exchange", "folder", "empty"]))
        if how == "damage":
            path.write_bytes(draw(damage(path.read_bytes())))
        elif how == "exchange":
            other = draw(st.sampled_from(files))
            ours, theirs = path.read_bytes(), other.read_bytes()
            path.write_bytes(theirs)
            other.write_bytes(ours)
        elif how == "delete folder" and path.parent != work:
            shutil.rmtree(path.parent)
        elif how == "empty":
            path.write_bytes(b"")
        else:
            path.unlink()
            if how == "folder":
                path.mkdir()


@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_bytes_of_a_work_directory(folder, made, state):
    npz, run, whole = made

    @fuzzed(300 if state == "finished" else 150)
    @given(data=st.data())
    def go(data):
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(run["workdir"], work)
        if state == "interrupted":
            interrupted(work)
        data.draw(harm(work))

        def study():
            Study(setting(work, data={"dataset": str(npz)}, run=run | {"workdir": work}), QUIET).train()
            for population in populations(work):
                population.facts()
                population.commits()
            return dumps(work)

        found = outcome(f"a work directory that is {state}", study)
        if found is not None:
            assert found.keys() == whole.keys()
            for key, dump in found.items():
                assert dump.attributes == whole[key].attributes
                for name in ("logits", "label", "true_label", "id"):
                    np.testing.assert_array_equal(getattr(dump, name), getattr(whole[key], name), err_msg=str(key))

    go()
