"""Members that were begun together go on apart, from where they are, when not all of them fit or are wanted."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from command import EVERY_CALL, SMALL, end, here, kill_when_there, results, start_two

from distill_jax.dumps import find_dumps, read_dump
from distill_jax.errors import InputError, Interrupted, RunError
from distill_jax.machine.checkpoint import Checkpoints
from distill_jax.study import splitting
from distill_jax.study.workdir import RunFolder, populations
from distill_jax.training import loop
from distill_jax.training.population import Member, split
from distill_jax.training.trainer import Runner

BRIEF = [*SMALL, "--epochs", "3", "--learning-rate", "0.01", "--students", "one_hot", "kd"]
STEPS, BEGUN = 36, 18  # of each model; where the students were stopped, but for the call under way


def command(npz, workdir, *more):
    return ["--dataset", npz, "--workdir", workdir, *BRIEF, *EVERY_CALL, *more]


def stop_students(arguments):
    """Runs the command until its students have a checkpoint of step `BEGUN` or later, and asks it to stop."""
    save = loop._save

    def saved(checkpoints, writer, state, step, timing):
        save(checkpoints, writer, state, step, timing)
        if checkpoints._folder.parent.name.startswith("students") and step >= BEGUN:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "_save", saved)
        with pytest.raises(Interrupted):
            here(arguments)


def begun_folder(workdir):
    """The folder of the students that were begun together, and its newest checkpoint."""
    (population,) = [p for p in populations(workdir) if not p.is_finished]
    return population, population.steps()[-1]


@pytest.fixture
def calls(monkeypatch):
    """Of each call of a training's program its members and its first step."""
    found, call = [], Runner.__call__

    def counted(self, state, first, steps):
        found.append((len(self.rates), first))
        return call(self, state, first, steps)

    monkeypatch.setattr(Runner, "__call__", counted)
    return found


