"""How long all studies take on some chips: schedules against what no schedule can beat, and machines that are lost."""

import itertools
import json
import types
from dataclasses import replace

import numpy as np
import pytest
from command import ROOT, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_jax.study.workdir import RunFolder, lock
from distill_jax.training import loop
from distill_jax.training.schedule import Schedule
from experiments.paper.make import RESULTS
from experiments.paper.scale import PAPER
from experiments.paper.studies import studies
from experiments.schedule import __main__ as command
from experiments.schedule import losses, picture, plan, portions, table
from experiments.schedule.machines import MACHINES
from experiments.schedule.plan import Task
from experiments.schedule.run import Run

KEPT = json.loads((RESULTS / "schedule.json").read_text())


@st.composite
def works(draw):
    """Tasks of which each may follow an earlier one."""
    tasks = []
    for place in range(draw(st.integers(1, 25))):
        after = draw(st.none() | st.integers(0, place - 1)) if place else None
        tasks.append(Task(draw(st.floats(0.1, 100.0)), after))
    return tasks


@given(works(), st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_a_schedule_keeps_its_rules_and_is_between_the_bounds(tasks, machines):
    placed = plan.schedule(tasks, machines)
    for task, place in zip(tasks, placed, strict=True):
        assert place.end == pytest.approx(place.start + task.seconds)
        assert task.after is None or place.start >= placed[task.after].end
    for machine in range(machines):
        done = sorted((place.start, place.end) for place in placed if place.machine == machine)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(done))
    seconds, work, chain = max(p.end for p in placed), sum(t.seconds for t in tasks), max(plan.chains(tasks))
    assert seconds >= plan.lower_bound(tasks, machines) * (1 - 1e-9)
    assert seconds <= (work / machines + (1 - 1 / machines) * chain) * (1 + 1e-9)  # Graham 1969
    assert plan.held(placed) <= machines * seconds * (1 + 1e-9)
    if machines == 1:
        assert seconds == pytest.approx(work)


@pytest.fixture(scope="module")
def found():
    plans = studies(PAPER)
    return {name: portions.predictions(RESULTS / "compiled", plans, machine) for name, machine in MACHINES.items()}


@pytest.mark.parametrize("seeds", [3, 20])
@pytest.mark.parametrize("name", MACHINES)
def test_portions_are_all_models_of_all_studies_once_with_students_after_their_teachers(found, name, seeds):
    listed = portions.portions(found[name], seeds)
    members = [(portion.study, member) for portion in listed for member in portion.members]
    assert len(set(members)) == len(members) == sum(seeds * p.plan.models_a_seed for p in found[name])
    for portion in listed:
        if portion.teachers is not None:
            teachers = listed[portion.teachers]
            assert teachers.study == portion.study
            assert {m.seed for m in portion.members} <= {m.seed for m in teachers.members}
            assert {m.model for m in teachers.members} == {"teacher"}


def test_three_seeds_are_the_hours_that_the_list_of_studies_predicts(found):
    for p in found["h100"]:
        training = sum(portion.run.trained(0, p.plan.steps) for portion in portions.portions([p], 3))
        dumps = sum(
            len(portion.run.schedule.snapshot_steps) * portion.run.dump_seconds for portion in portions.portions([p], 3)
        )
        predicted = sum(
            part.populations * part.steps * row["step_seconds_predicted"]
            for part, row in zip((p.teachers, p.students), p.rows, strict=True)
        )
        assert training - dumps == pytest.approx(predicted)


class Saves:
    """Stands for a device and a disk, so that the loop of the code runs and only notes where it saves."""

    def __init__(self, run):
        self.run, self.steps, self.timing = run, [], loop.Timing()
        self.trainer = types.SimpleNamespace(
            schedule=run.schedule,
            steps_per_dispatch=run.most,
            setting=types.SimpleNamespace(run=types.SimpleNamespace(checkpoint_seconds=run.checkpoint_seconds)),
        )

    def __call__(self, state, *_):
        return state, {}

    def seconds_a_step(self):
        return self.run.step_seconds

    def save(self, step, *_):
        self.steps.append(step)

    def nothing(self, *_):
        pass

    add = drain = restart = write = wait = before = after = nothing

    def requested(self):
        return 0


