"""One whole run of the command, as a user starts it, shared by all tests that look at what it finds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import theory

ROOT = Path(theory.__file__).parents[1]


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The finished process, and the folder with its found.json and its figures."""
    folder = tmp_path_factory.mktemp("theory")
    files = ["--json", folder / "found.json", "--figures", folder / "figures"]
    command = [sys.executable, "-W", "error", "-m", "theory", *map(str, files)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False), folder


@pytest.fixture(scope="session")
def rows(finished):
    """What it found, by id."""
    found = json.loads((finished[1] / "found.json").read_text(encoding="utf-8"))
    return {row["id"]: row for row in found["statements"]}
