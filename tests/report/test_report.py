import dataclasses
import io
import json
import math
import re
from html import unescape

import numpy as np
import pytest
from made_study import SIZE, OneTeacher, write_study
from PIL import Image
from scipy import stats

from distill_jax import dumps
from distill_jax.dumps import DumpReader
from distill_jax.errors import InputError, RunError
from distill_jax.measures import comparisons, control_check, deviations, findings, study_summary
from distill_jax.measures.control_check import EXPECTED
from distill_jax.measures.interval import Interval
from distill_jax.report import study_report as report
from distill_jax.report.rows import ROWS

STEPS, SWITCH = (10, 20, 40), 20


def summarise(workdir, seeds, **networks):
    setting = networks | {
        "data": {"dataset": "made <up>"},
        "train": {"snapshots": (0.5, 0.75)},
        "run": {"workdir": workdir},
    }
    environment = {"device": "a laptop", "command": "python -m distill_jax --a 'b'"}
    of = {"seeds": seeds, "total_steps": STEPS[-1], "switch_step": SWITCH}
    return study_summary.summarise(DumpReader(workdir), setting, environment, {"total_seconds": 75.0}, **of)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    write_study(workdir, 3)
    summary = summarise(workdir, 3)
    report.write_report(DumpReader(workdir), summary)
    return workdir, summary


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one")
    write_study(workdir, 1, noise=0)
    summary = summarise(workdir, 1)
    report.write_report(DumpReader(workdir), summary)
    return workdir, summary


def test_the_summary_has_the_documented_shape(study):
    workdir, summary = study
    saved = json.loads((workdir / "summary.json").read_text())
    assert saved == summary.as_json()
    assert study_summary.StudySummary.from_json(saved) == study_summary.read_summary(workdir) == summary
    assert set(summary.models) == {"teacher", "one_hot", "kd", "one_hot_to_kd", "kd_to_one_hot"}
    for model in summary.models.values():
        assert all(len(model[k]) == 3 for k in ("train_accuracy", "test_accuracy", "train_accuracy_true"))
    names = ["underfit_fraction", "mean_gap"]
    tenths = [f"{name}_{which}" for name in names for which in ("hard", "easy")]
    wanted = {*tenths, *(f"{name}_as_in_paper" for name in tenths), "agreement", "kl", "inherited_noise"}
    wanted |= {f"slope_{which}" for which in ("instrumented", "least_squares", "theil_sen")}
    wanted |= {f"{name}_teacher_{part}" for name in ("agreement", "kl") for part in ("right", "wrong")}
    wanted |= {"top_k_agreement", "jensen_shannon", "rank_correlation", "imitation_blocked"}
    for student, splits in summary.deviations.items():
        for split in ("train", "test"):
            values = splits[split]
            assert wanted <= set(values)
            assert ("mean_gap_mislabelled" in values) == (split == "train")
            for name, value in values.items():
                assert value.per_seed
                assert (value.minus_control is None) == (student == "one_hot")
                if name == "inherited_noise":  # of one pair of seeds, with a third that has no partner
                    assert (value.n, value.level, value.has_ends) == (1, "pairs", False)
                    continue
                assert value.n == 3
                assert value.low <= value.mean <= value.high
                if "fraction" in name or "agreement" in name or name == "imitation_blocked":
                    assert 0 <= value.low <= value.high <= 1
    assert set(summary.trajectories["kd"]["test_accuracy"].step) == set(STEPS)
    for choice in ("gap_by_decile", "gap_by_decile_as_in_paper"):
        end = choice.removeprefix("gap_by_decile")
        tenths = getattr(summary, choice)["kd"]["train"]
        assert len(tenths) == 10
        assert tenths[0].mean == summary.deviations["kd"]["train"][f"mean_gap_hard{end}"].mean
        assert tenths[9].mean == summary.deviations["kd"]["train"][f"mean_gap_easy{end}"].mean


def test_the_next_seed_s_teacher_chooses(study):
    workdir, summary = study

    def read(model, seed):
        return dumps.read_dump(dumps.dump_path(workdir, model, seed, STEPS[-1], "test"))

    for seed, other in ((0, 1), (1, 2), (2, 0)):
        found = deviations.deviations(read("teacher", seed), read("kd", seed), read("teacher", other))
        for name in ("mean_gap_hard", "underfit_fraction_easy"):
            assert summary.deviations["kd"]["test"][name].per_seed[seed] == found[name]
    # The slopes' mean is the ratio of the mean covariances.
    points = [comparison["kd"].crossed for comparison in comparisons.compare(read, ["kd"], 3)]
    over, under = ([np.cov(p.z, of)[0, 1] for p, of in ((p, getattr(p, name)) for p in points)] for name in "yx")
    slope = summary.deviations["kd"]["test"]["slope_instrumented"]
    assert slope.mean == pytest.approx(np.mean(over) / np.mean(under))


