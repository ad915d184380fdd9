"""Several processes: with a work folder that all share or the first alone has; killed, and with others' devices."""

import random
import time

import pytest
from command import EVERY_CALL, SMALL, end, results, start_joined, start_two, write_npz
from killed_pair import kill_one_of_two

NOWHERE = ["--workdir", "/dev/null/work"]  # of a process that can have no work folder
FOLDERS = pytest.mark.parametrize("of_second", [(), NOWHERE], ids=["shared", "the first's alone"])


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("data") / "own.npz")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("more", [(), ("--augment", "none")], ids=["teachers' variables", "teachers' logits"])
def test_a_folder_of_the_first_alone_has_what_a_shared_one_has(tmp_path, processes, more):
    npz = write_npz(tmp_path / "own.npz", train=8300)  # of which every process has rows
    arguments = ["--dataset", npz, *SMALL, "--epochs", "2", "--batch-size", "240", "--seeds", "1", *more, "--workdir"]
    statuses, said = end(start_joined([*arguments, tmp_path / "shared"], [()] * processes))
    assert statuses == [0] * processes, said
    assert "share no work folder" not in said[0][0]
    own = [(), ("--workdir", tmp_path / "second"), NOWHERE][:processes]
    (tmp_path / "second").mkdir()
    statuses, said = end(start_joined([*arguments, tmp_path / "first"], own))
    assert statuses == [0] * processes, said
    assert said[0][0].count("the processes share no work folder: the first alone writes and reads it") == 1
    assert results(tmp_path / "first") == results(tmp_path / "shared")
    assert not list((tmp_path / "second").iterdir())
    assert not list(tmp_path.glob("first/.seen*"))


@pytest.mark.slow
@FOLDERS
def test_one_of_two_processes_killed_twenty_times_is_undisturbed(npz, tmp_path, of_second):
    arguments = ["--dataset", npz, *SMALL, *EVERY_CALL, "--epochs", "60", "--learning-rate", "0.01"]
    arguments += ["--snapshots", *(str(i / 10) for i in range(1, 11)), "--explorer", "none"]
    started = time.monotonic()
    statuses, said = end(start_two([*arguments, "--workdir", tmp_path / "whole"]))
    assert statuses == [0, 0], said
    seconds, rng = time.monotonic() - started, random.Random(0)
    kills, ended = kill_one_of_two(arguments, tmp_path / "killed", 20, seconds, rng, of_second)
    assert len(kills) == 20
    assert all(found == results(tmp_path / "whole") for found in ended)
