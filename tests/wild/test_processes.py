"""Processes that were not given the same, or that do not find each other: one line in each of them."""

import socket
import time

import pytest
from command import SMALL, end, free_port, own_lines, start, start_python, start_two

from distill_jax.errors import InputError
from distill_jax.machine import processes


def assert_one_line_each(statuses, said, *parts):
    assert statuses == [2] * len(statuses), said
    for (_, err), part in zip(said, parts * (len(said) // len(parts)), strict=True):
        lines = own_lines(err)
        assert len(lines) == 1, err
        assert part in lines[0]


DIFFERENT = [
    ["--seeds", "3"],
    ["--population", "2"],
    ["--steps-per-dispatch", "3"],
    ["--checkpoint-seconds", "7"],
    ["--sweep.temperature", "2"],
    ["--temperature", "3"],
    ["--label-noise", "0.2"],
]


@pytest.mark.parametrize(
    "words", [DIFFERENT[0], *(pytest.param(w, marks=pytest.mark.slow) for w in DIFFERENT[1:])], ids=lambda w: w[0]
)
def test_another_option_in_one_of_them(npz, tmp_path, words):
    statuses, said = end(start_two(["--dataset", npz, "--workdir", tmp_path / "work", *SMALL], of_second=words))
    assert_one_line_each(statuses, said, f"{words[0]}: is not the same in processes 0 and 1")
    assert not (tmp_path / "work").exists()


def test_another_number_of_devices_in_one_of_them(npz, tmp_path):
    joined = ["--distributed", "True", "--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2"]
    arguments = ["--dataset", npz, "--workdir", tmp_path / "work", *SMALL, *joined]
    statuses, said = end([start([*arguments, "--process-id", i], devices=1 + i) for i in range(2)])
    assert_one_line_each(statuses, said, "the number of devices: is not the same in processes 0 and 1")
    assert not (tmp_path / "work").exists()


# As a study compares them; what code and JAX there are is said in the test.
OTHER_CODE = """
import sys
from distill_jax.machine import processes
from distill_jax.study import study
from distill_jax.setting import Setting
from distill_jax.command import command_line
def main(arguments):
    place, number, what = arguments
    said = "0123456789" if number == "0" else "other"
    if what == "commit":
        study.commit = lambda: said
    elif what == "version":
        study.jax.__version__ = said
    with processes.connected(place, 2, int(number)):
        given = study._of_all_processes(Setting())
        processes.require_same(given | {"more": ""} if what == "names" and number == "1" else given)
command_line.run(main)
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("commit", "the commit of the code: is not the same in processes 0 and 1"),
        pytest.param("version", "the version of JAX: is not the same in processes 0 and 1", marks=pytest.mark.slow),
        pytest.param("names", "the processes run different code; must be of one commit", marks=pytest.mark.slow),
        pytest.param("nothing", None, marks=pytest.mark.slow),
    ],
)
def test_other_code_in_one_of_them(what, said):
    place = f"127.0.0.1:{free_port()}"
    statuses, found = end([start_python(["-c", OTHER_CODE, place, i, what], devices=1) for i in range(2)])
    if said is None:
        assert statuses == [0, 0], found
    else:
        assert_one_line_each(statuses, found, said)


def test_data_that_one_of_them_has_not(npz, tmp_path):
    started = time.monotonic()
    other = ["--dataset", tmp_path / "elsewhere" / npz.name]
    statuses, said = end(start_two(["--dataset", npz, "--workdir", tmp_path / "work", *SMALL], of_second=other))
    assert_one_line_each(statuses, said, "process 1: was given wrong input; its message says what", "does not exist")
    assert time.monotonic() - started < 60
    assert not (tmp_path / "work").exists()


def alone(npz, work, *words):
    return end([start(["--dataset", npz, "--workdir", work, *SMALL, "--distributed", "True", *words], devices=2)])


WRONG = {
    "nonsense": (["nonsense", "2", "0"], "run.coordinator nonsense: must be ADDRESS:PORT"),
    "a port too high": (["127.0.0.1:99999", "2", "0"], "run.coordinator 127.0.0.1:99999: must be ADDRESS:PORT"),
    "seventh of two": (["127.0.0.1:1234", "2", "7"], "run.process_id 7: must be in 0 to 1"),
    "none": (["127.0.0.1:1234", "0", "0"], "run.processes 0: must be 1 or more"),
    "an address of another machine": (["192.0.2.1:1234", "2", "0"], "process 0 cannot listen there"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_options_that_cannot_be_right(kind):
    (coordinator, count, number), said = WRONG[kind]
    with pytest.raises(InputError) as caught, processes.connected(coordinator, int(count), int(number)):
        pass
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_options_that_go_together():
    with pytest.raises(InputError, match=r"^run.processes: must be given too"), processes.connected("a:1", None, 0):
        pass


def test_nobody_at_the_coordinator(monkeypatch):
    monkeypatch.setattr(processes, "_JOIN_SECONDS", 1)
    place = f"127.0.0.1:{free_port()}"
    said = f"^run.coordinator {place}: nobody has answered there for 1 s"
    with pytest.raises(InputError, match=said), processes.connected(place, 2, 1):
        pass


def test_a_port_that_is_taken_and_process_0_twice():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        said = f"^run.coordinator {place}: process 0 cannot listen there"
        with pytest.raises(InputError, match=said), processes.connected(place, 2, 0):
            pass


def test_distributed_outside_a_cluster(npz, tmp_path):
    statuses, said = alone(npz, tmp_path / "work")
    assert_one_line_each(statuses, said, "--distributed True: the processes cannot be joined")
    assert not (tmp_path / "work").exists()
