"""Further students: every kind and one's own beside the four, in one population, each as if it were alone."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from command import SMALL, here, run, write_npz
from small_study import advance, dataset, setting

from distill_jax.errors import InputError
from distill_jax.machine.placement import on_host
from distill_jax.setting import ObjectiveSetting, RunSetting, Setting, SweepSetting
from distill_jax.students import KINDS, STUDENTS, TEACHER, table
from distill_jax.study import sweep
from distill_jax.study.checks import validate
from distill_jax.training.objective import PARAMS
from distill_jax.training.population import Member, seeds, shape
from distill_jax.training.run_digest import run_digest
from distill_jax.training.trainer import Trainer

EVERY = tuple(name for name in KINDS if name != TEACHER)
OWN = """
import jax, optax
from distill_jax.students import Kind

def sharper(student, teacher, label, *, temperature, sharpness=2.0):
    target = jax.nn.softmax(teacher.logits * sharpness / temperature)
    return optax.softmax_cross_entropy(student.logits / temperature, target)

fading = Kind("Fading", ("{name}:sharper", "one_hot"), lambda steps: optax.linear_schedule(0.0, 1.0, steps))
"""


def own_module(folder, name):
    (folder / f"{name}.py").write_text(OWN.replace("{name}", name))
    return name


@pytest.mark.parametrize("network", ["mlp", pytest.param("resnet", marks=pytest.mark.slow)])
def test_a_member_is_its_solo_run_whatever_its_loss(tmp_path, monkeypatch, network):
    monkeypatch.syspath_prepend(tmp_path)
    own = own_module(tmp_path, f"losses_{network}")
    small, data = setting(tmp_path, network), dataset()
    small = dataclasses.replace(small, students=(*EVERY, f"{own}:sharper", f"{own}:fading"))
    small = dataclasses.replace(small, objective=ObjectiveSetting(switch_step=3, distillation_weight=0.8))
    teachers = Trainer(small, data, "teacher", (2, 1))
    state, _ = advance(teachers, [Member("teacher", s) for s in (0, 1)])
    variables = jax.tree.map(on_host, state.variables)
    members = [
        *(Member("dkd", 0, (("beta", 2.0),)), Member("fitnets", 0), Member("label_smoothing", 0)),
        *(Member("sharper", 1, (("sharpness", 1.0),)), Member("fading", 1), Member("hard_label", 1)),
    ]
    if network == "resnet":
        members = [members[i] for i in (1, 4)]

    def taught(population):
        return jax.tree.map(lambda a: a[seeds(population)], variables)

    steps = 8 if network == "mlp" else 5
    together, losses = advance(Trainer(small, data, "student", shape(members)), members, taught(members), steps=steps)
    alone = Trainer(small, data, "student")
    assert PARAMS in together.params
    assert PARAMS not in together.variables["params"]
    for i, member in enumerate(members):
        state, solo = advance(alone, [member], taught([member]), steps=steps)
        np.testing.assert_allclose(losses[i], solo[0], rtol=2e-4, atol=2e-5)
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(on_host(a)[i], on_host(b)[0], rtol=2e-4, atol=2e-5),
            together.variables,
            state.variables,
        )


def test_a_hint_moves_the_layers_below_it_alone_and_its_regressor(tmp_path):
    small = setting(tmp_path, "mlp", optimizer={"weight_decay": 0.0}, objective={"switch_step": 20})
    small = dataclasses.replace(small, students=(*STUDENTS, "fitnets"))
    teacher = Trainer(small, dataset(), "teacher")
    state, _ = advance(teacher, [Member("teacher", 0)])
    trainer, member = Trainer(small, dataset(), "student"), Member("fitnets", 0)
    before = jax.tree.map(on_host, trainer.initial_state([member]).params)
    after, losses = advance(trainer, [member], jax.tree.map(on_host, state.variables), steps=12)
    moved = jax.tree.map(lambda a, b: not np.array_equal(on_host(a), b), after.params, before)
    assert all(jax.tree.leaves([moved["hidden1"], moved[PARAMS]]))
    assert not any(jax.tree.leaves(moved["head"]))
    assert losses[0, -4:].mean() < 0.8 * losses[0, :4].mean()


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A study of the four, grown to every kind and one of one's own, and the command that did."""
    folder = tmp_path_factory.mktemp("students")
    own, npz = own_module(folder, "of_study"), write_npz(folder / "own.npz")
    arguments = ["--dataset", npz, "--workdir", folder / "work", *SMALL, "--epochs", "2"]
    grown = [*arguments, "--students", *EVERY, f"{own}:fading", "--loss-settings", "hint_scale=0.1"]
    grown += ["--sweep.loss-settings", "beta=2,8", "sharpness=1", "--population", "32"]  # in one program
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(folder))
        patched.syspath_prepend(folder)
        here(arguments)
        yield folder, own, grown, here(grown, drawn=True)


