import dataclasses
import json
from pathlib import Path

import pytest

from distill_jax.command import main as distill
from distill_jax.errors import InputError
from distill_jax.presets import PRESETS
from distill_jax.saved_setting import load, save
from distill_jax.setting import ObjectiveSetting, Setting, SweepSetting


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_as_it_was(tmp_path, name):
    setting = PRESETS[name].setting
    save(setting, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == setting


def test_every_kind_of_field_comes_back_as_it_was(tmp_path):
    setting = dataclasses.replace(
        Setting(students=("one_hot", "kd", "dkd")),
        objective=ObjectiveSetting(switch_step=7, loss_settings={"beta": 2.0}, student_features={"a": "b"}),
        sweep=SweepSetting(temperature=(1.0, 2.0), loss_settings={"beta": (1.0, 4.0)}),
        data=dataclasses.replace(Setting().data, data_dir=Path("there"), classes=5),
    )
    save(setting, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == setting


def test_the_command_takes_it_with_changes(tmp_path):
    save(PRESETS["digits"].setting, tmp_path / "a.json")
    arguments = ["--setting", str(tmp_path / "a.json"), "--epochs", "3", "--students", "one_hot", "kd"]
    expected = distill.setting_from(["digits", *arguments[2:]])
    assert distill.setting_from(arguments) == expected
    assert distill.setting_from([*arguments[2:], f"--setting={tmp_path / 'a.json'}"]) == expected
    for wrong, message in (
        (["digits", *arguments], "--setting .*a.json: stands in the place of a preset; must be given without digits"),
        (["--setting"], "--setting: is given nothing; must be a study.json"),
        (["--setting", str(tmp_path / "b.json")], "--setting .*b.json: does not exist; must be a study.json"),
        ([*arguments, "--teacher.depth", "20"], "--teacher.depth: must be left out, since --teacher.name mlp has"),
    ):
        with pytest.raises(InputError, match=message):
            distill.setting_from(wrong)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[1]", r"all of it is \[1\]; must be an object of fields"),
        ("{", "cannot be read"),
        ({"train": 3}, "--train. is 3|is 3; must be an object of fields"),
        ({"trains": {}}, "trains of all of it is not known; did you mean train?"),
        ({"train": {"epoch": 3}}, "epoch of .* is not known; did you mean epochs?"),
        ({"train": {"epochs": "3"}}, '`train.epochs` is "3"; must be a number'),
        ({"train": {"batch_size": 1.5}}, "`train.batch_size` is 1.5; must be a whole number"),
        ({"train": {"batch_size": True}}, "`train.batch_size` is true; must be a whole number"),
        ({"train": {"precision": "float16"}}, '`train.precision` is "float16"; must be of float32, bfloat16'),
        ({"teacher": {"hidden": 3}}, "`teacher.hidden` is 3; must be a list, each a whole number"),
        (
            {"objective": {"loss_settings": {"a": "b"}}},
            "`objective.loss_settings` is .*; must be an object, each",
        ),
        ({"run": {"tensorboard": 1}}, "`run.tensorboard` is 1; must be true or false"),
        ({"data": {"classes": "x"}}, '`data.classes` is "x"; must be a whole number or null'),
    ],
)
def test_what_is_no_setting_is_named(tmp_path, value, message):
    path = tmp_path / "a.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"setting {path}: ")
