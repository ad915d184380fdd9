"""A folder of compiled programs in which something has changed, that cannot be written, or that two use at once."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import zlib

import pytest
from command import ROOT

from distill_jax.machine.program_cache import ProgramCache

# Two programs that an exchange would not betray by their shapes, and what a process says of where they came from.
SCRIPT = """
import sys, jax, jax.numpy as jnp, jax.monitoring
from pathlib import Path
from distill_jax.machine import program_cache
program_cache._LEAST_SECONDS = 0.0
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event.rpartition("/")[2]))
program_cache.keep_programs(Path(sys.argv[1]))
x = jnp.arange(4.0)
def one(x): return x * 2 + 1
def other(x): return x * 3 - 1
print(jax.jit(one)(x).tolist(), jax.jit(other)(x).tolist(), found.count("cache_hits"))
"""
RIGHT = "[1.0, 3.0, 5.0, 7.0] [-1.0, 2.0, 5.0, 8.0] "


def run(folder):
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)  # of these tests
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(RIGHT)
    return int(ended.stdout.removeprefix(RIGHT)), ended.stderr


def entries(folder):
    return sorted(path for path in folder.glob("programs/*/jit_*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache that has both programs."""
    folder = tmp_path_factory.mktemp("cache")
    assert run(folder) == (0, "")
    assert len(entries(folder)) >= 2
    return folder


@pytest.fixture
def kept(made, tmp_path):
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "cache")


def test_programs_are_kept_for_the_next_process_and_folders_removed(kept):
    before = entries(kept)
    hits, said = run(kept)
    assert (hits, said) == (len(before), "")
    assert entries(kept) == before
    assert not list(kept.glob("programs/*/.*"))


def exchange(folder):
    one, other = (next(path for path in entries(folder) if name in path.name) for name in ("jit_one", "jit_other"))
    ours, theirs = one.read_bytes(), other.read_bytes()
    one.write_bytes(theirs)
    other.write_bytes(ours)


def flip(folder):
    for path in entries(folder):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)


def cut(folder):
    for path in entries(folder):
        path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [exchange, flip, cut])
def test_entries_that_are_not_what_they_were_are_said_compiled_again_and_replaced(kept, damage):
    whole = {path.name.rpartition(".")[0] for path in entries(kept)}
    damage(kept)
    hits, said = run(kept)
    assert hits == len(whole) - (2 if damage is exchange else len(whole))
    assert len(said.splitlines()) == 1
    assert "are damaged, and are compiled again" in said
    assert {path.name.rpartition(".")[0] for path in entries(kept)} == whole
    assert run(kept) == (len(whole), "")


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path):
    (tmp_path / "programs").write_text("")
    hits, said = run(tmp_path)
    assert hits == 0
    assert len(said.splitlines()) == 1
    assert said.startswith(f"compiled programs are not kept: their folder {tmp_path}/programs/")


def test_what_jax_could_not_write_wholly_is_not_kept(tmp_path, monkeypatch, caplog):
    cache = ProgramCache(tmp_path)
    (cache.own / "jit_x-0-cache").write_bytes(b"\x78\x9c\x01")  # the beginning of a stream
    cache.publish()
    assert not list(tmp_path.glob("jit_*"))
    assert not caplog.records
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("distill_jax.machine.program_cache.shutil.disk_usage", lambda _: usage)
    cache.publish()
    cache.publish()
    assert [r.getMessage() for r in caplog.records] == [
        f"compiled programs are not kept: the disk of the cache folder {tmp_path} is full"
    ]
    cache.close()


def test_a_folder_that_can_no_longer_be_written_is_said_and_nothing_is_raised_into_the_compilation(
    tmp_path, monkeypatch, caplog
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = ProgramCache(tmp_path)
    monkeypatch.setattr("distill_jax.machine.program_cache.os.link", full)
    monkeypatch.setattr("distill_jax.machine.program_cache.shutil.copyfile", full)
    for name in ("jit_x-0-cache", "jit_y-0-cache"):
        (cache.own / name).write_bytes(zlib.compress(b"a program"))
        cache.publish()
    (record,) = caplog.records
    said = f"compiled programs are not kept: the cache folder {tmp_path} cannot be written: "
    assert record.getMessage().startswith(said)
    cache.close()


def test_the_folder_of_a_killed_process_goes_and_that_of_one_at_work_stays(tmp_path):
    at_work, killed = ProgramCache(tmp_path), ProgramCache(tmp_path)
    fcntl.flock(killed._lock, fcntl.LOCK_UN)  # as the system does when its process is no more
    ProgramCache(tmp_path).close()
    assert at_work.own.is_dir()
    assert not killed.own.exists()
    at_work.close()
    killed.close()


def test_a_disk_without_hard_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr("distill_jax.machine.program_cache.os.link", no_links)
    first = ProgramCache(tmp_path)
    (first.own / "jit_x-0-cache").write_bytes(zlib.compress(b"a program"))
    first.publish()
    second = ProgramCache(tmp_path)
    assert zlib.decompress((second.own / "jit_x-0-cache").read_bytes()) == b"a program"
    first.close()
    second.close()
    assert len(list(tmp_path.iterdir())) == 1
