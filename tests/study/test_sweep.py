"""A sweep: which students it has, that each is what a study of its own would train, and that it may grow."""

import dataclasses
import json

import numpy as np
import pytest
from command import EVERY_CALL, SMALL, here, kill_when_there, results, run

from distill_jax.command import main as distill
from distill_jax.dumps import DumpReader, dump_exists, dump_path, read_dump
from distill_jax.errors import InputError
from distill_jax.measures.sweep_summary import summarise
from distill_jax.setting import ObjectiveSetting, Setting, SweepSetting
from distill_jax.study import sweep

STEPS = 72
SWEEP = ["--sweep.temperature", "2", "--sweep.learning-rate", "0.05", "--noise-draw", "per-seed"]


@pytest.fixture(scope="module")
def swept(npz, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("swept")
    here(["--dataset", npz, "--workdir", workdir, *SMALL, *SWEEP], drawn=True)
    return workdir


def test_students_are_all_combinations_that_matter():
    setting = Setting(sweep=SweepSetting(temperature=(4.0, 8.0), switch_step=(10, 50), learning_rate=(0.1, 0.2)))
    names = [m.name for m in sweep.students(setting, 100)]
    assert names[:4] == ["one_hot", "kd", "one_hot_to_kd", "kd_to_one_hot"]
    assert len(names) == len(set(names)) == 2 + 4 + 8 + 8  # 4.0, 50 and 0.1 are the study's own
    assert {n for n in names if n.startswith("one_hot@")} == {"one_hot@learning_rate=0.2"}
    assert "kd@temperature=8,learning_rate=0.2" in names
    assert "kd_to_one_hot@switch_step=10" in names
    assert not any("switch" in n for n in names if n.startswith("kd@"))
    assert sweep.students(Setting(), 100) == sweep.students(setting, 100)[:4]


@pytest.mark.parametrize(
    ("field", "value", "parts"),
    [
        ("temperature", 0.0, ["sweep.temperature 0.0", "positive"]),
        ("distillation_weight", 2.0, ["sweep.distillation_weight 2.0", "[0, 1]"]),
        ("switch_step", 100, ["sweep.switch_step 100", "[0, 100)"]),
        ("switch_window", 60, ["objective.switch_window 60", "must end within"]),
        ("learning_rate", -1.0, ["sweep.learning_rate -1.0", "positive"]),
    ],
)
def test_wrong_values_are_named(field, value, parts):
    setting = dataclasses.replace(Setting(), sweep=SweepSetting(**{field: (value,)}))
    with pytest.raises(InputError) as caught:
        sweep.check(setting, 1000, 100, 100)
    for part in parts:
        assert part in str(caught.value)


def test_a_switch_and_a_window_must_fit_together():
    both = SweepSetting(switch_step=(90,), switch_window=(20,))
    with pytest.raises(InputError, match=r"objective.switch_window 20: must end within"):
        sweep.check(Setting(objective=ObjectiveSetting(), sweep=both), 1000, 100, 100)


@pytest.mark.slow
def test_a_student_of_a_sweep_is_that_of_a_study_of_its_own(npz, swept, tmp_path):
    arguments = [*SMALL, "--noise-draw", "per-seed", "--temperature", "2"]
    run(["--dataset", npz, "--workdir", tmp_path, *arguments])
    for seed in (0, 1):
        ours = read_dump(dump_path(swept, "kd@temperature=2", seed, STEPS, "test"))
        theirs = read_dump(dump_path(tmp_path, "kd", seed, STEPS, "test"))
        np.testing.assert_allclose(ours.logits, theirs.logits, rtol=2e-3, atol=2e-3)
        assert ours.attributes["setting"] == theirs.attributes["setting"]  # the same run by another name


def test_the_summary_has_the_sweep(swept):
    whole = json.loads((swept / "summary.json").read_text())
    summary = whole["sweep"]
    assert summary["fields"] == ["learning_rate", "temperature"]
    by_name = {s["name"]: s for s in summary["students"]}
    assert len(by_name) == 2 + 3 * 4
    one = by_name["kd_to_one_hot@temperature=2,learning_rate=0.05"]
    assert (one["model"], one["temperature"], one["learning_rate"]) == ("kd_to_one_hot", 2.0, 0.05)
    for student in by_name.values():
        for statistic in student["statistics"].values():
            per_seed, control = statistic["per_seed"], statistic["minus_control"]["per_seed"]
            assert len(per_seed) == len(control) == 2
    assert by_name["one_hot"]["statistics"]["test_accuracy"]["minus_control"]["mean"] == 0
    for split in ("train", "test"):  # the study's own students have the study's own intervals
        for name in ("mean_gap_hard", "underfit_fraction_hard"):
            own = whole["deviations"]["kd"][split][name]
            assert by_name["kd"]["statistics"][f"{split}_{name}"] == own
    report = (swept / "report.html").read_text()
    assert '<section id="sweep"' in report
    assert (swept / "figures" / "sweep_temperature.png").stat().st_size > 10_000


def test_a_study_of_one_seed_has_an_interval_over_each_split_s_examples(swept):
    setting = dataclasses.replace(Setting(), sweep=SweepSetting(temperature=(2.0,), learning_rate=(0.05,)))
    members, own = sweep.students(setting, STEPS), {"temperature": 4.0}
    [of_it] = [s for s in summarise(DumpReader(swept), members, own, 1, STEPS).students if s.name == "kd@temperature=2"]
    for split in ("train", "test"):
        gap = of_it.statistics[f"{split}_mean_gap_hard"]
        assert gap.low < gap.mean < gap.high


def test_each_seed_has_its_own_noise_and_its_models_share_it(swept):
    labels = {
        (model, seed): read_dump(dump_path(swept, model, seed, STEPS, "train")).label
        for model in ("teacher", "kd", "kd@temperature=2")
        for seed in (0, 1)
    }
    for seed in (0, 1):
        np.testing.assert_array_equal(labels["teacher", seed], labels["kd", seed])
        np.testing.assert_array_equal(labels["teacher", seed], labels["kd@temperature=2", seed])
        true = read_dump(dump_path(swept, "teacher", seed, STEPS, "train")).true_label
        assert np.sum(labels["teacher", seed] != true) == 10
    assert np.any(labels["teacher", 0] != labels["teacher", 1])


@pytest.mark.slow
def test_a_sweep_killed_and_resumed_is_uninterrupted(npz, swept, tmp_path):
    arguments = ["--dataset", npz, "--workdir", tmp_path, *SMALL, *SWEEP, *EVERY_CALL]
    kill_when_there(arguments, tmp_path, "runs/students*/checkpoints/4*")
    run(arguments)
    assert results(tmp_path) == results(swept)


def test_a_sweep_grows(npz, tmp_path):
    arguments = ["--dataset", npz, "--workdir", tmp_path, *SMALL, "--epochs", "2"]
    here(arguments)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("dumps/**/c/**/*") if p.is_file()}
    out = here([*arguments, "--sweep.temperature", "2"])
    assert "8 of 14 students were there already" in out
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(json.loads((tmp_path / "summary.json").read_text())["sweep"]["students"]) == 7


def test_a_population_larger_than_memory_is_split(npz, tmp_path):
    arguments = ["--dataset", npz, *SMALL, "--epochs", "2", "--population", "8", "--workdir", tmp_path]
    out = here([*arguments, "--memory-gib", "0.0001"])
    assert "8 students, seeds 0-1, need" in out
    assert "at once are tried instead" in out
    assert "(2 of 2)" in out
    for seed in (0, 1):
        assert dump_exists(dump_path(tmp_path, "kd", seed, 24, "test"))


def test_cached_logits_serve_no_augmented_data(tmp_path):
    wrong = ["--teacher-logits", "cached", "--augment", "crop", "--workdir", str(tmp_path / "work")]
    with pytest.raises(
        InputError, match=r"run.teacher_logits cached: must be in-step, all-outcomes or auto, since `data.augment` crop"
    ):
        distill.main(wrong)
    assert not (tmp_path / "work").exists()
