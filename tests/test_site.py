"""What the site makes of results and of the theory's formulas; its pages and links are seen by `mkdocs build`."""

import importlib.util
import re
from pathlib import Path

import pytest

from distill_jax.measures.study_summary import read_summary
from distill_jax.report.study_report import render
from theory import formulas
from theory.statements import STATEMENTS

KEPT = sorted((Path(__file__).parents[1] / "experiments" / "results").glob("*/summary.json"))
DOCS = Path(__file__).parents[1] / "docs"
FORMULAS = [(s.id, f) for s in STATEMENTS for f in (s.printed, s.corrected) if f is not None]


def module(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize(("name", "formula"), FORMULAS)
def test_a_formula_is_tex_with_all_of_its_signs(name, formula):
    tex = formulas.tex(formula)
    assert tex.isascii() or set(re.findall(r"[^\x00-\x7f]", tex)) <= {"≔"}
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", tex):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    for sign, command in (("≤", r"\\le "), ("κ", r"\\kappa "), ("√", r"\\sqrt"), ("²", r"\^\{2\}"), ("^", r"\^\{")):
        assert len(re.findall(command, tex)) >= formula.count(sign)


@pytest.mark.parametrize(
    ("formula", "tex"),
    [
        ("p_kᵗᵉ(x) ≤ √α*", r"p_{k}^{te}(x)\le \sqrt{\alpha ^{*}}"),
        ("e^(−(α − αᵗᵉ)τ/2), if K ≥ 12", r"e^{-(\alpha -\alpha ^{te})\tau /2},\text{ if }K\ge 12"),
        ("α̃_k2(t̃) := ‖ũ^⊥‖²", r"\tilde{\alpha}_{k2}(\tilde{t})≔\| \tilde{u}^{\perp }\| ^{2}"),
        ("(13)'s right side = cd", r"\text{(13)'s right side }=cd"),
    ],
)
def test_formulas_by_hand(formula, tex):
    assert formulas.tex(formula) == tex


def test_formulas_become_mathml_with_the_letters_as_text():
    pytest.importorskip("latex2mathml")
    for _, formula in FORMULAS:
        shown = formulas.mathml(formula)
        assert shown.startswith('<math alttext="')
        assert shown.endswith("</math>")


@pytest.mark.parametrize("path", KEPT, ids=[path.parent.name for path in KEPT])
def test_a_study_whose_results_are_kept_has_a_report_with_the_figures_that_are(path):
    summary = read_summary(path)
    page = render(summary, {"scatter": "AAAA"})
    assert page.count("<img ") == page.count("<figure>") == 1
    for finding in summary.findings:
        assert page.count(finding.verdict) > 0
