"""Teachers that are there already: logits in a file, dumps of another study, a function; averaged, shuffled."""

import dataclasses
import itertools
import json
import sys
import types

import numpy as np
import pytest
from command import SMALL, here, run, write_npz
from old_dump import make_old
from small_study import QUIET, dataset, setting

from distill_jax.dumps import Dump, dump_path, read_dump, save_dump
from distill_jax.errors import InputError
from distill_jax.setting import GivenTeacherSetting
from distill_jax.study import prepared
from distill_jax.study.checks import validate
from distill_jax.study.given_teacher import given_teacher, shuffled
from distill_jax.study.study import Study

DATA = dataset()
LOGITS = {
    s: np.random.default_rng(i).normal(size=(len(getattr(DATA, s).label), 5)).astype(np.float32)
    + 4 * np.eye(5, dtype=np.float32)[getattr(DATA, s).label]
    for i, s in enumerate(("train", "test"))
}
PLAIN = [*SMALL, "--augment", "none", "--epochs", "2"]


def savez(path, **arrays):
    np.savez(path, **(LOGITS | arrays))
    return str(path)


def test_logits_are_taken_in_the_data_s_order_or_by_their_ids(tmp_path):
    plain = given_teacher([savez(tmp_path / "a.npz")], DATA)
    order = {s: np.random.default_rng(3).permutation(len(LOGITS[s])) for s in LOGITS}
    more = {s: np.concatenate([LOGITS[s][order[s]], np.ones((2, 5))]) for s in LOGITS}  # of examples that are not here
    ids = {f"{s}_id": np.concatenate([order[s], [900, 901]]) for s in LOGITS}
    named = given_teacher([savez(tmp_path / "b.npz", **more, **ids)], DATA)
    for teacher in (plain, named):
        assert teacher.one
        for split, logits in LOGITS.items():
            np.testing.assert_array_equal(teacher.of_seed(7)[split], logits)
    assert plain.digest(0) == named.digest(5)
    assert plain.digest(0) != given_teacher([savez(tmp_path / "c.npz", test=LOGITS["test"] + 1)], DATA).digest(0)


@pytest.mark.parametrize("is_old", [False, True])
def test_dumps_of_one_s_own_are_a_teacher_by_seed_or_one_for_all(tmp_path, is_old):
    for seed, split, step in itertools.product((0, 3), LOGITS, (0, 8, 60)):  # the last step's is meant
        examples = getattr(DATA, split)
        logits = (1 + seed) * LOGITS[split] + step
        save_dump(tmp_path, Dump.of(logits, examples.true_label, model="mine", seed=seed, step=step, split=split))
    if is_old:
        make_old(tmp_path)
    of_each, of_one = (given_teacher([str(tmp_path / "dumps" / name)], DATA) for name in ("mine", "mine/seed-3"))
    assert (of_each.one, of_one.one) == (False, True)
    for split, logits in LOGITS.items():
        np.testing.assert_array_equal(of_each.of_seed(0)[split], logits + 60)
        for teacher in (of_each, of_one):
            np.testing.assert_array_equal(teacher.of_seed(3)[split], 4 * logits + 60)
    for name in ("mine/seed-1", "none/seed-1"):
        with pytest.raises(InputError, match=f"{name}: (has no dump seed-1/step-N/train|does not exist)"):
            given_teacher([str(tmp_path / "dumps" / name)], DATA)


