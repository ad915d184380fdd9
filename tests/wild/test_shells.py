"""The command in shells, notebooks and folders of any kind."""

import os
import signal
import subprocess
import sys
import threading

import jax
import pytest
from command import ROOT, SMALL, results
from small_study import QUIET, setting

from distill_jax import paths
from distill_jax.command import command_line
from distill_jax.command import main as distill
from distill_jax.errors import InputError
from distill_jax.machine.interruption import Interruption
from distill_jax.study.study import Study

QUICK = [*SMALL, "--seeds", "1", "--epochs", "2", "--snapshots", "1", "--checkpoint-seconds", "60"]


def shell(script, npz, work, without=(), **variables):
    """Runs a line of shell in which $RUN is the command; gives its status, output and errors."""
    command = [sys.executable, "-m", "distill_jax", "--dataset", str(npz), "--workdir", str(work), *QUICK]
    kept = {name: value for name, value in os.environ.items() if name not in without}
    process = subprocess.run(
        ["bash", "-c", script.replace("$RUN", '"$@"'), "bash", *command],
        cwd=ROOT,
        env=kept | variables,
        capture_output=True,
        timeout=300,
    )
    return process.returncode, process.stdout.decode(), process.stderr.decode()


@pytest.fixture(scope="module")
def work(npz, tmp_path_factory):
    """A folder with brackets, a smile and more in its name, and in it a study that was made where there is no home, no
    letter but ASCII, no standard stream, and a notebook's backend."""
    work = tmp_path_factory.mktemp("shells") / "[bold]a b[/red] :smile: ü"
    notebook_s = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "LC_ALL": "C"}
    assert shell("$RUN <&- >&- 2>&-", npz, work, without=["HOME"], **notebook_s)[0] == 0
    return work


def test_all_at_once_and_what_is_printed_stands_as_it_is(npz, work):
    assert (work / "report.html").is_file()
    status, out, err = shell("$RUN", npz, work)
    assert (status, err) == (0, "")
    assert out.endswith("/[bold]a b[/red] :smile: ü/report.html\n")


@pytest.mark.parametrize(
    "script",
    ["$RUN | head -0; exit ${PIPESTATUS[0]}", pytest.param("$RUN > /dev/full", marks=pytest.mark.slow)],
)
def test_a_log_that_nobody_reads_or_that_is_full_does_not_end_the_work(npz, work, script):
    (work / "report.html").unlink(missing_ok=True)
    status, _, err = shell(script, npz, work)
    assert (status, err) == (0, "")
    assert (work / "report.html").is_file()


def test_help_of_which_one_line_is_read(npz, tmp_path):
    assert shell("$RUN --help | head -1; exit ${PIPESTATUS[0]}", npz, tmp_path / "2")[::2] == (0, "")


def test_bytes_that_are_no_text_are_refused(npz, tmp_path):
    status, _, err = shell("$RUN", npz, os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    assert (status, len(err.splitlines())) == (2, 1)
    assert "\\udcff': must be a name in UTF-8" in err


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_device_that_is_not_there_is_said_before_anything_is_written(npz, tmp_path, platform):
    status, out, err = shell("$RUN", npz, tmp_path / "work", JAX_PLATFORMS=platform)
    assert status == 2
    assert out.startswith("distill-jax ")  # what it is about to do
    assert len(out.splitlines()) == 1
    assert err.startswith(f"error: JAX_PLATFORMS={platform}: JAX finds no device")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "work").exists()


