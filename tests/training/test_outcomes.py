import io

import numpy as np
import pytest
from rich.console import Console
from small_study import dataset, setting

from distill_jax.data.augment import outcomes as ways_of
from distill_jax.dumps import dump_path, read_dump
from distill_jax.errors import InputError
from distill_jax.machine import backend
from distill_jax.study import prepared
from distill_jax.study.checks import validate
from distill_jax.study.study import Study
from distill_jax.training import outcomes


@pytest.fixture
def _data(monkeypatch):
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: dataset())


def trained(folder, how, population=None):
    """What a study has said, and its distilled student's last logits."""
    said = io.StringIO()
    of = Study(
        setting(folder, run={"teacher_logits": how, "population": population, "seeds": 1}),
        Console(file=said, width=200),
    )
    of.train()
    return said.getvalue(), read_dump(dump_path(folder, "kd", 0, of.schedule.total_steps, "test")).logits


@pytest.mark.usefixtures("_data")
def test_a_study_by_all_outcomes_is_that_in_the_step(tmp_path, monkeypatch):
    made = []
    table = outcomes.table
    monkeypatch.setattr(outcomes, "table", lambda *args: (made.append(args[1]), table(*args))[1])
    said, logits = trained(tmp_path / "a", "all-outcomes", population=2)
    count = ways_of("crop-flip", dataset().input_shape)
    assert len(made) == 1  # for two populations of a seed's students
    assert said.count(f"teacher, seed 0: logits of {count} outcomes of {len(dataset().train.label)} images") == 1
    _, plain = trained(tmp_path / "b", "in-step", population=2)
    np.testing.assert_allclose(logits, plain, rtol=0.02, atol=0.02)
    assert not np.array_equal(logits, plain)
    assert "were there already" in trained(tmp_path / "a", "in-step", population=2)[0]  # no part of a study's identity


@pytest.mark.usefixtures("_data")
def test_a_table_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        backend, "memory_limit", lambda gib=None: outcomes.table_bytes(dataset(), "crop-flip", "cpu") - 1
    )
    with pytest.raises(InputError, match=r"run.teacher_logits all-outcomes: needs .* GiB of .*must be in-step"):
        Study(setting(tmp_path / "a", run={"teacher_logits": "all-outcomes"}), Console(quiet=True))
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_right_is_said(tmp_path):
    with pytest.raises(InputError, match=r"run.teacher_logits all-outcomes: must be cached or auto"):
        validate(setting(tmp_path, data={"augment": "none"}, run={"teacher_logits": "all-outcomes"}))
    with pytest.raises(InputError, match=r"run.teacher_logits cached: must be in-step, all-outcomes or auto"):
        validate(setting(tmp_path, run={"teacher_logits": "cached"}))