def test_the_control_is_checked_where_it_is_a_second_draw_of_the_teacher(study):
    workdir, summary = study
    check = summary.control_check
    assert [(row.split, row.statistic, row.expected) for row in check.rows] == [
        (split, name, expected)
        for split in ("train", "test")
        for name, expected in (("mean_gap_hard", 0), ("mean_gap_easy", 0), ("slope_instrumented", 1))
    ]
    assert check.passed
    assert all(row.within == row.value.includes(row.expected) for row in check.rows)
    page = (workdir / "report.html").read_text()
    assert "Built-in check: passed" in page
    assert page.count("(excludes ") == sum(not row.within for row in check.rows)
    assert summarise(workdir, 3, teacher={"depth": 56}, student={"depth": 20}).control_check is None


def test_a_control_that_is_no_second_draw_of_the_teacher_is_said_to_be_off(tmp_path):
    write_study(tmp_path, 4)
    for seed in range(4):
        for split in SIZE:  # a teacher trained in another way than the control
            path = dumps.dump_path(tmp_path, "teacher", seed, STEPS[-1], split)
            dump = dumps.read_dump(path)
            items = [(path, dump.logits * 3, dict(dump.attributes))]
            dumps.write_dumps(items, dump.label, dump.true_label, dump.id)
    summary = summarise(tmp_path, 4)
    assert not summary.control_check.passed
    page = report.render(summary, {})
    assert page.count("Do not believe this study") == 2  # at the top and where it is explained
    assert "Built-in check: failed" in page
    assert "(excludes 0)" in page


def test_a_slope_without_an_interval_excludes_nothing():
    gap = Interval(0.0, -0.1, 0.1, 3, "seeds")
    slope = Interval(40.0, math.nan, math.nan, 3, "seeds")
    found = control_check.check({"test": {"mean_gap_hard": gap, "mean_gap_easy": gap, "slope_instrumented": slope}})
    assert [(row.within, row.off) for row in found.rows] == [(True, False)] * 3


def test_inherited_noise_says_that_it_is_of_pairs(study):
    workdir, summary = study
    noise = summary.deviations["kd"]["test"]["inherited_noise"]
    assert (noise.level, noise.n) == ("pairs", 1)
    heads = re.findall("<th[^>]*>Inherited noise[^<]*", unescape((workdir / "report.html").read_text()))
    assert heads
    assert all(head.endswith(", over 1 pair of seeds") for head in heads)


def test_differences_are_paired_by_seed(study):
    _, summary = study
    kd, control = (summary.deviations[m]["train"]["kl"] for m in ("kd", "one_hot"))
    np.testing.assert_allclose(kd.against_control.per_seed, np.subtract(kd.per_seed, control.per_seed), atol=1e-15)
    with pytest.raises(ValueError, match="the control's own value"):
        _ = control.against_control
    paired = summary.accuracy["test_accuracy"].paired["kd_minus_one_hot"]
    a, b = (summary.models[m]["test_accuracy"] for m in ("kd", "one_hot"))
    np.testing.assert_allclose(paired.per_seed, np.subtract(a, b))


def test_accuracy_is_against_the_label_trained_on_and_the_true_one(study):
    workdir, summary = study
    dump = dumps.read_dump(dumps.dump_path(workdir, "kd", 1, STEPS[-1], "train"))
    guess = dump.logits.argmax(axis=1)
    assert summary.models["kd"]["train_accuracy"][1] == (guess == dump.label).mean()
    assert summary.models["kd"]["train_accuracy_true"][1] == (guess == dump.true_label).mean()


class OtherLabels(DumpReader):
    """Reads a study as if the second seed had wrong labels of its own."""

    def __call__(self, model, seed, step, split):
        dump = super().__call__(model, seed, step, split)
        if (seed, split) != (1, "train"):
            return dump
        return dataclasses.replace(dump, label=np.where(np.arange(len(dump.label)) < 3, 0, dump.label))


def test_where_labels_differ_by_seed_claims_on_training_points_are_undecided(study):
    workdir, before = study
    of = {"seeds": 3, "total_steps": STEPS[-1], "switch_step": SWITCH}
    summary = study_summary.summarise(OtherLabels(workdir), before.setting, {}, {}, **of)
    assert (summary.study.one_teacher, summary.study.labels_differ) == (False, True)
    assert "inherited_noise" not in summary.deviations["kd"]["test"]
    undecided = [f for f in summary.findings if "has fitted other wrong labels" in f.evidence]
    claims = ("below_hard", "underfits_hard", "exaggerates", "exaggerates_more")
    assert [f.id for f in undecided] == [f"{claim}_train" for claim in claims]
    assert {f.verdict for f in undecided} == {"undecided"}
    assert all(f.verdict != "undecided" for f in summary.findings if f.id in ("below_hard_test", "kd_beats_one_hot"))
    assert not any(f.verdict == "undecided" for f in before.findings if f.id.endswith("_train"))


