import itertools
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray
import zarr
from command import ROOT
from old_dump import write_old

from distill_jax import files
from distill_jax.dumps import (
    SHARD_EXAMPLES,
    Dump,
    dump_exists,
    dump_path,
    find_dumps,
    find_steps,
    group,
    index,
    read_dump,
    remove_dumps,
    save_dump,
    write_dumps,
)
from distill_jax.errors import InputError
from distill_jax.machine import processes

ROWS, CLASSES = SHARD_EXAMPLES + 1000, 7
SEEDS, STEPS = (0, 1, 2, 3), (0, 10)
OF_A_STEP = len(SEEDS) * 4 * SHARD_EXAMPLES * CLASSES  # bytes of a file


@pytest.fixture(scope="module")
def columns():
    label = np.random.default_rng(0).integers(0, CLASSES, ROWS).astype(np.int32)
    label[:SHARD_EXAMPLES] = 0
    return {"label": label, "true_label": label[::-1].copy(), "id": np.arange(ROWS) * 3 - 5}


def logits(seed, step, rows=ROWS):
    """Of one dump; those of seed 1 begin with what zarr would take for nothing."""
    made = np.random.default_rng([seed, step]).normal(size=(rows, CLASSES)).astype(np.float32)
    if seed == 1:
        made[:SHARD_EXAMPLES] = np.nan
    return made


def label_of(columns, seed):
    """Each seed sees labels of its own."""
    return (columns["label"] + seed) % CLASSES


def write(workdir, columns, seeds, step, model="kd", split="train", room=((), ())):
    items = [(dump_path(workdir, model, s, step, split), logits(s, step), {"setting": f"of {s}"}) for s in seeds]
    label = np.stack([label_of(columns, seed) for seed in seeds])
    write_dumps(items, label, columns["true_label"], columns["id"], room=room)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, columns):
    """A folder with all dumps, of all seeds at once; not to be changed."""
    workdir = tmp_path_factory.mktemp("whole")
    for step in STEPS:
        write(workdir, columns, SEEDS, step, room=(SEEDS, STEPS))
    return workdir