def test_a_study_grows_by_kinds_and_reports_them(studied):
    folder, _, _, out = studied
    assert "8 of 22 students were there already" in out
    summary = json.loads((folder / "work" / "summary.json").read_text())
    assert set(summary["study"]["students"]) == {*EVERY, "fading"}
    for measure in summary["accuracy"].values():
        assert set(measure["models"]) == {"teacher", *EVERY, "fading"}
        assert {"dkd_minus_kd", "fading_minus_one_hot"} <= measure["paired"].keys()
    for student in (*EVERY, "fading"):
        for split in ("train", "test"):
            value = summary["deviations"][student][split]["mean_gap_hard"]
            assert ("minus_control" in value) == (student != "one_hot")
    swept = {s["name"] for s in summary["sweep"]["students"]}
    assert {"dkd@beta=2", "fading@sharpness=1"} <= swept
    assert len(swept) == len(EVERY) + 1 + 2  # 8 is dkd's own
    report = (folder / "work" / "report.html").read_text()
    for label in ("Decoupled KD", "FitNets (hint → KD)", "Fading", "Label smoothing"):
        assert label in report
    assert (folder / "work" / "figures" / "scatter_others.png").stat().st_size > 10_000


def test_code_of_one_s_own_is_part_of_what_a_student_is(studied):
    folder, own, grown, _ = studied
    assert "22 of 22 students were there already" in here(grown)
    path = folder / f"{own}.py"
    path.write_text(path.read_text().replace("sharpness=2.0", "sharpness=3.0"))
    err = run(grown, status=2)
    assert "holds another study's dumps" in err
    assert "fading" in err


@pytest.mark.parametrize(
    ("students", "objective", "message"),
    [
        (("kd",), {}, "students kd: must have one_hot among them, which the others are compared with"),
        (("one_hot", "dkd"), {}, "students one_hot dkd: must have kd among them"),
        (("one_hot", "kd", "kdd"), {}, "students kdd: must be of one_hot, kd, .*, or your own as module:attribute"),
        (("one_hot", "kd", "kd"), {}, "students kd: there is another model kd"),
        (("one_hot", "kd", "json:kd"), {}, "students json:kd: there is another model kd"),
        (("one_hot", "kd", "json:none"), {}, "students json:none: cannot be imported .*; must be module:attribute"),
        (("one_hot", "kd", "teacher"), {}, "students teacher: there is another model teacher"),
        (
            STUDENTS,
            {"loss_settings": {"beta": 2.0}},
            "objective.loss_settings beta=2.0: no loss of `students`",
        ),
        (
            (*STUDENTS, "dkd"),
            {"loss_settings": {"b": 2.0}},
            "objective.loss_settings b=2.0: .* there are alpha, beta",
        ),
        (
            (*STUDENTS, "dkd"),
            {"loss_settings": {"beta": -1.0}},
            r"loss_settings beta=-1.0: must be in \[0, inf\]",
        ),
        (
            STUDENTS,
            {"student_features": {"a": "b"}},
            "objective.student_features a=b: must be left out, since",
        ),
    ],
)
def test_what_cannot_be_right_is_named(students, objective, message):
    with pytest.raises(InputError, match=message):
        validate(Setting(students=students, objective=ObjectiveSetting(**objective)))


def test_a_teacher_whose_logits_are_kept_has_no_features():
    kept = Setting(students=(*STUDENTS, "fitnets"), run=RunSetting(teacher_logits="cached"))
    with pytest.raises(InputError, match=r"run.teacher_logits cached: must be in-step or auto, since a loss of"):
        validate(kept)


def test_a_sweep_of_a_loss_s_settings_is_checked_as_these(tmp_path):
    swept = SweepSetting(loss_settings={"beta": (1.0, -1.0)})
    with pytest.raises(InputError, match=r"sweep.loss_settings beta=-1.0: must be in \[0, inf\]"):
        sweep.check(Setting(students=(*STUDENTS, "dkd"), sweep=swept), 1000, 100, 100)
    with pytest.raises(InputError, match=r"sweep.loss_settings beta=1\.0: no loss of `students`"):
        sweep.check(Setting(sweep=swept), 1000, 100, 100)


def test_kinds_name_no_run_but_their_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    own = own_module(tmp_path, "of_digest")
    plain, more = Setting(), Setting(students=(*STUDENTS, "dkd", f"{own}:sharper"))
    for model in ("teacher", *STUDENTS):
        assert run_digest(plain, model, 0, "x") == run_digest(more, model, 0, "x")
    assert len({run_digest(more, model, 0, "x") for model in ("kd", "dkd", "sharper")}) == 3
    given = dataclasses.replace(more, objective=ObjectiveSetting(loss_settings={"beta": 2.0, "sharpness": 2.0}))
    assert [run_digest(given, m, 0, "x") == run_digest(more, m, 0, "x") for m in ("kd", "dkd", "sharper")] == [
        True,
        False,
        True,
    ]
    swept = Member("dkd", 0, (("beta", 2.0),)).applied(more)
    assert run_digest(swept, "dkd", 0, "x") == run_digest(given, "dkd", 0, "x")
    assert table(more.students)["sharper"].losses == (f"{own}:sharper",) * 2


def test_a_layer_that_is_not_there_is_named(tmp_path):
    small = dataclasses.replace(setting(tmp_path), students=(*STUDENTS, "fitnets"))
    wrong = dataclasses.replace(small, objective=ObjectiveSetting(teacher_features={"middle": "hidden9"}))
    with pytest.raises(InputError, match="--teacher-features middle=hidden9: is no layer of the network"):
        Trainer(wrong, dataset(), "student")
