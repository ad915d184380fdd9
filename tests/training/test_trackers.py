"""Trackers are told of every moment of a training once, however often it was stopped."""

import json
import os
import struct
import subprocess
import sys

import pytest
from command import here

from distill_jax.errors import InputError
from distill_jax.setting import RunSetting, Setting
from distill_jax.training.population import Member
from distill_jax.training.progress import Scalars
from distill_jax.training.trackers import Trackers

MEMBERS = [Member("kd", 0), Member("kd", 1)]
TOTAL = 100
OWN = """
import json

class Lines:
    def __init__(self, training):
        self.path = training.workdir / f"{training.name}.lines"
        steps = [json.loads(line)["step"] for line in self.path.read_text().splitlines()] if self.path.exists() else []
        self.last_step, self.closed = max(steps, default=0), False
        assert training.setting["train.epochs"] > 0

    def write(self, step, scalars):
        assert not self.closed
        with self.path.open("a") as file:
            print(json.dumps({"step": step, **scalars}), file=file)

    def close(self):
        self.closed = True

class Forgetful(Lines):
    def __init__(self, training):
        super().__init__(training)
        del self.last_step

class Failing(Lines):
    def write(self, step, scalars):
        raise OSError("the server is gone")

class Unbegun(Lines):
    def __init__(self, training):
        raise OSError("nobody there")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A name for a module of one's own with trackers, another for each test."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def session(folder, names, first, steps, say=lambda line: None):
    """A training that goes on from `first` and is told of these steps; not ended where it is killed."""
    setting = Setting(run=RunSetting(workdir=folder, trackers=names))
    told = Trackers(setting, MEMBERS, folder / "runs", first_step=first, total_steps=TOTAL, say=say)
    scalars = Scalars(folder / "runs" / "scalars.jsonl", MEMBERS, first, told)
    for step in steps:
        scalars.write(step, {"examples_per_s": 1.0}, {"loss": [step / 7, step / 9], "accuracy": [0.5, 0.25]})
    return scalars


def lines(folder, member):
    path = folder / f"kd-seed-{member}.lines"
    return [json.loads(line) for line in path.read_text().splitlines()]


def stopped_and_gone_on(folder, names):
    """Stopped after step 50, of which there is a checkpoint at 30, then again at its end."""
    (folder / "runs").mkdir(parents=True)
    session(folder, names, 0, range(10, 60, 10)).close()
    session(folder, names, 30, range(40, 80, 10)).close()
    session(folder, names, 70, range(80, TOTAL + 1, 10)).close()


EXPECTED = [[(step, step / (7, 9)[i]) for step in range(10, TOTAL + 1, 10)] for i in range(2)]


def test_a_tracker_that_keeps_its_last_step_is_told_of_each_once(tmp_path, own):
    stopped_and_gone_on(tmp_path, (f"{own}:Lines",))
    for i in range(2):
        assert [(row["step"], row["loss"]) for row in lines(tmp_path, i)] == EXPECTED[i]
        assert lines(tmp_path, i)[0] == {"step": 10, "loss": 10 / (7, 9)[i], "accuracy": (0.5, 0.25)[i]} | {
            "examples_per_s": 1.0
        }


def test_one_that_does_not_is_told_again_what_came_after_the_checkpoint(tmp_path, own):
    stopped_and_gone_on(tmp_path, (f"{own}:Forgetful",))
    assert [row["step"] for row in lines(tmp_path, 0)] == [10, 20, 30, 40, 50, *range(40, TOTAL + 1, 10)]


def test_one_that_joins_late_is_told_of_what_was_before(tmp_path, own):
    (tmp_path / "runs").mkdir()
    session(tmp_path, (), 0, range(10, 60, 10)).close()
    session(tmp_path, (f"{own}:Lines",), 30, range(40, TOTAL + 1, 10)).close()
    assert [(row["step"], row["loss"]) for row in lines(tmp_path, 1)] == EXPECTED[1]


def test_one_that_fails_is_named_once_and_the_others_are_told_on(tmp_path, own):
    said = []
    (tmp_path / "runs").mkdir()
    session(tmp_path, (f"{own}:Failing", f"{own}:Lines"), 0, range(10, TOTAL + 1, 10), said.append).close()
    assert said == [f"warning: {own}:Failing fails and is told no more of these models: the server is gone"]
    assert [row["step"] for row in lines(tmp_path, 0)] == list(range(10, TOTAL + 1, 10))


def test_one_that_cannot_begin_is_an_error(tmp_path, own):
    with pytest.raises(InputError, match=r"run\.trackers own_.*:Unbegun: cannot be begun: nobody there"):
        session(tmp_path, (f"{own}:Unbegun",), 0, ())


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("tensorbord", "must be tensorboard, wandb, mlflow, or module:Class of your own"),
        ("json:__doc__", "must be a class with the methods"),
        ("json:nothing", "cannot be imported"),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_written(tmp_path, name, fault):
    with pytest.raises(InputError) as caught:
        here(["digits", "--workdir", tmp_path / "work", "--trackers", name])
    assert (caught.value.field, caught.value.value) == ("run.trackers", name)
    assert fault in caught.value.fault
    assert not list(tmp_path.iterdir())


def _events(folder):
    """Steps and losses that TensorBoard shows: of what a later file purges, nothing."""
    from tensorboardX.proto.event_pb2 import Event

    rows = []
    for path in sorted(folder.glob("events*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack("<Q", data[at : at + 8])
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += size + 16
            if event.session_log.status:
                rows = [(step, loss) for step, loss in rows if step < event.step]
            rows += [(event.step, v.simple_value) for v in event.summary.value if v.tag == "loss"]
    return rows


def test_tensorboard_shows_each_step_once(tmp_path):
    pytest.importorskip("tensorboardX")
    stopped_and_gone_on(tmp_path, ("tensorboard",))
    for i in range(2):
        assert _events(tmp_path / "tensorboard" / "kd" / f"seed-{i}") == [
            (step, pytest.approx(loss)) for step, loss in EXPECTED[i]
        ]


def _records(path):
    """Records of a file of W&B, which is a log as LevelDB's: blocks of 32 KiB with parts of records."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), 7, b""  # after its own header
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def _in_a_process(code, folder, **variables):
    """Packages of others warn and begin threads: they are not let into the process of the tests."""
    path = os.pathsep.join(sys.path)
    environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"} | variables
    command = [sys.executable, "-c", f"from test_trackers import *\nfrom pathlib import Path\n{code}", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_wandb_offline_has_each_step_once_in_one_run_a_model(tmp_path):
    pytest.importorskip("wandb")
    code = "stopped_and_gone_on(Path(sys.argv[1]), ('wandb',))"
    _in_a_process(code, tmp_path / "work", WANDB_MODE="offline")
    rows = {}
    for path in sorted((tmp_path / "work").glob("wandb/offline-run-*/run-*.wandb")):
        name = None
        for record in _records(path):
            name = record.run.display_name or name
            for item in record.history.item:
                if item.key == "loss" or list(item.nested_key) == ["loss"]:
                    step = record.history.step.num
                    rows.setdefault((name, path.stem), []).append((step, json.loads(item.value_json)))
    for i in range(2):
        of_member = sorted(row for (name, _), more in rows.items() if name == f"work-kd-seed-{i}" for row in more)
        assert of_member == [(step, pytest.approx(loss)) for step, loss in EXPECTED[i]]
        assert len({path for name, path in rows if name == f"work-kd-seed-{i}"}) == 1


def test_mlflow_has_each_step_once_in_one_run_a_model(tmp_path):
    pytest.importorskip("mlflow")
    code = """
stopped_and_gone_on(Path(sys.argv[1]), ("mlflow",))
from distill_jax.training import trackers
client = trackers._mlflow().MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow.db")
(experiment,) = [e for e in client.search_experiments() if e.name == "work"]
for run in client.search_runs([experiment.experiment_id]):
    history = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")]
    print(json.dumps([run.info.run_name, run.info.status, run.data.params["train.epochs"], history]))
"""
    said = _in_a_process(code, tmp_path / "work").stdout.splitlines()
    found = sorted(json.loads(line) for line in said if line.startswith("["))
    assert found == [
        [f"kd-seed-{i}", "FINISHED", "100", [[step, pytest.approx(loss)] for step, loss in EXPECTED[i]]]
        for i in range(2)
    ]
    assert not os.path.exists("mlflow.db")
