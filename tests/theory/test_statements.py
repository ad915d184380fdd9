"""The record: what the command says as users start it, each verdict, each counterexample from its parameters alone."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import theory
from theory import eigenspace, eigenspace_certificates, grid, imperfect_teacher
from theory import theorem_statements as theorem
from theory.figures import FIGURES
from theory.intervals import Certificate
from theory.registry import Result, Verdict, evaluate
from theory.statements import STATEMENTS

ROOT = Path(theory.__file__).parents[1]
RECORDED = {
    "eq-3": ("holds", "grid", None),
    "eq-4": ("misprint", "grid", "grid"),
    "thm-4.1": ("holds", "certified", None),
    "eq-9": ("holds", "certified", None),
    "eq-12": ("holds", "grid", None),
    "eq-13": ("misprint", "grid", "certified"),
    "eq-14": ("holds", "grid", None),
    "eq-15": ("holds", "grid", None),
    "eq-16": ("fails", "grid", "certified"),
    "eq-17": ("holds", "grid", None),
    "eq-18": ("holds", "grid", None),
    "eq-19": ("holds", "grid", None),
    "eq-20": ("holds", "grid", None),
    "lemma-b1-s-minus": ("holds", "certified", None),
    "lemma-b1-s-plus": ("holds", "certified", None),
    "lemma-b2": ("misprint", "grid", "grid"),
    "eq-23": ("holds", "grid", None),
    "eq-27": ("fails", "grid", "simulation"),
    "eq-28": ("fails", "grid", "grid"),
    "eq-29": ("holds", "grid", None),
    "eq-30": ("fails", "grid", "certified"),
    "eq-31": ("fails", "grid", "simulation"),
    "eq-32": ("fails", "grid", "certified"),
    "eq-24-upper": ("fails", "grid", "certified"),
    "eq-24-lower": ("fails", "grid", "certified"),
    "eq-24-order": ("holds", "certified", None),
    "eq-36": ("fails", "grid", "grid"),
    "eq-42-a": ("holds", "simulation", None),
    "eq-43-b": ("misprint", "grid", "simulation"),
    "eq-45-46": ("fails", "grid", "grid"),
    "eq-49": ("holds", "grid", None),
    "b4-final-chain": ("misprint", "grid", "grid"),
    "b4-feasible": ("misprint", "grid", "grid"),
    "eq-33-upper": ("fails", "grid", "certified"),
    "eq-33-lower": ("fails", "grid", "certified"),
    "eq-33-order": ("holds", "certified", None),
    "eq-34": ("fails", "grid", "certified"),
    "thm-4.2": ("holds", "certified", None),
}
FIELDS = {
    "id": str,
    "where": str,
    "printed": str,
    "domain": str,
    "evidence": str,
    "points": int,
    "as_printed": str,
    "counterexample": (dict, type(None)),
    "corrected": (str, type(None)),
    "corrected_holds": (bool, type(None)),
    "corrected_evidence": (str, type(None)),
}
BY_ID = {statement.id: statement for statement in STATEMENTS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The finished process, and the folder with its found.json and its figures."""
    folder = tmp_path_factory.mktemp("theory")
    files = ["--json", folder / "found.json", "--figures", folder / "figures"]
    command = [sys.executable, "-W", "error", "-m", "theory", "--table", *map(str, files)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False), folder


@pytest.fixture(scope="module")
def rows(finished):
    """What it found, by id."""
    found = json.loads((finished[1] / "found.json").read_text(encoding="utf-8"))
    return {row["id"]: row for row in found["statements"]}


def test_command(finished):
    done, folder = finished
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(STATEMENTS)} statements" in done.stdout
    assert "all as recorded" in done.stdout
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    assert found["as_recorded"] is True
    assert [row["id"] for row in found["statements"]] == [s.id for s in STATEMENTS]
    for row in found["statements"]:
        assert row["id"] in done.stdout
        assert list(row) == list(FIELDS)
        for field, kind in FIELDS.items():
            assert isinstance(row[field], kind), (row["id"], field)
        assert row["evidence"] in ("certified", "grid", "simulation")
        assert row["as_printed"] in ("holds", "misprint", "fails")
        assert (row["counterexample"] is None) == (row["as_printed"] == "holds")
        if row["counterexample"] is not None:
            assert list(row["counterexample"]) == ["parameters", "lhs", "rhs"]
            assert row["corrected_holds"] is True
    assert {p.name for p in (folder / "figures").iterdir()} == {f"{name}.png" for name in FIGURES}
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (folder / "figures").iterdir())


def test_every_statement_is_there_once():
    assert [statement.id for statement in STATEMENTS] == list(RECORDED)


def test_verdicts(rows):
    for name, (as_printed, evidence, corrected_evidence) in RECORDED.items():
        row = rows[name]
        assert row["as_printed"] == as_printed, name
        assert row["evidence"] == evidence, name
        assert row["corrected_evidence"] == corrected_evidence, name
        assert row["corrected_holds"] == (None if corrected_evidence is None else True), name
        assert (row["counterexample"] is None) == (as_printed == "holds"), name
        assert row["points"] >= {"grid": 100_000, "simulation": 900, "certified": 1}[evidence], name


def test_every_correction_on_a_grid_is_on_enough_points():
    for name, (_, _, evidence) in RECORDED.items():
        if evidence == "grid" and name not in ("eq-4", "lemma-b2"):  # these take long
            assert BY_ID[name].corrected_check().points >= 100_000, name


