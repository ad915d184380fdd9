"""A study that is killed, stopped or damaged, and then asked for again, ends as the one that was left alone."""

import json
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest
from command import EVERY_CALL, SMALL, here, kill_when_there, results, run, start
from old_dump import make_old

from distill_jax.dumps import dump_path, find_dumps, read_dump, remove_dumps
from distill_jax.students import MODELS
from distill_jax.study.workdir import RunFolder
from distill_jax.training.population import Member


@pytest.fixture(scope="module")
def undisturbed(npz, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    run(["--dataset", npz, "--workdir", workdir, *SMALL, "--tensorboard", "True"])
    return workdir


def test_scalars_are_json_lines_and_tensorboard_events(undisturbed):
    rows = [json.loads(line) for p in undisturbed.glob("runs/*/scalars.jsonl") for line in p.read_text().splitlines()]
    assert {(r["model"], r["seed"]) for r in rows} == {(m, s) for m in MODELS for s in (0, 1)}
    for row in rows:
        assert row["loss"] > 0
        assert 0 <= row["accuracy"] <= 1
        assert row["examples_per_s"] > 0
    weights = {(r["model"], r["step"] <= 36): r["distillation_weight"] for r in rows}
    assert weights["one_hot_to_kd", True] == weights["kd_to_one_hot", False] == 0
    assert weights["one_hot_to_kd", False] == weights["kd_to_one_hot", True] == weights["kd", True] == 1
    assert len(list(undisturbed.glob("tensorboard/*/seed-*/events*"))) == 10


def test_the_summary_says_by_which_code_it_was_trained(undisturbed):
    environment = json.loads((undisturbed / "summary.json").read_text())["environment"]
    assert environment["trained_at"] == [environment["commit"]]
    (folder,) = undisturbed.glob("runs/teacher-*")
    members = tuple(Member(*fields[:2]) for fields in json.loads((folder / "members.json").read_text()))
    RunFolder(folder, members).begin("another")
    assert RunFolder(folder, members).commits() == [environment["commit"], "another"]
    RunFolder(folder, members).begin("another")
    assert RunFolder(folder, members).commits() == [environment["commit"], "another"]


def kill_at_random(arguments, workdir, kills: int, seconds: float, rng: random.Random) -> None:
    """Kills the command so many times, each a random while after it began to work."""
    for _ in range(kills):
        before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} if workdir.exists() else {}
        process = start(arguments)
        while process.poll() is None:
            now = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.exists()} if workdir.exists() else {}
            if now != before:
                break
            time.sleep(0.01)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()


def test_killed_and_resumed_is_uninterrupted(npz, undisturbed, tmp_path):
    workdir = tmp_path / "work"
    arguments = ["--dataset", npz, "--workdir", workdir, *SMALL, *EVERY_CALL]
    streamed = [*arguments, "--streaming", "always"]  # wherever its inputs lie
    rng = random.Random(0)
    kill_at_random(arguments, workdir, kills=2, seconds=5.0, rng=rng)
    kill_at_random(streamed, workdir, kills=2, seconds=5.0, rng=rng)
    run(streamed)
    assert results(workdir) == results(undisturbed)
    assert not list(workdir.rglob("*.partial"))


@pytest.mark.slow
def test_the_main_job_killed_twenty_times_is_uninterrupted(tmp_path):
    run(["digits", "--workdir", tmp_path / "whole", "--checkpoint-seconds", "1000"])  # however slow the machine is
    assert sum(path.is_file() for path in (tmp_path / "whole").rglob("*")) < 300
    arguments = ["digits", "--workdir", tmp_path / "killed"]
    kill_at_random(arguments, tmp_path / "killed", kills=20, seconds=25.0, rng=random.Random(1))
    run(arguments)
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "dumps/kd/train/logits/c/*/*"),
        pytest.param(signal.SIGINT, "dumps/teacher/train/logits/c/*/*", marks=pytest.mark.slow),
    ],
)
def test_asked_to_stop_it_saves_and_goes_on(npz, undisturbed, tmp_path, number, moment):
    arguments = ["--dataset", npz, "--workdir", tmp_path, *SMALL, "--checkpoint-seconds", "1000"]
    process = start(arguments)
    while process.poll() is None and not list(tmp_path.glob(moment)):
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number, err
    assert "saved; the same command goes on" in err.splitlines()[-1]
    assert not (tmp_path / "summary.json").exists()
    assert len(list(tmp_path.glob("runs/*"))) == (1 if "teacher" in moment else 2)
    run(arguments)
    assert results(tmp_path) == results(undisturbed)


