import itertools
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from distill_jax import data
from distill_jax.data import dataset, progress_log
from distill_jax.data.arrays import chunks, mean_and_std
from distill_jax.data.cache import cached
from distill_jax.errors import InputError, RunError
from distill_jax.setting import DataSetting


@pytest.fixture
def place(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "raw").write_bytes(b"1234")
    return tmp_path


class Counter:
    """Builds arrays and counts how often."""

    def __init__(self):
        self.builds = 0

    def __call__(self, _=None):
        self.builds += 1
        return {"train.x": np.arange(60_000, dtype=np.uint8).reshape(100, 600), "train.label": np.arange(100)}


def load(place, build, files=None):
    files = [place / "source" / "raw"] if files is None else files
    return cached(place / "cache", "some-1.0", place / "source", files, build)


def entries(place):
    return sorted((place / "cache").iterdir())


def test_builds_once_and_maps_afterwards(place):
    build = Counter()
    first, second = load(place, build), load(place, build)
    assert build.builds == 1
    for arrays in (first, second):
        assert isinstance(arrays["train.x"], np.memmap)
        assert not arrays["train.x"].flags.writeable
        np.testing.assert_array_equal(arrays["train.x"], build()["train.x"])
        assert arrays["train.label"].dtype == np.int64
    assert len(entries(place)) == 1


@pytest.mark.parametrize("change", ["size", "time", "files"])
def test_changed_source_is_built_anew(place, change):
    build = Counter()
    load(place, build)
    raw = place / "source" / "raw"
    files = [raw]
    if change == "size":
        raw.write_bytes(b"12345")
    elif change == "time":
        os.utime(raw, (1, 1))
    else:
        files.append(place / "source" / "more")
        files[1].write_bytes(b"")
    load(place, build, files)
    assert build.builds == 2


def damage_truncate(entry):
    os.truncate(entry / "train.x.npy", 30_000)


def damage_by_one_byte(entry):
    with (entry / "train.x.npy").open("ab") as file:
        file.write(b"0")


def damage_empty(entry):
    os.truncate(entry / "train.x.npy", 0)


def damage_remove(entry):
    (entry / "train.label.npy").unlink()


def damage_swap(entry):
    np.save(entry / "train.label.npy", np.arange(100, dtype=np.float64))


def damage_manifest(entry):
    (entry / "manifest.json").write_text('{"train.x":')


def damage_manifest_kind(entry):
    (entry / "manifest.json").write_text(json.dumps([1]))


def damage_no_manifest(entry):
    (entry / "manifest.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_by_one_byte,
        damage_empty,
        damage_remove,
        damage_swap,
        damage_manifest,
        damage_manifest_kind,
        damage_no_manifest,
    ],
)
def test_damaged_entry_is_built_anew_in_its_place(place, damage):
    build = Counter()
    load(place, build)
    (entry,) = entries(place)
    damage(entry)
    arrays = load(place, build)
    assert build.builds == 2
    np.testing.assert_array_equal(arrays["train.x"], build()["train.x"])
    assert entries(place) == [entry]
    load(place, build)
    assert build.builds == 3  # one by this test itself, and none by the last load


def test_failed_build_leaves_nothing(place):
    def build(_):
        raise InputError("data.data_dir", None, "no good")

    with pytest.raises(InputError, match="no good"):
        load(place, build)
    assert entries(place) == []


def test_full_disk_is_a_run_error_and_leaves_nothing(place, monkeypatch):
    def save(path, *args, **kwargs):
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(RunError, match=r"^the cache folder .*No space left.*") as caught:
        load(place, Counter())
    assert len(str(caught.value).splitlines()) == 1
    assert entries(place) == []


def test_folder_that_cannot_be_made_is_an_input_error(place):
    build = Counter()
    (place / "cache").write_text("a file")
    with pytest.raises(InputError, match=r"^data.cache_dir .*cannot be written") as caught:
        load(place, build)
    assert len(str(caught.value).splitlines()) == 1
    assert build.builds == 0


