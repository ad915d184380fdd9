"""A process of several that is killed or fails while the others wait for it: they end at once, and say which it was."""

import socket
import subprocess
import time

import pytest
from command import end, free_port, own_lines, start_python

# Joined by JAX: both meet, then one goes and the other waits for it.
JOINED = """
import os, signal, sys, time
from distill_jax.machine import processes
from distill_jax.command import command_line
def main(arguments):
    place, number, who, how = arguments
    with processes.connected(place, 2, int(number)):
        processes.barrier("both")
        print("both", flush=True)
        if number == who:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(how == "waits" and 300)
            raise ValueError("alone")
        processes.barrier("never")
command_line.run(main)
"""


@pytest.mark.parametrize(
    ("who", "how"),
    [(1, "killed"), pytest.param(0, "killed", marks=pytest.mark.slow), (0, "failed")],
)
def test_the_other_ends_with_one_line_that_names_it(who, how):
    place = f"127.0.0.1:{free_port()}"
    both = [start_python(["-c", JOINED, place, i, who, how], devices=1) for i in range(2)]
    started = time.monotonic()
    statuses, said = end(both)
    assert time.monotonic() - started < 60
    assert statuses[who] == (1 if how == "failed" else -9)
    assert statuses[1 - who] == 1
    line = f"error: process {who} " + ("has failed; its message says why" if how == "failed" else "is gone (killed")
    lines = own_lines(said[1 - who][1])
    assert len(lines) == 1, lines
    assert lines[0].startswith(line)
    if how == "failed":
        assert said[who][1].rstrip().endswith("ValueError: alone")


@pytest.fixture
def machines():
    """Two machines with their own names and a cable: commands that run something in either, and one that pulls it."""
    alive, inside = [], []
    addresses, ends = ("10.9.0.1", "10.9.0.2"), ("left", "right")
    try:
        for user in (["-U", "-r"], []):
            more = [*(inside[0] if inside else ()), "unshare", *user, "-n", "-u", "sleep", "600"]
            alive.append(subprocess.Popen(more, stderr=subprocess.DEVNULL))
            time.sleep(0.5)
            inside.append(("nsenter", "-t", str(alive[-1].pid), "-U", "-n", "-u", "--preserve-credentials"))
        link = ["link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", str(alive[1].pid)]
        subprocess.run([*inside[0], "ip", *link], check=True)
        for at, name, address in zip(inside, ends, addresses, strict=True):
            for words in (["addr", "add", f"{address}/24", "dev", name], ["link", "set", name, "up"]):
                subprocess.run([*at, "ip", *words], check=True)
            subprocess.run([*at, "ip", "link", "set", "lo", "up"], check=True)
            subprocess.run([*at, "hostname", address], check=True)  # a name that stands for its address
        yield inside, [*inside[1], "ip", "link", "set", ends[1], "down"]
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine lets no networks be made: {error}")
    finally:
        for process in alive:
            process.kill()
            process.wait()


def joined_on(inside):
    return [
        start_python(["-u", "-c", JOINED, "10.9.0.1:4321", i, 1, "waits"], devices=1, prefix=at)
        for i, at in enumerate(inside)
    ]


@pytest.mark.slow
def test_machines_that_lose_each_other_end_with_one_line_each(machines):
    inside, pull = machines
    each = joined_on(inside)
    for process in each:
        assert any(line == "both\n" for line in process.stdout)  # gloo has a line of its own before
    subprocess.run(pull, check=True)
    started = time.monotonic()
    statuses, said = end(each)
    assert time.monotonic() - started < 60
    assert statuses == [1, 1]
    for i in range(2):
        assert own_lines(said[i][1]) == [
            f"error: process {1 - i} is gone (killed, or its machine); the same command goes on from here"
        ]


