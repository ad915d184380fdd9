"""The library and what the tests share are typed, see `tool.pyright` in pyproject.toml."""

import subprocess
import sys

import pytest
from command import ROOT


def test_pyright_finds_nothing():
    pytest.importorskip("pyright")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--warnings"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
