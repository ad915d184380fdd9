"""A study is killed between two objects, and goes on from its bucket on another disk."""

import json
import random

import pytest
from bucket_servers import through_faults, used
from command import SMALL, end, results, run, start, start_two
from fault_proxy import Faults

import distill_jax


def killed_and_resumed(server, npz, tmp_path, kills, monkeypatch, busy_share=0.1):
    """Kills a study `kills` times, each at a random one of the objects that it makes, and on a new disk each time."""
    monkeypatch.setenv("LEASE", "3")
    rng = random.Random(0)
    address = f"{server.scheme}://{server.bucket}/study"
    arguments = ["--dataset", npz, "--workdir", address, *SMALL, "--checkpoint-seconds", "0"]
    with through_faults(server) as (behind, proxy), used(behind):
        ended = []
        for disk in range(kills):
            process = start([*arguments, "--cache-dir", tmp_path / str(disk)], module="quick_claims")
            at = rng.randint(1, 80)
            proxy.faults = Faults(after_put=lambda n, at=at, process=process: process.kill() if n == at else None)
            process.communicate(timeout=240)
            ended.append(process.returncode)
        proxy.faults = Faults(stale=5, busy_share=busy_share)
        said = run([*arguments, "--cache-dir", tmp_path / "last"], module="quick_claims")
        assert "Traceback" not in said
        return ended, distill_jax.open_study(address, tmp_path / "elsewhere").folder


def test_killed_and_resumed_on_another_disk_is_undisturbed(gcs_server, npz, undisturbed, tmp_path, monkeypatch):
    ended, folder = killed_and_resumed(gcs_server, npz, tmp_path, 1, monkeypatch, 0.02)
    assert ended == [-9]
    assert results(folder) == results(undisturbed)


@pytest.mark.slow
def test_killed_twelve_times_in_either_bucket_is_undisturbed(bucket_server, npz, undisturbed, tmp_path, monkeypatch):
    ended, folder = killed_and_resumed(bucket_server, npz, tmp_path, 12, monkeypatch)
    assert ended.count(-9) >= 8, ended
    assert results(folder) == results(undisturbed)
    assert json.loads((folder / "setting.json").read_text())["fingerprint"]


@pytest.mark.slow
def test_two_processes_are_at_work_in_a_bucket(gcs_server, npz, tmp_path):
    arguments = ["--dataset", npz, *SMALL, "--cache-dir", tmp_path / "cache"]
    statuses, said = end(start_two([*arguments, "--workdir", tmp_path / "whole"]))
    assert statuses == [0, 0], said
    with used(gcs_server):
        address = f"gs://{gcs_server.bucket}/by-two"
        statuses, said = end(start_two([*arguments, "--workdir", address]))
        assert statuses == [0, 0], said
        assert "the processes share no work folder" in said[0][0]
        assert results(distill_jax.open_study(address, tmp_path / "elsewhere").folder) == results(tmp_path / "whole")