@pytest.mark.slow
def test_machines_whose_names_stand_for_themselves_alone_say_so(machines):
    inside, _ = machines
    for at in inside:
        subprocess.run([*at, "hostname", "127.0.0.1"], check=True)
    statuses, said = end(joined_on(inside))
    assert statuses == [2, 2]
    for _, err in said:
        assert own_lines(err)[0].startswith("error: --distributed True: the processes are joined but cannot exchange")
        assert own_lines(err)[0].endswith("own names stand for (127.0.0.1, here 127.0.0.1)")


# Of three, without JAX: numbers are shared by a file.
WATCHED = """
import json, os, signal, sys, time
from pathlib import Path
from distill_jax.machine import watch
from distill_jax.errors import InputError
place, number, processes, what = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
watch._MEET_SECONDS = 5
def share(values):
    if number == 0:
        place.with_suffix(".partial").write_text(json.dumps(list(map(int, values))))
        place.with_suffix(".partial").rename(place)
    while not place.exists():
        time.sleep(0.01)
    return json.loads(place.read_text())
with watch.watched(None if what == "alone" else "127.0.0.1", number, processes, share):
    print("watched", flush=True)
    if what == "killed":
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "waits":
        time.sleep(100)
    if what == "leaves":
        raise InputError("code", None, "as all of them")
"""


def three(tmp_path, *of_each):
    at = [start_python(["-c", WATCHED, tmp_path / "shared", i, 3, what]) for i, what in enumerate(of_each) if what]
    return end(at)


def test_all_that_are_left_say_which_was_lost(tmp_path):
    statuses, said = three(tmp_path, "waits", "waits", "killed")
    assert statuses == [1, 1, -9], said
    for _, err in said[:2]:
        assert err == "error: process 2 is gone (killed, or its machine); the same command goes on from here\n"


def test_one_that_ends_well_is_not_missed(tmp_path):
    assert three(tmp_path, "ends", "ends", "ends") == ([0, 0, 0], [("watched\n", "")] * 3)


def test_an_error_that_all_have_is_said_by_each_for_itself(tmp_path):
    statuses, said = three(tmp_path, "leaves", "leaves", "leaves")
    assert statuses == [1, 1, 1]
    for _, err in said:
        assert err.splitlines()[-1] == "distill_jax.errors.InputError: code: as all of them"
        assert "process" not in err


def test_an_error_of_one_alone_ends_the_others(tmp_path):
    statuses, said = three(tmp_path, "waits", "leaves", "waits")
    assert statuses == [1, 1, 1]
    for _, err in (said[0], said[2]):
        assert err.startswith("error: process 1 has failed; its message says why")
        assert len(err.splitlines()) == 1


def test_the_first_goes_after_the_last_has_ended_well(tmp_path):
    statuses, said = three(tmp_path, "killed", "waits", "ends")
    assert statuses == [-9, 1, 0], said
    assert said[1][1].startswith("error: process 0 is gone")


def test_where_no_address_is_given_the_first_finds_its_own(tmp_path):
    assert three(tmp_path, "alone", "ends", "ends") == ([0, 0, 0], [("watched\n", "")] * 3)


def test_who_does_not_come_is_said(tmp_path):
    statuses, said = three(tmp_path, "ends", "ends", "")
    assert statuses == [0, 0], said
    assert said[0][1] == ("the processes cannot watch each other; the loss of one is noticed within minutes, by JAX\n")
    assert said[1][1] == ""


def test_a_stranger_is_not_one_of_them(tmp_path):
    place = tmp_path / "shared"
    first = start_python(["-c", WATCHED, place, 0, 2, "ends"])
    while not place.exists():
        time.sleep(0.01)
    port = int(place.read_text().strip("[").split(",")[0])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"x" * 16 + (1).to_bytes(4))
        assert stranger.recv(1) == b""  # it is shut out
    second = start_python(["-c", WATCHED, place, 1, 2, "ends"])
    assert end([first, second]) == ([0, 0], [("watched\n", "")] * 2)
