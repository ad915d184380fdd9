"""A study that trackers and the profiler watch is the same; where there is nothing to trace, that is said."""

import gzip
import json
import re

import pytest
from command import SMALL, here, results, write_npz

from distill_jax.command.spelling import spelt
from distill_jax.errors import InputError
from distill_jax.training.profiling import Profile

OWN = """
import json

class Lines:
    def __init__(self, training):
        self.file = (training.workdir / f"{training.name}.lines").open("a")

    def write(self, step, scalars):
        self.file.write(json.dumps({"step": step, **scalars}) + "\\n")

    def close(self):
        self.file.close()
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The arguments of a study, its folder where nobody watches and where all do, and what that said."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "own_lines.py").write_text(OWN)
    arguments = ["--dataset", write_npz(folder / "own.npz"), *SMALL, "--epochs", "2", "--seeds", "1"]
    arguments += ["--students", "one_hot", "kd"]
    here([*arguments, "--workdir", folder / "alone"])
    arguments += ["--workdir", folder / "watched", "--trackers", "own_lines:Lines", "tensorboard", "--profile", "True"]
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        patched.setattr("distill_jax.training.progress._LINE_SECONDS", 0.0)
        said = here(arguments)
    return arguments, folder / "alone", folder / "watched", said


def test_a_watched_study_is_the_same(watched):
    _, alone, told, _ = watched
    assert results(told) == results(alone)


def test_trackers_are_told_what_the_json_lines_say(watched):
    _, _, told, _ = watched
    rows = [json.loads(line) for path in told.glob("runs/*/scalars.jsonl") for line in path.read_text().splitlines()]
    for model in ("teacher", "one_hot", "kd"):
        lines = [json.loads(line) for line in (told / f"{model}-seed-0.lines").read_text().splitlines()]
        of_model = [row for row in rows if row["model"] == model]
        assert lines == [{name: row[name] for name in row if name not in ("model", "seed")} for row in of_model]
        assert len(lines) == 4
    assert len(list(told.glob("tensorboard/*/seed-0/events*"))) == 3


def test_losses_are_said_for_each_kind_of_student(watched):
    *_, said = watched
    lines = [line for line in said.splitlines() if ": step " in line]
    assert re.search(r"teacher, seed 0: step .*, loss \d\.\d{3}; accuracy .* population 1 of 2, ETA of all", lines[0])
    assert re.search(r"2 students, seed 0: step .*, loss one_hot \d\.\d{3}, kd \d+\.\d{3}; accuracy", lines[-1])


def test_a_trace_is_there_and_named(watched):
    _, _, traced, said = watched
    (line,) = [line for line in said.splitlines() if line.startswith("profile: ")]
    (path,) = traced.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    assert line.startswith(f"profile: steps 12 to 17: open {path} at ui.perfetto.dev")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    assert any(event.get("ph") == "X" and event.get("dur", 0) > 0 for event in events)


def test_a_trace_of_nothing_is_refused(watched):
    arguments, _, traced, _ = watched
    with pytest.raises(InputError) as caught:
        here(arguments)
    assert spelt(caught.value) == (
        f"--profile True: must be left out, since nothing is left to train in --workdir {traced}"
    )


def test_a_training_of_one_call_has_no_middle(tmp_path):
    said = []
    profile = Profile(tmp_path / "profile", said.append)
    profile.choose([(0, 24)], 24)
    profile.before(0, ())
    profile.after(24, ())
    profile.close()
    assert not said
    profile.end()
    assert said[0].startswith("profile: nothing was traced, since")
    assert not list(tmp_path.iterdir())
