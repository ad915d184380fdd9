"""The gallery: what its pages say is what the result files say, and nothing of them is loaded from elsewhere."""

import json
import re
from html import unescape

import pytest
from command import refused

from distill_jax.errors import InputError
from distill_jax.measures.study_summary import FILE, read_summary
from distill_jax.report.headline import headline
from experiments.gallery import pages, reports
from experiments.gallery.__main__ import MOST_BYTES, main
from theory.statements import STATEMENTS

_LOADED = re.compile(r"""<(?:link|script|img|iframe|source)[^>]+(?:src|href)=["'](?!data:)""")


def test_the_figures_are_those_that_are_kept_each_with_its_caption():
    page = pages.figures()
    kept = sorted(path.stem for path in (pages.RESULTS / "paper-small").glob("*.png"))
    assert sorted(re.findall(r'<h2 id="(\w+)"', page)) == kept
    assert page.count("<img ") == page.count("<figcaption>") == len(kept)
    assert not _LOADED.search(page)
    assert len(page) < MOST_BYTES


def test_every_statement_has_its_verdict():
    pytest.importorskip("latex2mathml")
    page = pages.theory()
    ids = re.findall(r'<section class="statement" id="([^"]+)"', page)
    assert ids == [statement.id for statement in STATEMENTS]
    assert page.count("<math ") == len(ids) + sum(s.corrected is not None for s in STATEMENTS)
    assert not _LOADED.search(page)


def test_the_list_has_the_pages_that_are_there(tmp_path):
    assert "digits.html" not in pages.index(tmp_path)
    (tmp_path / "digits.html").touch()
    page = pages.index(tmp_path)
    assert 'href="digits.html"' in page
    assert headline(read_summary(pages.RESULTS / "digits" / FILE)) in unescape(page)
    assert page.count('<img src="data:image/webp;base64,') == 2
    assert not _LOADED.search(page)
    assert len(page) < 300_000


def test_a_report_is_of_the_numbers_that_are_kept(tmp_path):
    kept = json.loads((pages.RESULTS / "digits" / FILE).read_text())
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "report.html").write_text("its report")
    other_run = kept | {"timing": {"total_seconds": 1.0}}
    (folder / FILE).write_text(json.dumps(other_run))
    assert reports.report(folder, pages.RESULTS) == "its report"
    other_run["accuracy"]["test_accuracy"]["models"]["kd"]["mean"] += 1e-6
    (folder / FILE).write_text(json.dumps(other_run))
    with pytest.raises(InputError, match="other numbers"):
        reports.report(folder, pages.RESULTS)


@pytest.mark.parametrize("name", ["digits", "mine"])
def test_what_is_no_finished_study_is_refused_and_nothing_written(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "to").mkdir()
    arguments = [str(tmp_path / name), "--to", str(tmp_path / "to")]
    refused(main, arguments, ["STUDIES", "finished study"], tmp_path / "to")
