"""Studies and comparisons from Python."""

import numpy as np
import pytest
from command import undrawn

import distill_jax
from distill_jax.errors import InputError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(260, 12)).astype(np.float32), RNG.integers(0, 3, 260)
X[:, 0] += 2 * Y
ARRAYS = {"x_train": X[:200], "y_train": Y[:200], "x_test": X[200:], "y_test": Y[200:]}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    fields = {"seeds": 3, "epochs": 3, "batch_size": 20, "snapshots": [0.5], "students": ["one_hot", "kd", "dkd"]}
    return distill_jax.run(dataset=ARRAYS, workdir=str(folder), quiet=True, **fields)


def test_a_study_of_arrays_is_run_and_opened(study, capfd):
    assert list(distill_jax.open_study(str(study.folder)).students) == ["dkd", "kd", "one_hot"]
    assert study.summary == distill_jax.open_study(study.folder).summary
    assert study.accuracy("kd").n == 3
    command = study.summary.environment["command"]
    assert command.startswith("distill_jax.run(dataset=..., workdir='")
    assert command.endswith("seeds=3, epochs=3, batch_size=20, snapshots=[0.5], students=['one_hot', 'kd', 'dkd'])")
    assert study.findings[0].verdict in ("supported", "not supported", "contradicted", "undecided")
    dump = study.dump("dkd", seed=2, split="train")
    assert dump.logits.shape == (200, 3)
    np.testing.assert_array_equal(dump.label, Y[:200])
    assert len(study.scatter().axes) == len(study.scatter("one_hot", "dkd").axes) == 4
    page = study._repr_html_()
    assert "Decoupled KD" in page
    assert "Distillation beats one-hot training" in page
    assert capfd.readouterr().out == ""


def test_the_report_s_numbers_come_from_logits_alone(study):
    logits = {m: [study.dump(m, s, "train").logits for s in range(3)] for m in ("teacher", "kd", "one_hot", "dkd")}
    found = distill_jax.compare(
        np.stack(logits["teacher"]),
        {"mine": logits["kd"], "other": np.stack(logits["dkd"]), "plain": logits["one_hot"]},
        Y[:200],
        control="plain",
        split="train",
    )
    for ours, theirs in (("mine", "kd"), ("other", "dkd"), ("plain", "one_hot")):
        assert found.intervals[ours] == study.summary.deviations[theirs]["train"]
    assert "minus plain" in found._repr_html_()
    assert len(found.scatter(seed=1).axes) == 3


def test_one_seed_and_one_teacher(study):
    teacher, kd = study.dump("teacher").logits, [study.dump("kd", s).logits for s in range(3)]
    one = distill_jax.compare(teacher, {"a": kd[0]}, Y[200:])
    assert one.intervals["a"]["agreement"].level == "examples"
    assert one.intervals["a"]["agreement"].minus_control is None
    shared = distill_jax.compare(teacher, {"a": kd}, Y[200:])
    assert "mean_gap_hard" not in shared.intervals["a"]  # nobody is left who could choose the hard points
    assert "mean_gap_hard_as_in_paper" in shared.intervals["a"]
    control = [study.dump("one_hot", s).logits for s in range(3)]
    assert "mean_gap_hard" in distill_jax.compare(teacher, {"a": kd, "b": control}, Y[200:], control="b").intervals["a"]


def test_a_teacher_of_one_s_own(study, tmp_path):
    def teacher(x):
        return np.stack([-((x[:, 0] - 2 * k) ** 2) for k in range(3)], 1)

    fields = {"seeds": 2, "epochs": 2, "batch_size": 20, "students": ["one_hot", "kd"], "quiet": True}
    with undrawn():
        first = distill_jax.run(dataset=ARRAYS, teacher=teacher, workdir=tmp_path / "a", **fields)
    np.testing.assert_allclose(first.dump("teacher", 1).logits, teacher(X[200:]), rtol=1e-6)
    table = {"train": teacher(X[:200]), "test": teacher(X[200:])}
    with undrawn():
        second = distill_jax.run(dataset=ARRAYS, teacher=table, workdir=tmp_path / "b", **fields)
    np.testing.assert_array_equal(first.dump("kd").logits, second.dump("kd").logits)
    assert second.summary.study.one_teacher


def test_a_dump_of_one_s_own_is_saved_and_read(study, tmp_path):
    dump = distill_jax.Dump.of(study.dump("kd").logits, Y[200:], model="mine", seed=3, step=7)
    path = distill_jax.save_dump(tmp_path, dump)
    assert path == tmp_path / "dumps" / "mine" / "seed-3" / "step-7" / "test"
    again = distill_jax.read_dump(distill_jax.save_dump(tmp_path, dump))
    np.testing.assert_array_equal(again.logits, dump.logits)
    assert again.attributes["model"] == "mine"
    with pytest.raises(InputError, match=r"has no model and no split among its attributes; make it by Dump\.of"):
        distill_jax.save_dump(tmp_path, distill_jax.Dump(dump.logits, dump.label, dump.label, dump.id, {}))
    with pytest.raises(InputError, match="must have a plain name"):
        distill_jax.save_dump(tmp_path, distill_jax.Dump.of(dump.logits, dump.label, model="a", step=-1))


LOGITS = RNG.normal(size=(20, 3))


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((LOGITS, {}, Y[:20]), {}, "students: are none; must be a dictionary of logits by name"),
        ((LOGITS, {"a": LOGITS}, Y[:20]), {"control": "b"}, "control 'b': is none of the students; must be of a"),
        ((LOGITS, {"a": [LOGITS], "b": [LOGITS] * 2}, Y[:20]), {}, r"different numbers of seeds \(a 1, b 2\)"),
        (([LOGITS] * 2, {"a": [LOGITS] * 3}, Y[:20]), {}, "teacher: is of 2 seeds; must be of 1, or 3 as the students"),
        ((LOGITS, {"a": LOGITS}, [Y[:20]] * 2), {}, r"labels: are of 2 seeds; must be \[N\], or \[1, N\]"),
        ((LOGITS, {"a": LOGITS[0]}, Y[:20]), {}, r"a: has the shape \(3,\); must be logits \[N, K\]"),
        ((LOGITS, {"a": LOGITS[:19]}, Y[:20]), {}, r"label: is int64 \(20,\); must be integers \[19\], as logits"),
    ],
)
def test_arrays_that_do_not_belong_together_are_named(arguments, named, message):
    with pytest.raises(InputError, match=message):
        distill_jax.compare(*arguments, **named)


def test_what_is_no_study_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no summary.json; must be the `run.workdir` of a finished study"):
        distill_jax.open_study(tmp_path)
    with pytest.raises(InputError, match="preset 'digit': is not known; there are digits"):
        distill_jax.run("digit")
    with pytest.raises(InputError, match="epoch: is no field of a setting"):
        distill_jax.run("digits", epoch=3)
    for dataset, message in (({"x_train": X}, "has no y_train, x_test, y_test"), ({**ARRAYS, "z": X}, "has z besides")):
        with pytest.raises(InputError, match=message):
            distill_jax.run(dataset=dataset, workdir=tmp_path / "w", quiet=True)
    assert not (tmp_path / "w").exists()
