"""What is on the page of a report, and what is not: read as a browser reads it, without one."""

import dataclasses
import itertools
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from made_study import write_study

from distill_jax.dumps import DumpReader
from distill_jax.measures import study_summary
from distill_jax.measures.interval import quote
from distill_jax.report import study_report
from distill_jax.report.forest import forest
from distill_jax.report.headline import headline

LOADED = {"src", "srcset", "href", "poster", "data", "action", "background"}  # attributes that name what is elsewhere


class Page(HTMLParser):
    """A page's elements in their order: tag, attributes."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module", params=[1, 3])
def study(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    write_study(workdir, request.param)
    of = {"seeds": request.param, "total_steps": 40, "switch_step": 20}
    setting = {"data": {"dataset": "made"}}
    summary = study_summary.summarise(DumpReader(workdir), setting, {"command": "a command"}, {}, **of)
    images = {}
    for name, figure in study_report.draw(DumpReader(workdir), summary).items():
        images |= study_report.inlined(figure, name)
    return study_report.render(summary, images), summary


def test_the_page_loads_nothing(study):
    html, _ = study
    assert not re.search(r"@import|@font-face", html)
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in LOADED & attributes.keys():
            value = attributes[name]
            assert value.startswith(("#", "data:")) or (tag == "a" and value.startswith("https://")), (tag, value[:80])
    assert html.count("data:image/png;base64,") > 10  # the clouds


def test_links_of_the_page_lead_to_a_place_of_it_and_names_are_unique(study):
    html, summary = study
    page = Page(html)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    nav = html[html.index("<nav") : html.index("</nav>")]
    contents = [attributes["href"] for attributes in Page(nav).all("a")]
    sections = [attributes["id"] for attributes in page.all("section")]
    assert contents == [f"#{section}" for section in sections]
    assert len(contents) > 8
    inner = [value[1:] for _, a in page.elements for value in [a.get("href", "")] if value.startswith("#")]
    assert set(inner) <= set(ids)
    used = re.findall(r"url\(#([^)]+)\)", html)
    assert used
    assert set(used) <= set(ids)
    assert {f"claim-{finding.id}" for finding in summary.findings} <= set(inner) & set(ids)


def test_every_difference_that_decides_is_quoted_beside_its_verdict(study):
    html, summary = study
    parts = {name: html[html.index(f'<section id="{name}"') :] for name in ("claims", "evidence", "study")}
    plot = parts["claims"][: -len(parts["evidence"])]
    evidence = parts["evidence"][: -len(parts["study"])]
    for finding in summary.findings:
        (row,) = (row for row in plot.split("<tr") if f'href="#claim-{finding.id}"' in row)
        (item,) = (item for item in evidence.split("<li ") if item.startswith(f'id="claim-{finding.id}"'))
        for part in (row, item):
            assert finding.quoted in unescape(part)
            assert f'<span class="badge {finding.verdict}">{finding.verdict}</span>' in part
        assert finding.measure in unescape(item)
        assert finding.paper in unescape(item)


def test_every_verdict_on_the_page_is_explained_before_it(study):
    html, summary = study
    words = html[html.index('id="claims"') : html.index('<table class="forest"')]
    for verdict in {finding.verdict for finding in summary.current_findings}:
        assert verdict in words


def test_a_legend_names_what_is_above_it(study):
    html, _ = study
    marked = {
        split: "mislabelled example" in html[html.index(f"Student against teacher, {title}") :].split("<figcaption")[0]
        for split, title in (("train", "training set"), ("test", "test set"))
    }
    assert marked == {"train": True, "test": False}


def test_models_have_one_order_also_where_a_summary_is_read_again(study):
    _, summary = study
    shuffled = dict(sorted(summary.study.students.items()))
    other = dataclasses.replace(summary, study=dataclasses.replace(summary.study, students=shuffled))
    assert study_report.render(other, {}) == study_report.render(summary, {})


def test_what_was_measured_is_in_digits_that_say_something(study):
    _, summary = study
    timing = {"seconds": 1.5995476490206784, "examples": 3379200, "rate": 2112597.2721531065, "none": 0.0}
    html = study_report.render(dataclasses.replace(summary, timing=timing), {})
    for name, text in {"seconds": "1.60", "examples": "3,379,200", "rate": "2,112,597", "none": "0"}.items():
        assert re.search(rf">{name}</th><td>{text}</td>", html)


def test_the_sentence_at_the_top_has_the_study_s_numbers(study):
    html, summary = study
    found = next(f for f in summary.findings if f.id == "underfits_hard_train")
    name = "mean_gap_hard" if summary.study.seeds > 1 else "mean_gap_hard_as_in_paper"
    sentence = headline(summary)
    for student in ("kd", "one_hot"):
        assert quote(summary.deviations[student]["train"][name], sign=True) in sentence
    assert found.quoted in sentence
    words = " ".join(Page(html).words)
    said = ("Each point is an example", sentence, "One-hot (control), training set", "On student-teacher deviations in")
    places = [words.index(part) for part in said]
    assert places == sorted(places)


def test_headings_go_down_step_by_step_and_tables_have_heads(study):
    html, _ = study
    page = Page(html)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in attributes for attributes in page.all("th"))
    assert html.count("<caption>") == html.count("<table")
    for attributes in page.all("svg"):
        named = attributes.get("role") == "img" and attributes.get("aria-label")
        assert named or attributes.get("aria-hidden") == "true" or attributes.get("class") == "axis"
    cells = [attributes for attributes in page.all("td") if "data-label" in attributes]
    assert len(cells) > 200
    assert all(attributes["data-label"] for attributes in cells)


def test_an_explorer_stands_in_the_place_of_the_pair_which_is_further_below(study):
    _, summary = study
    names = {"scatter_train": "<svg id='the-pair'></svg>", "scatter_test": "<svg id='test'></svg>"}
    page = study_report.render(summary, names, "<b id='explored'>to be seen</b>")
    places = [page.index(part) for part in ("<nav", "<b id='explored'>", 'id="claims"', 'id="examples"', "'the-pair'")]
    assert places == sorted(places)
    assert page.count("the-pair") == page.count("explored") == 1
    alone = study_report.render(summary, names)
    assert alone.index("the-pair") < alone.index('id="claims"') < alone.index("'test'")


def test_figures_may_be_pictures_too(study):
    _, summary = study
    page = Page(study_report.render(summary, {"scatter": "AAAA", "accuracy": "BBBB"}))
    shown = [attributes["src"][-4:] for attributes in page.all("img")]
    assert shown == ["AAAA", "BBBB"]
    assert all(len(attributes["alt"]) > 20 for attributes in page.all("img"))


def test_the_forest_plot_shows_what_the_verdicts_say(study):
    _, summary = study
    rows = [row for group in forest(summary.findings) for row in group.rows]
    assert {row.finding.id for row in rows} == {finding.id for finding in summary.findings}
    for group in forest(summary.findings):
        assert len({row.finding.unit for row in group.rows}) == 1
        at, values = zip(*sorted((row.at, row.finding.difference.mean) for row in group.rows), strict=True)
        assert list(values) == sorted(values)
        assert all(0 <= place <= 100 for place in at)
        assert (50.0, "0") in group.ticks
    for row in rows:
        claimed, difference = row.finding.claimed, row.finding.difference
        assert (row.low > 50) == (difference.low > 0)
        assert (row.high < 50) == (difference.high < 0)
        within = (row.low - 50) * claimed > 0 and (row.high - 50) * claimed > 0
        assert within or row.finding.verdict != "supported"


def test_an_interval_far_wider_than_the_others_is_cut_off(study):
    _, summary = study
    narrow = dataclasses.replace(summary.findings[0].difference, mean=0.1, low=-0.1, high=0.2)
    wide = dataclasses.replace(narrow, low=-30.0)
    few = [dataclasses.replace(summary.findings[0], difference=value) for value in (narrow, wide, narrow)]
    first, second, _ = forest(few)[0].rows
    assert first.cut == (False, False)
    assert second.cut == (True, False)
    assert second.low == 0
    assert first.high > 60


def test_wherever_the_paper_has_no_control_it_is_said(study):
    _, summary = study
    for finding in summary.findings:
        assert ("without a control" in finding.paper) == ("more than" in finding.claim), finding.id
        assert "ours" not in finding.paper