def test_counterexamples_follow_from_their_parameters(rows):
    for name, row in rows.items():
        found = row["counterexample"]
        if found is None:
            continue
        terms = [float(value) for value in BY_ID[name].values(**found["parameters"])]
        links = zip(terms, BY_ID[name].relations, terms[1:], strict=False)
        broken = [(left, right) for left, relation, right in links if not grid.holds(left, relation, right)]
        assert broken[0] == pytest.approx((found["lhs"], found["rhs"]), abs=1e-14), name
        assert abs(found["lhs"] - found["rhs"]) > 0.01, name  # nothing that rounding could have done


def test_counterexample_of_eq_4_from_the_weights(rows):
    p = rows["eq-4"]["counterexample"]["parameters"]
    x, y = np.array([[p["x"]]]), np.array([p["y"]])
    teacher = np.asarray(eigenspace.weights(x, y, p["t_teacher"]))
    student = eigenspace.weights(x, x @ teacher, p["t_student"])
    printed = eigenspace.student_weights(x, y, p["t"], p["t_teacher"])
    assert float(student[0]) == pytest.approx((1 - np.exp(-1)) ** 2)
    assert float(printed[0]) == pytest.approx((1 - np.exp(-2)) * (1 - np.exp(-1)))


def test_counterexample_of_eq_13_by_hand(rows):
    found = rows["eq-13"]["counterexample"]
    assert found["parameters"] == {"alpha_star": 0.25, "kappa": 0.5, "t": 1.0}
    assert 1 - np.exp(-1) >= 0.25  # t = 1 is admissible
    student = (1 - np.sqrt(0.5)) ** 2
    assert found["lhs"] == pytest.approx(1 - np.exp(-0.5) - student)
    assert found["rhs"] == pytest.approx(1 - np.sqrt(0.75) - student)


def test_eq_13_is_an_equality_at_the_extremal_time():
    for alpha_star, kappa in ((0.1, 0.2), (0.7, 0.9)):
        t = float(eigenspace.time_to_fit(1.0, alpha_star))
        left, right = map(float, BY_ID["eq-13"].values(alpha_star, kappa, t))
        assert left == pytest.approx(right, abs=1e-14)


def test_eq_16_fails_in_its_last_link_everywhere_and_not_in_its_first(rows):
    alpha_star, kappa = np.meshgrid(grid.unit(200), grid.unit(200))
    before, middle, zero = (np.asarray(value) for value in BY_ID["eq-16"].values(alpha_star, kappa))
    assert (before <= middle).all()
    assert (middle > zero).all()
    found = rows["eq-16"]["counterexample"]
    assert (found["lhs"], found["rhs"]) == (2, 0)


def test_power_mean_inequality_below_eq_16_with_the_printed_exponent_and_with_its_own():
    s, kappa = np.meshgrid(np.linspace(0.001, 0.999, 300), np.linspace(0.001, 0.999, 300))
    mean = ((1 - s) ** kappa + (1 + s) ** kappa) / 2
    assert (mean**kappa <= 1).all()
    assert (mean ** (1 / kappa) <= 1).all()


def test_theorem_fails_at_eigenvalue_0_and_between_equal_eigenvalues():
    for kappa in (0.0, 1.0):
        t = float(eigenspace.time_to_fit(1.0, 0.5))
        student, teacher = map(float, BY_ID["thm-4.1"].values(0.5, kappa, t))
        assert student == pytest.approx(teacher, abs=1e-15)


def test_a_certificate_that_does_not_come_out_is_not_as_recorded(monkeypatch):
    monkeypatch.setattr(eigenspace_certificates, "theorem", lambda: Certificate(False, 7, (0.5, 0.5)))
    for name in ("thm-4.1", "eq-16"):
        assert not evaluate(BY_ID[name]).as_recorded, name


def test_a_misprint_whose_correction_fails_is_a_failure():
    result = Result(BY_ID["eq-13"], Verdict(False, "grid", 1), Verdict(False, "grid", 1))
    assert result.as_printed == "fails"
    assert not result.as_recorded


def test_a_correction_that_fails_is_not_as_recorded():
    assert not Result(BY_ID["eq-16"], Verdict(False, "grid", 1), Verdict(False, "grid", 1)).as_recorded


def test_grid_prefers_a_plain_counterexample_and_sees_nan():
    def values(a):
        return a, np.where(a == 0.3, np.nan, 0.5)

    verdict = grid.check(values, ("<=",), {"a": np.linspace(0, 1, 1001)}, {"a": [0.25, 0.75]})
    assert verdict.counterexample.parameters == {"a": 0.75}
    verdict = grid.check(values, (">=",), {"a": np.array([0.6, 0.3])}, {"a": [0.75]})
    assert verdict.counterexample.parameters == {"a": 0.3}
    assert verdict.points == 3
    assert not verdict.holds


def test_grids_reach_both_ends():
    for points in (70, 400):
        axis = grid.unit(points)
        assert len(axis) == points
        assert (axis[0], axis[-1]) == (0, 1)
        assert axis[1] < 1e-6
        np.testing.assert_array_equal(np.sqrt(axis**2), axis)


def test_statements_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        STATEMENTS[0].recorded = "fails"


def test_counterexamples_to_theorem_b4_meet_its_assumptions(rows):
    assert bool(imperfect_teacher.is_admitted(**theorem.ADMITTED))
    for name in ("eq-33-upper", "eq-33-lower", "eq-34"):
        found = rows[name]["counterexample"]["parameters"]
        assert found == {k: theorem.ADMITTED[k] for k in found}
    assert theorem.ADMITTED["kappa"] ** 3 == pytest.approx(0.791, abs=1e-3)
    assert 1 + theorem.ADMITTED["kappa"] ** 2 / 2 == pytest.approx(1.428, abs=1e-3)
    asked = float(imperfect_teacher.printed_need(*(theorem.ADMITTED[k] for k in ("tau", "m", "alpha_te", "eps_te"))))
    assert asked == pytest.approx(0.743, abs=1e-3)