def test_ctrl_c_while_modules_are_imported_is_one_line(npz, tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "distill_jax", "--dataset", str(npz)]
    command += ["--workdir", str(tmp_path / "work")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        next(line for line in process.stderr if line.rstrip().endswith("numpy.linalg"))
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().splitlines()
    assert process.returncode in (-signal.SIGINT, 130)
    said = [line for line in rest if not line.startswith("import time:")]
    assert said == ["interrupted; the same command goes on from here"]
    assert not (tmp_path / "work").exists()


def test_a_study_in_a_cell_that_is_run_twice_and_in_a_thread(npz, tmp_path):
    small = setting(tmp_path / "work", data={"dataset": str(npz)}, run={"workdir": tmp_path / "work", "seeds": 1})
    first = Study(small, QUIET)
    thread_s = []

    def in_a_thread():
        try:
            first.train()
            thread_s.append(Study(small, QUIET))  # while the first is still referred to, as a notebook does
            thread_s[-1].train()
        except BaseException as error:
            thread_s.append(error)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert [type(found) for found in thread_s] == [Study]
    Study(small, QUIET).train()


def test_two_that_work_in_one_folder_at_once_are_still_kept_apart(npz, tmp_path, monkeypatch):
    small = setting(tmp_path / "work", data={"dataset": str(npz)}, run={"workdir": tmp_path / "work", "seeds": 1})
    one, other = Study(small, QUIET), Study(small, QUIET)

    def train(*_):
        with pytest.raises(InputError, match="is in use by another process"):
            other.train()

    monkeypatch.setattr(one, "_train", train)
    one.train()


def test_signals_are_the_main_thread_s(monkeypatch):
    found = []

    def enter():
        with Interruption():
            command_line.stop_when_terminated()
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [before]


ADDRESSES = ["file://host/x", "https://a.b/c", "ftp://a.b/c"]


@pytest.mark.parametrize(
    "option", ["--workdir", "--data-dir", "--cache-dir", "--tokenizer", "--teacher.roberta.pretrained"]
)
def test_addresses_of_no_bucket_are_refused_for_every_option(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in ADDRESSES:
        with pytest.raises(InputError, match=f"^{option} {address}: must be a path on this machine"):
            distill.main([option, address])
    assert not list(tmp_path.iterdir())


def test_a_dataset_s_address_is_refused(fails):
    fails("data.dataset s3://bucket/own.npz: must be a path on this machine", dataset="s3://bucket/own.npz")


def test_a_tilde_is_a_home_wherever_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    setting = distill.setting_from(
        [
            "mnist",
            "--workdir=~/x",
            "--data-dir",
            "~",
            "--student.name",
            "roberta",
            "--student.roberta.pretrained",
            "~/b",
        ]
    )
    assert setting.run.workdir == tmp_path / "x"
    assert setting.data.data_dir == tmp_path
    assert setting.student.roberta.pretrained == tmp_path / "b"
    for name in ("~nobody-of-this-name/x", "a\0b"):
        with pytest.raises(InputError, match=r"^--data-dir "):
            distill.setting_from(["mnist", "--data-dir", name])


def test_without_a_home_the_cache_is_a_temporary_folder(monkeypatch):
    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(paths.Path, "expanduser", no_home)
    assert paths.cache_folder(None).name == f"distill-jax-{os.getuid()}"


def test_jax_s_options_of_a_shell_do_not_change_a_study(npz, work, tmp_path):
    odd = {"JAX_THREEFRY_PARTITIONABLE": "0", "JAX_DISABLE_JIT": "1", "JAX_ENABLE_X64": "1", "JAX_NUM_CPU_DEVICES": "a"}
    odd |= {"JAX_DEBUG_NANS": "1", "JAX_TRANSFER_GUARD": "disallow", "JAX_DEFAULT_MATMUL_PRECISION": "nonsense"}
    status, _, said = shell("$RUN", npz, tmp_path / "odd", **odd)
    assert status == 0, said
    for name, value in odd.items():
        assert f"{name}={value!r} is not taken from the environment\n" in said
    assert results(tmp_path / "odd") == results(work)


@pytest.mark.parametrize("option", ["jax_enable_x64", "jax_disable_jit"])
def test_jax_s_options_of_a_notebook_are_refused(option, tmp_path):
    before = getattr(jax.config, option)
    try:
        jax.config.update(option, True)
        with pytest.raises(InputError, match=rf"^jax\.config\.{option} True: must be False"):
            Study(setting(tmp_path), QUIET)
    finally:
        jax.config.update(option, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--workdir", ""], ["--workdir="], ["--cache-dir", "", "--seeds", "1"]])
def test_an_empty_variable_of_the_shell_is_not_the_current_folder(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{words[0].rstrip('=')}: is given nothing; must be a value"):
        distill.main(["digits", *words])
    assert not list(tmp_path.iterdir())
