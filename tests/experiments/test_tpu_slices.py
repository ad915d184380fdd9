"""The script that asks for TPUs, with a gcloud that only says what it was asked: of the real one nothing is known."""

import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from command import ROOT

SCRIPT = ROOT / "experiments" / "paper" / "engines" / "tpu_slices.sh"
NEEDED = {
    "--name": "paper",
    "--zone": "us-central1-a",
    "--accelerator-type": "v5litepod-16",
    "--runtime-version": "v2-alpha-tpuv5-lite",
    "--workdir": "gs://bucket/paper",
    "--source": "https://host/repository.git",
    "--commit": "abc",
    "--poll-seconds": "0",
}
WORDS = ["--", "all", "--data-dir", "gs://bucket/data"]
# Its answers are lines of a file, one for each question: a state, or of ssh a status and what is printed.
GCLOUD = r"""#!/usr/bin/env bash
printf '%q ' "$@" >> calls; echo >> calls
[[ $4 == create || $4 == delete ]] && exit 0
answer=$(head -n 1 answers); sed -i 1d answers
[[ $answer == NOT_FOUND ]] && { echo "ERROR: (gcloud...) NOT_FOUND: Resource was not found" >&2; exit 1; }
[[ $4 == describe ]] && { echo "$answer"; exit 0; }
echo "${answer#* }"; exit "${answer%% *}"
"""
DONE = "0 distill-jax: all is done"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def run(folder: Path, answers: list[str], options: dict[str, str], *flags: str, words=WORDS):
    """The script's status, what it said, and how often gcloud was asked for what, in order."""
    (folder / "gcloud").write_text(GCLOUD)
    (folder / "gcloud").chmod(0o700)
    (folder / "answers").write_text("".join(f"{line}\n" for line in answers))
    typed = [word for name, value in options.items() for word in (name, value)]
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["bash", str(SCRIPT), *typed, *flags, *words]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    calls = folder / "calls"
    asked = [shlex.split(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    return ended.returncode, ended.stdout + ended.stderr, asked


def verbs(calls):
    return [call[3] for call in calls if call[3] != "describe"]


def test_it_can_be_run():
    assert SCRIPT.stat().st_mode & stat.S_IXUSR


def test_a_dry_run_prints_what_it_would_run_and_runs_nothing(tmp_path):
    status, said, calls = run(tmp_path, [], NEEDED | {"--node-count": "2", "--project": "p"}, "--spot", "--dry-run")
    assert (status, calls) == (0, [])
    lines = [shlex.split(line.replace("$'", "'").replace(r"\n", "\n")) for line in said.splitlines()]
    assert [line[4] for line in lines] == ["create", "describe", "ssh", "ssh", "delete"]
    assert {"--node-count=2", "--accelerator-type=v5litepod-16", "--spot", "--project=p"} <= {*lines[0]}
    assert {"--node=all", "--worker=all"} <= {*lines[3]}
    command = lines[3][-1]
    assert "experiments.paper all --data-dir gs://bucket/data --workdir gs://bucket/paper --distributed True" in command


def test_what_is_printed_is_what_is_run(tmp_path):
    _, said, _ = run(tmp_path, [], NEEDED, "--dry-run")
    answers = ["NOT_FOUND", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "0", DONE]
    status, _, calls = run(tmp_path, answers, NEEDED)
    assert status == 0
    once = {tuple(call): None for call in calls}  # describe is asked more than once
    printed = subprocess.run(
        ["bash", "-c", "gcloud() { printf '%q ' \"$@\"; echo; }; " + said], capture_output=True, text=True
    )
    assert {tuple(shlex.split(line)) for line in printed.stdout.splitlines()} == set(once)
    assert verbs(calls) == ["create", "ssh", "ssh", "delete"]


def test_what_is_preempted_is_given_back_and_asked_for_again(tmp_path):
    answers = ["NOT_FOUND", "ACTIVE", "0", "255 gone", "SUSPENDING", "SUSPENDED", "NOT_FOUND", "ACTIVE", "0", DONE]
    status, said, calls = run(tmp_path, answers, NEEDED, "--spot")
    assert (status, "lost (SUSPENDING)" in said) == (0, True)
    assert verbs(calls) == ["create", "ssh", "ssh", "delete", "create", "ssh", "ssh", "delete"]


def test_one_that_is_there_is_used_and_kept(tmp_path):
    status, _, calls = run(tmp_path, ["ACTIVE", "0", DONE], NEEDED, "--keep")
    assert (status, verbs(calls)) == (0, ["ssh", "ssh"])


def test_a_lost_connection_is_no_end_even_where_gcloud_says_nothing_of_it(tmp_path):
    answers = ["ACTIVE", "0", "0 half of it", "ACTIVE", "ACTIVE", DONE]
    status, said, calls = run(tmp_path, answers, NEEDED)
    assert (status, verbs(calls)) == (0, ["ssh", "ssh", "ssh", "delete"])
    assert "goes on" in said


def test_wrong_input_of_the_command_ends_it_and_keeps_the_tpus(tmp_path):
    status, said, calls = run(tmp_path, ["ACTIVE", "0", "2 error: --data-dir", "ACTIVE"], NEEDED)
    assert (status, verbs(calls)) == (2, ["ssh", "ssh"])
    assert "queued-resources delete paper" in said


def test_what_gcloud_refuses_is_said(tmp_path):
    (tmp_path / "answers").touch()
    status, said, _ = run(tmp_path, ["NOT_FOUND"] * 4, NEEDED | {"--attempts": "2"})
    assert (status, "asked for 2 times; given up" in said) == (1, True)


@pytest.mark.parametrize(
    ("options", "words", "part"),
    [
        *((dict([item for item in NEEDED.items() if item[0] != name]), WORDS, name) for name in list(NEEDED)[:5]),
        (NEEDED | {"--workdir": "work/paper"}, WORDS, "--workdir work/paper: must be a folder of a bucket"),
        (NEEDED | {"--node-count": "0"}, WORDS, "--node-count 0: must be 1 or more"),
        (NEEDED | {"--node-count": "two"}, WORDS, "--node-count two: must be a number"),
        (NEEDED | {"--nodes": "2"}, WORDS, "--nodes: is no option"),
        (NEEDED, [], "the words of the command must stand behind --"),
        (NEEDED | {"--source": "https://me:secret@host/r.git"}, WORDS, "an address has credentials"),
        (NEEDED, [*WORDS, "--workdir", "gs://other"], "--workdir: must be left out behind --"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, words, part, tmp_path):
    status, said, calls = run(tmp_path, [], options, words=words)
    assert (status, calls, len(said.splitlines())) == (2, [], 1)
    assert said.startswith("error: ")
    assert part in said
    assert "secret" not in said