def saves(run, first):
    """The steps at which the code's own loop saves what it goes on with from a step."""
    notes = Saves(run)
    loop._Session(*[notes] * 6).advance(None, first, notes)
    return notes.steps


RUNS = [
    Run(Schedule(10, 1000, (100, 333, 1000)), 20, 3.0, 50.0, 0.5, 7.0, 60.0),
    Run(Schedule(10, 1000, (1000,)), 50, 3.0, 50.0, 0.01, 7.0, 60.0),
    Run(Schedule(10, 997, (995, 997)), 50, 3.0, 50.0, 5.0, 0.0, 60.0),
    Run(Schedule(10, 64, (64,)), 2, 3.0, 50.0, 200.0, 1.0, 60.0),
]


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_what_is_left_of_a_run_is_what_the_code_s_loop_has_saved(run):
    for first in (0, *saves(run, 0)[:3]):
        if first == run.schedule.total_steps:
            continue
        previous = first
        for step in saves(run, first):
            at = run.restart_seconds + run.trained(first, step)
            assert run.saved(first, at + 1e-6) == step
            assert run.saved(first, at - 1e-6) == previous
            previous = step
        assert previous == run.schedule.total_steps
        assert run.saved(first, run.restart_seconds / 2) == first


@pytest.mark.parametrize("name", MACHINES)
def test_machines_that_claim_by_the_code_s_locks_do_what_the_schedule_says(found, name, tmp_path):
    listed, machines = portions.portions(found[name][:12], 3), 4
    placed = plan.schedule(portions.tasks(listed), machines)
    outcome = losses.simulate(listed, machines, 0.0, np.random.default_rng(0), tmp_path)
    assert outcome.seconds == pytest.approx(max(place.end for place in placed))
    assert outcome.losses == []
    assert outcome.tries >= len(listed)
    folder = RunFolder.of(tmp_path / listed[0].study, listed[0].members).folder
    assert (folder / ".lock").exists()
    lock(folder).close()  # it is free again


def test_locks_in_a_folder_and_a_list_of_claims_are_the_same_simulation(found, tmp_path):
    listed = portions.portions(found["h100"][:12], 3)
    outcomes = [losses.simulate(listed, 3, 1 / 1000, np.random.default_rng(1), folder) for folder in (None, tmp_path)]
    assert outcomes[0].seconds == outcomes[1].seconds
    assert outcomes[0].losses == outcomes[1].losses != []


def test_a_portion_that_another_process_holds_is_not_taken(found, tmp_path):
    listed = portions.portions(found["h100"][:1], 3)
    claims = losses.Claims(listed, tmp_path)
    with lock(RunFolder.of(tmp_path / listed[0].study, listed[0].members).folder):
        assert not claims.take(0)
    assert claims.take(0)
    assert not claims.take(0)
    claims.free(0)


@pytest.mark.parametrize("name", MACHINES)
def test_what_a_loss_costs_is_at_most_a_checkpoint_s_interval_and_a_restart(found, name):
    listed = portions.portions(found[name], 3)
    outcome = losses.simulate(listed, 16, 1 / 7200, np.random.default_rng(0))
    assert len(outcome.losses) > 20
    for loss in outcome.losses:
        run = listed[loss.portion].run
        # The interval is counted from the end of the second call, and ends with the end of one.
        steps, dumps = run.interval + 3 * run.most, len(run.schedule.snapshot_steps)
        most = run.restart_seconds + steps * run.step_seconds + dumps * run.dump_seconds
        assert 0 < loss.seconds <= min(most, loss.worked)
    again, work = (sum(loss.seconds for loss in outcome.losses), sum(p.run.seconds() for p in listed))
    lasting = sum(p.run.seconds() for p in listed) + again
    assert outcome.seconds >= lasting / 16
    assert outcome.seconds <= plan.lower_bound(portions.tasks(listed), 16) + lasting - work


