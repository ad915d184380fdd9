"""A study whose folder is in a bucket ends as one in a folder does, whatever becomes of the machines it is done on."""

import itertools
import json
import logging
import signal
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
from command import SMALL, here, results, undrawn

import distill_jax
from distill_jax.bucket.at_hand import at_work, brought, folder_for
from distill_jax.bucket.claim import Claim, LostClaim
from distill_jax.bucket.objects import Objects, Unreached
from distill_jax.errors import InputError, Interrupted
from distill_jax.machine.interruption import Interruption

MEMORY = fsspec.filesystem("memory")
FIELD = "run.workdir"


@pytest.fixture
def address(tmp_path):
    return f"memory://bucket{tmp_path}"


def stopping_at(monkeypatch, call):
    """Has studies asked to stop when they have looked so often whether they are."""
    calls = itertools.count(1)
    monkeypatch.setattr(Interruption, "requested", lambda self: signal.SIGTERM if next(calls) >= call else None)


def test_stopped_on_one_machine_it_goes_on_on_another(npz, undisturbed, tmp_path, address, monkeypatch):
    arguments = ["--dataset", npz, "--workdir", address, *SMALL]
    for call, disk in ((8, "first"), (17, "second")):
        with monkeypatch.context() as patched:
            stopping_at(patched, call)
            with pytest.raises(Interrupted, match="saved; the same command goes on"):
                here([*arguments, "--cache-dir", tmp_path / disk])
    out = here([*arguments, "--cache-dir", tmp_path / "third"])
    assert f"files were brought from {address}" in out
    assert f"report: {address}/report.html" in out.splitlines()
    study = distill_jax.open_study(address, tmp_path / "fourth")
    assert results(study.folder) == results(undisturbed)
    saved = json.loads((study.folder / "study.json").read_text())["run"]["workdir"]
    assert saved == address  # and no folder of this machine
    assert str(tmp_path / "third" / "buckets") not in "".join(p.read_text() for p in study.folder.rglob("*.json"))


def test_finished_it_is_not_done_again_and_brought_once(npz, tmp_path, address):
    arguments = ["--dataset", npz, "--workdir", address, *SMALL, "--seeds", "1", "--cache-dir", tmp_path / "cache"]
    first = here(arguments)
    again = here(arguments)
    assert "steps in" in first
    assert "steps in" not in again
    assert "brought" not in again


def test_a_checkpoint_that_came_into_the_bucket_in_part_is_none(npz, undisturbed, tmp_path, address, monkeypatch):
    arguments = ["--dataset", npz, "--workdir", address, *SMALL]
    with monkeypatch.context() as patched:
        stopping_at(patched, 4)
        with pytest.raises(Interrupted):
            here([*arguments, "--cache-dir", tmp_path / "first"])
    objects = Objects(FIELD, address)
    names = list(objects.list())
    objects.remove(n for n in names if "/seals/" in n or n.endswith("/state/_METADATA"))
    assert any("/checkpoints/" in name for name in names)
    here([*arguments, "--cache-dir", tmp_path / "second"])
    assert results(distill_jax.open_study(address, tmp_path / "third").folder) == results(undisturbed)


def test_another_machine_is_refused_while_one_is_at_work(tmp_path, address, monkeypatch):
    monkeypatch.setattr(Claim.take.__func__, "__defaults__", (None, 1.0))
    with at_work(FIELD, address, tmp_path / "a", lambda name: None, print):
        for disk, words in (("a", "in use by another process"), ("b", r"in use by another process \(process \d+ of")):
            with (
                pytest.raises(InputError, match=words),
                at_work(FIELD, address, tmp_path / disk, lambda name: None, print),
            ):
                pass


@pytest.mark.parametrize("of_interrupt", [signal.default_int_handler, signal.SIG_IGN])  # ignored, as after a shell's &
def test_a_holder_that_slept_too_long_is_stopped_and_changes_nothing(tmp_path, address, monkeypatch, of_interrupt):
    monkeypatch.setattr(Claim.take.__func__, "__defaults__", (None, 1.0))
    renew, asleep = Claim.renew, threading.Event()
    monkeypatch.setattr(Claim, "renew", lambda self: None if asleep.is_set() and self.number == 1 else renew(self))

    def work():
        with at_work(FIELD, address, tmp_path / "a", lambda name: None, print, seconds=0.1) as a:
            (a / "of the first").write_text("1")
            asleep.set()
            with at_work(FIELD, address, tmp_path / "b", lambda name: None, print) as b:
                (b / "of the second").write_text("2")
            asleep.clear()
            (a / "of the first").write_text("3")
            for _ in range(200):
                time.sleep(0.1)  # KeyboardInterrupt, once it is noticed
            stopped.append(False)

    stopped: list[bool] = []
    before = signal.signal(signal.SIGINT, of_interrupt)
    try:
        with pytest.raises(LostClaim):
            work()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not stopped
    assert Objects(FIELD, address).read("of the second") == b"2"
    assert Objects(FIELD, address).read("of the first") != b"3"


