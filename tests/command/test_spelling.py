"""Errors name fields; commands spell them as options."""

import ast
import re
from pathlib import Path

import pytest

import distill_jax
from distill_jax.command.main import setting_from
from distill_jax.command.spelling import options, spelt
from distill_jax.errors import InputError, RunError
from distill_jax.fields import leaves
from distill_jax.presets import PRESETS
from distill_jax.setting import Setting

LIBRARY = Path(distill_jax.__file__).parent


def test_every_field_has_one_option_and_it_is_taken(capsys):
    spelled = options(Setting())
    fields = [field for field, _ in leaves(Setting())]
    assert len({spelled[field] for field in fields}) == len(fields)
    with pytest.raises(SystemExit):
        setting_from(["digits", "--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"{re.escape(spelled[field])}[\s,]", said) for field in fields)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("train.epochs", 0, "must be positive"), "--epochs 0: must be positive"),
        (InputError("given.logits", None, "is wrong"), "--teacher.logits: is wrong"),
        (InputError("data.augment", "crop", "since `data.tokenizer` is x"), "--augment crop: since --tokenizer is x"),
        (InputError("dump", "a/b", "is `damaged`"), "dump a/b: is `damaged`"),
        (RunError("the disk of `run.workdir` is full"), "the disk of --workdir is full"),
    ],
)
def test_a_command_spells_fields_as_options(error, line):
    assert spelt(error) == line


def test_an_error_of_a_notebook_names_the_field(tmp_path):
    with pytest.raises(InputError, match=r"^train.epochs 0: must be positive$"):
        distill_jax.run("digits", epochs=0, workdir=tmp_path / "work")


def test_no_message_of_the_library_is_of_a_command():
    """Not the settings and presets, whose words are the help of the command."""
    theirs = set(options(Setting()).values())
    for path in LIBRARY.rglob("*.py"):
        if path.parent.name == "command" or path.name in ("setting.py", "presets.py", "__main__.py"):
            continue
        tree = ast.parse(path.read_text())
        expressions = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in expressions:
                assert not theirs & set(re.findall(r"--[a-z][a-z.-]*", node.value)), (path.name, node.value)


def test_the_names_of_presets_are_said_where_one_is_wrong():
    with pytest.raises(InputError, match=f"^preset 'digitz': is not known; did you mean {next(iter(PRESETS))}"):
        setting_from(["digitz"])