def test_more_losses_take_longer_on_one_machine(found):
    listed = portions.portions(found["h100"][:12], 3)
    hours = [losses.simulate(listed, 1, rate, np.random.default_rng(0)) for rate in (0.0, 1 / 36_000, 1 / 1800)]
    assert hours[0].seconds < hours[1].seconds < hours[2].seconds
    for outcome in hours:
        again = sum(loss.seconds for loss in outcome.losses)
        assert outcome.seconds == pytest.approx(hours[0].seconds + again)


def test_the_kept_result_is_that_of_today_s_predictions(found):
    assert KEPT["studies"] == len(found["h100"])
    for row in KEPT["rows"]:
        machine = MACHINES[row["chip"]]
        if row["chips"] == 8:
            listed = portions.portions(found[row["chip"]], row["seeds"], machine.of(8)[1])
            made = {"portion": portions.tasks, "part": portions.of_seeds, "study": portions.whole}[row["claimed"]](
                listed
            )
            work = made if isinstance(made, list) else list(made.values())
            placed = plan.schedule(work, machine.of(8)[0])
            assert row["hours"] == pytest.approx(max(place.end for place in placed) / 3600)
        assert row["lower_bound_hours"] <= row["hours"] * (1 + 1e-9)
        assert row["efficiency"] <= 1 + 1e-9
        if row["chips"] == 1:
            assert row["hours"] == pytest.approx(row["busy_chip_hours"])


def test_more_chips_take_no_longer_in_the_kept_result():
    for claimed in ("study", "part", "portion"):
        for chip in MACHINES:
            for seeds in KEPT["setting"]["seeds"]:
                rows = [r for r in KEPT["rows"] if (r["chip"], r["seeds"], r["claimed"]) == (chip, seeds, claimed)]
                hours = [row["hours"] for row in sorted(rows, key=lambda row: row["chips"])]
                assert len(hours) == 4
                assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(hours))
    assert KEPT["anomalies"] == []


def test_parts_of_as_many_seeds_as_there_are_are_whole_studies(found):
    listed = portions.portions(found["h100"], 3)
    assert [*portions.of_seeds(listed).values()] == [*portions.whole(listed).values()]
    of_six = portions.of_seeds(portions.portions(found["h100"], 6))
    assert [*of_six.values()] == [task for task in portions.whole(listed).values() for _ in range(2)]


