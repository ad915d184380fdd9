"""Work directories and caches in which something has changed: repaired and said, or refused in one line."""

import json
import logging
import os
import re
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from command import run
from old_dump import make_old
from small_study import QUIET, dataset, setting

from distill_jax.data.cache import cached
from distill_jax.dumps import dump_path, find_dumps, read_dump, remove_dumps
from distill_jax.errors import InputError
from distill_jax.machine.checkpoint import Checkpoints
from distill_jax.study import prepared, workdir
from distill_jax.study import study as study_module
from distill_jax.study.study import Study
from distill_jax.training.population import Member

STATE = {"params": jnp.arange(3000, dtype=jnp.float32).reshape(3, 1000), "count": jnp.asarray(7, jnp.int32)}


@pytest.fixture
def saved(tmp_path):
    """A training's folder with a checkpoint of step 5."""
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=2, of="mine") as checkpoints:
        checkpoints.save(5, STATE, {"training": 1.5})
        checkpoints.wait()
    return tmp_path / "run"


def restored(folder, of="mine", step=5):
    with Checkpoints(folder / "checkpoints", keep=2, of=of) as checkpoints:
        return checkpoints.restore(step, STATE)


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_noticed(saved):
    np.testing.assert_array_equal(restored(saved).state["params"], STATE["params"])
    rng, flips = np.random.default_rng(0), 0
    for path in sorted(path for path in (saved / "checkpoints" / "5").rglob("*") if path.is_file()):
        content = path.read_bytes()
        for at in rng.choice(len(content), min(len(content), 4), replace=False):
            changed = bytearray(content)
            changed[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            with pytest.raises(InputError, match=r"checkpoint .*/5: is damaged .* is not as it was written") as caught:
                restored(saved)
            assert len(str(caught.value).splitlines()) == 1
            flips += 1
        path.write_bytes(content)
    assert flips > 20
    assert restored(saved).seconds == {"training": 1.5}


def test_a_file_that_is_lost_or_added_is_noticed(saved):
    (saved / "checkpoints" / "5" / "other").write_text("")
    with pytest.raises(InputError, match="other is not as it was written"):
        restored(saved)


def test_another_training_s_checkpoint_and_another_step_s_are_refused(saved):
    with pytest.raises(InputError, match="the state of another training or step"):
        restored(saved, of="another")
    shutil.copytree(saved / "checkpoints" / "5", saved / "checkpoints" / "6")
    shutil.copy(saved / "seals" / "5.json", saved / "seals" / "6.json")
    with pytest.raises(InputError, match="the state of another training or step"):
        restored(saved, step=6)


def test_what_is_not_sealed_is_not_there_but_for_trainings_older_than_seals(saved):
    def steps():
        with Checkpoints(saved / "checkpoints", keep=2, of="mine") as checkpoints:
            return checkpoints.steps()

    (saved / "seals" / "5.json").unlink()
    assert steps() == []
    (saved / "seals").rmdir()
    assert steps() == [5]
    np.testing.assert_array_equal(restored(saved).state["params"], STATE["params"])


def test_a_checkpoint_of_the_first_versions_is_read(tmp_path):
    args = ocp.args.Composite(state=ocp.args.StandardSave(STATE), progress=ocp.args.JsonSave({"training": 1.5}))
    with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
        manager.save(5, args=args)
    found = restored(tmp_path)
    np.testing.assert_array_equal(found.state["params"], STATE["params"])
    assert (found.step, found.seconds) == (5, {"training": 1.5})


def test_old_seals_go_with_their_checkpoints(tmp_path):
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=1, of="mine") as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, STATE, {})
            checkpoints.wait()
        assert checkpoints.steps()[-1] == 3
    assert [path.name for path in (tmp_path / "run" / "seals").iterdir()] == ["3.json"]


