"""Studies on engines: what is refused, what a job says, and submitit's own executor on this machine."""

import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from command import ROOT, refused, results
from rich.console import Console
from tiny_paper import EPOCHS
from xla_flags import xla_flags

from distill_jax.command import command_line
from distill_jax.errors import InputError, Interrupted, RunError
from distill_jax.study import workdir
from experiments.paper.__main__ import main
from experiments.paper.engines import jobs, on_slurm
from experiments.paper.engines.follow import follow, state, table
from experiments.paper.engines.jobs import BEGINS, Ended, Job, Said
from experiments.paper.make import Maker
from experiments.paper.scale import SCALES
from experiments.paper.setting import PROG, Setting
from experiments.paper.studies import studies

NAME = "cifar10-resnet56-resnet56"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--on", "cloud"], ["--on", "here", "ray", "slurm"]),
        (["--address", "auto"], ["--address", "--on ray"]),
        (["--on", "slurm", "--address", "auto"], ["--address", "--on ray"]),
        (["--on", "slurm", "--tpus", "4"], ["--tpus", "--on ray"]),
        (["--on", "ray", "--partition", "p"], ["--partition", "--on slurm"]),
        (["--cpus", "2"], ["--cpus", "--on ray or slurm"]),
        (["--on", "ray", "--cpus", "0"], ["--cpus 0", "1 or more"]),
        (["--on", "slurm", "--time", "0"], ["--time 0", "1 or more"]),
        (["--part", "0"], ["--part 0", "--part-seeds"]),
        (["--part-seeds", "2", "--part", "2"], ["--part 2", "in 0 to 1", "3 seeds have 2 parts of 2"]),
        (["--part-seeds", "1", "--part", "0", "--on", "ray"], ["--part 0", "without --on"]),
        (["--part-seeds", "1", "--part", "0", "--print-commands"], ["--part 0", "without --print-commands"]),
        (["--on", "slurm", "--sbatch", "account"], ["--sbatch"]),
        (["--on", "ray", "--print-commands"], ["--on ray", "without --print-commands"]),
        (["--on", "ray", "--distributed", "True"], ["--on ray", "without --distributed"]),
        (["--on", "ray"], ["--data-dir: must be given for cifar10-"]),
        (["--on", "ray", "--data-dir", ".", "--address", "head"], ["--address head: Ray cannot be", "HOST:PORT"]),
        (["--on", "ray", "--data-dir", ".", "--address", "127.0.0.1:1"], ["--address 127.0.0.1:1: Ray cannot be"]),
        (["--on", "ray", "--data-dir", "."], ["--on ray: needs ray", "distill-jax[ray]"]),
        (["--on", "slurm", "--data-dir", "."], ["--on slurm: needs submitit", "distill-jax[slurm]"]),
    ],
)
def test_wrong_engines_are_refused_in_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, module, None)  # as where they are not installed
    refused(main, [NAME, *arguments], parts, tmp_path)


class Given:
    """An engine whose jobs end as is said, one at each look, and which has some from before."""

    def __init__(self, ends, has=()):
        self.ends, self.looks, self.cancelled, self.has, self.given = ends, 0, False, has, []

    def begin(self, jobs):
        self.given.append([job.name for job in jobs])
        return self.has

    def ended(self):
        self.looks += 1
        if isinstance(self.ends, BaseException):
            raise self.ends
        return dict(list(self.ends.items())[: self.looks])

    def cancel(self):
        self.cancelled = True

    def close(self):
        pass


