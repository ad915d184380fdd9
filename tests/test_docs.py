"""Every example of docs/extending.md as it stands there: the file is saved, its command given."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from distill_jax.command import main as command_main

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n# (?P<name>\w+\.py)\n(?P<code>.*?)```\s*```bash\n(?P<command>.*?)\n```", re.S)
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
EXAMPLES = [(m["name"], m["code"], m["command"]) for m in BLOCK.finditer(PAGE)]


def test_every_block_of_code_is_an_example_and_short():
    assert len(EXAMPLES) == PAGE.count("```python") == PAGE.count("```bash") == 8
    for name, code, _ in EXAMPLES:
        assert len(code.strip().splitlines()) < 25, name


@pytest.mark.parametrize(("name", "code", "command"), EXAMPLES, ids=[name for name, *_ in EXAMPLES])
def test_an_example_works(tmp_path, monkeypatch, capsys, name, code, command):
    (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    program, *words = shlex.split(command)
    if program == "distill-jax":
        command_main.main(words)
    else:
        assert (program, words) == ("python", [name])
        runpy.run_path(name)
    expected = {"distill-jax": "report: ", "entropy.py": "from the control's", "margins.py": ""}
    assert expected[name if words == [name] else program] in capsys.readouterr().out
    assert name != "margins.py" or (tmp_path / "margins.png").stat().st_size > 5000