@pytest.fixture(scope="module")
def apart(tmp_path_factory, columns):
    """The same, as of larger dumps: each step has files of its own."""
    workdir = tmp_path_factory.mktemp("apart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group, "_TINY", OF_A_STEP)
        for step in STEPS:
            write(workdir, columns, SEEDS, step, room=(SEEDS, STEPS))
    return workdir


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def dump(copy):
    return dump_path(copy, "kd", 3, 10, "train")


def contents(workdir):
    return {path.relative_to(workdir): path.read_bytes() for path in workdir.rglob("*") if path.is_file()}


def assert_are_there(workdir, columns, seeds=SEEDS, steps=STEPS):
    places = set(itertools.product(["kd"], seeds, steps, ["train"]))
    assert set(find_dumps(workdir)) == places
    for _, seed, step, split in places:
        read = read_dump(dump_path(workdir, "kd", seed, step, split))
        np.testing.assert_array_equal(read.logits, logits(seed, step))
        np.testing.assert_array_equal(read.label, label_of(columns, seed))


def test_dumps_are_read_measured_and_drawn_without_jax():
    code = (
        "import sys, distill_jax\n"
        "distill_jax.dumps.read_dump, distill_jax.deviations, distill_jax.statistics, distill_jax.plots\n"
        "import distill_jax.measures.findings\n"
        "print([n for n in ('jax', 'flax', 'transformers', 'tensorflow_datasets', 'pyarrow') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_what_is_read_is_what_was_written(whole, columns):
    assert_are_there(whole, columns)
    read = read_dump(dump_path(whole, "kd", 3, 10, "train"))
    for name in ("true_label", "id"):
        np.testing.assert_array_equal(getattr(read, name), columns[name])
    place = {"model": "kd", "seed": 3, "step": 10, "split": "train", "num_classes": CLASSES}
    assert read.attributes == place | {"setting": "of 3", "examples": ROWS}
    assert sorted(find_steps(whole / "dumps" / "kd" / "seed-3", "train")) == list(STEPS)
    assert not find_steps(whole / "dumps" / "kd" / "seed-4", "train")


def test_a_name_may_be_relative_or_go_by_a_link(whole, monkeypatch, tmp_path):
    monkeypatch.chdir(whole / "dumps")
    (tmp_path / "link").symlink_to(whole / "dumps" / "kd")
    for name in ("kd/seed-2/step-0/train", "../dumps/kd/seed-2/step-0/train", tmp_path / "link/seed-2/step-0/train"):
        assert read_dump(name).attributes["seed"] == 2
    assert sorted(find_steps(tmp_path / "link" / "seed-1", "train")) == list(STEPS)
    (tmp_path / "dumps").mkdir()
    shutil.copytree("kd", tmp_path / "moved")
    (tmp_path / "dumps" / "kd").symlink_to(tmp_path / "moved")
    assert len(find_dumps(tmp_path)) == len(SEEDS) * len(STEPS)


def test_zarr_and_xarray_select_by_name(copy, columns):
    write(copy, columns, [2], 10, model="kd@temperature=2", split="test")
    opened = zarr.open_group(copy / "dumps" / "kd" / "train", mode="r")
    assert dict(opened.attrs) == {"model": "kd", "split": "train", "num_classes": CLASSES}
    np.testing.assert_array_equal(opened["logits"][2, 1], logits(2, 10))
    with xarray.open_zarr(copy / "dumps" / "kd" / "train") as dataset:
        assert dict(dataset.sizes) == {"seed": 4, "step": 2, "example": ROWS, "class": CLASSES}
        assert set(dataset.coords) == {"seed", "step", "id"}
        np.testing.assert_array_equal(dataset["id"], columns["id"])
        chosen = dataset.sel(seed=3, step=10)
        np.testing.assert_array_equal(chosen["logits"], logits(3, 10))
        np.testing.assert_array_equal(chosen["label"], label_of(columns, 3))
    with xarray.open_datatree(copy / "dumps", engine="zarr") as tree:
        np.testing.assert_array_equal(tree["kd/train/logits"].sel(seed=0, step=0), logits(0, 0))
        np.testing.assert_array_equal(tree["kd@temperature=2/test/logits"].sel(seed=2, step=10), logits(2, 10))


def test_there_are_few_files(whole, apart, copy, columns):
    assert len(contents(apart)) == 2 + 13 + 2 * len(STEPS)  # of the folders, of the group, two for each step's rows
    assert len(contents(whole)) == 2 + 13 + 2
    write(copy, columns, range(4, 18), STEPS[0])
    assert len(contents(copy)) == len(contents(whole))


PORTIONS = {"portions": [(0, 1), (2, 3)], "one by one": [(0,), (1,), (2,), (3,)], "backwards": [(2, 3), (1, 0)]}


@pytest.mark.parametrize("portions", PORTIONS)
@pytest.mark.parametrize("has_room", [True, False])
def test_portions_of_seeds_are_the_whole(tmp_path, columns, whole, portions, has_room):
    for seeds, step in itertools.product(PORTIONS[portions], STEPS):
        write(tmp_path, columns, seeds, step, room=(SEEDS, STEPS) if has_room else ((), ()))
    assert_are_there(tmp_path, columns)
    if has_room:
        ours, theirs = contents(tmp_path), contents(whole)
        assert ours.keys() == theirs.keys()
        indices = [path for path in ours if path.name == "complete.json"]
        assert all(ours[path] == theirs[path] for path in ours if path not in indices or portions != "backwards")


def test_a_large_dump_has_files_of_the_seeds_that_train_together(tmp_path, columns, monkeypatch):
    monkeypatch.setattr(group, "_SMALL", 1)
    monkeypatch.setattr(group, "_TINY", 1)
    for step, seeds in itertools.product(STEPS, [(0, 1), (2, 3)]):
        write(tmp_path, columns, seeds, step, room=(SEEDS, STEPS))
    assert_are_there(tmp_path, columns)
    shards = sorted(path.as_posix() for path in (tmp_path / "dumps/kd/train/logits/c").glob("*/*/*/*"))
    assert len(shards) == 2 * len(STEPS) * 2
    monkeypatch.setattr(group, "_LARGE", 1)
    assert group.seeds_in_shard(10**9, together=4) == 1


class Killed(BaseException):
    """As if the process were gone."""


def killed_at(monkeypatch, number, do):
    """Does something, and stops at the so manieth moment before a file is renamed, or before or after one of an array
    is written; whether it came to that."""
    moments, lock = itertools.count(), threading.Lock()

    def moment():
        with lock:
            if next(moments) >= number:
                raise Killed

    write_file, replace = group._write_file, files.os.replace

    def stopped_writing(*arguments):
        moment()
        write_file(*arguments)
        moment()

    def stopped_replacing(*arguments):
        moment()
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(group, "_write_file", stopped_writing)
        patch.setattr(files.os, "replace", stopped_replacing)
        try:
            do()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("begun", ["not at all", "by other seeds", "by another step"])
def test_killed_at_every_write_and_resumed_it_is_undisturbed(tmp_path, columns, whole, monkeypatch, begun):
    monkeypatch.setattr(files.os, "fsync", lambda handle: None)  # no power fails here
    monkeypatch.setattr(group, "_CONTEXTS", dict.fromkeys((False, True), group._CONTEXTS[False]))
    before = {"not at all": [], "by other seeds": [(0, 0), (1, 0)], "by another step": [(s, 0) for s in SEEDS]}[begun]
    room = SEEDS, STEPS

    def write_missing(workdir, places):
        for step in STEPS:
            missing = [s for s, t in places if t == step and not dump_exists(dump_path(workdir, "kd", s, t, "train"))]
            if missing:
                write(workdir, columns, missing, step, room=room)

    write_missing(tmp_path / "begun", before)
    every = list(itertools.product(SEEDS, STEPS))
    for number in itertools.count():
        workdir = tmp_path / "work"
        shutil.rmtree(workdir, ignore_errors=True)
        if before:
            shutil.copytree(tmp_path / "begun", workdir)
        was_killed = killed_at(monkeypatch, number, lambda at=workdir: write_missing(at, every))
        found = find_dumps(workdir)
        assert {("kd", *place, "train") for place in before} <= found.keys()
        for (_, seed, step, _), path in found.items():
            read = read_dump(path)
            np.testing.assert_array_equal(read.logits, logits(seed, step))
            np.testing.assert_array_equal(read.label, label_of(columns, seed))
        write_missing(workdir, every)
        assert contents(workdir) == contents(whole)
        if not was_killed:
            break
    assert number >= 5


def test_what_is_written_anew_is_not_there_until_it_is_whole(dump, columns, monkeypatch):
    workdir = dump.parents[4]
    number = 0
    while killed_at(monkeypatch, number, lambda: write(workdir, columns, [3], 10)):
        assert not dump_exists(dump) or read_dump(dump)
        assert read_dump(dump_path(workdir, "kd", 2, 10, "train"))
        number += 1
    assert_are_there(workdir, columns)


def test_it_is_read_while_others_are_written(copy, columns):
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [write(copy, columns, [seed], 10) for seed in range(4, 24)])
        reads = 0
        while not writing.done():
            np.testing.assert_array_equal(read_dump(dump_path(copy, "kd", 3, 10, "train")).logits, logits(3, 10))
            reads += 1
        writing.result()
    assert reads > 3


def test_several_may_save_at_once(tmp_path):
    def save(seed):
        values = np.random.default_rng(seed).normal(size=(20, 4))
        return save_dump(tmp_path, Dump.of(values, np.arange(20) % 4, model="mine", seed=seed)), values

    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(save, range(16)))
    for path, values in saved:
        np.testing.assert_array_equal(read_dump(path).logits, values.astype(np.float32))