def test_where_all_seeds_have_one_teacher_intervals_of_deviations_hold_its_luck(study):
    workdir, before = study
    of = {"seeds": 3, "total_steps": STEPS[-1], "switch_step": SWITCH}
    summary = study_summary.summarise(OneTeacher(workdir), before.setting, {}, {}, **of)
    assert (summary.study.one_teacher, summary.study.labels_differ) == (True, False)
    assert "inherited_noise" not in summary.deviations["kd"]["test"]
    for name in ("mean_gap_hard", "mean_gap_mislabelled", "kl"):
        for value in (summary.deviations["kd"]["train"][name], summary.deviations["kd"]["train"][name].against_control):
            own, of_control = (
                np.var(of.per_seed, ddof=1) for of in (value, summary.deviations["one_hot"]["train"][name])
            )
            half = stats.t.ppf(0.975, 2) * np.sqrt(own / 3 + of_control)
            assert value.high - value.mean == pytest.approx(half)
            assert value.wider == pytest.approx(np.sqrt(1 + 3 * of_control / own))
    assert summary.deviations["one_hot"]["train"]["kl"].wider == pytest.approx(2)  # the square root of 3 + 1
    assert summary.gap_by_decile["one_hot"]["train"][0].wider == pytest.approx(2)
    assert summary.deviations["kd"]["train"]["calibration_error"].wider == 1
    assert summary.accuracy["test_accuracy"].models["kd"] == before.accuracy["test_accuracy"].models["kd"]
    page = report.render(summary, {})
    assert "wider by as much than the spread over seeds makes them" in page
    assert "wider by" not in report.render(before, {})
    assert not any("of an older version" in f.evidence for f in summary.current_findings)
    # Of a summary whose intervals leave that luck out, as they did
    older = dataclasses.replace(before, study=dataclasses.replace(before.study, one_teacher=True))
    assert {f.verdict for f in older.current_findings if f.unit != "points"} == {"undecided"}
    assert all("of an older version" in f.evidence for f in older.current_findings if f.unit != "points")


@pytest.mark.parametrize("same", [{1: 0}, {2: 0}, {2: 1}])
def test_teachers_that_are_the_same_for_some_seeds_alone_are_refused(study, same):
    class Some(DumpReader):
        def __call__(self, model, seed, step, split):
            return super().__call__(model, same.get(seed, seed) if model == "teacher" else seed, step, split)

    workdir, before = study
    of = {"seeds": 3, "total_steps": STEPS[-1], "switch_step": SWITCH}
    with pytest.raises(InputError, match="the same for some seeds and not for others"):
        study_summary.summarise(Some(workdir), before.setting, {}, {}, **of)


def test_the_findings_follow_the_data(study):
    _, summary = study
    by_id = {f.id: f for f in summary.findings}
    assert summary.current_findings == summary.findings
    assert list(by_id) == [
        *(
            f"{claim}_{split}"
            for split in ("train", "test")
            for claim in ("below_hard", "underfits_hard", "exaggerates", "exaggerates_more")
        ),
        "underfits_mislabelled",
        "kd_beats_one_hot",
        "late_distillation",
        "late_one_hot",
    ]
    assert by_id["underfits_mislabelled"].verdict == "supported"
    assert all(f.verdict in findings.SIGNS and f.evidence and f.paper for f in by_id.values())
    gap = summary.deviations["kd"]["train"]["mean_gap_hard"]
    assert by_id["below_hard_train"].difference == gap  # the paper's claim knows no control
    assert by_id["underfits_hard_train"].difference == gap.minus_control
    assert findings.multiplicity(summary.findings).startswith("Each interval has its 95% by itself: of 12 here ")


@pytest.mark.parametrize(
    ("low", "high", "n", "level", "expected"),
    [
        (0.1, 0.3, 3, "seeds", "supported"),
        (-0.3, -0.1, 3, "seeds", "contradicted"),
        (-0.1, 0.3, 3, "seeds", "not supported"),
        (0.1, 0.3, 1, "examples", "undecided"),
        (math.nan, math.nan, 1, "seeds", "undecided"),
        (0.2, 0.2, 3, "seeds", "undecided"),
    ],
)
def test_the_verdict_is_by_the_interval(low, high, n, level, expected):
    value = Interval(0.2, low, high, n, level)
    assert findings.verdict(value, 1) == expected
    mirrored = {"supported": "contradicted", "contradicted": "supported"}
    assert findings.verdict(value, -1) == mirrored.get(expected, expected)


