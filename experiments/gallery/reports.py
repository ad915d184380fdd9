"""Reports of studies whose results are kept."""

import dataclasses
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError
from distill_jax.measures.study_summary import FILE, StudySummary, read_summary

_OF_THE_RUN = ("environment", "timing")  # which a second run need not share


def report(folder: Path, results: Path) -> str:
    """The report in a study's work folder.

    Args:
      folder: of the study, whose name is that of its results.
      results: folder of all kept results.

    Raises:
      InputError: the study is not finished, or its numbers are others than those that are kept.
    """
    kept, page = results / folder.name / FILE, folder / "report.html"
    if not page.is_file() or not (folder / FILE).is_file():
        raise InputError("STUDIES", folder, f"has no {page.name}; must be the folder of a finished study")
    if not kept.is_file():
        raise InputError("STUDIES", folder, f"has no results that are kept as {kept}; must be named as these are")
    if _numbers(read_summary(folder / FILE)) != _numbers(read_summary(kept)):
        raise InputError("STUDIES", folder, f"says other numbers than {kept}; must be of the same study")
    return page.read_text("utf-8")


def _numbers(summary: StudySummary) -> dict[str, Any]:
    """What a study has found; numbers as text, since those that are none are unequal to themselves."""
    values = {field.name: repr(getattr(summary, field.name)) for field in dataclasses.fields(summary)}
    return {name: value for name, value in values.items() if name not in _OF_THE_RUN}
