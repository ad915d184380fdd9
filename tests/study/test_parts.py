"""A study in parts, trained apart and taken in, is the study that one command trains; whatever stops whom."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from command import EVERY_CALL, SMALL, end, here, results, start_two

from distill_jax import run
from distill_jax.bucket.at_hand import at_work, folder_for
from distill_jax.bucket.claim import Claim
from distill_jax.bucket.objects import Objects
from distill_jax.command.main import main
from distill_jax.errors import InputError, Interrupted
from distill_jax.setting import RunSetting
from distill_jax.study import parts, workdir
from distill_jax.study.checks import check_run
from distill_jax.study.workdir import populations
from distill_jax.training import loop

BRIEF = [*SMALL, "--epochs", "2", "--students", "one_hot", "kd", "--seeds", "3", "--part-seeds", "2"]


def command(npz, workdir, *more):
    return ["--dataset", npz, "--workdir", workdir, *BRIEF, *more]


@pytest.fixture(scope="module")
def undisturbed(npz, tmp_path_factory):
    """Trained by one command."""
    folder = tmp_path_factory.mktemp("undisturbed")
    here(command(npz, folder))
    return results(folder)


@pytest.fixture(scope="module")
def trained(npz, tmp_path_factory):
    """Two parts, the last first, and nothing else."""
    folder = tmp_path_factory.mktemp("trained") / "study"
    for part in (1, 0):
        here(command(npz, folder, "--part", part))
    return folder


@pytest.fixture
def study(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "study")


def test_parts_have_what_one_command_trains_and_are_there_once(npz, study, undisturbed):
    assert [len(populations(place)) for place in parts.there(study)] == [2, 2]
    assert populations(study) == []
    said = here(command(npz, study))
    assert "part 0: 2 trainings are taken in" in said
    assert "steps in" not in said
    assert results(study) == undisturbed
    left = [path.name for path in (study / "parts").rglob("*") if path.is_file()]
    assert sorted(left) == [".lock", ".lock", "taken-in.json", "taken-in.json"]
    assert "part 1 was taken in already" in here(command(npz, study, "--part", "1"))


def test_the_study_trains_what_no_part_has(npz, study, undisturbed):
    shutil.rmtree(study / "parts" / "0")
    said = here(command(npz, study))
    assert "2 teachers, seeds 0-1: " in said
    assert "seed 2: " not in said
    assert results(study) == undisturbed


def test_a_part_that_was_stopped_goes_on_in_the_study(npz, study, undisturbed, monkeypatch):
    shutil.rmtree(study / "parts" / "0")
    save = loop._save

    def saved(checkpoints, writer, state, step, timing):
        save(checkpoints, writer, state, step, timing)
        if checkpoints._folder.parent.name.startswith("students"):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_save", saved)
        with pytest.raises(Interrupted):
            here(command(npz, study, "--part", "0", *EVERY_CALL))
    said = here(command(npz, study))
    assert "part 0: 2 trainings are taken in" in said
    assert "4 students, seeds 0-1: " in said
    assert "2 teachers, seeds 0-1: " not in said
    assert results(study) == undisturbed


@pytest.mark.parametrize(("owner", "name"), [(parts, "write_dumps"), (Path, "rename"), (parts.files, "remove")])
@pytest.mark.parametrize("call", [0, 1])
def test_taking_in_may_be_stopped_anywhere(npz, study, undisturbed, owner, name, call, monkeypatch):
    """Before and between dumps that are written, populations that are moved, and what is removed."""

    class Killed(BaseException):
        pass

    calls, real = [], getattr(owner, name)

    def stopping(*arguments, **more):
        calls.append(arguments)
        if len(calls) > call:
            raise Killed
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, stopping)
        with pytest.raises(Killed):
            here(command(npz, study))
    assert "steps in" not in here(command(npz, study))
    assert results(study) == undisturbed


def test_dumps_that_are_read_one_by_one_are_the_same(npz, study, undisturbed, monkeypatch):
    monkeypatch.setattr(parts, "_AT_ONCE", 1)
    here(command(npz, study))
    assert results(study) == undisturbed


def test_what_the_study_has_already_stays(npz, study, undisturbed):
    here(command(npz, study))
    before = {path: path.stat().st_mtime_ns for path in (study / "dumps").rglob("*") if path.is_file()}
    shutil.rmtree(study / "parts")
    here(command(npz, study, "--part", "1"))
    assert "part 1: 0 trainings are taken in" in here(command(npz, study))
    assert before == {path: path.stat().st_mtime_ns for path in (study / "dumps").rglob("*") if path.is_file()}
    assert results(study) == undisturbed


def test_parts_of_more_seeds_are_trained_once_more_is_asked_for(npz, study):
    here(command(npz, study))
    more = command(npz, study, "--seeds", "4")
    assert "2 teachers, seeds 2-3" in here([*more, "--part", "1"])
    assert "steps in" not in here(more)


def test_who_is_at_work_on_a_part_is_not_disturbed(npz, study, tmp_path):
    with workdir.lock(study / "parts" / "1"), pytest.raises(InputError, match="is in use by another process"):
        main([*map(str, command(npz, study))])
    with workdir.lock(study), pytest.raises(InputError, match="is in use by another process"):
        main([*map(str, command(npz, study, "--part", "0"))])
    with workdir.lock(study, shared=True):  # as another part has it
        here(command(npz, study, "--part", "0"))


def test_another_study_s_parts_are_refused_and_left_as_they_are(npz, study):
    before = sorted(study.rglob("*"))
    other = command(npz, study, "--learning-rate", "0.3")
    for arguments in (other, [*other, "--part", "0"]):
        with pytest.raises(InputError, match="another setting"):
            main([*map(str, arguments)])
    shutil.rmtree(study / "parts" / "1")
    with pytest.raises(InputError, match="another setting"):  # the study's own folder says so
        main([*map(str, [*other, "--part", "1"])])
    assert {*study.rglob("*")} <= {*before}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"part": 0}, "run.part 0: must be given with `run.part_seeds`"),
        ({"part": 2, "part_seeds": 2}, "run.part 2: must be in 0 to 1, since 3 seeds have 2 parts of 2"),
        ({"part_seeds": 0}, "run.part_seeds 0: must be 1 or more"),
    ],
)
def test_parts_that_cannot_be_are_refused(fields, fault):
    with pytest.raises(InputError) as refused:
        check_run(RunSetting(seeds=3, **fields))
    assert str(refused.value) == fault


def test_a_part_is_not_run_from_python_where_a_report_is_wanted(tmp_path):
    with pytest.raises(InputError, match=r"run\.part 0: must be left out"):
        run("digits", seeds=3, workdir=tmp_path / "work", part=0, part_seeds=2)
    assert not (tmp_path / "work").exists()


def test_two_processes_take_parts_in(npz, study, undisturbed):
    statuses, said = end(start_two(command(npz, study)))
    assert statuses == [0, 0], said
    assert "steps in" not in said[0][0]
    assert results(study) == undisturbed


def test_parts_are_trained_on_several_machines_that_share_a_bucket(npz, tmp_path, undisturbed):
    address = f"memory://bucket{tmp_path}/study"

    def on(machine, *more):
        return here([*command(npz, address, *more), "--cache-dir", tmp_path / machine])

    on("first", "--part", "0")
    assert "runs" not in {name.partition("/")[0] for name in Objects("run.workdir", address).list()}
    said = on("third", "--seeds", "2")
    assert "part 0: 2 trainings are taken in" in said
    assert "steps in" not in said
    on("second", "--part", "1")
    said = on("third")  # which was the last to be at work on the study, and not on its parts
    assert "part 1: 2 trainings are taken in" in said
    assert "steps in" not in said
    for machine in ("first", "fourth"):
        assert "part 0 was taken in already" in on(machine, "--part", "0")
    assert results(folder_for(address, tmp_path / "third")) == undisturbed


def test_in_a_bucket_nobody_is_at_work_on_a_part_and_on_the_study(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(Claim.take.__func__, "__defaults__", (None, 1.0))
    address = f"memory://bucket{tmp_path}/study"
    here([*command(npz, address, "--part", "1"), "--cache-dir", tmp_path / "first"])
    for busy, more in ((f"{address}/parts/1", []), (address, ["--part", "1"])):
        with (
            at_work("run.workdir", busy, tmp_path / "busy", lambda name: None, print),
            pytest.raises(InputError, match=f"{busy}: is in use by another process"),
        ):
            main([*map(str, command(npz, address, *more)), "--cache-dir", str(tmp_path / "second")])