def test_several_are_averaged_and_a_function_is_one(tmp_path, monkeypatch):
    module = types.ModuleType("teacher_module")
    pixels = np.random.default_rng(5).normal(size=(8 * 8 * 3, 5)) / 100
    module.predict = lambda x: x.reshape(len(x), -1) @ pixels
    monkeypatch.setitem(sys.modules, "teacher_module", module)
    both = given_teacher([savez(tmp_path / "a.npz"), "teacher_module:predict"], DATA)
    for split, logits in LOGITS.items():
        x = getattr(DATA, split).x
        expected = (logits + x.reshape(len(x), -1) @ pixels) / 2
        np.testing.assert_allclose(both.of_seed(0)[split], expected, rtol=1e-5, atol=1e-5)
    module.none = lambda x: x.sum()
    with pytest.raises(InputError, match=r"given.logits teacher_module:none: gives .*; must be logits \[B, K\]"):
        given_teacher(["teacher_module:none"], DATA)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train": LOGITS["train"][:, :4]}, r"train has the shape \(100, 4\); must be \[N, 5\], a row an example"),
        ({"train": LOGITS["train"][1:]}, "train has 99 rows for 100 examples; must be one for each"),
        ({"test": np.full((40, 5), np.nan)}, "test has NaN or infinite values; must be finite"),
        ({"test": np.full((40, 5), 0.2)}, "the logits of test are probabilities"),
        ({"train_id": np.arange(1, 101)}, "train lacks examples of the data set by their ids"),
        ({"train_id": np.zeros(100, int)}, "train lacks examples of the data set by their ids"),
        ({"valid": np.zeros(3)}, "has valid besides"),
    ],
)
def test_what_is_not_of_these_data_is_refused(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        given_teacher([savez(tmp_path / "a.npz", **arrays)], DATA)


def test_what_is_no_teacher_is_refused(tmp_path):
    for name, message in (
        (str(tmp_path / "none.npz"), "does not exist; must be a file of numpy.savez with train and test"),
        (str(tmp_path), r"has no dump seed-0/step-N/train; must be as DIR/dumps/teacher"),
        ("no_module_here:f", "cannot be imported"),
    ):
        with pytest.raises(InputError, match=message):
            given_teacher([name], DATA).of_seed(0)


def test_shuffled_logits_are_the_same_rows_of_other_examples():
    logits, label = LOGITS["train"], DATA.train.label
    assert shuffled(logits, label, 0, "none") is logits
    for how in ("within-class", "all"):
        found = shuffled(logits, label, 0, how)
        np.testing.assert_array_equal(np.sort(found, 0), np.sort(logits, 0))
        moved = np.any(found != logits, 1)
        assert moved.mean() > 0.8
        assert not np.array_equal(found, shuffled(logits, label, 1, how))
        of_class = [np.array_equal(np.sort(found[label == k], 0), np.sort(logits[label == k], 0)) for k in range(5)]
        assert all(of_class) == (how == "within-class")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A study whose teachers are trained, and the data of it."""
    folder = tmp_path_factory.mktemp("source")
    npz = write_npz(folder / "own.npz")
    here(["--dataset", npz, "--workdir", folder / "work", *PLAIN])
    return folder / "work", npz


def test_students_of_another_study_s_dumps_are_that_study_s_students(source, tmp_path):
    work, npz = source
    rest = PLAIN[: PLAIN.index("--teacher.hidden")] + PLAIN[PLAIN.index("--student.hidden") :]
    here(["--dataset", npz, "--workdir", tmp_path, *rest, "--teacher.logits", work / "dumps" / "teacher"])
    for model in ("teacher", "kd", "one_hot_to_kd"):
        for seed in (0, 1):
            ours, theirs = (read_dump(dump_path(f, model, seed, 24, "train")) for f in (tmp_path, work))
            np.testing.assert_array_equal(ours.logits, theirs.logits)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["study"]["one_teacher"] is False
    assert summary["setting"]["teacher"]["name"] == "given logits"
    assert summary["deviations"] == json.loads((work / "summary.json").read_text())["deviations"]


def test_one_teacher_of_all_seeds_has_its_points_chosen_by_controls_and_another_one_is_another_study(source, tmp_path):
    work, npz = source
    rest = PLAIN[: PLAIN.index("--teacher.hidden")] + PLAIN[PLAIN.index("--student.hidden") :]
    one = ["--dataset", npz, "--workdir", tmp_path, *rest, "--teacher.logits"]
    assert "teacher: logits of" in here([*one, work / "dumps" / "teacher" / "seed-1"], drawn=True)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["study"]["one_teacher"] is True
    assert "inherited_noise" not in summary["deviations"]["kd"]["train"]
    assert "minus_control" in summary["deviations"]["kd"]["train"]["mean_gap_hard"]
    assert summary["control_check"] is None
    assert "chosen by another seed's control" in (tmp_path / "report.html").read_text()
    said = run([*one, work / "dumps" / "teacher" / "seed-0"], status=2)
    assert "holds another setting (teacher.logits is" in said
    both = [work / "dumps" / "teacher" / "seed-0", work / "dumps" / "teacher"]
    assert "in part the same for all seeds and in part each seed's own" in run([*one, *both], status=2)
    said = run([*one, work / "dumps" / "teacher", "--teacher.hidden", "3"], status=2)
    assert "--teacher.hidden: must be left out, since --teacher.logits gives what the teacher says" in said


def test_what_goes_with_no_given_teacher_is_named(tmp_path):
    small = setting(tmp_path, "mlp")
    given = dataclasses.replace(small, given=GivenTeacherSetting(("a.npz",)))

    def of(base, **groups):
        fields = {g: dataclasses.replace(getattr(base, g), **f) for g, f in groups.items()}
        validate(dataclasses.replace(base, **fields))

    of(given, objective={"teacher_shuffle": "all"})
    with pytest.raises(InputError, match=r"run.teacher_logits in-step: must be auto or cached, since `given.logits`"):
        of(given, run={"teacher_logits": "in-step"})
    with pytest.raises(InputError, match=r"objective.teacher_shuffle all: must be none, since"):
        of(small, objective={"teacher_shuffle": "all"})
    with pytest.raises(InputError, match=r"given.logits a.npz: must be left out, since a loss of"):
        validate(dataclasses.replace(given, students=("one_hot", "kd", "fitnets")))


def test_a_teacher_of_other_data_is_doubted_and_augmentation_explained(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(prepared, "say", lambda _, line: lines.append(line))
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: DATA)
    turned = {s: LOGITS[s][::-1] for s in LOGITS}
    given = GivenTeacherSetting((savez(tmp_path / "a.npz", **turned),))
    Study(dataclasses.replace(setting(tmp_path / "work"), given=given), QUIET)
    assert any("is no better than chance; are its rows in the order of the data?" in line for line in lines)
    assert any("stay so where the augmentation crop-flip changes what students see" in line for line in lines)