def test_the_command_writes_what_it_shows(tmp_path, capsys):
    file = tmp_path / "schedule.json"
    options = ["--chips", "1", "16", "--seeds", "3", "--losses", "0.1", "--simulations", "2"]
    command.main([*options, "--json", str(file), "--figures", str(tmp_path)])
    out, said = capsys.readouterr().out, json.loads(file.read_text())
    assert table.lines(said) in out
    assert "*" in table.lines(said).splitlines()[2]  # a v5e alone has not the memory for one ImageNet teacher
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png", ".svg"}
    assert [row["losses_a_chip_hour"] for row in said["losses"]] == [0.1] * 4
    command.main(["--markdown", str(file)])
    assert capsys.readouterr().out == table.lines(said)
    [lost] = [r for r in said["losses"] if (r["chip"], r["chips"]) == ("h100", 1)]
    [row] = [r for r in said["rows"] if (r["chip"], r["chips"], r["claimed"]) == ("h100", 1, "portion")]
    assert lost["hours"]["mean"] == pytest.approx(row["hours"] + lost["chip_hours_again"]["mean"])


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--chips", "0"], ["--chips 0", "from 1 on"]),
        (["--seeds", "3", "3"], ["--seeds 3 3", "each once"]),
        (["--losses", "0"], ["--losses 0", "above 0"]),
        (["--simulations", "0"], ["--simulations 0", "1 or more"]),
        (["--seed", "-1"], ["--seed -1", "0 or more"]),
        (["--json", "result.txt"], ["--json", "must end in .json"]),
        (["--markdown", "no.json"], ["--markdown", "cannot be read"]),
    ],
)
def test_what_cannot_be_is_refused(options, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(command.main, options, parts, tmp_path)


def test_the_picture_has_a_panel_for_each_number_of_seeds_with_both_chips():
    figure = picture.figure(KEPT)
    assert [axis.get_title() for axis in figure.axes] == ["3 seeds", "20 seeds"]
    for axis, seeds in zip(figure.axes, (3, 20), strict=True):
        drawn = {line.get_label(): line.get_ydata().tolist() for line in axis.lines}
        rows = [r for r in KEPT["rows"] if (r["chip"], r["seeds"], r["claimed"]) == ("h100", seeds, "portion")]
        assert drawn["H100, a portion a claim"] == [row["hours"] for row in rows]


def test_the_page_s_sentences_quote_the_kept_result():
    page = " ".join((ROOT / "docs" / "how-far.md").read_text("utf-8").partition("<!-- end -->")[2].split())
    rows = {(r["chip"], r["seeds"], r["chips"], r["claimed"]): r for r in KEPT["rows"]}

    def hours(chip, seeds, chips, claimed="portion"):
        return f"{rows[chip, seeds, chips, claimed]['hours']:.0f}"

    one, eight, most = (hours("h100", 3, chips) for chips in (1, 8, 512))
    assert f"On one H100 all is done in {one} hours, on eight in {eight}, and on 512 in {most}:" in page
    whole = [hours(chip, seeds, 512, "study") for chip in ("h100", "v5e") for seeds in (3, 20)]
    assert "{} hours with 3 seeds and {} with 20 on an H100, {} and {} on".format(*whole) in page
    of_parts = [hours(chip, 20, 512, "part") for chip in ("h100", "v5e")]
    assert "they are {} and {} hours with 20 seeds too".format(*of_parts) in page
    each = [hours(chip, seeds, 512) for chip in ("h100", "v5e") for seeds in (3, 20)]
    assert "all would be {} and {}, {} and {}.".format(*each) in page
    alone = [rows[chip, 3, 512, "portion"]["chain_of_single_models_hours"] for chip in ("h100", "v5e")]
    assert "take {:.0f} hours on H100s, {:.0f} on v5es".format(*alone) in page
    quicker = max(1 - row["hours"] / rows[(*case[:3], "portion")]["hours"] for case, row in rows.items())
    assert f"quicker by up to {quicker:.0%}" in page
    kept = [r["usd"][0] / r["usd_given_back"][0] for c, r in rows.items() if c[2:] == (512, "portion")]
    assert f"512 cost {min(kept):.0f} to {max(kept):.0f} times that" in page
    above = max(row["hours"] / row["lower_bound_hours"] - 1 for row in rows.values())
    assert f"at most {above:.1%} above" in page
    most = rows["h100", 20, 512, "portion"]
    later = (most["claims_tried"] - most["claims_tried_first"]) / (3600 * most["hours"])
    assert f"they try {most['claims_tried_first']:,} claims at once" in page
    assert f"{later:.1f} a second on average" in page
    assert f"Checkpoints are {most['checkpoints_a_second']:.1f} a second" in page


def test_the_page_says_what_losses_cost():
    page = (ROOT / "docs" / "how-far.md").read_text("utf-8")
    work = {
        (r["chip"], r["seeds"], r["chips"]): r["busy_chip_hours"] for r in KEPT["rows"] if r["claimed"] == "portion"
    }
    shares = {}
    for row in (r for r in KEPT["losses"] if r["chips"] > 1):
        again = row["chip_hours_again"]["mean"]
        share = again / (again + work[row["chip"], row["seeds"], row["chips"]])
        shares.setdefault((row["chip"], row["losses_a_chip_hour"]), []).append(f"{share:.0%}")
    assert set(shares["h100", 1 / 4]) == {"1%"}
    assert "little**, 1% more work" in page
    assert set(shares["v5e", 1 / 4]) <= {"17%", "18%"}
    assert "17 to 18%" in page
    assert set(shares["v5e", 1 / 24]) == {"3%"}
    assert "in 24 chip-hours it is 3%" in page


def test_a_machine_of_fewer_chips_takes_as_many_times_as_long(found):
    machine = MACHINES["v5e"]
    number, slower = machine.of(1)
    assert (number, slower) == (1, 4.0)
    run, slow = (portions.run(found["v5e"][0], 1, factor) for factor in (1.0, slower))
    assert slow.step_seconds == 4 * run.step_seconds
    assert replace(slow, step_seconds=run.step_seconds, dump_seconds=run.dump_seconds) == run
