"""The results the README quotes are those of committed files, which say how they were made."""

import json
import re
from pathlib import Path

import pytest

from distill_jax.statistics import quote
from experiments.throughput.table import markdown

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
STUDIES = [path.parent.name for path in sorted(RESULTS.glob("*/summary.json"))]


def cell(finding) -> str:
    """A finding as the README's table quotes it."""
    in_phi = finding["id"].startswith("underfits")
    number = quote(finding["difference"], sign=True, scale=1 if in_phi else 100)
    return f"{finding['verdict']}: {number}"


@pytest.mark.parametrize("name", STUDIES)
def test_the_readme_quotes_each_study_s_findings(name):
    readme = (ROOT / "README.md").read_text()
    summary = json.loads((RESULTS / name / "summary.json").read_text())
    section = next(line for line in readme.splitlines() if line.startswith("| claim") and f"`{name}`" in line)
    column = section.split("|").index(f" `{name}`, n = {summary['study']['seeds']} ")
    for finding in summary["findings"]:
        row = next(line for line in readme.splitlines() if line.startswith(f"| {finding['claim']}"))
        assert row.split("|")[column].strip() == cell(finding)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("**/*.json")), ids=lambda p: p.relative_to(RESULTS).as_posix())
def test_a_result_says_how_and_on_what_it_was_made(path):
    said = json.loads(path.read_text())
    for environment in [row["environment"] for row in said] if isinstance(said, list) else [said["environment"]]:
        assert environment["command"].startswith("python -m experiments.")
        assert re.fullmatch("[0-9a-f]{40}", environment["commit"]), "made from files that differ from their commit"
        assert environment["device"]
        assert environment["versions"]["jax"]


def test_the_readme_quotes_the_framework_cost():
    rows = json.loads((RESULTS / "framework_cost.json").read_text())["rows"]
    said = "takes {one_hot:.2f} (one-hot) and {kd:.2f} times (distilled)"
    assert said.format(**{model: row["ratio"] for model, row in rows.items()}) in (ROOT / "README.md").read_text()


def test_the_readme_s_throughput_table_is_that_of_the_files():
    block = re.search("<!-- throughput: ([^\n]*) -->\n(.*?)<!-- end -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block[1] == "python -m experiments.throughput --table experiments/results/throughput/*.json"
    assert block[2] == markdown(sorted((RESULTS / "throughput").glob("*.json")))