def test_one_that_is_killed_while_an_old_checkpoint_is_deleted_has_the_newer(tmp_path, monkeypatch):
    folder = tmp_path / "run" / "checkpoints"
    with Checkpoints(folder, keep=1, of="mine") as checkpoints:
        checkpoints.save(1, STATE, {})
        checkpoints.wait()
        checkpoints.save(2, STATE, {})

        def killed(step):
            next(path for path in (folder / str(step)).rglob("*") if path.is_file()).unlink()
            raise KeyboardInterrupt

        monkeypatch.setattr(checkpoints._manager, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.wait()
        assert checkpoints.steps() == [2]
    np.testing.assert_array_equal(restored(tmp_path / "run", step=2).state["params"], STATE["params"])


def test_there_is_a_complete_checkpoint_at_any_time(tmp_path):
    with Checkpoints(tmp_path / "run" / "checkpoints", keep=1, of="mine") as checkpoints:
        checkpoints.save(1, STATE, {})
        checkpoints.wait()
        for step in range(2, 12):  # faster than they are sealed
            checkpoints.save(step, STATE, {})
            assert checkpoints.steps()
        checkpoints.wait()
        assert checkpoints.steps() == [11]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished study's folder, and a function that studies it again with a copy."""
    small = setting(tmp_path_factory.mktemp("made") / "work", run={"seeds": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "load_dataset", lambda *_: dataset())
        study = Study(small, QUIET)
        study.train()
    return small


@pytest.fixture
def copy(made, tmp_path, monkeypatch):
    """A copy of its folder, and its setting there."""
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: dataset())
    shutil.copytree(made.run.workdir, tmp_path / "work")
    return tmp_path / "work"


def again(copy, **groups):
    small = setting(copy, **({"run": {"workdir": copy, "seeds": 2}} | groups))
    Study(small, QUIET).train()


@pytest.fixture
def old_copy(copy):
    """The same as the first versions had it."""
    make_old(copy)
    return copy


def exchange(mine, its):
    aside = mine.with_name("aside")
    for old, new in ((mine, aside), (its, mine), (aside, its)):
        old.rename(new)


def test_exchanged_old_dumps_are_noticed(old_copy):
    again(old_copy)
    step = max(step for *_, step, _ in find_dumps(old_copy))
    for other in [("kd", 1, step, "test"), ("kd", 0, step, "train"), ("one_hot", 0, step, "test")]:
        mine, its = dump_path(old_copy, "kd", 0, step, "test"), dump_path(old_copy, *other)
        exchange(mine, its)
        with pytest.raises(InputError, match=r"^dump .* is that of (seed|split|model) .*; must be where it belongs$"):
            read_dump(mine)
        with pytest.raises(InputError, match="must be where it belongs"):
            again(old_copy)
        exchange(mine, its)
    again(old_copy)


def test_exchanged_dumps_are_noticed(copy):
    mine = copy / "dumps" / "kd" / "test"
    for its in (copy / "dumps" / "kd" / "train", copy / "dumps" / "one_hot" / "test"):
        exchange(mine, its)
        with pytest.raises(InputError, match=r"^dump .* is that of (split|model) .*; must be where it belongs"):
            again(copy)
        exchange(mine, its)
    again(copy)


def test_an_old_dump_s_shape_that_was_cut_is_noticed(old_copy):
    path = dump_path(old_copy, "kd", 0, max(step for *_, step, _ in find_dumps(old_copy)), "test")
    for name in ("logits", "label", "true_label", "id"):
        place = path / name / "zarr.json"
        place.write_text(re.sub(r'("shape":\s*\[\s*)40', r"\g<1>20", place.read_text(), count=1))
    with pytest.raises(InputError, match=f"dump {path}: is damaged: .*remove that folder"):
        read_dump(path)


def test_a_dump_s_shape_that_was_cut_is_noticed(copy):
    path = dump_path(copy, "kd", 0, max(step for *_, step, _ in find_dumps(copy)), "test")
    for name in ("logits", "label", "true_label", "id"):
        place = copy / "dumps" / "kd" / "test" / name / "zarr.json"
        place.write_text(re.sub(r"\b40\b", "20", place.read_text()))
    with pytest.raises(InputError, match=f"dump {path}: is damaged: .*remove {copy}/dumps/kd/test and run"):
        read_dump(path)


def test_dumps_without_their_setting_are_not_another_study_s(copy):
    (copy / "setting.json").unlink()
    with pytest.raises(InputError, match="holds another study's dumps"):
        again(copy, objective={"temperature": 2.0})
    assert not (copy / "setting.json").exists()
    again(copy)  # but still its own's
    assert (copy / "setting.json").exists()
    with pytest.raises(InputError, match=r"holds another setting \(objective.temperature is 4.0 there and 2.0 here\)"):
        again(copy, objective={"temperature": 2.0})


def read_all(copy):
    """Studies again, and asks for what of a finished study the report alone asks for."""
    again(copy)
    for population in workdir.populations(copy):
        population.facts()
        population.commits()


SMALL_FILES = {
    "setting.json": "choose another folder",
    "runs/*/members.json": "whose models are then trained again",
    "runs/*/done.json": "remove that file",
    "runs/*/commits.json": "remove that file",
}
DAMAGES = ["", "null", "[]", '{"a": {"b": []}}', "[" * 100_000, "\xff"]


@pytest.mark.parametrize("name", SMALL_FILES)
def test_small_files_that_are_damaged_or_of_another_shape(copy, name):
    path = sorted(copy.glob(name))[0]
    whole = path.read_bytes()
    for damage in DAMAGES:
        path.write_bytes(damage.encode("latin-1"))
        if path.name == "commits.json" and damage == "[]":
            continue
        with pytest.raises(InputError) as caught:
            read_all(copy)
        assert len(str(caught.value).splitlines()) == 1
        assert SMALL_FILES[name] in str(caught.value) or "holds another setting" in str(caught.value)
    path.write_bytes(whole)
    again(copy)


def test_members_of_another_population_are_noticed(copy):
    first, second = sorted(copy.glob("runs/*/members.json"))[:2]
    shutil.copy(second, first)
    with pytest.raises(InputError, match=r"members.json: is of another population"):
        again(copy)


def test_a_fitting_that_is_damaged_is_refused(copy):
    workdir.remember_fitting(copy, "student", 4, 1.0, 1, 2)
    assert workdir.fitting(copy, "student", 4, 1.0, 1) == 2
    (copy / "runs" / "fitting-student.json").write_text('{"members": "two"}')
    with pytest.raises(InputError, match=r"fitting-student.json: is damaged .*; remove that file"):
        workdir.fitting(copy, "student", 4, 1.0, 1)


def test_code_that_has_changed_since_a_training_began_is_said(copy, monkeypatch):
    said = []
    monkeypatch.setattr(study_module, "say", lambda console, line: said.append(line))
    population = next(p for p in workdir.populations(copy) if Member("teacher", 0) in p.members)
    (population.folder / "done.json").unlink()
    (population.folder / "commits.json").write_text('["' + "a" * 40 + '"]')
    monkeypatch.setattr(study_module, "commit", lambda: "b" * 40)
    again(copy)
    assert any("begun by code of commit " + "a" * 40 + ", goes on with " + "b" * 40 in line for line in said)


def test_parts_of_a_study_that_are_gone_are_made_again_and_it_is_said(made, copy, monkeypatch):
    said = []
    monkeypatch.setattr(study_module, "say", lambda console, line: said.append(line))
    step = max(step for *_, step, _ in find_dumps(copy))
    remove_dumps([dump_path(copy, "kd", 0, step, "test")])
    again(copy)
    assert [line for line in said if "was finished, but dumps or checkpoints of it are gone" in line]
    said.clear()
    students = next(p for p in workdir.populations(copy) if p.members[0].model != "teacher")
    shutil.rmtree(students.folder)
    again(copy)
    assert [line for line in said if "has dumps, but not the training they are of, which is done again" in line]
    for place in find_dumps(copy):
        mine, theirs = (read_dump(dump_path(folder, *place)) for folder in (copy, made.run.workdir))
        np.testing.assert_array_equal(mine.logits, theirs.logits)
    said.clear()
    again(copy)
    assert not [line for line in said if "gone" in line or "again" in line]


@pytest.mark.parametrize("how", ["written into", "replaced"])
def test_a_source_of_equal_size_and_time_is_another_source(tmp_path, how):
    source, other = tmp_path / "labels", tmp_path / "other"
    source.write_text("1")

    def load():
        return cached(tmp_path / "cache", "own", tmp_path, [source], lambda _: {"label": np.array(source.read_text())})

    assert load()["label"] == "1"
    before = source.stat()
    if how == "written into":
        source.write_text("2")
    else:
        other.write_text("2")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(source)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert load()["label"] == "2"


def test_a_changed_number_in_the_cache_is_made_again_and_said(tmp_path, caplog):
    source = tmp_path / "source"
    source.write_text("1")
    built = []

    def build(_):
        built.append(1)
        return {"label": np.arange(1000), "x": np.zeros((10, 10))}

    def load():
        return cached(tmp_path / "cache", "own", tmp_path, [source], build)

    load()
    load()
    assert len(built) == 1
    path = next((tmp_path / "cache").glob("own-*/label.npy"))
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(load()["label"], np.arange(1000))
    assert len(built) == 2
    assert [record.getMessage() for record in caplog.records] == [f"{path.parent} is damaged, and is made again"]
    json.loads((path.parent / "manifest.json").read_text())


@pytest.mark.parametrize("name", ["setting.json", ".lock", "dumps/kd/seed-0/step-2/test/id/c/0", "runs/a/done.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: dataset())
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: is a pipe or a device in the place of a file"):
        Study(setting(tmp_path), QUIET)


def test_a_pipe_of_the_user_s_own_is_none_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: dataset())
    os.mkfifo(tmp_path / "mine")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to("nothing")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    Study(setting(tmp_path), QUIET)


def test_a_work_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", "/dev/null"):
        with pytest.raises(InputError, match=r"^run.workdir .*: is no folder; must be one, or new"):
            workdir.lock(Path(place))


@pytest.mark.parametrize("name", ["dumps", "runs"])
def test_a_file_in_the_place_of_a_folder_is_one_line(name, tmp_path):
    (tmp_path / name).write_text("")
    words = ["digits", "--seeds", "1", "--epochs", "1", "--train-examples", "64", "--test-examples", "20"]
    words += ["--teacher.hidden", "4", "--student.hidden", "4", "--batch-size", "16", "--workdir", tmp_path]
    said = run(words, status=1).splitlines()
    assert said[-1].endswith("; remove what is there in its place"), said
    assert f"{tmp_path}/{name}" in said[-1]
    assert not any("Traceback" in line for line in said)
