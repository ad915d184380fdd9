"""constraints.txt, the versions that were tried together, is of this package's dependencies as they are now."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED = [Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
NEEDED = [*PROJECT["dependencies"], *(d for extra in ("test", "text", "tfds", "theory", "docs") for d in EXTRAS[extra])]


@pytest.mark.parametrize("needed", [n for n in NEEDED if not n.startswith("distill-jax")])
def test_a_dependency_is_locked_to_versions_that_it_allows(needed):
    requirement = Requirement(needed)
    locked = [r for r in LOCKED if r.name.lower().replace("_", "-") == requirement.name.lower().replace("_", "-")]
    assert locked
    for version in locked:
        (pinned,) = version.specifier
        assert pinned.operator == "=="
        assert requirement.specifier.contains(pinned.version)
