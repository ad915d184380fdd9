"""A trace changes nothing of a study; where there is nothing to trace, that is said."""

import gzip
import json

import pytest
from command import SMALL, here, results, write_npz

from distill_jax.command.spelling import spelt
from distill_jax.errors import InputError


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    data = write_npz(tmp_path_factory.mktemp("data") / "own.npz")
    return ["--dataset", data, *SMALL, "--epochs", "2", "--seeds", "1", "--students", "one_hot", "kd"]


def test_a_traced_study_is_the_same_and_says_where_the_trace_is(arguments, tmp_path):
    here([*arguments, "--workdir", tmp_path / "plain"])
    said = here([*arguments, "--workdir", tmp_path / "traced", "--profile", "True"])
    assert results(tmp_path / "traced") == results(tmp_path / "plain")
    (line,) = [line for line in said.splitlines() if line.startswith("profile: ")]
    (path,) = (tmp_path / "traced").glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    assert line.startswith(f"profile: steps 12 to 17: open {path} at ui.perfetto.dev")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    assert any(event.get("ph") == "X" and event.get("dur", 0) > 0 for event in events)
    with pytest.raises(InputError) as caught:
        here([*arguments, "--workdir", tmp_path / "traced", "--profile", "True"])
    assert spelt(caught.value) == (
        f"--profile True: must be left out, since nothing is left to train in --workdir {tmp_path / 'traced'}"
    )


def test_a_training_of_one_call_has_no_middle(arguments, tmp_path):
    whole = ["--snapshots", "1", "--steps-per-dispatch", "24", "--workdir", tmp_path / "work", "--profile", "True"]
    said = here([*arguments, *whole])
    assert "profile: nothing was traced, since" in said
    assert "report: " in said
    assert not (tmp_path / "work" / "profile").exists()