@pytest.fixture
def quick(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("experiments.paper.engines.follow._SECONDS", 0)
    yield
    signal.signal(signal.SIGTERM, before)


def job(folder, name="a", words=(), program="none", after=()):
    return Job(name, tuple(words), folder / name, folder / f"{name}.log", "1 h", program, after=after)


def test_all_are_followed_to_their_end_and_then_failures_are_said(quick, tmp_path, capsys):
    engine = Given({"a": Ended(2, "--what: is wrong"), "b": Ended(0)})
    with pytest.raises(RunError, match=r"1 of 2 studies have failed, .*: a: --what: is wrong \(.*a\.log"):
        follow([job(tmp_path), job(tmp_path, "b")], engine, Console(width=80))
    assert engine.given == [["a", "b"]]
    assert capsys.readouterr().out.splitlines() == ["a: failed: --what: is wrong", "b: done"]


def with_parts(folder):
    """A study after its two parts, and another study."""
    return [job(folder, "p0"), job(folder, "p1"), job(folder, "a", after=("p0", "p1")), job(folder, "b")]


def test_a_study_is_begun_when_its_parts_are_done(quick, tmp_path, capsys):
    engine = Given({"p1": Ended(0), "b": Ended(0), "p0": Ended(0), "a": Ended(0)})
    follow(with_parts(tmp_path), engine, Console(width=80))
    assert engine.given == [["p0", "p1", "b"], ["a"]]
    assert engine.looks == 4
    assert capsys.readouterr().out.splitlines() == ["p1: done", "b: done", "p0: done", "a: done"]


def test_a_study_a_part_of_which_has_failed_is_not_begun(quick, tmp_path):
    engine = Given({"p0": Ended(1, "no memory"), "b": Ended(0), "p1": Ended(0)})
    with pytest.raises(RunError, match=r"2 of 4 studies have failed.*p0: no memory.*a: is not begun, since p0 has"):
        follow(with_parts(tmp_path), engine, Console(width=80))
    assert engine.given == [["p0", "p1", "b"]]
    assert engine.looks == 3


def test_parts_are_jobs_of_their_own_and_commands_of_their_own(tmp_path, capsys):
    words = [NAME, "--scale", "rehearsal", "--workdir", str(tmp_path / "w"), "--seeds", "3", "--part-seeds", "2"]
    main([*words, "--print-commands"])
    printed = [shlex.split(line)[3:] for line in capsys.readouterr().out.splitlines()]
    assert printed == [[*words[:3], *words[3:5], *words[7:], "--part", str(part)] for part in range(2)]
    plan = studies(SCALES["rehearsal"])
    setting = command_line.parse(Setting(), PROG, [*words, "--on", "ray"], flags=True)
    *of_parts, whole = Maker(setting, plan, Console())._jobs(plan[NAME])
    folder = tmp_path / "w" / "rehearsal"
    assert [part.name for part in of_parts] == list(whole.after) == [f"{NAME}-part-0", f"{NAME}-part-1"]
    assert [part.folder for part in of_parts] == [folder / NAME / "parts" / "0", folder / NAME / "parts" / "1"]
    assert [part.words[-2:] for part in of_parts] == [("--part", "0"), ("--part", "1")]
    assert whole.folder == folder / NAME
    assert "--part" not in whole.words
    assert len({part.log for part in (*of_parts, whole)}) == 3


def test_what_an_earlier_command_has_begun_is_said_and_followed_by_all_of_its_log(quick, tmp_path, capsys):
    one = job(tmp_path)
    one.log.write_text(f"{BEGINS}n1, then: words\nstep 1\n")
    follow([one], Given({"a": Ended(0)}, has=["a"]), Console(width=80))
    assert capsys.readouterr().out.splitlines() == ["of an earlier command, and followed: a", "a: done"]
    assert state(Said()(one), None) == "on n1: step 1"


SQUEUE = """#!/bin/sh
cat "$(dirname "$0")/queue"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM whose queue is a file, and of which submitit's part is real; and what was submitted to it."""
    submitit = pytest.importorskip("submitit", reason="the extra slurm is not installed")
    (tmp_path / "squeue").write_text(SQUEUE)
    (tmp_path / "squeue").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    folder, submitted = tmp_path / "logs", []

    class SlurmExecutor:
        def __init__(self):
            self.folder = folder

        def map_array(self, task, given):
            submitted.append([one.name for one in given])
            for number, one in enumerate(given):
                submitit.core.utils.DelayedSubmission(task, one).dump(folder / f"7_{number}_submitted.pkl")
            return [submitit.SlurmJob(folder, f"7_{number}", [0]) for number in range(len(given))]

    def queue(*lines):
        text = "".join(f"{number} {folder / 'submission.sh' if of is None else of}\n" for number, of in lines)
        (tmp_path / "queue").write_text(text)

    queue()
    return lambda: on_slurm.OnSlurm(SlurmExecutor()), queue, submitted


def test_what_slurm_s_queue_has_of_a_command_that_died_is_not_submitted_again(slurm, tmp_path):
    engine, queue, submitted = slurm
    both = [job(tmp_path, "a", ["a"]), job(tmp_path, "b", ["b"])]
    assert not engine().begin(both)
    queue(("7_0", None), ("7_1", "/of/another/workdir/submission.sh"), ("3", None))
    again = engine()
    assert again.begin(both) == ("a",)
    assert submitted == [["a", "b"], ["b"]]
    assert again._jobs["a"].job_id == "7_0"
    queue(("7_0", None))
    assert engine().begin([job(tmp_path, "b", ["b"])]) == ("b",)  # as 7_0 is now b
    assert len(submitted) == 2


def test_what_slurm_s_queue_has_with_other_options_is_refused(slurm, tmp_path):
    engine, queue, submitted = slurm
    engine().begin([job(tmp_path, "a", ["a", "--seeds", "3"])])
    queue(("7_0", None))
    with pytest.raises(InputError, match="SLURM has a already, as 7_0, with --seeds 3; give the same"):
        engine().begin([job(tmp_path, "a", ["a", "--seeds", "5"])])
    assert len(submitted) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(signal.SIGTERM, "")], ids=["Ctrl-C", "SIGTERM"])
