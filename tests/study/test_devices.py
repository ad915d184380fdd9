"""One device against four, one process against two: the same study."""

import json
import signal
import time

import numpy as np
import pytest
from command import ANY_NETWORK, EVERY_CALL, NOWHERE, SMALL, end, results, start, start_two, write_npz

from distill_jax.dumps import find_dumps, read_dump

RESNET = [
    *("--teacher.name", "resnet-cifar", "--teacher.depth", "8", "--teacher.width", "4"),
    *("--student.name", "resnet-cifar", "--student.depth", "8", "--student.width", "4"),
    *("--epochs", "2", "--snapshots", "1", "--population", "1", "--seeds", "1", "--steps-per-dispatch", "1"),
    *("--learning-rate", "0.01"),  # at 0.1 rounding grows to some percent within a pass
]


def losses(workdir):
    rows = [json.loads(line) for path in workdir.glob("runs/*/scalars.jsonl") for line in path.read_text().splitlines()]
    return {(r["model"], r["seed"], r["step"]): r["loss"] for r in rows}


def assert_same(a, b):
    assert losses(a).keys() == losses(b).keys()
    for key, loss in losses(a).items():
        assert losses(b)[key] == pytest.approx(loss, rel=1e-3, abs=1e-4), key
    ours, theirs = find_dumps(a), find_dumps(b)
    assert ours.keys() == theirs.keys()
    assert ours
    for key, path in ours.items():
        x, y = read_dump(path), read_dump(theirs[key])
        assert x.attributes == y.attributes
        for name in ("label", "true_label", "id"):
            np.testing.assert_array_equal(getattr(x, name), getattr(y, name))
        # A logit near 0 is the difference of larger numbers, and rounded as these are.
        atol = 5e-4 * np.abs(y.logits).max()
        np.testing.assert_allclose(x.logits, y.logits, rtol=2e-3, atol=atol, err_msg=str(key))


@pytest.mark.parametrize("network", ["mlp", pytest.param("resnet", marks=pytest.mark.slow)])
def test_one_device_four_devices_and_two_processes(npz, tmp_path, network):
    arguments = ["--dataset", npz, *([*ANY_NETWORK, *RESNET] if network == "resnet" else [*SMALL, "--epochs", "3"])]
    alone = [start([*arguments, "--workdir", tmp_path / name], devices=n) for name, n in (("one", 1), ("four", 4))]
    statuses, said = end(alone)
    assert statuses == [0, 0], said
    statuses, said = end(start_two([*arguments, "--workdir", tmp_path / "two"], NOWHERE))
    assert statuses == [0, 0], said
    assert "the processes share no work folder: the first alone writes and reads it" in said[0][0].splitlines()
    assert "report:" in said[0][0]
    assert "report:" not in said[1][0]  # only the first process speaks
    assert_same(tmp_path / "one", tmp_path / "four")
    assert_same(tmp_path / "four", tmp_path / "two")


def test_two_processes_stop_together_and_go_on(npz, tmp_path):
    arguments = ["--dataset", npz, "--workdir", tmp_path, *SMALL, "--epochs", "10", "--learning-rate", "0.01"]
    arguments += ["--snapshots", "1", "--checkpoint-seconds", "1000", "--seeds", "1"]
    both = start_two(arguments)
    while all(p.poll() is None for p in both) and not list(tmp_path.glob("runs/teacher*/scalars.jsonl")):
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)
    statuses, said = end(both)
    assert statuses == [143, 143], said
    assert list(tmp_path.glob("runs/teacher*/checkpoints/*"))
    statuses, said = end(start_two(arguments, NOWHERE))  # from what both have written
    assert statuses == [0, 0], said
    assert "were there already" not in said[0][0]


def test_wrong_input_ends_both_processes(npz, tmp_path):
    (tmp_path / "setting.json").write_text("{}")
    statuses, said = end(start_two(["--dataset", npz, *SMALL, "--workdir", tmp_path]))
    assert statuses == [2, 2], said
    assert "holds another setting" in said[0][1]


def test_other_data_in_another_process_end_both(npz, tmp_path):
    other = write_npz(tmp_path / "other.npz", train=104)
    arguments = [*SMALL, "--workdir", tmp_path / "work", "--dataset", npz]
    statuses, said = end(start_two(arguments, ["--dataset", other]))
    assert statuses == [2, 2], said
    assert all("is not the same in processes 0 and 1" in err for _, err in said)
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1])
def test_two_processes_of_which_one_is_killed_go_on_to_the_same_bytes(npz, tmp_path, who):
    arguments = ["--dataset", npz, *SMALL, *EVERY_CALL, "--epochs", "20", "--workdir"]
    statuses, said = end(start_two([*arguments, tmp_path / "whole"]))
    assert statuses == [0, 0], said
    both = start_two([*arguments, tmp_path / "killed"])
    while all(p.poll() is None for p in both) and not list(tmp_path.glob("killed/runs/students*/checkpoints/*")):
        time.sleep(0.01)
    both[who].kill()
    killed = time.monotonic()
    statuses, said = end(both)
    assert time.monotonic() - killed < 20
    assert statuses[1 - who] == 1
    assert said[1 - who][1].splitlines()[-1].startswith(f"error: process {who} is gone")
    statuses, said = end(start_two([*arguments, tmp_path / "killed"]))
    assert statuses == [0, 0], said
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