def test_what_is_finished_is_not_done_again(npz, undisturbed, tmp_path):
    arguments = ["--dataset", npz, "--workdir", undisturbed, *SMALL]
    before = {p: p.stat().st_mtime_ns for p in undisturbed.glob("dumps/**/*")}
    expected = results(undisturbed)
    here(arguments)
    assert {p: p.stat().st_mtime_ns for p in undisturbed.glob("dumps/**/*")} == before
    assert results(undisturbed) == expected


def assert_has_the_dumps_of(more, fewer):
    found = find_dumps(more)
    for key, path in find_dumps(fewer).items():
        ours, theirs = read_dump(found[key]), read_dump(path)
        assert ours.attributes == theirs.attributes
        for name in ("logits", "label", "true_label", "id"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=str(key))


@pytest.mark.parametrize("kept", ["all", "those of teachers"])
def test_a_folder_of_the_first_versions_goes_on(npz, undisturbed, tmp_path, kept):
    workdir = tmp_path / "work"
    shutil.copytree(undisturbed, workdir)
    if kept != "all":
        remove_dumps([path for (model, *_), path in find_dumps(workdir).items() if model != "teacher"])
    count = make_old(workdir)
    said = here(["--dataset", npz, "--workdir", workdir, *SMALL])
    assert "2 of 2 teachers were there already" in said
    assert ("8 of 8 students were there already" in said) == (kept == "all")
    assert len(list(workdir.glob("dumps/*/seed-*/step-*/*/zarr.json"))) == count
    assert_has_the_dumps_of(workdir, undisturbed)
    assert results(workdir)["summary"] == results(undisturbed)["summary"]


def test_another_seed_adds_to_what_is_there(npz, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    here(["--dataset", npz, "--workdir", tmp_path / "work", *SMALL, "--seeds", "3"])
    assert_has_the_dumps_of(tmp_path / "work", undisturbed)
    assert ("kd", 2, 72, "train") in find_dumps(tmp_path / "work")


@pytest.mark.slow
def test_interrupted_and_asked_for_more_it_goes_on_with_what_was_begun(npz, undisturbed, tmp_path):
    arguments = ["--dataset", npz, "--workdir", tmp_path, *SMALL, *EVERY_CALL]
    kill_when_there(arguments, tmp_path, "runs/students-*/seals/*.json")
    assert not (tmp_path / "summary.json").exists()
    begun = {path.parent.name for path in tmp_path.glob("runs/*/members.json")}
    run([*arguments, "--seeds", "3"])
    assert begun < {path.parent.name for path in tmp_path.glob("runs/*/members.json")}
    assert_has_the_dumps_of(tmp_path, undisturbed)


@pytest.mark.slow
def test_damaged_dump_and_checkpoint_are_named_and_can_be_removed(npz, undisturbed, tmp_path):
    workdir = tmp_path / "work"
    shutil.copytree(undisturbed, workdir)
    arguments = ["--dataset", npz, "--workdir", workdir, *SMALL]
    shard = workdir / "dumps/kd/test/logits/c/0/0"  # of all steps
    (shard / "0" / "0").write_bytes((shard / "0" / "0").read_bytes()[:-30])
    err = run(arguments, status=2)
    assert re.match(rf"error: dump {workdir}/dumps/kd/seed-0/step-\d+/test: is damaged", err)
    assert f"remove {shard} and run the same command" in err
    assert len(err.splitlines()) == 1
    shutil.rmtree(shard)
    run(arguments)
    assert results(workdir) == results(undisturbed)

    remove_dumps([dump_path(workdir, "kd", seed, 72, "test") for seed in range(2)])
    checkpoint = max(workdir.glob("runs/students-seed-0-*/checkpoints/*"))
    for file in [p for p in checkpoint.rglob("*") if p.is_file()]:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    err = run(arguments, status=2)
    assert err.startswith("error: checkpoint ")
    assert len(err.splitlines()) == 1
    folder = err.split()[2].rstrip(":")
    shutil.rmtree(folder)
    run(arguments)
    assert results(workdir) == results(undisturbed)
