"""Credentials: addresses that have some are refused, none is quoted, and those of the environment are in no file."""

import signal
import sys
from pathlib import Path

import pytest
from command import SMALL, write_npz

import distill_jax
from distill_jax.command import command_line, main
from distill_jax.credentials import masked
from distill_jax.errors import InputError, one_line
from distill_jax.setting import Setting, changed
from distill_jax.study.checks import validate
from distill_jax.training import trackers
from experiments.paper import __main__ as paper
from experiments.paper.engines import jobs

OF_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAOFTHEENVIRONMENT",
    "AWS_SECRET_ACCESS_KEY": "secretOfTheEnvironment/aws",
    "AWS_SESSION_TOKEN": "tokenOfTheEnvironment",
    "WANDB_API_KEY": "0123456789abcdefOfTheEnvironment",
    "HF_TOKEN": "hf_ofTheEnvironment",
    "GOOGLE_APPLICATION_CREDENTIALS": "/keys/of-the-environment.json",
    "MLFLOW_TRACKING_PASSWORD": "passwordOfTheEnvironment",
}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (main.main, ["digits", "--workdir", "s3://me:secret@bucket/a"]),
        (main.main, ["digits", "--workdir=gs://secret@bucket/a"]),
        (main.main, ["--dataset", "https://host/a.npz?X-Amz-Signature=secret&b=c"]),
        (main.main, ["https://me:secret@host/a"]),
        (main.main, ["--setting", "https://me:secret@host/study.json"]),
        (main.main, ["digits", "--no-such-option", "https://me:secret@host"]),
        (main.main, ["export", "https://me:secret@host/a", "--to", "b"]),
        (main.main, ["ids", "https://me:secret@host/a.npz", "--to", "b.csv"]),
        (paper.main, ["all", "--on", "ray", "--address", "ray://me:secret@head:10001"]),
        (paper.main, ["all", "--print-commands", "--data-dir", "s3://me:secret@bucket/data"]),
    ],
)
def test_an_address_with_credentials_is_refused_in_one_line_without_them(command, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["command", *words])
    monkeypatch.setattr(command_line.streams, "prepare", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        command_line.run(command)
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert "***" in line
    assert "has credentials" in line
    assert "secret" not in line
    assert not list(tmp_path.iterdir())


def test_from_python_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    address = "s3://me:secret@bucket/a"
    for ask in (
        lambda: distill_jax.run("digits", workdir=address),
        lambda: distill_jax.run("digits", tokenizer=address),
        lambda: validate(changed(Setting(), data={"dataset": address})),
        lambda: validate(changed(Setting(), student={"settings": {"address": address}})),
    ):
        with pytest.raises(InputError, match="credentials") as caught:
            ask()
        assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["gs://bucket/a@b", "work/me@home", "C:/a", "hf:me/pictures", "https://host/a?b=c@d"])
def test_what_has_none_is_as_it_was(name):
    assert masked(name) == name


def test_what_others_say_is_quoted_without_them():
    said = "cannot open\n https://me:secret@host/a?token=secret: refused"
    assert one_line(OSError(said)) == "cannot open https://***@host/a?token=*** refused"


def test_a_store_of_mlflow_is_kept_without_its_password(tmp_path, monkeypatch):
    class Given:
        """Takes any call, and gives itself."""

        def __getattr__(self, name):
            return lambda *args, **kwargs: "https://me:secret@host" if name == "get_tracking_uri" else Given()

        run_id = experiment_id = "1"

        @property
        def info(self):
            return self

        entities = property(lambda self: self)

    monkeypatch.setattr(trackers, "_mlflow", Given)
    at = (tmp_path, tmp_path, "kd", 0, 0, 10)
    trackers.MLflow(trackers.Training(*at, {"train.epochs": 1}))
    kept = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("https://***@host" in text for text in kept)
    assert not any("secret" in text for text in kept)


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    """The folder of a study that a job of an engine has trained while the environment had credentials."""
    for name, value in OF_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    data = write_npz(tmp_path / "data.npz")
    words = ("--dataset", str(data), *SMALL, "--seeds", "1", "--tensorboard", "True", "--workdir", str(tmp_path / "a"))
    job = jobs.Job("a", words, tmp_path / "a", tmp_path / "logs" / "a.log", "", "distill_jax.command.main")
    ended = jobs.work(job)
    signal.signal(signal.SIGTERM, before)
    assert ended.status == 0, job.log.read_text()
    return tmp_path


def test_credentials_of_the_environment_are_in_no_file_of_a_study(at_work: Path):
    files = [path for path in at_work.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"a.log", "setting.json", "study.json", "summary.json", "report.html", "commits.json"} <= names
    assert any("scalars" in str(path) for path in files)
    for path in files:
        content = path.read_bytes()
        for name, value in OF_ENVIRONMENT.items():
            assert value.encode() not in content, (path, name)