@pytest.fixture(scope="module")
def undisturbed(npz, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    here(command(npz, workdir, "--seeds", "3", "--population", "6"))
    return workdir


@pytest.fixture(scope="module")
def stopped(npz, tmp_path_factory):
    """Three seeds, whose 6 students were stopped in the middle."""
    workdir = tmp_path_factory.mktemp("stopped")
    stop_students(command(npz, workdir, "--seeds", "3", "--population", "6"))
    return workdir


@pytest.fixture
def work(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "work")
    return tmp_path / "work"


def curves(workdir):
    """Every loss of the finished populations, by whose and when."""
    rows = [
        json.loads(line)
        for population in populations(workdir)
        if population.is_finished
        for line in (population.folder / "scalars.jsonl").read_text().splitlines()
    ]
    found = {(row["model"], row["seed"], row["step"]): row["loss"] for row in rows}
    assert len(found) == len(rows)
    return found


def assert_is_that_of(workdir, undisturbed):
    """Checks that a study's results are those of another to rounding, and that it has no more of anything."""
    ours, theirs = find_dumps(workdir), find_dumps(undisturbed)
    assert ours.keys() == theirs.keys()
    for key, path in ours.items():
        found, expected = read_dump(path), read_dump(theirs[key])
        assert found.attributes == expected.attributes
        atol = 2e-4 * np.abs(expected.logits).max()
        np.testing.assert_allclose(found.logits, expected.logits, rtol=2e-4, atol=atol, err_msg=str(key))
    assert curves(workdir) == pytest.approx(curves(undisturbed), rel=2e-4, abs=2e-5)
    timings = [json.loads((folder / "summary.json").read_text())["timing"] for folder in (workdir, undisturbed)]
    examples = [timing["student"]["training_examples"] for timing in timings]
    assert examples[0] == pytest.approx(examples[1])


def test_fewer_at_a_time_go_on_from_where_all_were(npz, work, undisturbed, calls):
    population, step = begun_folder(work)
    with Checkpoints(population.folder / "checkpoints", keep=None) as checkpoints:
        seconds_before = checkpoints.restore(step).seconds
    said = here(command(npz, work, "--seeds", "3", "--population", "1"))
    assert f"6 students, seeds 0-2, were begun together and no longer fit: they go on from step {step} in 6" in said
    assert {members for members, _ in calls} == {1}
    assert min(first for _, first in calls) == step
    assert_is_that_of(work, undisturbed)
    assert not population.folder.exists()
    parts = [p for p in populations(work) if p.members[0].model != "teacher"]
    for kind, before in seconds_before.items():
        carried = sum(part.facts()[f"{kind}_seconds"] for part in parts)
        assert carried >= 0.999 * before
    assert all(part.commits() == parts[0].commits() for part in parts)


def test_seeds_that_are_taken_away_come_back_to_where_they_were(npz, work, undisturbed, calls):
    population, step = begun_folder(work)
    said = here(command(npz, work, "--seeds", "1", "--population", "6"))
    assert f"are no longer all asked for: 2 students, seed 0 go on from step {step} together" in said
    assert population.steps()[-1] == step
    said = here(command(npz, work, "--seeds", "3", "--population", "6"))
    assert f"no longer all go on from the same step: 4 students, seeds 1-2 go on from step {step} together" in said
    assert min(first for _, first in calls) == step
    assert_is_that_of(work, undisturbed)
    assert not population.folder.exists()


def test_memory_that_is_too_small_in_the_middle_splits(npz, work, undisturbed, monkeypatch, calls):
    _, step = begun_folder(work)
    advance = Runner.__call__

    def small(self, state, first, steps):
        if len(self.rates) > 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte.")
        return advance(self, state, first, steps)

    monkeypatch.setattr(Runner, "__call__", small)
    said = here(command(npz, work, "--seeds", "3", "--population", "6"))
    assert "6 students, seeds 0-2: the memory of the devices is too small (RESOURCE_EXHAUSTED" in said
    assert "3 at once are tried instead" in said
    assert f"no longer fit: they go on from step {step} in 3 portions" in said
    assert min(first for _, first in calls) == step
    assert_is_that_of(work, undisturbed)
    calls.clear()
    here(command(npz, work, "--seeds", "3", "--population", "6"))
    assert not calls


@pytest.mark.slow
def test_less_memory_than_a_begun_population_takes_splits_it(npz, work, undisturbed):
    _, step = begun_folder(work)
    less = ["--memory-gib", "0.0001", "--streaming", "never"]  # else in other calls, whose curves have other moments
    said = here(command(npz, work, "--seeds", "3", "--population", "6", *less))
    assert f"no longer fit: they go on from step {step} in" in said
    assert_is_that_of(work, undisturbed)


@pytest.mark.slow
def test_a_student_whose_loss_has_parameters_joins_begun_ones(npz, work, undisturbed, calls):
    _, step = begun_folder(work)
    arguments = command(npz, work, "--seeds", "3", "--population", "6")
    here([*arguments, "--students", "one_hot", "kd", "fitnets"])
    assert min(first for members, first in calls if members == 6) == step
    there = find_dumps(work)
    for key, path in find_dumps(undisturbed).items():
        expected = read_dump(path).logits
        np.testing.assert_allclose(
            read_dump(there[key]).logits, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max(), err_msg=str(key)
        )
    assert ("fitnets", 2, STEPS, "test") in there


def test_killed_in_the_middle_of_a_split_it_goes_on_to_the_same_bytes(npz, work, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(work, whole)
    more = ["--seeds", "3", "--population", "2"]
    here(command(npz, whole, *more))
    # What is carried over is there and the checkpoint, in most cases, not yet.
    kill_when_there(command(npz, work, *more), work, "runs/students-seed-0-*/scalars.jsonl")
    here(command(npz, work, *more))
    assert results(work) == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        *("members.json", "checkpoints/*.orbax-checkpoint-tmp*", "checkpoints/[0-9]*", "seals/*.json"),
        *("checkpoints/3*", "done.json"),
    ],
)
def test_killed_at_any_moment_of_a_split(npz, work, tmp_path, moment):
    whole = tmp_path / "whole"
    shutil.copytree(work, whole)
    more = ["--seeds", "3", "--population", "2"]
    here(command(npz, whole, *more))
    for seed in (0, 1):
        kill_when_there(command(npz, work, *more), work, f"runs/students-seed-{seed}-*/{moment}")
    here(command(npz, work, *more))
    assert results(work) == results(whole)


@pytest.mark.slow
def test_two_processes_split_what_one_has_begun(npz, work, undisturbed):
    statuses, said = end(start_two(command(npz, work, "--seeds", "3", "--population", "2")))
    assert statuses == [0, 0], said
    assert "no longer fit: they go on from step" in said[0][0]
    assert "no longer fit" not in said[1][0]
    assert find_dumps(work).keys() == find_dumps(undisturbed).keys()


def a_folder(workdir, members, steps, digests=None):
    """A population's folder with the names of checkpoints."""
    population = RunFolder.of(workdir, members)
    population.begin("a commit", [f"of {m.name} {m.seed}" for m in members] if digests is None else digests)
    for step in steps:
        (population.folder / "checkpoints" / str(step)).mkdir(parents=True, exist_ok=True)
    return population


def digest_of(member):
    return f"of {member.name} {member.seed}"


ALL = [Member(model, seed) for seed in range(4) for model in ("one_hot", "kd")]


