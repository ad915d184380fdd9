"""The results the README quotes are those of committed files, which say how they were made."""

import json
import re

import pytest
from command import refused

from distill_jax.errors import InputError
from distill_jax.machine.environment import environment
from experiments import pages, study_tables
from experiments.compiled import results as compiled_results
from experiments.pages import RESULTS, ROOT


@pytest.mark.parametrize("block", pages.blocks(), ids=lambda block: f"{block.kind} {block.of}")
def test_a_page_s_table_is_that_of_its_files(block):
    assert block.text == pages.made(block.kind, block.of)


def test_pages_show_all_results():
    """Each file is the source of a table; but two that sentences quote, and the parts of studies."""
    shown = " ".join(block.of for block in pages.blocks())
    for path in RESULTS.glob("*.json"):
        assert path.name in shown or path.name in ("framework_cost.json", "text_parity.json"), path
    assert all(path.parent.name in shown for path in RESULTS.glob("*/summary.json"))
    assert all(f"compiled/{path.name}" in shown for path in RESULTS.glob("compiled/*.json"))
    assert {block.kind for block in pages.blocks()} == set(pages.KINDS)


def test_no_result_or_page_of_the_gallery_names_a_home():
    files = [path for folder in (RESULTS, ROOT / "docs" / "gallery") for path in folder.rglob("*") if path.is_file()]
    texts = [path for path in files if path.suffix in (".json", ".jsonl", ".md", ".html")]
    assert len(texts) > 20
    assert not [path for path in texts if re.search(r"(?<![\w.])/(root|home/\w+|Users/\w+)/", path.read_text("utf-8"))]


def test_a_result_keeps_the_command_without_the_user_s_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    command = "python -m distill_jax --data-dir /home/ada/data --workdir '/home/ada/a b' /home/adam/x /mnt/home/ada"
    for of in (environment, compiled_results.environment):
        said = of(command)["command"]
        assert said == "python -m distill_jax --data-dir ~/data --workdir '~/a b' /home/adam/x /mnt/home/ada"


def test_filling_a_page_changes_its_tables_alone():
    page = pages.PAGES[1].read_text("utf-8")
    table = max(pages.blocks(), key=lambda block: page.count(block.text) and len(block.text)).text
    assert page.count(table) == 1
    assert pages.filled(page.replace(table, "old\n")) == page
    with pytest.raises(InputError, match=r"<!-- chanel: a\.json -->: is no kind of table; there are studies, students"):
        pages.filled("<!-- chanel: a.json -->\n<!-- end -->")


@pytest.mark.parametrize(
    "content",
    [None, "{", "{}", '{"findings": [], "study": 3}', "[" * 200_000],
    ids=["missing", "broken", "empty", "other", "deep"],
)
def test_what_is_no_summary_is_refused(content, tmp_path):
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=re.escape(str(path))):
        study_tables.tables([path])


def test_two_studies_in_folders_of_one_name_are_two_columns(tmp_path):
    [content] = [path.read_text() for path in sorted(RESULTS.glob("*/summary.json"))[:1]]
    paths = [tmp_path / place / "study" / "summary.json" for place in ("here", "there")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(content)
    head = study_tables.tables(paths).splitlines()[0]
    assert [f"`{path.parent}`" in head for path in paths] == [True, True]


def test_no_summary_is_refused(tmp_path):
    refused(study_tables.main, [], ["SUMMARY.json: must be given"], tmp_path)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("**/*.json")), ids=lambda p: p.relative_to(RESULTS).as_posix())
def test_a_result_says_how_and_on_what_it_was_made(path):
    said = json.loads(path.read_text())
    for row in said if isinstance(said, list) else [said]:
        environment = row["environment"]
        assert environment["command"].startswith(("python -m experiments.", "python -m distill_jax"))
        assert re.fullmatch("[0-9a-f]{40}", environment["commit"]), "made from files that differ from their commit"
        # A prediction is of no device, but of a chip by a compiler.
        assert environment["device"] if path.parent.name != "compiled" else row["chip"]
        compiler = {"h": "jax-cuda13-plugin", "v": "libtpu"}.get(row["chip"][0]) if "chip" in row else "jax"
        assert environment["versions"][compiler]


def test_the_benchmarks_quote_the_framework_cost():
    rows = json.loads((RESULTS / "framework_cost.json").read_text())["rows"]
    said = "takes {one_hot:.2f} (one-hot) and {kd:.2f} times (distilled)"
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert said.format(**{model: row["ratio"] for model, row in rows.items()}) in page