def test_a_bucket_that_is_silent_for_a_while_holds_nothing_up(tmp_path, address, monkeypatch, caplog):
    silent, pipe = threading.Event(), type(MEMORY).pipe_file
    told = threading.Event()

    def fail(self, *arguments, **keywords):
        if silent.is_set():
            told.set()
            raise ConnectionError("no route")
        return pipe(self, *arguments, **keywords)

    monkeypatch.setattr(type(MEMORY), "pipe_file", fail)
    monkeypatch.setattr("distill_jax.bucket.objects._PATIENCE", 0.2)
    with (
        caplog.at_level(logging.WARNING),
        at_work(FIELD, address, tmp_path / "a", lambda name: None, print, seconds=0.05) as folder,
    ):
        silent.set()
        (folder / "made meanwhile").write_text("1")
        assert told.wait(10)
        threading.Event().wait(1)
        silent.clear()
    assert "does not answer (no route)" in caplog.text
    assert caplog.text.count("no route") <= 2  # once of each that asks
    assert Objects(FIELD, address).read("made meanwhile") == b"1"


def test_what_no_longer_comes_into_the_bucket_is_kept_here(tmp_path, address, monkeypatch):
    monkeypatch.setattr("distill_jax.bucket.at_hand._END_PATIENCE", 0.3)
    pipe = type(MEMORY).pipe_file

    def fail(self, *arguments, **keywords):
        raise ConnectionError("no route")

    def work():
        with at_work(FIELD, address, tmp_path / "a", lambda name: None, print, seconds=60) as folder:
            (folder / "made").write_text("1")
            monkeypatch.setattr(type(MEMORY), "pipe_file", fail)

    with pytest.raises(Unreached, match="what was done is kept here, and the same command goes on"):
        work()
    monkeypatch.setattr(type(MEMORY), "pipe_file", pipe)
    with at_work(FIELD, address, tmp_path / "a", lambda name: None, print) as folder:
        assert (folder / "made").read_text() == "1"
    assert Objects(FIELD, address).read("made") == b"1"


def test_data_and_a_teachers_logits_are_read_from_a_bucket(npz, tmp_path, address):
    with np.load(npz) as arrays:
        classes = int(arrays["y_train"].max()) + 1
        logits = {s: np.eye(classes, dtype=np.float32)[arrays[f"y_{s}"]] * 3 for s in ("train", "test")}
    np.savez(tmp_path / "teacher.npz", **logits)
    MEMORY.pipe_file(f"{address}/teacher.npz", (tmp_path / "teacher.npz").read_bytes())
    arguments = ["--dataset", npz, "--workdir", tmp_path / "work", *SMALL[4:], "--seeds", "1"]
    arguments = [a for a in arguments if a not in ("--teacher.hidden", "16", "--student.hidden")]
    here([*arguments, "--teacher.logits", f"{address}/teacher.npz", "--cache-dir", tmp_path / "cache"])
    saved = json.loads((tmp_path / "work" / "study.json").read_text())
    assert saved["given"]["logits"] == [f"{address}/teacher.npz"]
    assert brought("data.data_dir", f"{address}/teacher.npz", tmp_path / "cache").name == "teacher.npz"


def test_only_the_part_of_the_data_that_is_needed_is_brought(tmp_path, address):
    for name in ("cifar100/3.0.2/a", "cifar10/3.0.2/a"):
        MEMORY.pipe_file(f"{address}/{name}", b"1")
    folder = brought("data.data_dir", address, tmp_path, part="cifar100")
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("a")] == ["cifar100/3.0.2/a"]


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("https://host/a", ["--workdir https://host/a", "path on this machine, or begin with gs:// or s3://"]),
        ("s3://key:secret@bucket/a", ["--workdir s3://...", "no credentials"]),
        ("gs://bucket/a?token=secret", ["--workdir gs://...", "no credentials or queries"]),
        ("gs://bucket//a/../b", ["gs://BUCKET/NAME"]),
        ("memory://", ["memory://BUCKET/NAME"]),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_in_a_line(typed, parts, capsys):
    with pytest.raises(InputError) as caught, undrawn():
        here(["digits", "--workdir", typed])
    assert "secret" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_where_there_is_nothing_it_is_said(tmp_path, address):
    with pytest.raises(InputError, match="holds nothing"):
        distill_jax.open_study(address, tmp_path)
    assert folder_for(address, tmp_path).parent == Path(tmp_path) / "buckets"