def test_default_folder(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    cached(None, "some", place / "source", [], Counter())
    assert len(list((place / ".cache" / "distill-jax").iterdir())) == 1


def test_entry_that_another_process_made_meanwhile_is_kept(place):
    inner = Counter()

    def build(_):
        load(place, inner)  # the other process, faster
        return Counter()()

    arrays = load(place, build)
    np.testing.assert_array_equal(arrays["train.x"], inner()["train.x"])
    assert len(entries(place)) == 1


def test_what_killed_processes_left_is_removed_when_old_and_else_left(place):
    load(place, Counter())
    (entry,) = entries(place)
    for name, age in (("old", 2 * 24 * 3600), ("new", 60)):
        (place / "cache" / f".{entry.name}.{name}").mkdir()
        os.utime(place / "cache" / f".{entry.name}.{name}", (time.time() - age,) * 2)
    other = place / "cache" / ".config-of.user"
    other.mkdir()
    os.utime(other, (1, 1))
    damage_empty(entry)
    load(place, Counter())
    assert {p.name for p in entries(place)} == {entry.name, f".{entry.name}.new", other.name}


PROCESS = """
import sys, time
from pathlib import Path
import numpy as np
from distill_jax.data.cache import cached
place = Path(sys.argv[1])
def build(_):
    (place / f"ready-{sys.argv[2]}").touch()
    while len(list(place.glob("ready-*"))) < 4:
        time.sleep(0.01)
    return {"x": np.arange(10**6)}
if sys.argv[2] == "killed":
    def build(_):
        import os, signal
        save = np.save
        def die(*args, **kwargs):
            save(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        np.save = die
        return {"x": np.arange(10**6)}
x = cached(place / "cache", "some", place / "source", [place / "source" / "raw"], build)["x"]
assert int(x.sum()) == 10**6 * (10**6 - 1) // 2
"""


def start(place, name):
    return subprocess.Popen([sys.executable, "-c", PROCESS, str(place), name], stderr=subprocess.PIPE)


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_that_build_at_once_all_get_the_arrays(place, damaged):
    if damaged:
        files = [place / "source" / "raw"]
        cached(place / "cache", "some", place / "source", files, lambda _: {"x": np.arange(10**6)})
        os.truncate(entries(place)[0] / "x.npy", 1000)
    processes = [start(place, str(i)) for i in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert len(entries(place)) == 1


def test_killed_process_leaves_no_entry(place):
    process = start(place, "killed")
    process.communicate(timeout=60)
    assert process.returncode == -9
    (left,) = entries(place)
    assert left.name.startswith(".")
    for i in range(3):
        (place / f"ready-{i}").touch()
    again = start(place, "3")
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors.decode()


@pytest.mark.parametrize("rows", [100, 7])
def test_an_array_filled_in_its_file_is_as_one_in_memory(place, rows):
    """Also where only its first rows are taken."""
    value = np.random.default_rng(0).integers(0, 256, (100, 5, 3), np.uint8)

    def build(empty):
        x = empty("x", value.shape, value.dtype)
        x[:] = value
        return {"x": x[:rows], "label": np.arange(rows)}

    arrays = load(place, build)
    (entry,) = entries(place)
    np.testing.assert_array_equal(arrays["x"], value[:rows])
    np.testing.assert_array_equal(np.load(entry / "x.npy"), value[:rows])
    assert (entry / "x.npy").stat().st_size == 128 + rows * 15
    np.testing.assert_array_equal(load(place, None)["x"], value[:rows])


def test_what_the_disk_has_no_room_for_is_said_before_it_is_decoded(place):
    def build(empty):
        empty("x", (2**60,), np.uint8)
        pytest.fail("it was decoded")

    with pytest.raises(InputError, match=r"data.cache_dir .* GiB free, and decoded data need 1.07e\+09"):
        load(place, build)
    assert not entries(place)


def test_long_work_is_said_with_how_long_it_will_take(monkeypatch, caplog):
    monkeypatch.setattr(progress_log, "_SECONDS", 0.0)
    with caplog.at_level("INFO"):
        assert list(progress_log.logged("abcd", 4, "pictures")) == [*"abcd"]
    assert [message.rpartition(", ETA ")[0] for message in caplog.messages] == [
        f"pictures: {n} of 4" for n in (1, 2, 3, 4)
    ]


def test_what_is_computed_of_data_in_the_cache_is_remembered_there(tmp_path, monkeypatch):
    """And found again for the same numbers alone, whole in the cache; else, and where it is damaged, computed anew."""
    pictures = tmp_path / "own"
    for split, label in itertools.product(("train", "test"), ("cat", "dog")):
        (pictures / split / label).mkdir(parents=True)
        for number in range(3):
            x = np.random.default_rng([number, len(split), len(label)]).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(x).save(pictures / split / label / f"{number}.png")
    computed = []
    monkeypatch.setattr(data, "mean_and_std", lambda x: computed.append("moments") or mean_and_std(x))
    monkeypatch.setattr(dataset, "chunks", lambda x: computed.append(x.ndim) or chunks(x))

    def facts(**fields):
        computed.clear()
        found = data.load_dataset(DataSetting(dataset=str(pictures), cache_dir=tmp_path / "cache", **fields))
        return found.fingerprint, found.mean.tolist(), found.std.tolist()

    first = facts()
    assert "moments" in computed
    assert 4 in computed, "the images were read"
    assert facts() == first
    assert set(computed) == {1}, "labels and ids alone were read"
    assert facts(label_noise=0.3)[0] != first[0]
    assert facts(train_examples=4)[1] != first[1]
    assert "moments" in computed
    for path in (tmp_path / "cache").glob("*/*.txt"):
        path.write_text(path.read_text().replace("1", "2"))
    assert facts() == first
    assert "moments" in computed
