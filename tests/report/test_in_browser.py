"""The report as a browser lays it out: `pytest -m browser`, with the extra `browser` and a Chromium."""

import itertools
from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, opened, violations, width_of
from made_study import write_study

from distill_jax.dumps import DumpReader
from distill_jax.measures import study_summary
from distill_jax.report import study_report

pytestmark = pytest.mark.browser
KEPT = sorted((Path(__file__).parents[2] / "experiments" / "results").glob("*/summary.json"))
GALLERY = sorted((Path(__file__).parents[2] / "docs" / "gallery").glob("*.html"))
OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    write_study(workdir, 3)
    of = {"seeds": 3, "total_steps": 40, "switch_step": 20}
    setting = {"data": {"dataset": "made"}}
    summary = study_summary.summarise(DumpReader(workdir), setting, {"command": "a command"}, {}, **of)
    return study_report.write_report(DumpReader(workdir), summary)


def boxes(page, selector):
    return page.locator(selector).evaluate_all("all => all.map(element => element.getBoundingClientRect().toJSON())")


def test_a_phone_scrolls_the_page_in_one_direction_alone(browser, report):
    with opened(browser, report, PHONE) as page:
        assert width_of(page) <= PHONE
        page.evaluate(OPEN_ALL)
        assert width_of(page) <= PHONE


@pytest.mark.parametrize("path", KEPT, ids=[path.parent.name for path in KEPT])
@pytest.mark.parametrize("width", [PHONE, 700, DESKTOP])
def test_a_study_with_any_students_has_place_for_its_tables(browser, path, width, tmp_path):
    page_of = tmp_path / "report.html"
    page_of.write_text(study_report.render(study_summary.read_summary(path), {}), "utf-8")
    with opened(browser, page_of, width) as page:
        page.evaluate(OPEN_ALL)
        assert width_of(page) <= width


def test_the_pair_is_side_by_side_where_there_is_place_and_one_below_the_other_on_a_phone(browser, report):
    for width in (PHONE, DESKTOP):
        with opened(browser, report, width) as page:
            control, distilled = boxes(page, "[role=group][aria-label*='training set'] .panel")
            for box in (control, distilled, *boxes(page, "[role=group][aria-label*='training set'] svg")):
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
            if width == PHONE:
                assert distilled["y"] >= control["y"] + control["height"]
                assert min(control["width"], distilled["width"]) > 0.8 * PHONE
            else:
                assert distilled["y"] == control["y"]
                assert distilled["x"] >= control["x"] + control["width"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_axe_finds_nothing(browser, report, width, dark):
    with opened(browser, report, width, dark) as page:
        assert not violations(page)
        page.evaluate(OPEN_ALL)
        assert not violations(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", GALLERY, ids=[path.stem for path in GALLERY])
def test_axe_finds_nothing_in_the_gallery_on_a_phone(browser, path, dark):
    with opened(browser, path, PHONE, dark) as page:
        page.evaluate(OPEN_ALL)
        assert width_of(page) <= PHONE
        assert not violations(page)


def test_text_of_figures_has_the_colour_of_the_page(browser, report):
    inks = set()
    for dark in (False, True):
        with opened(browser, report, DESKTOP, dark) as page:
            ink = page.locator("body").evaluate("element => getComputedStyle(element).color")
            fills = page.locator(".plot text").evaluate_all("all => all.map(element => getComputedStyle(element).fill)")
            assert len(fills) > 100
            assert set(fills) == {ink}
            inks.add(ink)
    assert len(inks) == 2


def test_a_link_of_the_contents_brings_its_section_below_them(browser, report):
    with opened(browser, report, PHONE) as page:
        for name in ("numbers", "claims"):
            page.locator(f"nav a[href='#{name}']").click()
            page.wait_for_function("name => location.hash === '#' + name", arg=name)
            (contents,), (heading,) = boxes(page, "nav"), boxes(page, f"#{name}-title")
            assert contents["y"] == 0
            assert contents["height"] <= heading["y"] < 200


@pytest.mark.parametrize("width", [PHONE, 700])
def test_a_row_of_panels_is_broken_before_the_next_row_begins(browser, report, width):
    with opened(browser, report, width) as page:
        rows = boxes(page, "#evolution .panels")
        assert len(rows) == 4
        assert all(above["y"] + above["height"] <= below["y"] for above, below in itertools.pairwise(rows))


def test_paper_has_the_picture_where_the_screen_has_the_explorer(browser, report):
    with opened(browser, report) as page:
        assert page.locator("#examples svg[aria-label*='training set']").count() == 2
        page.emulate_media(media="print")
        page.wait_for_selector("#pair svg[aria-label*='training set']")
        assert page.locator("#x-app").is_hidden()
        panels, (sentence,) = boxes(page, "#pair .panel"), boxes(page, "#pair .headline")
        assert len(panels) == 2
        assert all(sentence["y"] < box["y"] < 900 for box in panels)
        page.emulate_media(media="screen")
        page.wait_for_selector("#examples svg[aria-label*='training set']")


def test_print_has_all_that_is_folded_away_and_no_column_cut(browser, report):
    with opened(browser, report, 680, dark=True) as page:
        page.emulate_media(media="print")
        assert width_of(page) <= 680
        cells = boxes(page, "details :is(.table, .settings) td")
        assert len(cells) > 100
        for box in cells:
            assert box["height"] > 0
            assert box["x"] + box["width"] <= 680
        assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("nav").is_visible()
