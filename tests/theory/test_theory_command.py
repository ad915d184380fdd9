"""`python -m theory` as a user runs it: the table, the files, how it ends; and what the package imports."""

import ast
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import theory
from theory import __main__ as command
from theory import statements
from theory.statements import STATEMENTS

ROOT = Path(theory.__file__).parents[1]


@pytest.fixture
def quick(monkeypatch):
    """The statements that take no time."""
    some = tuple(s for s in STATEMENTS if s.id in ("thm-4.1", "eq-16"))
    monkeypatch.setattr(statements, "STATEMENTS", some)
    return some


def run(*arguments):
    command = [sys.executable, "-W", "error", "-m", "theory", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_verdict_that_is_not_the_recorded_one_ends_with_status_1(quick, monkeypatch, capsys):
    changed = tuple(dataclasses.replace(s, recorded="holds") for s in quick)
    monkeypatch.setattr(statements, "STATEMENTS", changed)
    assert command.main([]) == 1
    assert "not as recorded: eq-16" in capsys.readouterr().out


def test_as_recorded_ends_with_status_0(quick, capsys):
    assert command.main([]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"2 statements in \d+ s: as printed 1 hold, 0 are misprints, 1 fail; 1 of 1 corrections hold; all as recorded "
        r"\(each: --table\)",
        line,
    )


@pytest.mark.parametrize("option", ["--table", "-v"])
def test_the_table_is_there_on_demand(quick, capsys, option):
    assert command.main([option]) == 0
    out = capsys.readouterr().out
    assert all(s.id in out for s in quick)
    assert out.splitlines()[-1].endswith("all as recorded")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--jsn", "x"], ["--jsn"]),
        (["--json"], ["--json"]),
        (["eq-3"], ["eq-3"]),
        (["--json", "absent/found.json"], ["--json absent/found.json", "folder"]),
        (["--json", "."], ["--json .", "file"]),
        (["--figures", "absent/figures"], ["--figures absent/figures", "folder"]),
        (["--figures", "taken"], ["--figures taken", "folder"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    with pytest.raises(command.InputError) as caught:
        command.main(arguments)
    assert len(str(caught.value).splitlines()) == 1
    for part in parts:
        assert part in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_wrong_input_ends_with_status_2_and_no_traceback():
    done = run("--jsn", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_what_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "theory.statements")
    monkeypatch.delitem(sys.modules, "theory.eigenspace_statements")
    monkeypatch.delitem(sys.modules, "theory.eigenspace_certificates")
    monkeypatch.delitem(sys.modules, "theory.intervals")
    for name in ("statements", "eigenspace_statements", "eigenspace_certificates", "intervals"):
        monkeypatch.delattr(theory, name)
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(command.InputError, match=r"flint is not installed; pip install 'distill-jax\[theory\]'"):
        command.main([])


def test_theory_imports_nothing_of_the_rest():
    for path in (ROOT / "theory").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"distill_jax", "experiments"}, path
    code = (
        "import sys, theory.__main__, theory.statements, theory.figures;"
        "sys.exit(any(m.split('.')[0] in ('distill_jax', 'experiments') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_is_written_about_the_record_agrees_with_it():
    rows = [line.split(" | ") for line in (ROOT / "theory" / "README.md").read_text("utf-8").splitlines()]
    written = {row[0].strip("|` "): row[3] for row in rows if row[0].startswith("| `") and len(row) == 5}
    kept = json.loads((ROOT / "theory" / "results" / "statements.json").read_text("utf-8"))
    recorded = {s.id: s.recorded for s in STATEMENTS}
    assert written == recorded
    assert {row["id"]: row["as_printed"] for row in kept["statements"]} == recorded
    assert kept["as_recorded"] is True