def test_rows_must_begin_at_a_shard_and_names_be_of_dumps(tmp_path, columns):
    path = dump_path(tmp_path, "kd", 3, 10, "train")
    with pytest.raises(ValueError, match="multiple"):
        write_dumps([(path, logits(3, 10), {})], **columns, first_row=1)
    with pytest.raises(ValueError, match="is no dump's; must be as"):
        write_dumps([(tmp_path / "train", logits(3, 10), {})], **columns)
    assert not contents(tmp_path)


def test_two_processes_write_rows_of_their_own(tmp_path, columns, whole, monkeypatch):
    """Threads in place of processes, of which the first alone prepares and says what is there."""
    first, barrier, exchanged = threading.get_ident(), threading.Barrier(2, timeout=60), []

    def summed(array):
        exchanged.append(array)
        barrier.wait()
        total = sum(exchanged)
        barrier.wait()
        exchanged.clear()
        barrier.wait()
        return total

    monkeypatch.setattr(processes, "is_first", lambda: threading.get_ident() == first)
    monkeypatch.setattr(processes, "barrier", lambda name: barrier.wait())
    monkeypatch.setattr(processes, "summed", summed)

    def write_rows(rows):
        for step in STEPS:
            items = [
                (dump_path(tmp_path, "kd", s, step, "train"), logits(s, step)[rows], {"setting": f"of {s}"})
                for s in SEEDS
            ]
            label = np.stack([label_of(columns, seed) for seed in SEEDS])
            write_dumps(items, label, columns["true_label"], columns["id"], rows.start, (SEEDS, STEPS))

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(write_rows, slice(SHARD_EXAMPLES, ROWS))
        write_rows(slice(0, SHARD_EXAMPLES))
        second.result()
    assert contents(tmp_path) == contents(whole)


