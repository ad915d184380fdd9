"""The report as a browser lays it out: `pytest -m browser`, with the extra `browser` and a Chromium."""

import pytest
from browser import PHONE, opened, width_of
from made_study import write_study

from distill_jax.dump_reader import DumpReader
from distill_jax.measures import study_summary
from distill_jax.report import study_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    write_study(workdir, 3)
    of = {"seeds": 3, "total_steps": 40, "switch_step": 20}
    summary = study_summary.summarise(DumpReader(workdir), {"data": {"dataset": "made"}}, {}, {}, **of)
    return study_report.write_report(DumpReader(workdir), summary)


def test_a_phone_scrolls_the_page_in_one_direction_alone(browser, report):
    with opened(browser, report, PHONE) as page:
        assert width_of(page) <= PHONE
