"""The paper's studies on a cluster of Ray's own, on this machine: nodes with one CPU each, of which one is lost."""

import os
import signal
import subprocess
import sys
import time

import pytest
from command import ROOT, results
from tiny_paper import EPOCHS
from xla_flags import xla_flags

from experiments.paper.engines.jobs import BEGINS

NAMES = [
    "cifar100-longer",
    "cifar10-resnet56-resnet56",
    "cifar100-noise-resnet56-resnet56",
    "cifar10-resnet56-resnet20",
]
ALIKE = {  # of the cluster's workers, as of one process
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": xla_flags(1),
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")]),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens to this machine alone
    "RAY_USAGE_STATS_ENABLED": "0",
}


def start_driver(address, workdir, names=NAMES, more=("--seeds", "1")):
    words = [*names, "--scale", "small", *more, "--checkpoint-seconds", "0", "--workdir", workdir]
    command = [sys.executable, "-m", "tiny_paper", *words, *(["--on", "ray", "--address", address] if address else [])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, env=os.environ, **pipes)


def ended(process):
    said, _ = process.communicate(timeout=400)
    return process.returncode, said


@pytest.fixture
def cluster(monkeypatch):
    for name, value in {**ALIKE, EPOCHS: "1000"}.items():
        monkeypatch.setenv(name, value)
    ray = pytest.importorskip("ray.cluster_utils", reason="the extra ray is not installed")
    nodes = ray.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(3):
        nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


def wait_for(workdir, pattern, process):
    end = time.monotonic() + 120
    while not list(workdir.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_studies_on_three_nodes_of_which_one_is_lost_are_one_process_s_to_the_bit(cluster, tmp_path):
    started = time.monotonic()
    status, said = ended(start_driver(None, tmp_path / "one"))
    assert status == 0, said
    of_one = time.monotonic() - started
    started = time.monotonic()
    driver = start_driver(cluster.address, tmp_path / "ray")
    small = tmp_path / "ray" / "small"
    wait_for(small, f"{NAMES[0]}/runs/*/checkpoints/*", driver)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    status, said = ended(driver)
    assert status == 0, said
    print(f"one process {of_one:.0f} s, three nodes of which one was lost {time.monotonic() - started:.0f} s")
    begun = {name: (small / "logs" / f"{name}.log").read_text().count(BEGINS) for name in NAMES}
    assert sum(begun.values()) == len(NAMES) + 1, begun
    for name in NAMES:
        assert results(small / name) == results(tmp_path / "one" / "small" / name)


@pytest.mark.slow
def test_studies_in_parts_one_of_which_is_lost_are_one_process_s_to_the_bit(cluster, tmp_path):
    names, more = NAMES[:2], ("--seeds", "3", "--part-seeds", "2")
    status, said = ended(start_driver(None, tmp_path / "one", names, more))
    assert status == 0, said
    driver = start_driver(cluster.address, tmp_path / "ray", names, more)
    small = tmp_path / "ray" / "small"
    wait_for(small, f"{names[0]}/parts/*/runs/*/checkpoints/*", driver)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    status, said = ended(driver)
    assert status == 0, said
    begun = {path.stem: path.read_text().count(BEGINS) for path in (small / "logs").glob("*.log")}
    assert begun.keys() == {f"{name}{part}" for name in names for part in ("", "-part-0", "-part-1")}
    assert sum(begun.values()) >= len(begun) + 1, begun
    for name in names:
        assert "steps in" not in (small / "logs" / f"{name}.log").read_text()
        assert results(small / name) == results(tmp_path / "one" / "small" / name)


@pytest.mark.slow
def test_ctrl_c_makes_all_save_and_the_same_command_goes_on(cluster, tmp_path):
    driver = start_driver(cluster.address, tmp_path, NAMES[:2])
    for name in NAMES[:2]:
        wait_for(tmp_path / "small", f"{name}/runs/*/checkpoints/*", driver)
    driver.send_signal(signal.SIGINT)
    status, said = ended(driver)
    assert (status, said.splitlines()[-1]) == (130, "stopped; the same command goes on from here")
    for name in NAMES[:2]:
        log = (tmp_path / "small" / "logs" / f"{name}.log").read_text()
        assert "saved" in log.splitlines()[-1], log
    status, said = ended(start_driver(cluster.address, tmp_path, NAMES[:2]))
    assert status == 0, said
    assert all((tmp_path / "small" / name / "summary.json").exists() for name in NAMES[:2])