def test_who_is_interrupted_cancels_and_says_how_to_go_on(quick, error, tmp_path):
    engine = Given(error)
    with pytest.raises(Interrupted, match="the same command goes on") as caught:
        follow([job(tmp_path)], engine, Console(quiet=True))
    assert engine.cancelled
    assert caught.value.exit_status == (130 if isinstance(error, KeyboardInterrupt) else 143)


def test_a_state_is_what_its_log_says_since_it_was_begun(tmp_path):
    one = job(tmp_path)
    assert state(Said()(one), None) == "waits"
    one.log.write_text(f"{BEGINS}old, then: words\nlong ago\n")
    offset = one.log.stat().st_size
    assert state(Said()(one)[offset:], None) == "waits"
    with one.log.open("a") as log:
        log.write(f"{BEGINS}n1, now: words\n")
    assert state(Said()(one)[offset:], None) == "on n1"
    with one.log.open("a") as log:
        log.write(f"step 1\n{BEGINS}n2, now: words\nstep 2\nhalf a li")
    assert state(Said()(one)[offset:], None) == "on n2 (begun 2 times): step 2"
    assert state(Said()(one)[offset:], Ended(0)) == "done"
    assert table([one], {"a": "done"}).row_count == 1


def test_a_job_waits_for_a_folder_that_another_is_at_work_in_and_is_then_refused(quick, tmp_path, monkeypatch):
    one = job(tmp_path, words=["--list"], program="json.tool")
    lock = workdir.lock(one.folder)
    monkeypatch.setattr(jobs, "_FREE_SECONDS", 0.1)
    ended = jobs.work(one)
    assert ended.status == 2
    assert "is in use by another process" in ended.said
    assert one.log.read_text().splitlines()[-1] == ended.said
    monkeypatch.setattr(jobs, "_FREE_SECONDS", 60)
    threading.Timer(0.3, lock.close).start()
    assert jobs.work(one).status == 1  # json.tool's main takes no words
    assert "TypeError" in one.log.read_text()


@pytest.fixture
def local(monkeypatch, tmp_path):
    submitit = pytest.importorskip("submitit", reason="the extra slurm is not installed")
    for name, value in {
        "XLA_FLAGS": xla_flags(1),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")]),
        EPOCHS: "1000",
    }.items():
        monkeypatch.setenv(name, value)
    executor = submitit.LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=10)
    return on_slurm.OnSlurm(executor)


def study(folder: Path) -> Job:
    words = [NAME, "--scale", "small", "--seeds", "1", "--checkpoint-seconds", "0", "--workdir", str(folder)]
    return Job(NAME, tuple(words), folder / "small" / NAME, folder / "log", "", "tiny_paper")


def checkpointed(one: Job) -> None:
    end = time.monotonic() + 120
    while not list(one.folder.glob("runs/*/checkpoints/*")):
        assert time.monotonic() < end, one.log.read_text()
        time.sleep(0.05)


@pytest.mark.slow
def test_what_is_preempted_saves_and_is_queued_again_by_submitit(local, quick, tmp_path):
    left, whole = study(tmp_path / "left"), study(tmp_path / "whole")
    local.begin([left])
    checkpointed(left)
    for submitted in local._jobs.values():
        submitted._process.send_signal(signal.SIGTERM)  # which it hands on, as SLURM at a preemption
    end = time.monotonic() + 240
    while not local.ended():
        assert time.monotonic() < end
        time.sleep(0.2)
    assert local.ended() == {NAME: Ended(0)}
    assert left.log.read_text().count(BEGINS) == 2
    assert "saved; the same command goes on" in left.log.read_text()
    follow([whole], local, Console(quiet=True))
    assert results(left.folder) == results(whole.folder)


@pytest.mark.slow
def test_what_is_cancelled_saves_and_is_not_queued_again(local, tmp_path):
    left = study(tmp_path)
    local.begin([left])
    checkpointed(left)
    local.cancel()
    assert "saved; the same command goes on" in left.log.read_text().splitlines()[-1]
    assert local.ended()[NAME].status == 130
