"""Whether two runs of the rehearsal are told apart by the byte, and what is said of them."""

import json
import sys

import pytest
from command import refused

from experiments import clusters
from experiments.paper.scale import REHEARSAL
from experiments.paper.studies import studies

FIRST, SECOND = list(studies(REHEARSAL))[:2]


def write_run(folder, seconds, logits=b"123", value=0.5):
    for name in (FIRST, SECOND):
        study = folder / REHEARSAL.name / name
        (study / "dumps" / "kd").mkdir(parents=True)
        (study / "dumps" / "kd" / "0").write_bytes(logits)
        summary = {"value": value, "timing": {"seconds": seconds}, "environment": {"command": str(folder)}}
        (study / "summary.json").write_text(json.dumps(summary))
    return folder


def test_runs_are_equal_but_for_time_and_place(tmp_path):
    one = write_run(tmp_path / "one", 1)
    assert clusters.different(one, write_run(tmp_path / "other", 2)) == []
    assert clusters.different(one, write_run(tmp_path / "logits", 1, logits=b"124")) == [
        f"{name}/dumps/kd/0" for name in sorted((FIRST, SECOND))
    ]
    assert clusters.different(one, write_run(tmp_path / "value", 1, value=0.25)) == [
        f"{name}/summary.json" for name in sorted((FIRST, SECOND))
    ]
    (one / REHEARSAL.name / FIRST / "summary.json").unlink()
    assert clusters.different(one, tmp_path / "other") == [f"{FIRST}/summary.json"]


RUN = {
    "run": "one",
    "how": "one process",
    "studies": 2,
    "seconds": 3.2,
    "load": [0.5, 2.0],
    "events": [],
    "begun_again": {},
}


def test_a_table_has_what_was_done_and_whether_it_is_equal():
    lost = {"events": [{"seconds": 1.4, "studies_done": 1, "what": "a node is lost"}], "begun_again": {"a": 2}}
    ray = RUN | lost | {"run": "ray", "how": "Ray", "different": []}
    slurm = RUN | {"run": "slurm", "how": "SLURM", "different": ["a", "b"]}
    said = clusters.lines([RUN, ray, slurm]).splitlines()
    assert said[2:] == [
        "| one process | 2 | 3 s, load 0 to 2 | nothing | none |  |",
        "| Ray | 2 | 3 s, load 0 to 2 | 1 s: a node is lost | a (2 times) | all equal |",
        "| SLURM | 2 | 3 s, load 0 to 2 | nothing | none | 2 files differ |",
    ]


def test_what_is_at_work_is_what_its_log_does_not_end(tmp_path):
    watched = clusters.Watched.__new__(clusters.Watched)
    watched.folder, watched._logs = tmp_path, tmp_path / "logs"
    watched._logs.mkdir()
    for name, text in {
        "a": "at work on n1\nstep 1\n",
        "b": "at work on n1\nfinished\n",
        "c": "",
        "d": "at work on n1\nsaved; the same command goes on\n",
    }.items():
        (watched._logs / f"{name}.log").write_text(text)
    assert watched.at_work() == ["a"]


def test_what_is_not_here_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clusters, "_environment", lambda command: {})
    refused(clusters.main, ["one", "--json", "result.txt"], ["--json result.txt", ".json"], tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.cluster_utils", None)
    with pytest.raises(clusters.InputError, match=r"needs ray.*distill-jax\[ray\]"):
        clusters.main(["ray", "--workdir", "work"])