@pytest.mark.parametrize("seed", range(20))
def test_each_member_goes_on_once_from_where_it_got_furthest(tmp_path, seed):
    rng = np.random.default_rng(seed)
    furthest = dict.fromkeys(ALL, 0)
    for _ in range(4):
        chosen = sorted(rng.choice(4, rng.integers(1, 5), replace=False))
        members = [m for m in ALL if m.seed in chosen]
        if rng.random() < 0.5:
            members = [m for m in members if m.model == "kd"]
        steps = sorted(rng.choice(20, 2, replace=False) + 1) if rng.random() < 0.8 else []
        folder = a_folder(tmp_path, members, steps)
        furthest |= {m: max(furthest[m], *folder.steps()) for m in members if folder.steps()}
    unfinished = [m for m in ALL if rng.random() < 0.8]
    most = int(rng.integers(1, 9))
    begun = splitting.begun(populations(tmp_path), unfinished, most, lambda members: split(members, most))
    gone_on = [m for population in begun for portion in population.portions for m in portion]
    assert sorted(gone_on, key=ALL.index) == [m for m in unfinished if furthest[m]]
    for population in begun:
        for portion in population.portions:
            assert len(portion) <= most
            assert set(portion) <= set(population.population.members)
            assert {furthest[m] for m in portion} == {population.step}
            found = splitting.origin(tmp_path, portion, digest_of)
            folder = RunFolder.of(tmp_path, portion) if found is None else RunFolder(found.folder, ())
            assert folder.steps()[-1] == population.step
            if found is not None:
                members = next(p.members for p in populations(tmp_path) if p.folder == found.folder)
                assert [members[row] for row in found.rows] == list(portion)


def test_a_folder_counts_until_a_newer_one_has_a_complete_checkpoint(tmp_path):
    together, part = a_folder(tmp_path, ALL, [10, 20]), RunFolder.of(tmp_path, ALL[:2])
    a_folder(tmp_path, ALL[:2], [30])
    (part.folder / "seals").mkdir()  # none is sealed yet
    assert splitting.origin(tmp_path, ALL[:2], digest_of).steps == (10, 20)
    (part.folder / "seals" / "30.json").touch()
    assert splitting.origin(tmp_path, ALL[:2], digest_of) is None
    assert splitting.origin(tmp_path, ALL[2:4], digest_of).rows == (2, 3)
    splitting.remove_superseded(tmp_path, dict.fromkeys(ALL[1:], part))
    assert together.folder.exists()
    splitting.remove_superseded(tmp_path, dict.fromkeys(ALL, part))
    assert not together.folder.exists()


def test_members_of_other_code_are_not_gone_on_with(tmp_path):
    a_folder(tmp_path, ALL, [10])
    with pytest.raises(InputError, match=r"has kd, seed 1, of other settings of its loss, other features or code"):
        splitting.origin(tmp_path, ALL[3:4], lambda member: "another")


def test_members_begun_by_an_older_version_go_on_where_all_of_them_are_known(tmp_path):
    population = a_folder(tmp_path, ALL, [10], digests=())
    assert splitting.origin(tmp_path, ALL[:2], digest_of).of
    (population.folder / "digests.json").write_text('["of one"]')
    with pytest.raises(InputError, match=r"digests.json: is of another population; remove that file"):
        splitting.origin(tmp_path, ALL[:2], digest_of)
    (population.folder / "digests.json").unlink()
    with pytest.raises(InputError, match=r"was begun by an older version, with models that are no longer asked for"):
        splitting.origin(tmp_path, ALL[:1], lambda member: {"one_hot": "a"}[member.model])


def test_what_is_said_of_members_is_carried_over(tmp_path):
    together, part = a_folder(tmp_path, ALL, [10]), RunFolder.of(tmp_path, ALL[2:3])
    rows = [json.dumps({"model": m.name, "seed": m.seed, "step": step}) for step in (5, 10) for m in ALL]
    (together.folder / "scalars.jsonl").write_text("\n".join(rows) + '\n{"model": "one_')
    (together.folder / "trackers").mkdir()
    for m in ALL:
        (together.folder / "trackers" / f"wandb-{m.name}-seed-{m.seed}.json").write_text(f"{m.seed}")
    found = splitting.origin(tmp_path, part.members, digest_of)
    for _ in range(2):
        splitting.carry_over(found, part)
        assert (part.folder / "scalars.jsonl").read_text().splitlines() == [rows[2], rows[10]]
        assert [path.name for path in (part.folder / "trackers").iterdir()] == ["wandb-one_hot-seed-1.json"]
        assert part.commits() == ["a commit"]
        assert part not in populations(tmp_path)


def test_a_device_that_is_too_small_for_one_model_is_an_error_of_one_line():
    error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of\nmemory")
    with pytest.raises(RunError, match=r"too small \(RESOURCE_EXHAUSTED: Out of memory\), for one model at a time"):
        splitting.shortage(error, ALL[:1])
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        splitting.shortage(jax.errors.JaxRuntimeError("INTERNAL: a fault"), ALL)
