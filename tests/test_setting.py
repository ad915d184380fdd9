import dataclasses
from pathlib import Path

import pytest

from distill_jax.errors import InputError
from distill_jax.identity import differences, digest, identity
from distill_jax.setting import Setting
from distill_jax.study.checks import validate, validate_on_data
from distill_jax.training.run_digest import run_digest


def changed(**groups):
    setting = Setting()
    return dataclasses.replace(setting, **{g: dataclasses.replace(getattr(setting, g), **f) for g, f in groups.items()})


def test_identity_is_what_is_computed_and_not_how():
    same = changed(
        run={"seeds": 9, "workdir": Path("elsewhere"), "population": 2},
        data={"data_dir": Path("there"), "cache_dir": Path("here")},
    )
    assert identity(same) == identity(Setting())
    for groups in [
        {"data": {"label_noise": 0.1}},
        {"teacher": {"hidden": (3,)}},
        {"objective": {"temperature": 2.0}},
        {"optimizer": {"learning_rate": 0.2}},
        {"train": {"epochs": 3}},
    ]:
        assert identity(changed(**groups)) != identity(Setting())


def test_studies_older_than_a_field_keep_their_names():
    # Names of 11/2026: a change of them would have every work folder trained again.
    assert digest(identity(Setting())) == "7c875e9cab63"
    assert run_digest(Setting(), "teacher", 0, "data") == "619ecdb2f3d4"
    assert run_digest(Setting(), "kd", 1, "data") == "93e5309d5afb"


def test_a_study_is_named_as_before_fields_that_it_does_not_use():
    # The digest is that of the version before texts and --test-examples.
    assert digest(identity(Setting())) == "7c875e9cab63"
    assert "test_examples" not in identity(Setting())["data"]
    assert identity(changed(data={"test_examples": 100}))["data"]["test_examples"] == 100
    assert "norm_examples" not in identity(Setting())["train"]
    assert identity(changed(train={"norm_examples": 32}))["train"]["norm_examples"] == 32


def test_a_teacher_does_not_depend_on_its_students():
    other = changed(student={"hidden": (7,)}, objective={"temperature": 9.0})
    assert run_digest(other, "teacher", 0, "f") == run_digest(Setting(), "teacher", 0, "f")
    assert run_digest(other, "kd", 0, "f") != run_digest(Setting(), "kd", 0, "f")
    names = {run_digest(Setting(), m, s, d) for m in ("teacher", "kd") for s in (0, 1) for d in ("f", "g")}
    assert len(names) == 8


def test_differences_are_named():
    found = differences(identity(Setting()), identity(changed(train={"epochs": 5})))
    assert found == ["train.epochs is 5 there and 100 here"]


@pytest.mark.parametrize(
    ("groups", "option"),
    [
        ({"objective": {"temperature": 0.0}}, "objective.temperature 0.0"),
        ({"objective": {"temperature": float("inf")}}, "objective.temperature inf"),
        ({"objective": {"distillation_weight": 1.5}}, "objective.distillation_weight 1.5"),
        ({"objective": {"switch_window": -1}}, "objective.switch_window -1"),
        ({"optimizer": {"learning_rate": 0.0}}, "optimizer.learning_rate 0.0"),
        ({"optimizer": {"momentum": 1.0}}, "optimizer.momentum 1.0"),
        ({"optimizer": {"decay_epochs": (3.0, 2.0)}}, "optimizer.decay_epochs 3.0 2.0"),
        ({"optimizer": {"weight_decay": -1.0}}, "optimizer.weight_decay -1.0"),
        ({"train": {"epochs": 0}}, "train.epochs 0"),
        ({"train": {"batch_size": 0}}, "train.batch_size 0"),
        (
            {"train": {"norm_examples": 48}},
            "train.norm_examples 48: must be 2 or more, and a divisor",
        ),
        ({"train": {"norm_examples": 1}}, "train.norm_examples 1"),
        ({"train": {"snapshots": (0.0, 0.5)}}, "train.snapshots 0.0 0.5"),
        ({"run": {"seeds": 0}}, "run.seeds 0"),
        ({"run": {"steps_per_dispatch": 0}}, "run.steps_per_dispatch 0"),
        ({"run": {"checkpoint_seconds": -1.0}}, "run.checkpoint_seconds -1.0"),
        ({"run": {"checkpoint_seconds": float("inf")}}, "run.checkpoint_seconds inf"),
        ({"run": {"processes": 2}}, "run.distributed False"),
    ],
)
def test_values_that_cannot_be_right(groups, option):
    with pytest.raises(InputError, match="^" + option) as raised:
        validate(changed(**groups))
    assert "\n" not in str(raised.value)


def test_a_split_needs_a_tenth():
    with pytest.raises(InputError, match=r"^data.dataset digits: has a split of 9 examples"):
        validate_on_data(Setting(), examples=100, test_examples=9, total_steps=50)


@pytest.mark.parametrize(
    ("groups", "option"),
    [
        ({"train": {"batch_size": 101}}, "train.batch_size 101: must be at most 100"),
        ({"objective": {"switch_step": 50}}, r"objective.switch_step 50: must be in \[0, 50\)"),
        ({"objective": {"switch_step": -1}}, "objective.switch_step -1"),
        ({"objective": {"switch_window": 26}}, "objective.switch_window 26"),
    ],
)
def test_values_that_do_not_fit_the_data(groups, option):
    with pytest.raises(InputError, match="^" + option):
        validate_on_data(
            changed(**({"train": {"batch_size": 10}} | groups)), examples=100, test_examples=10, total_steps=50
        )
