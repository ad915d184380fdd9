"""The paper's studies, figures and logs with a bucket in the place of the work folder."""

import pytest
from command import results, undrawn
from tiny_paper import tiny

import distill_jax
from distill_jax.bucket.objects import Objects
from experiments.paper.__main__ import main
from experiments.paper.engines.jobs import BEGINS, Ended, Job, Said, work
from experiments.paper.scale import SCALES

NAME = "cifar10-resnet56-resnet56"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(SCALES, "small", tiny())
    monkeypatch.setattr("distill_jax.machine.backend.use_cores", lambda batch_size: None)
    with undrawn():
        yield


def words(workdir, tmp_path, disk, *more):
    return [
        NAME,
        *more,
        "--scale",
        "small",
        "--seeds",
        "1",
        "--workdir",
        str(workdir),
        "--cache-dir",
        str(tmp_path / disk),
    ]


def test_studies_are_those_of_a_folder_and_figures_are_there(tmp_path, capsys):
    address = f"memory://bucket{tmp_path}"
    main(words(address, tmp_path, "first", "fig2"))
    assert f"{address}/small/figures/fig2.png" in capsys.readouterr().out
    main(words(tmp_path / "work", tmp_path, "first"))
    study = distill_jax.open_study(f"{address}/small/{NAME}", tmp_path / "second")
    assert results(study.folder) == results(tmp_path / "work" / "small" / NAME)
    assert {"fig2.json", "fig2.png", "fig2.svg"} <= {*Objects("run.workdir", f"{address}/small/figures").list()}
    capsys.readouterr()
    main(words(address, tmp_path, "third"))  # on another machine nothing is trained
    assert "steps in" not in capsys.readouterr().out


def test_what_a_job_says_is_read_from_the_bucket(tmp_path):
    address = tmp_path.__class__(f"memory:/bucket{tmp_path}")
    one = Job(NAME, ("-",), address / "small" / NAME, address / "logs" / f"{NAME}.log", "", "json.tool", tmp_path)
    assert Said()(one) == b""
    ended = work(one)
    assert isinstance(ended, Ended)
    assert ended.status == 1  # it takes no words
    assert Said()(one).decode().startswith(BEGINS)
    work(one)
    assert Said()(one).decode().count(BEGINS) == 2