def _group(dump):
    return dump.parents[2] / dump.name


def _flip_a_bit(at):
    def flip(file):
        content = bytearray(file.read_bytes())
        content[at] ^= 16
        file.write_bytes(content)

    return flip


def _truncate(file):
    file.write_bytes(file.read_bytes()[:-30])


SHARDS, TOGETHER = "logits/c/0/1", "logits/c/0/0"  # those of step 10, where it has its own and where not
COLUMNS = "label/c/0/0"
DAMAGES = {
    "a bit of a shard": (f"{SHARDS}/0/0", _flip_a_bit(-5000), SHARDS),
    "a bit of a second shard": (f"{SHARDS}/1/0", _flip_a_bit(-5000), SHARDS),
    "a shard cut": (f"{SHARDS}/1/0", _truncate, SHARDS),
    "a shard of another step": (
        f"{SHARDS}/1/0",
        lambda file: shutil.copy(file.parents[2] / "0" / "1" / "0", file),
        SHARDS,
    ),
    "a shard of another place": (f"{SHARDS}/0/0", lambda file: shutil.copy(file.parents[1] / "1" / "0", file), SHARDS),
    "a bit of the labels": (COLUMNS, _flip_a_bit(-500), ""),
    "no labels": (COLUMNS, lambda file: file.unlink(), ""),
    "no true labels": ("true_label/c/0", lambda file: file.unlink(), ""),
    "no id": ("id", shutil.rmtree, ""),
    "another id": ("id/c/0", lambda file: shutil.copy(file.parents[2] / "true_label" / "c" / "0", file), ""),
    "no index's end": (index.INDEX, _truncate, ""),
    "a bit of the index": (index.INDEX, _flip_a_bit(100), ""),
    "another index": (index.INDEX, lambda file: file.write_text(json.dumps({"index": {}, "crc32": 0})), ""),
    "no metadata": ("logits/zarr.json", lambda file: file.unlink(), ""),
    "metadata of others": (
        "logits/zarr.json",
        lambda file: shutil.copy(file.parents[1] / "id" / file.name, file),
        "",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("steps", ["apart", "together"])
def test_damage_is_one_line_whose_remedy_serves(whole, apart, columns, tmp_path, damage, steps):
    where, how, remedy = DAMAGES[damage]
    if steps == "together":
        if "another step" in damage:
            pytest.skip("both are in one file")
        where, remedy, expected, gone = where.replace(SHARDS, TOGETHER), remedy.replace(SHARDS, TOGETHER), whole, STEPS
    else:
        expected, gone = apart, (10,) if remedy else STEPS
    workdir = tmp_path / "copy"
    shutil.copytree(expected, workdir)
    dump = dump_path(workdir, "kd", 3, 10, "train")
    how(_group(dump) / where)
    with pytest.raises(InputError, match=r"^(dump )?.*: is damaged.*; remove (.*) and run the same command") as raised:
        read_dump(dump)
    assert "\n" not in str(raised.value)
    to_remove = str(raised.value).rpartition("remove ")[2].partition(" and run")[0]
    assert to_remove == str(_group(dump) / remedy)
    shutil.rmtree(to_remove)
    with pytest.MonkeyPatch.context() as patch:
        if steps == "apart":
            patch.setattr(group, "_TINY", OF_A_STEP)
        for step in STEPS:
            missing = [s for s in SEEDS if not dump_exists(dump_path(workdir, "kd", s, step, "train"))]
            assert missing == (list(SEEDS) if step in gone else [])
            if missing:
                write(workdir, columns, missing, step, room=(SEEDS, STEPS))
    assert_are_there(workdir, columns)
    assert contents(workdir) == contents(expected)


@pytest.mark.parametrize("steps", ["apart", "together"])
def test_a_shard_that_is_lost_is_not_made_up_by_the_next_that_is_written(whole, apart, columns, tmp_path, steps):
    workdir, kept = tmp_path / "copy", [0] if steps == "apart" else []
    shutil.copytree(apart if steps == "apart" else whole, workdir)
    dump = dump_path(workdir, "kd", 3, 10, "train")
    (_group(dump) / f"{SHARDS if steps == 'apart' else TOGETHER}/1/0").unlink()
    assert sorted(find_steps(dump.parents[1], "train")) == kept
    with pytest.raises(InputError, match="step-10/train: is not there; run the same command again to write it"):
        read_dump(dump)
    write(workdir, columns, [0], 10)
    assert [place for place in find_dumps(workdir) if place[2] == 10] == [("kd", 0, 10, "train")]
    write(workdir, columns, [1, 2, 3], 10)
    assert_are_there(workdir, columns, steps=[*kept, 10])
    write(workdir, columns, SEEDS, 0)
    assert_are_there(workdir, columns)


def test_a_damaged_shard_is_not_written_into(dump, columns):
    file = _group(dump) / f"{TOGETHER}/0/0"
    content = bytearray(file.read_bytes())
    content[-10] ^= 4  # of the shard's own table
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"is damaged: .*; remove {_group(dump) / TOGETHER} and run the same command"):
        write(dump.parents[4], columns, [9], 10)
    assert file.read_bytes() == content


def test_other_groups_and_their_indices_are_noticed(copy, columns):
    write(copy, columns, SEEDS, 10, split="test")
    write(copy, columns, SEEDS, 10, model="one_hot")
    for model, split in (("kd", "test"), ("one_hot", "train")):
        mine, its = copy / "dumps" / "kd" / "train", copy / "dumps" / model / split
        kept = (mine / index.INDEX).read_bytes()
        shutil.copy(its / index.INDEX, mine / index.INDEX)
        with pytest.raises(InputError, match=r"^dump .* is that of (split|model) .*; must be where it belongs"):
            read_dump(dump_path(copy, "kd", 0, 10, "train"))
        (mine / index.INDEX).write_bytes(kept)


def test_dumps_are_removed_and_the_last_with_its_folder(copy, columns):
    paths = find_dumps(copy)
    remove_dumps([path for (_, _, step, _), path in paths.items() if step == 0])
    assert_are_there(copy, columns, steps=[10])
    remove_dumps(paths.values())
    assert not find_dumps(copy)
    assert not (copy / "dumps" / "kd" / "train").exists()
    with xarray.open_datatree(copy / "dumps", engine="zarr") as tree:
        assert not tree.children


def test_dumps_of_other_examples_are_no_neighbours(tmp_path):
    label = np.arange(20) % 4

    def of(n=20, k=4, shift=0, **more):
        return Dump.of(2 * np.eye(k)[(label[:n] + shift) % 4], (label[:n] + shift) % 4, model="mine", **more)

    first = save_dump(tmp_path, of())
    for other, said in (
        (of(n=19, seed=1), "19 examples of 4 classes, not 20 of 4"),
        (of(k=5, step=1), "20 examples of 5 classes, not 20 of 4"),
        (of(seed=1, id=np.arange(20) + 1), "other examples, by their ids or true labels"),
        (of(step=1, shift=1, true_label=label), "other labels of seed 0"),
    ):
        with pytest.raises(InputError, match=f"^dump .*mine/seed-./step-./test: has {said}") as raised:
            save_dump(tmp_path, other)
        assert "must be of the same, or of a model of another name" in str(raised.value)
        assert list(find_dumps(tmp_path).values()) == [first]
    save_dump(tmp_path, of(seed=1, shift=1, true_label=label))  # a seed's own labels
    remove_dumps([dump_path(tmp_path, "mine", 1, 0, "test")])
    assert read_dump(save_dump(tmp_path, of(k=5))).logits.shape == (20, 5)  # the only one is replaced


def old(columns, seed=3, step=10):
    attributes = {"model": "kd", "seed": seed, "step": step, "split": "train", "num_classes": CLASSES, "setting": "abc"}
    return Dump(logits(seed, step), label_of(columns, seed), columns["true_label"], columns["id"], attributes)


def test_old_dumps_are_read_found_and_replaced(tmp_path, columns):
    path, dump = dump_path(tmp_path, "kd", 3, 10, "train"), old(columns)
    write_old(path, dump)
    assert find_dumps(tmp_path) == {("kd", 3, 10, "train"): path}
    assert find_steps(path.parents[1], "train") == {10: path}
    read = read_dump(path)
    assert read.attributes == dump.attributes | {"examples": ROWS}
    for name in ("logits", "label", "true_label", "id"):
        np.testing.assert_array_equal(getattr(read, name), getattr(dump, name))
    shutil.copytree(path, tmp_path / "elsewhere")
    np.testing.assert_array_equal(read_dump(tmp_path / "elsewhere").logits, dump.logits)
    write(tmp_path, columns, [0, 1], 10)  # beside it
    assert sorted(seed for _, seed, *_ in find_dumps(tmp_path)) == [0, 1, 3]
    write(tmp_path, columns, [3], 10)
    assert not path.exists()
    assert read_dump(path).attributes["setting"] == "of 3"
    write_old(path, dump)
    remove_dumps([path])
    assert sorted(seed for _, seed, *_ in find_dumps(tmp_path)) == [0, 1]


OLD_DAMAGES = {
    "cut": lambda path: _truncate(path / "logits/c/0/0"),
    "a bit": lambda path: _flip_a_bit(2000)(path / "logits/c/0/0"),
    "no shard": lambda path: (path / "logits/c/1/0").unlink(),
    "no attributes": lambda path: (path / "zarr.json").write_text(json.dumps({"zarr_format": 3})),
    "no JSON": lambda path: (path / "zarr.json").write_text("{"),
    "no label": lambda path: (path / "label/c/0").unlink(),
    "no id": lambda path: shutil.rmtree(path / "id"),
}


@pytest.mark.parametrize("damage", OLD_DAMAGES)
def test_damage_of_an_old_dump_is_one_line(tmp_path, columns, damage):
    path = dump_path(tmp_path, "kd", 3, 10, "train")
    write_old(path, old(columns))
    OLD_DAMAGES[damage](path)
    with pytest.raises(
        InputError, match=r"^(dump )?.*/step-10/train(/zarr.json)?: is damaged.*remove that folder"
    ) as e:
        read_dump(path)
    assert "\n" not in str(e.value)


def test_a_folder_of_several_dumps_is_none(whole):
    with pytest.raises(InputError, match="holds several dumps; must be one of them, such as dumps/kd/seed-0/step-600"):
        read_dump(whole / "dumps" / "kd" / "train")
