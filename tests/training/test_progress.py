"""What a person sees of a study at work."""

import io
import re

import pytest
from rich.console import Console

from distill_jax.training import progress
from distill_jax.training.population import Member
from distill_jax.training.progress import StudyProgress

TEACHERS = [Member("teacher", seed) for seed in range(4)]
STUDENTS = [Member(model, seed) for seed in range(2) for model in ("one_hot", "kd")]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves on."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_has_the_part_and_the_whole(clock):
    out = io.StringIO()
    with StudyProgress(Console(file=out, width=200)) as study:
        study.plan("teacher", [4])
        study.plan("student", [4, 8])
        teachers = study.begin("4 teachers", TEACHERS, 100, 0)
        clock[0] += 9  # less than the seconds between lines
        teachers.update(10, "loss 3.000")
        clock[0] += 1
        teachers.update(20, "loss 2.000")
        teachers.close()
        students = study.begin("4 students", STUDENTS, 100, 50)  # resumed
        clock[0] += 20
        students.update(60, "loss kd 1.000")
    # 10 s for 20 steps of 4 members: 0.125 s a step and member, 40 s for what is left; 12 members are to come.
    # Then 20 s for 10 steps of 4 students: 0.5 s a step and member, of which 8 are to come.
    assert out.getvalue().splitlines() == [
        "4 teachers: step 20/100, loss 2.000, ETA 40 s; population 1 of 3, ETA of all 3 min",
        "4 students: step 60/100, loss kd 1.000, ETA 80 s; population 2 of 3, ETA of all 8 min",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_bars_of_the_part_and_the_whole_fit_the_terminal(clock, width):
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    with StudyProgress(console) as study:
        study.plan("teacher", [4])
        study.plan("student", [4])
        bar = study.begin("4 teachers, seeds 0-3 (10 of 12)", TEACHERS, 33000, 0)
        clock[0] += 10
        bar.update(10000, "loss 2.000; accuracy 0.5")
        shown = Console(file=io.StringIO(), width=width)
        shown.print(study.display.get_renderable())
        bar.close()
    lines = [line.rstrip() for line in shown.file.getvalue().splitlines() if line.strip()]
    assert max(map(len, lines)) <= width
    assert re.match(r". study .*0/2 done .*ETA 56 s$", lines[0])
    assert re.match(r". 4 teachers, seeds 0-3 .*step 10000/33000 .*ETA 23 s$", lines[1])
    assert lines[2:] == ["  loss 2.000; accuracy 0.5"]
