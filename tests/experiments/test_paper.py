"""The paper's experiments: Table 2 and the recipes as data, figures from made dumps, and the command."""

import dataclasses
import json
import math
import re

import made_study
import numpy as np
import pytest
from command import refused
from scipy import stats
from tiny_paper import tiny
from tiny_tokenizer import write_tokenizer

from distill_jax.dumps import DumpReader
from distill_jax.identity import differences, identity
from distill_jax.measures import deviations, study_summary, sweep_summary
from distill_jax.measures.statistics import over_seeds
from distill_jax.report import plots
from distill_jax.setting import changed
from distill_jax.study import sweep
from distill_jax.training.schedule import Schedule
from experiments.paper import cost, document, make, published, table2
from experiments.paper.__main__ import main
from experiments.paper.figures import FIGURES
from experiments.paper.outcome import CONTROL, KD, finished
from experiments.paper.rows import CROSS_PAIRS, IMAGE_ROWS, PUBLISHED_PAIRS, TABLE_2
from experiments.paper.scale import PAPER, SCALES
from experiments.paper.setting import Setting, parts
from experiments.paper.studies import Planned, studies

SEEDS = 2
MODELS = ("teacher", "one_hot", "kd")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The work directory of all studies of the tiny scale, finished by nobody, and the studies."""
    workdir = tmp_path_factory.mktemp("paper")
    plans = studies(tiny())
    for number, plan in enumerate(plans.values()):
        folder = workdir / "small" / plan.name
        steps = Schedule.of(plan.setting, 96).snapshot_steps
        members = sweep.students(plan.setting, plan.steps)
        noise, swept = plan.setting.data.label_noise, members[4:]
        made_study.write_study(folder, SEEDS, noise, steps, plan.switch_step, swept, number)
        own = sweep.own_values(plan.setting, plan.steps)
        read = DumpReader(folder)
        summary = study_summary.summarise(
            read,
            identity(plan.setting) | {"fingerprint": "f"},
            {"device": "a laptop", "command": "again"},
            {
                role: {"training_seconds": 6.0, "compilation_seconds": 2.0, "training_examples": 1000 * models}
                for role, models in (("teacher", SEEDS), ("student", SEEDS * len(members)))
            },
            seeds=SEEDS,
            total_steps=plan.steps,
            switch_step=plan.switch_step,
            sweep=sweep_summary.summarise(read, members, own, SEEDS, plan.steps) if swept else None,
        )
        (folder / "summary.json").write_text(json.dumps(summary.as_json()))
    return workdir, plans


@pytest.fixture
def at_tiny_scale(monkeypatch):
    monkeypatch.setitem(SCALES, "small", tiny())
    monkeypatch.setattr(make.backend, "use_cores", lambda batch: None)  # the tests' JAX has its devices
    monkeypatch.setattr(make.program_cache, "keep_programs", lambda folder: None)


def outcomes(made, names):
    workdir, plans = made
    return [finished(plans[name], workdir / "small", SEEDS) for name in names]


def test_the_rows_are_those_of_table_2():
    assert [len({r.name for r in TABLE_2 if r.dataset == d}) for d in dict.fromkeys(r.dataset for r in TABLE_2)] == [
        *(4, 4, 2, 4),
        *(3, 1, 2, 2),
    ]
    assert len({row.name for row in TABLE_2}) == 22
    # The columns' sums, added up from the printed table.
    sums = np.sum([row.train + row.test for row in TABLE_2], axis=0)
    np.testing.assert_allclose(sums, [2110.48, 2061.08, 2010.86, 1731.6, 1669.03, 1699.82], atol=1e-9)
    for row in TABLE_2:  # a network trained with one-hot labels is the same wherever the table has it
        for other in TABLE_2:
            if row.dataset == other.dataset:
                for split in ("train", "test"):
                    (teacher, one_hot, _), (their_teacher, _, _) = getattr(row, split), getattr(other, split)
                    assert row.teacher != other.teacher or teacher == their_teacher
                    assert row.student != other.teacher or one_hot == their_teacher


def test_recipes_and_steps_are_the_papers():
    plans = studies(PAPER)
    assert len(plans) == 22 + len(CROSS_PAIRS) + len(PUBLISHED_PAIRS) + 4 + len(PAPER.readings)
    for row in IMAGE_ROWS:
        plan = plans[row.name]
        train, optimizer, objective = plan.setting.train, plan.setting.optimizer, plan.setting.objective
        assert (objective.temperature, objective.distillation_weight, optimizer.momentum) == (4.0, 1.0, 0.9)
        found = (plan.steps, train.batch_size, train.epochs, optimizer.learning_rate, optimizer.weight_decay)
        found += (optimizer.warmup_epochs, optimizer.decay_epochs, optimizer.decay_factor, objective.switch_window)
        if row.dataset == "Tiny-ImageNet":
            assert found == (156_200, 128, 200, 0.1, 5e-4, 5, (75, 135), 0.1, 10_000)
        else:
            assert found == (21_600, 1024, 450, 1.0, 1e-4, 15, (200, 300, 400), 0.1, 1000)
        assert (plan.setting.data.label_noise > 0) == ("noise" in row.name)
        assert plan.setting.data.augment == "crop-flip"
        quarters = tuple(plan.steps // n for n in (4, 2))
        assert plan.setting.sweep.switch_step == (quarters if row.dataset in ("CIFAR100", "Tiny-ImageNet") else ())
    longer = plans["cifar100-longer"], plans["tiny-imagenet-longer"]
    assert [(plan.steps, plan.switch_step) for plan in longer] == [(50_000, 15_000), (300_000, 100_000)]
    smaller = plans["cifar100-smaller-batch"].setting
    assert (smaller.train.batch_size, smaller.optimizer.learning_rate) == (128, 0.1)
    one, other = (plans[name].setting for name in ("cifar100-resnet56-resnet56", "cifar100-other-precision"))
    assert {one.train.precision, other.train.precision} == {"float32", "bfloat16"}


def test_a_reading_differs_from_its_row_in_one_thing():
    plans = studies(PAPER)
    changes = {
        "cifar100-more-noise": ["data.label_noise is 0.2 there and 0.05 here"],
        "cifar100-other-block": [f"{role}.block is 'keras' there and 'basic' here" for role in ("student", "teacher")],
        "tiny-imagenet-other-strides": [
            f"{role}.strides is 'imagenet' there and 'cifar' here" for role in ("student", "teacher")
        ],
    }
    assert {reading.name for reading in PAPER.readings} == set(changes)
    for reading in PAPER.readings:
        row, plan = plans[reading.row], plans[reading.name]
        assert (plan.row, plan.steps, plan.switch_step) == (row.row, row.steps, row.switch_step)
        assert plan.variant
        assert not plan.is_row
        moments = {"snapshots": row.setting.train.snapshots}
        there, here = identity(changed(plan.setting, train=moments)), identity(row.setting)
        assert differences(here, there) == changes[reading.name]
    noisy = plans["cifar100-noise-resnet56-resnet56"], plans["cifar100-more-noise"]
    assert all(f"{plan.setting.data.label_noise:.0%} of labels wrong" in plan.title for plan in noisy)


EXAMPLES = {"glue/mnli": 392_702, "imdb_reviews": 25_000, "glue/qqp": 363_846, "ag_news_subset": 120_000}


def test_texts_are_fine_tuned_as_appendix_c_1_says():
    temperatures = {"glue/mnli": 2.0, "imdb_reviews": 16.0, "glue/qqp": 1.0, "ag_news_subset": 1.0}
    texts = [plan for plan in studies(PAPER).values() if plan.row.is_text]
    assert {plan.setting.data.dataset for plan in texts} == set(EXAMPLES)
    assert sum(plan.is_row for plan in texts) == 8
    for plan in texts:
        setting = plan.setting
        optimizer, objective = setting.optimizer, setting.objective
        assert (plan.steps, setting.train.batch_size) == (25_000, 64)
        assert Schedule.of(setting, EXAMPLES[setting.data.dataset]).total_steps == 25_000
        assert (optimizer.optimizer, optimizer.learning_rate) == ("adam", 1e-5)
        assert (optimizer.warmup_steps, optimizer.warmup_epochs, optimizer.decay) == (1000, 0, "linear")
        assert objective.temperature == temperatures[setting.data.dataset]
        assert objective.distillation_weight == 1.0
        for role, network in (("teacher", plan.row.teacher), ("student", plan.row.student)):
            assert getattr(setting, role).name == "roberta"
            assert plan.pretrained[role] == network.removeprefix("RoBERTa-").lower()


def test_of_the_texts_imdb_alone_has_a_stand_in():
    texts = {name: plan for name, plan in studies(SCALES["small"]).items() if plan.row.is_text}
    assert set(texts) == {f"imdb-roberta{teacher}-robertasmall" for teacher in ("base", "small")}
    for plan in texts.values():
        assert plan.setting.data.dataset == "imdb_reviews"
        assert not plan.pretrained
        assert plan.setting.data.train_examples < EXAMPLES["imdb_reviews"]
        assert f"{plan.setting.data.train_examples:,}" in plan.title  # which says what it is


def write_encoders(folder, content="{}"):
    for size in ("base", "medium", "small"):
        (folder / size).mkdir(parents=True)
        (folder / size / "config.json").write_text(content)
    return folder


def test_pretrained_weights_name_a_study_by_their_content(tmp_path):
    plan = studies(PAPER)["mnli-robertabase-robertasmall"]
    one, same = (write_encoders(tmp_path / name) for name in ("one", "same"))
    other = write_encoders(tmp_path / "other", '{"model_type": "roberta"}')
    setting = identity(plan.placed(tmp_path, one).setting) | {"fingerprint": "f"}
    assert setting["teacher"]["roberta"]["pretrained"] is not None
    (tmp_path / plan.name).mkdir()
    facts, none = study_summary.StudyFacts(3, 10, 5, 2, 1, 1, 0), ({}, {}, {}, {}, {}, [])
    summary = study_summary.StudySummary(setting, {}, {}, facts, *none)
    (tmp_path / plan.name / "summary.json").write_text(json.dumps(summary.as_json()))
    assert finished(plan, tmp_path)  # none are named, and what is there is used
    assert finished(plan.placed(None, same), tmp_path)
    assert finished(plan.placed(None, other), tmp_path) is None
    longer = dataclasses.replace(plan, setting=changed(plan.setting, data={"length": 256}))
    assert finished(longer, tmp_path) is None


def test_the_small_scale_has_the_papers_moments_as_shares_of_training():
    paper, small = (studies(SCALES[name]) for name in ("paper", "small"))
    assert [name for name in paper if name in small] == list(small)
    # Which are of the paper's own scale alone.
    readings = {reading.name for reading in (*PAPER.readings, *PUBLISHED_PAIRS)}
    assert [name for name, plan in paper.items() if not plan.row.is_text and name not in readings] == [
        name for name, plan in small.items() if not plan.row.is_text
    ]
    for name, plan in small.items():
        of = paper[name]
        for mine, its in ((plan.switch_step, of.switch_step), *zip(*(_moments(p) for p in (plan, of)), strict=True)):
            assert mine / plan.steps == pytest.approx(its / of.steps, abs=0.005)
        assert plan.setting.data.dataset == ("imdb_reviews" if plan.row.is_text else "cifar100")
        assert plan.models_a_seed == of.models_a_seed


def test_the_rehearsal_has_every_study_of_the_paper_in_seconds_and_no_two_alike():
    paper, rehearsed = (studies(SCALES[name]) for name in ("paper", "rehearsal"))
    assert list(rehearsed) == list(paper)
    for name, plan in rehearsed.items():
        of = paper[name]
        for mine, its in ((plan.switch_step, of.switch_step), *zip(*(_moments(p) for p in (plan, of)), strict=True)):
            assert mine / plan.steps == pytest.approx(its / of.steps, abs=0.001)
        assert plan.models_a_seed == of.models_a_seed
        assert plan.setting.data.dataset == "digits"
        assert not plan.is_of_texts
        assert plan.steps * plan.setting.train.batch_size <= 250_000
    settings = [str(identity(plan.setting)) for plan in rehearsed.values()]
    assert len({*settings}) == len(settings)


def test_the_rehearsal_needs_no_folder_of_anything(tmp_path, capsys):
    main(["all", "--scale", "rehearsal", "--print-commands", "--workdir", str(tmp_path)])
    commands = capsys.readouterr().out.splitlines()
    assert len(commands) == len(studies(SCALES["rehearsal"]))
    assert not any("--data-dir" in line or "--tokenizer" in line or "--pretrained" in line for line in commands)


def _moments(plan):
    shares = [round(share * plan.steps) for share in plan.setting.train.snapshots]
    return [*shares, *plan.setting.sweep.switch_step, plan.setting.objective.switch_window]


def test_every_study_is_one_folder_and_has_its_use():
    names = set(studies(PAPER))
    used = {name for figure in FIGURES.values() for name in figure.studies}
    assert used <= names
    assert names - used <= {row.name for row in IMAGE_ROWS} | {reading.name for reading in PAPER.readings}
    wanted = {f"fig{n}" for n in ("1a", "1b", *range(2, 19))}
    assert {figure.name for figure in FIGURES.values() if figure.paper} == wanted


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_with_its_control_and_captioned_from_its_numbers(made, name):
    figure = FIGURES[name]
    drawn = figure.draw(outcomes(made, figure.studies))
    caption = figure.caption(drawn, [SEEDS])
    numbers = study_summary.as_json(drawn.numbers)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    means = [value["mean"] for value in _intervals(numbers)]
    assert len(means) > 3
    assert sum(mean is None for mean in means) < len(means) / 2  # a part of the points may be empty
    assert re.search(r"\d \[", caption)
    assert "None" not in caption
    assert "nan" not in caption
    assert f"over {SEEDS} seeds" in caption
    words = [text.get_text() for axis in drawn.picture.axes for text in (axis.xaxis.label, axis.yaxis.label)]
    words += [text for axis in drawn.picture.axes for text in [axis.get_title("left"), *_ticks(axis)]]
    words += [text.get_text() for legend in drawn.picture.legends for text in legend.get_texts()]
    assert any("ontrol" in word for word in words)
    printed = [text.get_text() for axis in drawn.picture.axes for text in axis.texts]
    assert any(re.search(r"\d.* \[", text) for text in printed)  # the statistic, with its interval
    for axis in drawn.picture.axes:
        assert not axis.axison or axis.has_data()


def _intervals(numbers):
    if isinstance(numbers, dict):
        if "mean" in numbers and "low" in numbers:
            yield numbers
        for value in numbers.values():
            yield from _intervals(value)


def _ticks(axis):
    return [text.get_text() for text in axis.get_xticklabels()]


def test_a_figure_s_number_names_all_parts_of_it_and_no_other():
    assert parts("fig1", FIGURES) == ["fig1a", "fig1b"]
    assert parts("fig1b", FIGURES) == ["fig1b"]
    assert parts("fig2", FIGURES) == parts("figure2", FIGURES) == ["fig2"]
    assert parts("detectio", FIGURES) == []


def test_numbers_of_a_scatter_are_those_of_the_dumps(made):
    figure = FIGURES["fig11"]
    found = outcomes(made, figure.studies)
    numbers = figure.draw(found).numbers[figure.studies[0]]["test"]
    gaps = []
    for student in (KD, CONTROL):
        of_student = []
        for seed in range(SEEDS):
            teacher, dump = (found[0].dump(model, "test", seed) for model in ("teacher", student))
            other = found[0].dump("teacher", "test", (seed + 1) % SEEDS)
            rows = np.arange(len(teacher.true_label)), teacher.true_label
            x, y, z = (
                d.logits[rows] - np.log(np.exp(np.float64(d.logits)).sum(axis=1) - np.exp(np.float64(d.logits[rows])))
                for d in (teacher, dump, other)
            )
            hard = np.argsort(z, kind="stable")[: len(x) // 10]
            of_student.append((y - x)[hard].mean())
        assert numbers[student]["mean_gap_hard"].mean == pytest.approx(np.mean(of_student), abs=1e-6)
        gaps.append(np.mean(of_student))
    assert numbers[KD]["mean_gap_hard"].against_control.mean == pytest.approx(gaps[0] - gaps[1], abs=1e-6)


def test_values_over_seeds_are_the_summary_s(made):
    outcome = outcomes(made, FIGURES["fig12"].studies)[0]
    numbers = outcome.over(deviations.summarise, "test")
    for name in ("mean_gap_hard", "underfit_fraction_easy", "slope_instrumented", "mean_gap_hard_as_in_paper", "kl"):
        for here, there in (
            (numbers[KD][name], outcome.summary.deviations[KD]["test"][name]),
            (numbers[KD][name].minus_control, outcome.summary.deviations[KD]["test"][name].minus_control),
        ):
            ends = [(of.mean, of.low, of.high) for of in (here, there)]
            assert ends[0] == pytest.approx(ends[1], nan_ok=True)


def test_switched_students_are_shown_by_the_step_of_their_own_switch(made):
    figure = FIGURES["fig4"]
    found = outcomes(made, figure.studies)
    numbers = figure.draw(found).numbers
    for outcome in found:
        points = numbers[outcome.plan.name]["test_accuracy"]
        steps = sorted({*outcome.plan.setting.sweep.switch_step, outcome.plan.switch_step})
        assert list(points) == list(map(str, steps))
        for step, value in points.items():
            mine = step == str(outcome.plan.switch_step)
            name = "one_hot_to_kd" + ("" if mine else f"@switch_step={step}")
            right = [
                (d.logits.argmax(axis=1) == d.true_label).mean()
                for d in (outcome.dump(name, "test", seed) for seed in range(SEEDS))
            ]
            assert value.mean == pytest.approx(np.mean(right))


def test_table_2_has_22_rows_each_with_its_status(made):
    workdir, plans = made
    there = {row.name: finished(plans[row.name], workdir / "small", SEEDS) for row in IMAGE_ROWS[:3]}
    rows = table2.rows(there, {"cifar100-resnet56-resnet56": {"command": "do it"}}, "paper")
    assert len(rows) == 22
    assert [row["status"] == "not run" for row in rows] == [row["ours"] is None for row in rows]
    assert [row["study"] for row in rows if row["ours"]] == list(there)
    assert rows[4]["command"] == "do it"
    assert all(row["command"] is None for row in rows if row["dataset"] in ("MNLI", "IMDB", "QQP", "AGNews"))
    for row in rows[:3]:
        for split in ("train", "test"):
            for model in MODELS:
                ours = row["ours"][split][model]
                assert ours["mean"] == pytest.approx(
                    100 * np.mean(there[row["study"]].summary.models[model][f"{split}_accuracy"])
                )
                assert row["difference"][split][model] == pytest.approx(ours["mean"] - row["paper"][split][model])
        assert row["status"] == "differs"  # made students are not that good
        assert (row["n"], row["step"]) == (SEEDS, there[row["study"]].last)
    small = table2.rows(there, {}, "small")
    assert all(row["difference"] is None for row in small)
    assert all(row["status"].startswith("stand-in") for row in small[:3])
    assert all(row["paper"]["test"]["kd"] == TABLE_2[i].test[2] for i, row in enumerate(small))
    assert table2.lines(rows).count("\n| ") == 23


def test_a_row_is_reproduced_where_one_more_run_could_give_the_papers_accuracy(made):
    (outcome,) = outcomes(made, ["cifar10-resnet56-resnet56"])

    def status(values, paper=None):
        own = outcome.summary.accuracy["test_accuracy"]
        per_seed = {m: [v / 100 for v in seeds] for m, seeds in zip(MODELS, values, strict=True)}
        of = {m: over_seeds(seeds).of(seeds) for m, seeds in per_seed.items()}
        accuracy = outcome.summary.accuracy | {"test_accuracy": dataclasses.replace(own, models=own.models | of)}
        near = dataclasses.replace(outcome, summary=dataclasses.replace(outcome.summary, accuracy=accuracy))
        return table2.rows({outcome.plan.name: near}, {}, "paper")[0]["status"]

    paper = TABLE_2[0].test
    around = [(value - 0.1, value, value + 0.2) for value in paper]
    reach = stats.t.ppf(1 - 0.05 / 6, 2) * np.std(around[0], ddof=1) * np.sqrt(4 / 3)
    assert status(around) == f"reproduced to ±{reach:.1f}"
    assert status([*around[:2], (paper[2] - 3, paper[2] - 3.1, paper[2] - 3.2)]) == "differs"
    assert status([(value,) for value in paper]) == "undecided: one seed"


def test_the_published_claims_are_asked_of_every_setting(made):
    workdir, plans = made
    names = ["cifar10-resnet56-resnet56", "cifar100-noise-resnet56-resnet20", "imdb-robertabase-robertasmall"]
    there = {name: finished(plans[name], workdir / "small", SEEDS) for name in names}
    table = published.rows(there, {"mnli-robertasmall-robertasmall": {"command": "do it"}}, "small")
    assert [row["study"] for row in table] == [pair.name for pair in (*TABLE_2, *CROSS_PAIRS, *PUBLISHED_PAIRS)]
    by_name = {row["study"]: row for row in table}
    assert by_name["mnli-robertasmall-robertasmall"]["command"] == "do it"
    assert {row["study"] for row in table if row["status"] == "finished"} == set(names)
    assert {row["status"] for row in table} == {"finished", "not run"}
    assert [by_name[name]["same_network"] for name in names] == [True, False, False]
    assert [by_name[name]["kind"] for name in names] == ["image", "image", "text"]
    assert [by_name[name]["paper_teacher_train_accuracy"] for name in names] == [100.0, 99.9, None]
    for name, outcome in there.items():
        row, summary = by_name[name], outcome.summary
        for split in ("train", "test"):
            kd, control = (summary.deviations[s][split]["slope_instrumented"] for s in (KD, CONTROL))
            slope = row["slope"][split]
            assert (slope[KD], slope[CONTROL], slope["by"]) == (kd.as_json(), control.as_json(), "slope_instrumented")
            assert slope["above_control"]["difference"] == kd.against_control.as_json()
            assert slope["above_one"]["difference"]["mean"] == pytest.approx(kd.mean - 1)
        right = np.mean(summary.models["teacher"]["train_accuracy"])
        assert row["teacher_train_accuracy"]["mean"] == pytest.approx(100 * right)
        assert row["interpolates"] == (right >= 0.995)
        for student in ("one_hot_to_kd", "kd_to_one_hot"):
            less = np.subtract(*(np.mean(summary.models[m]["test_accuracy"]) for m in (student, CONTROL)))
            assert row["switches"][student]["minus_control"]["mean"] == pytest.approx(100 * less)
    page = published.lines(table)
    assert page.count("\n| ") == len(table) + 1
    assert page.count("| not run |") == len(table) - 3
    assert "do it" in page
    assert "second hand" in page
    assert json.loads(json.dumps(published.together(table), allow_nan=False))["rows"] == json.loads(json.dumps(table))
    nothing = published.rows({}, {}, "small")
    assert published.correlations(published.finished(nothing)) == {}
    assert "No setting is finished." in published.lines(nothing)


def test_slopes_above_one_are_counted_beside_the_published_ones(made):
    (outcome,) = outcomes(made, ["cifar10-resnet56-resnet56"])

    def sloped(train, test, teacher):
        summary = outcome.summary.as_json()
        for split, (low, mean, high) in (("train", train), ("test", test)):
            value = summary["deviations"][KD][split]["slope_instrumented"]
            value |= {"low": low, "mean": mean, "high": high, "n": 3}
        summary["accuracy"]["train_accuracy"]["models"]["teacher"]["mean"] = teacher
        return dataclasses.replace(outcome, summary=study_summary.StudySummary.from_json(summary))

    slopes = [
        ((1.1, 1.2, 1.3), (0.9, 1.1, 1.3)),
        ((0.7, 0.8, 0.9), (1.4, 1.6, 1.8)),
        ((0.9, 1.0, 1.2), (1.1, 1.2, 1.3)),
    ]
    there = {
        pair.name: sloped(*of, teacher)
        for pair, of, teacher in zip(IMAGE_ROWS, slopes, (0.9951, 0.5, 0.99), strict=False)
    }
    table = published.rows(there, {}, "paper")
    train, test, *texts = published.counts(table)
    assert [(c["kind"], c["split"]) for c in (train, test)] == [("image", "train"), ("image", "test")]
    assert [train[k] for k in ("settings", "above_one", "supported", "contradicted")] == [3, 1, 1, 1]
    assert [test[k] for k in ("settings", "above_one", "supported", "contradicted")] == [3, 3, 2, 0]
    assert all(c["settings"] == 0 for c in texts)
    assert sum(row["interpolates"] for row in published.finished(table)) == 1
    found = published.correlations(published.finished(table))
    assert found["slope_train"]["mean"] == pytest.approx(1)  # 0.5, 0.99, 0.9951: 0.8, 1.0, 1.2
    assert found["slope_test"]["mean"] == pytest.approx(-1)
    assert found["slope_train"]["n"] == 3
    page = published.lines(table)
    assert "slope above 1 in 1 of 3 (1 with their whole interval, 1 below it with theirs)" in page
    assert "published 13 of 18" in page
    assert "Text settings" not in page
    assert "1 of 3 teachers interpolate" in page
    # A slope that can have any value is neither counted nor correlated.
    fourth = sloped((math.nan, -40.0, math.nan), (0.9, 1.1, 1.3), 0.999)
    table = published.rows(there | {IMAGE_ROWS[3].name: fourth}, {}, "paper")
    train, test, *_ = published.counts(table)
    assert [train[k] for k in ("settings", "without_interval", "above_one")] == [3, 1, 1]
    assert (test["settings"], test["without_interval"]) == (4, 0)
    less = published.correlations(published.finished(table))
    assert less["slope_train"] == found["slope_train"]
    assert less["slope_test"]["n"] == less["gain"]["n"] == 4
    page = published.lines(table)
    assert ", 1 more have no interval; published" in page
    assert "slope on training points +1.00 (3 settings, the others have no interval)" in page


def test_times_are_expected_from_what_was_measured_only(made):
    _, plans = made
    plan = plans["cifar100-resnet56-resnet56"]
    timing = {
        role: {"training_seconds": 6.0, "dumps_seconds": 4.0, "examples_per_second": 1e9, "training_examples": 1000}
        for role in ("teacher", "student")
    }
    record = cost.Record(identity(plan.setting), timing, "a laptop")
    expected = cost.expected(plan, 3, [record])
    assert expected.device == "a laptop"
    assert expected.seconds == pytest.approx(plan.models_a_seed * 3 * plan.steps * 24 * 10 / 1000)
    assert cost.expected(plan, 6, [record]).seconds == pytest.approx(2 * expected.seconds)
    assert cost.expected(plan, 3, []) is None
    assert cost.expected(plans["cifar100-smaller-batch"], 3, [record]) is None  # another size of batch


def test_all_studies_there_nothing_is_trained_and_all_is_made(made, at_tiny_scale, tmp_path, monkeypatch, capsys):
    workdir, plans = made
    monkeypatch.setattr(make, "run_study", lambda *_: pytest.fail("a study was trained"))
    monkeypatch.setattr(plots.style, "encode", lambda figure, name: {"png": b"drawn"})  # drawing is tested above
    arguments = ["all", "--scale", "small", "--workdir", str(workdir), "--seeds", str(SEEDS)]
    main([*arguments, "--figures", str(tmp_path / "out"), "--json", str(tmp_path / "rows.json")])
    out = tmp_path / "out"
    results = json.loads((out / "results.json").read_text())
    assert list(results["figures"]) == list(FIGURES)
    assert list(results["studies"]) == list(plans)
    for name, figure in results["figures"].items():
        assert json.loads((out / f"{name}.json").read_text())["caption"] == figure["caption"]
        assert (out / f"{name}.png").exists()
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert len(rows) == 22
    assert sum(row["ours"] is not None for row in rows) == 22
    results_of = results["published"]
    assert [row["status"] for row in results_of["rows"]] == ["finished"] * (
        len(TABLE_2) + len(CROSS_PAIRS) + len(PUBLISHED_PAIRS)
    )
    numbers = results["figures"]["interpolation"]["numbers"]
    assert results_of["rank_correlations"] == numbers["rank_correlations"]
    page = (out / "results.md").read_text()
    assert "## The published version's claims" in page
    assert all(f"![]({name}.png)" in page for name in FIGURES)
    capsys.readouterr()
    main(["--markdown", str(out / "results.json")])
    said = capsys.readouterr().out
    # A head and a rule each, the rows of Table 2, and these again with the other settings of the published claims
    assert said.count("\n| ") == 24 + 2 + len(TABLE_2) + len(CROSS_PAIRS) + len(PUBLISHED_PAIRS)
    assert results["figures"]["detection"]["caption"] in said
    assert published.sentences(results_of["rows"]) in said
    main(["published", *arguments[1:], "--json", str(tmp_path / "published.json")])
    written = json.loads((tmp_path / "published.json").read_text())
    assert [{k: v for k, v in row.items() if k != "environment"} for row in written] == results_of["rows"]
    assert written[0]["environment"]["command"].startswith("python -m experiments.paper published --scale small")
    main(["--list", *arguments[1:]])
    said = capsys.readouterr().out
    assert all(name in said for name in [*FIGURES, *plans, "table2", "published"])
    assert "is there" in said
    assert "not measured" not in said


def test_what_is_not_measured_is_predicted_where_its_programs_were_compiled(tmp_path, capsys):
    main(["--list", "--scale", "paper", "--workdir", str(tmp_path / "none")])
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"fig1b Figure 1b 0 of 1 1 predicted: at least \d+ min on h100 or \d+ min on v5e:2x2", said)
    # Of two studies as long as both.
    of_one, of_two = (
        int(re.search(rf"{figure} .*? predicted: at least (\d+) min on h100", said)[1]) for figure in ("fig1b", "fig1a")
    )
    assert of_two > of_one
    assert "not measured" not in said


def test_a_figure_is_drawn_from_what_has_a_stand_in_and_says_what_has_none(made, tmp_path, monkeypatch, capsys):
    workdir, _ = made
    grounds = {name: of for name, of in tiny().grounds.items() if name not in ("MNLI", "QQP", "AGNews")}
    imdb = grounds["IMDB"]
    networks = {name: of for name, of in imdb.networks.items() if name in ("RoBERTa-Base", "RoBERTa-Small")}
    grounds["IMDB"] = dataclasses.replace(imdb, networks=networks)
    monkeypatch.setitem(SCALES, "small", dataclasses.replace(tiny(), grounds=grounds))
    monkeypatch.setattr(make, "run_study", lambda *_: pytest.fail("a study was trained"))
    monkeypatch.setattr(plots.style, "encode", lambda figure, name: {"png": b"drawn"})
    arguments = ["--scale", "small", "--workdir", str(workdir), "--seeds", str(SEEDS)]
    out, rows = tmp_path / "out", tmp_path / "rows.json"
    main(["table2", "fig8", "figure9", "fig10", *arguments, "--figures", str(out), "--json", str(rows)])
    said = " ".join(capsys.readouterr().out.split())
    assert "fig8: left out, for want of mnli-robertasmall-robertasmall, mnli-" in said
    assert {path.name for path in out.iterdir()} == {f"fig{n}.{kind}" for n in (9, 10) for kind in ("png", "json")}
    for number, teacher in ((9, "small"), (10, "base")):
        figure = json.loads((out / f"fig{number}.json").read_text())
        assert list(figure["studies"]) == [f"imdb-roberta{teacher}-robertasmall"]
        assert re.search(r"Left out: .*agnews-.* \(no stand-in at the scale small\)\.$", figure["caption"])
    by_name = {row["study"]: row for row in json.loads(rows.read_text())}
    assert by_name["imdb-robertasmall-robertasmall"]["status"].startswith("stand-in")
    row = by_name["mnli-robertasmall-robertasmall"]
    assert row["status"] == "not run"
    for part in ("mnli-robertasmall-robertasmall --scale paper", "--tokenizer DIR", "--pretrained DIR"):
        assert part in row["command"]
    main(["--list", *arguments])
    assert re.search(r"fig8 +Figure 8 +no stand-in", capsys.readouterr().out)


def test_all_without_a_tokenizer_is_all_but_texts(made, tmp_path, capsys, monkeypatch):
    workdir, plans = made
    monkeypatch.setattr(Planned, "is_of_texts", property(lambda plan: plan.row.is_text))  # as they are but here
    console = make.Console()
    setting = Setting(scale="small", workdir=tmp_path)
    images = [name for name, plan in plans.items() if not plan.row.is_text]
    assert make.Maker(setting, plans, console).without_texts(list(plans)) == images
    assert "texts are left out, since --tokenizer is not given" in capsys.readouterr().out
    there = make.Maker(dataclasses.replace(setting, workdir=workdir, seeds=SEEDS), plans, console)
    assert there.without_texts(list(plans)) == list(plans)
    assert not capsys.readouterr().out


def test_what_texts_need_is_looked_for_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "run_study", lambda *_: pytest.fail("a study was trained"))
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    encoders = write_encoders(tmp_path / "encoders", '{"model_type": "roberta"}')
    (encoders / "medium" / "config.json").unlink()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    given = ["cifar10-resnet56-resnet56", "fig8", "--tokenizer", str(tokenizer), "--pretrained", str(encoders)]
    refused(main, given, [f"--pretrained {encoders}/medium: has no config.json"], tmp_path / "work")
    (tokenizer / "merges.txt").unlink()
    refused(main, given, [f"--tokenizer {tokenizer}: must be", "merges.txt"], tmp_path / "work")


def test_a_study_with_too_few_seeds_or_another_setting_is_not_there(made):
    workdir, plans = made
    plan = plans["cifar10-resnet56-resnet56"]
    assert finished(plan, workdir / "small", SEEDS).seeds == SEEDS
    assert finished(plan, workdir / "small", SEEDS + 1) is None
    assert finished(plan, workdir / "elsewhere") is None
    other = dataclasses.replace(plan, setting=changed(plan.setting, train={"epochs": 9}))
    assert finished(other, workdir / "small") is None
    swept = dataclasses.replace(plan, setting=changed(plan.setting, sweep={"switch_step": (3,)}))
    assert finished(swept, workdir / "small") is None


def test_the_command_trains_what_is_missing_once_and_makes_the_table(at_tiny_scale, tmp_path, monkeypatch):
    name, rows = "cifar100-mobilenet-mobilenet", tmp_path / "rows.json"
    arguments = ["--scale", "small", "--workdir", str(tmp_path / "work"), "--seeds", "2"]
    main([name, "table2", *arguments, "--json", str(rows)])
    table = json.loads(rows.read_text())
    assert [row["study"] for row in table if row["ours"]] == [name]
    row = next(row for row in table if row["ours"])
    assert (row["n"], row["step"]) == (2, 32)
    assert all(math.isfinite(row["ours"]["test"][model]["mean"]) for model in MODELS)
    assert all(r["expected_seconds"] > 0 for r in table if r["dataset"] == "CIFAR100" and not r["ours"])
    monkeypatch.setattr(make, "run_study", lambda *_: pytest.fail("a study was trained again"))
    main([name, "table2", *arguments, "--json", str(rows)])
    assert json.loads(rows.read_text())[6]["ours"] == row["ours"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fig19"], ["'fig19'", "did you mean fig"]),
        (["nothing"], ["'nothing': is no figure", "--list"]),
        (["all", "--scale", "large"], ["--scale", "large", "paper", "small"]),
        (["all", "--seeds", "0"], ["--seeds 0", "1 or more"]),
        (["fig1a", "--json", "rows.json"], ["--json rows.json", "table2"]),
        (["table2", "published", "--json", "rows.json"], ["--json rows.json", "table2 or published, not both"]),
        (["table2", "--json", "rows.txt"], ["--json rows.txt", ".json"]),
        (["table2", "--json", "no/where/rows.json"], ["--json no/where/rows.json", "folder"]),
        (["fig1a", "--figures", "no/where/out"], ["--figures no/where/out", "folder"]),
        (["fig1a", "--data-dir", "no/where"], ["--data-dir no/where", "prepared data"]),
        (["fig1a", "--scale", "small"], ["--data-dir", "cifar100"]),
        (["fig9", "--scale", "small"], ["--tokenizer: must be given for imdb-roberta", "vocab.json and merges.txt"]),
        (
            ["cifar10-resnet56-resnet56", "fig8", "--tokenizer", "."],
            ["--pretrained: must be given for mnli-", "small/"],
        ),
        (["fig8", "--tokenizer", "no/where"], ["--tokenizer no/where: is no folder"]),
        (["fig8", "--pretrained", "no/where"], ["--pretrained no/where: is no folder", "base/, medium/ and small/"]),
        (["mnli-robertasmall-robertasmall", "--scale", "small"], ["has no stand-in at --scale small", "--scale paper"]),
        (["--markdown", "nothing.json"], ["--markdown nothing.json", "cannot be read"]),
        (["all", "--flaw"], ["--flaw", "--help"]),
    ],
)
def test_wrong_input_is_refused_in_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make.backend, "use_cores", lambda batch: None)
    monkeypatch.setattr(make.program_cache, "keep_programs", lambda folder: None)
    refused(main, arguments, parts, tmp_path)


def test_a_results_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(document.InputError, match=r"other\.json: is not results\.json"):
        main(["--markdown", str(tmp_path / "other.json")])
