"""How often verdicts are false in worlds without deviation, and right in worlds with one."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from command import ROOT, refused
from scipy import stats

from distill_jax.measures import comparisons, deviations
from experiments.null_world import __main__ as command
from experiments.null_world import picture, rates, worlds

STUDENTS = ("one_hot", "kd")


def read(dumps):
    return lambda model, seed: dumps[model, seed]


def drawn(world, studies, seed=0):
    return worlds.draw(world, studies, np.random.default_rng(seed))


def rate(counts, studies, selection, verdict):
    return sum(counts[verdict, selection, way] for way in ("supported", "contradicted")) / studies


@pytest.mark.parametrize("name", ["centre", "heavy tails", "2 seeds, correlated"])
def test_verdicts_are_false_no_more_often_than_said(name):
    studies = 150
    counts = rates.count(worlds.NULL[name], studies, (1,))
    most = stats.binom.ppf(1 - 1e-5, studies, rates.NOMINAL) / studies
    assert all(rate(counts, studies, "cross-fitted", verdict) <= most for verdict in rates.VERDICTS)
    assert rates.control_row(name, counts, studies)["failure_rate"]["mean"] <= most


def test_points_of_the_paper_s_choice_make_them_false():
    studies = 60
    counts = rates.count(worlds.NULL["5 seeds"], studies, (1,))
    assert rate(counts, studies, "as_in_paper", "exaggerates") > 0.6
    assert rate(counts, studies, "as_in_paper", "exaggerates_more") > 0.3
    assert rate(counts, studies, "as_in_paper", "below_hard") > 0.2


@pytest.mark.parametrize(
    ("deviation", "kind", "expected"),
    [
        ({"stretched": 1.3}, "stretched", "supported"),
        ({"stretched": 0.7}, "stretched", "contradicted"),
        ({"lowered": 2.0}, "lowered", "supported"),
        ({"lowered": -2.0}, "lowered", "contradicted"),
    ],
)
def test_a_deviation_is_found(deviation, kind, expected):
    studies = 30
    counts = rates.count(worlds.World(seeds=6, margin=6.0, luck=0.1, **deviation), studies, (1,))
    assert all(counts[verdict, "cross-fitted", expected] > 0.9 * studies for verdict in rates.TRUE[kind])


@pytest.mark.parametrize("law", ["normal", "heavy", "uneven", "shared by classes", "shared by examples"])
@pytest.mark.parametrize("inherited", [0.0, 0.9])
def test_a_student_has_so_much_of_its_teacher_s_luck(law, inherited):
    world = worlds.World(seeds=2, examples=400, classes=2, inherited=inherited, law=law)
    found = [comparisons.inherited_noise(read(dumps), STUDENTS, 2) for dumps in drawn(world, 10)]
    for student, expected in (("kd", inherited), ("one_hot", 0.0)):
        assert np.mean([of[student].mean for of in found]) == pytest.approx(
            expected, abs=0.25 if law == "shared by examples" else 0.08
        )


def test_two_seeds_that_choose_for_each_other_are_correlated_and_three_are_not():
    correlation = {}
    for seeds in (2, 3):
        world = replace(worlds.NULL["2 seeds, correlated"], seeds=seeds)
        pairs = []
        for dumps in drawn(world, 300):
            compared = comparisons.compare_points(read(dumps), STUDENTS, seeds)
            pairs.append([deviations.decisive(of["one_hot"])["slope_instrumented"] - 1 for of in compared[:2]])
        a, b = np.clip(np.array(pairs), -1, 1).T
        correlation[seeds] = a @ b / math.sqrt((a @ a) * (b @ b))
    assert correlation[2] > 0.2
    assert abs(correlation[3]) < 0.15


@pytest.mark.parametrize("seeds", [2, 3])
def test_their_intervals_are_wider_by_as_much_as_that_can_be(seeds):
    [dumps] = drawn(worlds.World(seeds=seeds), 1)
    compared = comparisons.compare(read(dumps), STUDENTS, seeds)
    found = comparisons.intervals(compared)["kd"] | {
        "tenth": comparisons.gaps_by_tenth(compared, crossed=True)["kd"][0],
        "tenth_as_in_paper": comparisons.gaps_by_tenth(compared, crossed=False)["kd"][0],
    }
    wider = math.sqrt(3) if seeds == 2 else 1.0
    assert found["slope_instrumented"].wider == wider  # of a ratio, and so not to either side
    for name in ("mean_gap_hard", "mean_gap_easy_as_in_paper", "kl", "tenth", "tenth_as_in_paper"):
        for value in (found[name], found[name].against_control):
            per_seed = value.per_seed
            half = stats.t.ppf(0.975, seeds - 1) * np.std(per_seed, ddof=1) / math.sqrt(seeds)
            crossed = name in deviations.CROSSED or name == "tenth"
            assert value.high - value.mean == pytest.approx(wider * half if crossed else half)


def test_what_verdicts_are_made_by_is_the_same_without_the_rest():
    [dumps] = drawn(worlds.World(classes=5), 1)
    whole = comparisons.intervals(comparisons.compare(read(dumps), STUDENTS, 3))
    points = comparisons.compare_points(read(dumps), STUDENTS, 3)
    part = comparisons.intervals(points, decisive)
    for student, values in part.items():
        assert {name: whole[student][name] for name in values} == values


@pytest.mark.parametrize("name", ["one teacher, 24 seeds, most inherited", "one teacher, 10 seeds, little own luck"])
def test_one_teacher_s_luck_is_in_all_seeds_and_intervals_know_it(name):
    world, studies = worlds.NULL[name], 60
    [dumps] = drawn(world, 1)
    np.testing.assert_array_equal(dumps["teacher", 0].logits, dumps["teacher", 1].logits)
    assert not np.array_equal(dumps["kd", 0].logits, dumps["kd", 1].logits)
    false = Counter()
    for dumps in drawn(world, studies):
        values = comparisons.intervals(comparisons.compare_points(read(dumps), STUDENTS, world.seeds), decisive)
        gap, slope = values["kd"]["mean_gap_hard"], values["kd"]["slope_instrumented"]
        for what, value in {
            "gap": gap,
            "slope": slope.minus(1.0),
            "gap more": gap.against_control,
            "slope more": slope.against_control,
        }.items():
            false[what, "widened"] += not value.includes(0)
            false[what, "alone"] += abs(value.mean) > (value.high - value.mean) / value.wider
    for what in ("gap", "slope", "gap more", "slope more"):
        assert false[what, "widened"] <= stats.binom.ppf(1 - 1e-5, studies, rates.NOMINAL)
    wrong = ("gap more", "slope more") if world.own is None else ("gap", "slope")
    assert all(false[what, "alone"] > 0.25 * studies for what in wrong)


def decisive(comparison, rows):
    return deviations.decisive(comparison)


@pytest.fixture
def few_worlds(monkeypatch):
    small = worlds.World(examples=20)
    monkeypatch.setattr(worlds, "NULL", {"centre": small, "two": replace(small, seeds=2)})
    monkeypatch.setattr(worlds, "DEVIATING", {"stretched": replace(small, stretched=1.5)})


def test_the_result_file_has_each_verdict_by_each_selection(few_worlds, tmp_path, capsys):
    file = tmp_path / "null.json"
    command.main(["--studies", "20", "--json", str(file), "--figures", str(tmp_path / "figures")])
    said = json.loads(file.read_text())
    listed = [(row["world"], row["verdict"], row["selection"]) for row in said["worlds"]]
    assert listed == [(w, v, s) for w in ("centre", "two") for v in rates.VERDICTS for s in rates.SELECTIONS]
    for row in said["worlds"]:
        value = row["false_positive_rate"]
        assert set(value) == {"mean", "low", "high", "n"}
        assert value["n"] == 20
        assert 0 <= value["low"] <= value["mean"] <= value["high"] <= 1
        assert value["mean"] == pytest.approx(row["supported"]["mean"] + row["contradicted"]["mean"])
    assert [row["supported"]["n"] for row in said["power"]] == [5] * 4
    assert [row["world"] for row in said["control_check"]] == ["centre", "two"]
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".svg"}
    out = capsys.readouterr().out
    assert "[3/3, ETA 0 min] stretched: right verdicts up to" in out
    command.main(["--markdown", str(file)])
    assert capsys.readouterr().out == picture.lines(said)


def test_numbers_depend_on_the_seed_and_not_on_the_processes(few_worlds, tmp_path):
    found = []
    for name, (processes, seed) in {"one": (1, 0), "two": (2, 0), "other": (1, 1)}.items():
        file = tmp_path / f"{name}.json"
        command.main(["--studies", "60", "--json", str(file), "--processes", str(processes), "--seed", str(seed)])
        said = json.loads(file.read_text())
        found.append([said[part] for part in ("worlds", "power", "control_check")])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--studies", "0"], ["--studies 0", "1 or more"]),
        (["--seed", "-1"], ["--seed -1", "0 or more"]),
        (["--processes", "0"], ["--processes 0", "1 or more"]),
        (["--json", "result.txt"], ["--json result.txt", "must end in .json"]),
        (["--figures", "/nowhere/at/all"], ["--figures /nowhere/at/all", "folder"]),
        (["--markdown", "/nowhere.json"], ["--markdown /nowhere.json", "cannot be read"]),
        (["--markdown", __file__], ["--markdown", "must be a result file of this command"]),
        (["--worlds", "3"], ["--worlds", "all options"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path):
    refused(command.main, arguments, parts, tmp_path)


def test_a_rate_s_interval_lies_above_it_in_few_cases():
    low = [rates.proportion(times, 200).low for times in range(201)]
    weights = stats.binom.pmf(np.arange(201), 200, rates.NOMINAL)
    assert weights[np.array(low) > rates.NOMINAL].sum() <= 0.025
    interval = rates.proportion(0, 200)
    assert (interval.mean, interval.low) == (0, 0)
    assert 0 < interval.high < 0.02


def test_no_committed_rate_is_above_its_nominal_level():
    said = json.loads((ROOT / "experiments" / "results" / "null_world.json").read_text())
    rows = [row["false_positive_rate"] for row in said["worlds"] if row["selection"] == "cross-fitted"]
    assert min(row["n"] for row in rows) >= 2000
    assert max(row["low"] for row in rows) <= rates.NOMINAL
    assert not said["above_nominal"]["above"]