def test_the_same_dumps_give_the_same_bytes(study):
    workdir, summary = study
    first = {p: p.read_bytes() for p in workdir.rglob("*.*") if "dumps" not in p.parts}
    again = summarise(workdir, 3)
    assert json.dumps(again.as_json()) == json.dumps(summary.as_json())
    report.write_report(DumpReader(workdir), again)
    assert {p: p.read_bytes() for p in workdir.rglob("*.*") if "dumps" not in p.parts} == first
    assert {p.name for p in first} >= {"report.html", "summary.json", "scatter.png", "scatter.svg"}


def test_a_figure_is_drawn_in_the_size_and_resolution_it_was_made_in(study):
    workdir, summary = study
    for name, figure in report.draw(DumpReader(workdir), summary).items():
        wide, high = figure.get_size_inches()
        encoded, again = (report.plots.encode(figure, name) for _ in range(2))
        assert encoded == again
        with Image.open(io.BytesIO(encoded["png"])) as image:
            assert image.size == (int(150 * wide), int(150 * high))
        points = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', encoded["svg"])
        assert [float(side) for side in points.groups()] == pytest.approx([72 * wide, 72 * high])


def test_every_statistic_has_its_row_and_what_is_quoted_is_escaped(study):
    workdir, _ = study
    html = (workdir / "report.html").read_text()
    assert "made &lt;up&gt;" in html
    rows = unescape(html)
    for name, title, *_ in ROWS:
        expected = (2 if "mislabelled" in name else 4) + (name in EXPECTED)  # in the built-in check
        title += ", over 1 pair of seeds" * (name == "inherited_noise")
        assert rows.count(f'<th scope="row">{title}</th>') == expected, name
    assert "distill_jax --a" in html
    assert "95% interval" in html
    assert "None" not in re.sub('<details>.*?</details>|base64,[^"]*', "", html, flags=re.DOTALL)


def test_one_seed_is_called_one_seed(one_seed):
    workdir, summary = one_seed
    assert {f.verdict for f in summary.findings} == {"undecided"}
    assert all("One seed" in f.evidence for f in summary.findings)
    assert "of 0 here 0 exclude zero and decide a claim, 0 also" in findings.multiplicity(summary.findings)
    assert "underfits_mislabelled" not in {f.id for f in summary.findings}
    assert "mean_gap_hard" not in summary.deviations["kd"]["test"]
    assert summary.control_check is summary.gap_by_decile is None
    value = summary.deviations["kd"]["test"]["mean_gap_hard_as_in_paper"]
    assert (value.n, value.level, value.per_seed) == (1, "examples", (value.mean,))
    assert value.low < value.mean < value.high
    assert value.against_control.level == "examples"
    html = (workdir / "report.html").read_text()
    assert "one seed only" in html
    assert "Its luck is chosen with" in html
    assert 'id="mislabelled"' not in html


def test_a_kind_so_rare_that_resampling_misses_it_is_reported(tmp_path):
    write_study(tmp_path, 1, noise=0.005)  # one mislabelled example: a third of the draws hold none
    gap = summarise(tmp_path, 1).deviations["kd"]["train"]["mean_gap_mislabelled"]
    assert not gap.has_ends  # nothing differs between the draws that hold it


def test_a_snapshot_that_some_seed_or_model_lacks_is_left_out(tmp_path):
    write_study(tmp_path, 2)
    for model, seed in (("kd", 1), ("kd_to_one_hot", 0), ("kd_to_one_hot", 1)):
        for split in SIZE:
            dumps.remove_dumps([dumps.dump_path(tmp_path, model, seed, STEPS[0], split)])
    summary = summarise(tmp_path, 2)
    assert summary.trajectories["kd"]["train_accuracy"].step == list(STEPS[1:])
    assert summary.trajectories["one_hot"]["train_accuracy"].step == list(STEPS)
    evolution = report.draw(DumpReader(tmp_path), summary)["evolution"]
    assert [a.get_title("left") for a in evolution.axes if a.get_title("left")] == ["step 20", "step 40"]


def test_a_missing_dump_is_named(tmp_path):
    with pytest.raises(InputError, match=r"teacher/seed-0/step-40/train: is not there"):
        summarise(tmp_path, 1)


def test_a_failed_write_keeps_what_was_there(study, monkeypatch):
    workdir, summary = study
    before = (workdir / "report.html").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RunError, match="No space left on device"):
        report.write_report(DumpReader(workdir), summary)
    assert (workdir / "report.html").read_bytes() == before
    assert not list(workdir.rglob("*.partial"))
