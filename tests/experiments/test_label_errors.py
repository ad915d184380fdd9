"""Scores that find wrong labels: ours by hand, cleanlab's where it is installed."""

import json
import sys

import numpy as np
import pytest
from command import refused
from scipy.special import log_softmax, softmax
from study_of_pictures import SIZES, STEPS, study_of_pictures

from distill_jax.dumps import Dump, DumpReader
from distill_jax.errors import InputError
from distill_jax.measures.study_summary import read_summary
from experiments import label_errors


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of_pictures(tmp_path_factory.mktemp("labels"))


def test_our_scores_are_what_they_are_called(study):
    read, summary = DumpReader(study), read_summary(study)
    found = label_errors.own_scores(read, summary, seed=1)
    teacher, kd = (read(model, 1, STEPS[-1], "train") for model in ("teacher", "kd"))
    rows = np.arange(SIZES["train"])
    np.testing.assert_allclose(found["loss", "kd"], -log_softmax(kd.logits, axis=1)[rows, kd.label], atol=1e-5)
    p, q = (softmax(dump.logits.astype(float), axis=1) for dump in (teacher, kd))
    for name, index in (("underfit", teacher.logits.argmax(axis=1)), ("underfit_label", kd.label)):
        x, y = (np.log(of[rows, index] / (1 - of[rows, index])) for of in (p, q))
        np.testing.assert_allclose(found[name, "kd"], x - y, atol=1e-4)
    margins = []
    for step in STEPS:
        logits = read("kd", 1, step, "train").logits.astype(float)
        others = np.where(np.arange(5) == kd.label[:, None], -np.inf, logits)
        margins.append(logits[rows, kd.label] - others.max(axis=1))
    np.testing.assert_allclose(found["margin_over_time", "kd"], -np.mean(margins, axis=0))
    assert {score for score, _ in found} == set(label_errors.SCORES) - {"datalab", *label_errors.METHODS}


def test_margins_by_hand():
    dump = Dump.of([[3.0, 1.0, 2.0], [0.0, -4.0, 0.5]], [0, 1], model="mine")
    assert label_errors.margin(dump).tolist() == [1.0, -4.5]


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # which cleanlab still gives pandas
def test_cleanlab_ranks_by_the_loss_where_it_scores_by_self_confidence(study):
    pytest.importorskip("cleanlab", reason="cleanlab, of the extra tools, is not installed")
    said = label_errors.measure(study)
    areas = {(row["score"], row["model"]): row for row in said["rows"]}
    assert {score for score, _ in areas} == set(label_errors.SCORES)
    for model in label_errors.MODELS:
        for score in ("datalab", "self_confidence"):
            assert areas[score, model]["area"]["mean"] == pytest.approx(areas["loss", model]["area"]["mean"], abs=1e-3)
    assert ("datalab", label_errors.INPUTS) in areas
    reference = areas[label_errors.REFERENCE]
    for key, row in areas.items():
        less = np.subtract(row["area"]["per_seed"], reference["area"]["per_seed"])
        if key != label_errors.REFERENCE:
            assert row["minus_reference"]["mean"] == pytest.approx(less.mean())
    text = label_errors.lines(json.loads(json.dumps(said)))
    assert text.count("\n") == 2 + len(areas)
    assert text.count("the reference") == 2


def test_a_study_without_wrong_labels_and_cleanlab_that_is_absent_are_refused(study, tmp_path, monkeypatch):
    summary = json.loads((study / "summary.json").read_text())
    summary["study"]["train_mislabelled"] = 0
    (tmp_path / "right").mkdir()
    for name in ("setting.json", "summary.json"):
        text = json.dumps(summary) if name == "summary.json" else (study / name).read_text()
        (tmp_path / "right" / name).write_text(text)
    with pytest.raises(InputError, match="has no wrong training labels"):
        label_errors.measure(tmp_path / "right")
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    (tmp_path / "empty").mkdir()
    words = [str(study), "--json", str(tmp_path / "empty" / "a.json")]
    refused(label_errors.main, words, ["needs cleanlab, of an extra", "distill-jax[tools]"], tmp_path / "empty")
