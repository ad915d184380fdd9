"""A study with `--batch-shards` on one device, two, four, and in two processes: the same bytes."""

import pytest
from command import (
    EVERY_CALL,
    SMALL,
    end,
    here,
    kill_when_there,
    results,
    start,
    start_two,
    stopping_at_the_second,
)
from small_study import on_devices

from distill_jax.machine import backend
from distill_jax.training.loop import Snapshots

IN_SHARDS = [*SMALL, "--batch-shards", "4", "--seeds", "1"]
OF_MLP = ["--teacher.hidden", "16", "--student.hidden", "16"]  # which are in SMALL
RESNET = [
    *("--teacher.name", "resnet-cifar", "--teacher.depth", "8", "--teacher.width", "4", "--norm-examples", "2"),
    *("--student.name", "resnet-cifar", "--student.depth", "8", "--student.width", "4"),
    *[argument for argument in IN_SHARDS if argument not in OF_MLP],
    *("--epochs", "2", "--snapshots", "1", "--population", "1", "--steps-per-dispatch", "1"),
]


def test_a_study_that_was_stopped_on_four_devices_goes_on_on_one_to_the_same_bytes(npz, tmp_path, monkeypatch):
    """Small dense networks share no batch on a CPU: here they do, as on accelerators."""
    monkeypatch.setattr(backend, "defaults", lambda *_: backend.Defaults(4, 6, 512))
    arguments = ["--dataset", npz, *IN_SHARDS, *EVERY_CALL, "--epochs", "2", "--students", "one_hot", "kd", "--workdir"]
    for devices in (1, 2):
        on_devices(monkeypatch, devices)
        here([*arguments, tmp_path / f"on-{devices}"])
    write, calls = stopping_at_the_second(Snapshots.write)
    with monkeypatch.context() as patched:
        on_devices(patched, 4)
        patched.setattr(Snapshots, "write", write)
        with pytest.raises(KeyboardInterrupt):
            here([*arguments, tmp_path / "stopped"])
    assert len(calls) == 2
    on_devices(monkeypatch, 1)
    here([*arguments, tmp_path / "stopped"])
    whole = results(tmp_path / "on-1")
    assert whole == results(tmp_path / "on-2")
    assert whole == results(tmp_path / "stopped")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_one_device_two_four_and_two_processes_end_with_the_same_bytes(npz, tmp_path, network):
    arguments = ["--dataset", npz, *(RESNET if network == "resnet" else (*IN_SHARDS, "--epochs", "3"))]
    for devices in (1, 2, 4):
        statuses, said = end([start([*arguments, "--workdir", tmp_path / f"on-{devices}"], devices=devices)])
        assert statuses == [0], said
    statuses, said = end(start_two([*arguments, "--workdir", tmp_path / "two"]))
    assert statuses == [0, 0], said
    whole = results(tmp_path / "on-1")
    for other in ("on-2", "on-4", "two"):
        assert whole == results(tmp_path / other), other


@pytest.mark.slow
def test_a_study_that_is_killed_on_four_devices_goes_on_on_one_to_the_same_bytes(npz, tmp_path):
    arguments = ["--dataset", npz, *RESNET, *EVERY_CALL, "--workdir"]
    statuses, said = end([start([*arguments, tmp_path / "whole"], devices=2)])
    assert statuses == [0], said
    kill_when_there([*arguments, tmp_path / "killed"], tmp_path / "killed", "runs/students*/checkpoints/*")
    statuses, said = end([start([*arguments, tmp_path / "killed"], devices=1)])
    assert statuses == [0], said
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
