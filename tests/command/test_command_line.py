"""What the command says of itself, and how it ends on wrong input: one line, status 2, nothing written."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from command import ROOT, SMALL, kill_when_there, run, start, start_python

import distill_jax
from distill_jax import __version__, saved_setting
from distill_jax.command import command_line
from distill_jax.command import main as distill
from distill_jax.command.spelling import spelt
from distill_jax.data.dataset import Vocabulary
from distill_jax.errors import InputError
from distill_jax.models import build_model
from distill_jax.presets import PRESETS
from distill_jax.setting import NETWORKS, TEXT_NETWORKS, ModelSetting


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["digit"], ["preset 'digit'", "did you mean digits"]),
        (["--label-nois", "0.1"], ["--label-nois", "did you mean --label-noise"]),
        (["--seeds", "many"], ["--seeds", "many"]),
        (["--student.name", "resnet"], ["--student.name", "resnet"]),
        (["--precision", "float16"], ["--precision", "float16", "bfloat16"]),
        (["--dataset", "digitz"], ["--dataset digitz", "did you mean digits"]),
        (["--dataset", "absent.npz"], ["--dataset absent.npz", "x_train"]),
        (["mnist"], ["--data-dir", "must be given", "download_and_prepare"]),
        (["mnist", "--data-dir", "/nowhere"], ["--data-dir /nowhere", "does not exist"]),
        (["--batch-size", "5000"], ["--batch-size 5000", "1437"]),
        (["--switch-step", "1100"], ["--switch-step 1100", "[0, 1100)"]),
        (["--switch-window", "551"], ["--switch-window 551", "1100"]),
        (["--temperature", "0"], ["--temperature 0.0", "positive"]),
        (["--label-noise", "1"], ["--label-noise 1.0", "[0, 1)"]),
        (["--student.name", "resnet-cifar", "--student.depth", "9"], ["--student.depth 9"]),
        (["--teacher.hidden", "0"], ["--teacher.hidden 0"]),
        (["--augment", "flip"], ["--augment", "flip"]),
    ],
)
def test_wrong_input_is_one_line(arguments, parts, tmp_path):
    with pytest.raises(InputError) as caught:
        distill.main([*arguments, "--workdir", str(tmp_path / "work")])
    message = spelt(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message
    assert not (tmp_path / "work").exists()


def test_wrong_input_ends_with_status_2_and_no_traceback(tmp_path):
    err = run(["--temperature", "-1", "--workdir", tmp_path / "work"], status=2)
    assert err == "error: --temperature -1.0: must be positive\n"
    assert not (tmp_path / "work").exists()
    with pytest.raises(
        InputError, match=r"^train.norm_examples 64: must be left out, since neither network has .*: mlp, mlp$"
    ):
        distill.main(["--norm-examples", "64", "--workdir", str(tmp_path / "work")])
    assert not (tmp_path / "work").exists()


def test_a_work_directory_of_another_setting_is_left_alone(npz, tmp_path):
    arguments = ["--dataset", npz, "--workdir", tmp_path, *SMALL]
    kill_when_there(arguments, tmp_path, "runs/*/checkpoints/[0-9]*")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    err = run([*arguments, "--temperature", "2"], status=2)
    assert len(err.splitlines()) == 1
    assert "holds another setting (objective.temperature is 4.0 there and 2.0 here)" in err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_work_directory_that_is_a_file_or_in_use(npz, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^run.workdir .*file: is no folder; must be one, or new"):
        distill.main(["--workdir", str(tmp_path / "file")])
    arguments = ["--dataset", npz, "--workdir", tmp_path / "work", *SMALL, "--epochs", "5000"]  # until it is killed
    process = start(arguments)
    while process.poll() is None and not (tmp_path / "work" / "setting.json").exists():
        time.sleep(0.01)
    err = run(arguments, status=2)
    assert "is in use by another process" in err
    process.kill()
    process.communicate()


def test_a_loss_that_diverges_is_a_failed_run(npz, tmp_path):
    err = run(["--dataset", npz, "--workdir", tmp_path, *SMALL, "--learning-rate", "1e30"], status=1)
    assert err.startswith("error: the loss of teacher, seed ")
    assert "--learning-rate" in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("**/done.json"))


@pytest.mark.slow
def test_a_full_disk_is_a_failed_run_that_goes_on_when_there_is_room(npz, tmp_path):
    mount, grow = f"mount -t tmpfs -o size=2m none {tmp_path}", f"mount -o remount,size=100m {tmp_path}"
    space = ("unshare", "--mount", "--map-root-user", "sh", "-c")
    if not shutil.which("unshare") or subprocess.run([*space, f"{mount} && {grow}"], capture_output=True).returncode:
        pytest.skip("needs a file system of its own, which this machine does not let a user mount")
    script = f'{mount}; "$@"; echo status $? >&2; {grow}; "$@"'
    err = run(["--dataset", npz, "--workdir", tmp_path / "work", *SMALL], prefix=(*space, script, "sh"))
    said, status = err.splitlines()
    assert said.startswith("error: the disk of --workdir is full: ")
    assert status == "status 1"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_resolves_and_states_its_cost(name):
    words = [name, "--dataset", "digits"] if name.startswith("own-") else [name]
    assert distill.setting_from(words) == PRESETS[name].setting
    assert PRESETS[name].purpose
    assert PRESETS[name].cost


def test_one_s_own_data_keep_their_labels():
    setting = distill.setting_from(["--dataset", "my.npz", "--seeds", "2"])
    assert (setting.data.dataset, setting.data.label_noise, setting.run.seeds) == ("my.npz", 0.0, 2)
    assert distill.setting_from(["digits", "--dataset", "my.npz"]).data.label_noise == 0.2


def test_the_paper_s_recipe_is_table_1():
    setting = distill.setting_from(["cifar100-resnet56-self"])
    optimizer, train = setting.optimizer, setting.train
    assert (optimizer.weight_decay, train.batch_size, train.epochs, optimizer.learning_rate) == (1e-4, 1024, 450, 1.0)
    assert (optimizer.warmup_epochs, optimizer.decay_factor, optimizer.decay_epochs) == (15, 0.1, (200, 300, 400))
    objective = setting.objective
    assert (optimizer.momentum, objective.distillation_weight, objective.temperature) == (0.9, 1.0, 4.0)
    assert objective.switch_window == 1000


def test_list_and_help(capsys):
    distill.main(["--list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in PRESETS)
    with pytest.raises(SystemExit) as stopped:
        distill.main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for option in ("--dataset", "--teacher.depth", "--temperature", "--decay-epochs", "--snapshots", "--seeds"):
        assert option in said
    for group in ("data", "teacher", "student", "objective", "sweep", "optimizer", "train", "run"):
        assert re.search(rf"\W {group} options\b", said)
    assert all(name in said.split("--students")[0] for name in PRESETS)


def test_presets_for_programs_have_their_settings(capsys, tmp_path):
    distill.main(["--list", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["preset"] for row in rows] == list(PRESETS)
    for row in rows:
        (tmp_path / "study.json").write_text(json.dumps(row["setting"]))
        assert saved_setting.load(tmp_path / "study.json") == PRESETS[row["preset"]].setting
    with pytest.raises(InputError, match="must be given alone or with --json, and not with digits"):
        distill.main(["--list", "digits"])


def test_the_first_line_is_there_before_jax_is_imported(tmp_path):
    code = "import sys; sys.modules['jax'] = None; from distill_jax.command.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "digits", "--workdir", str(tmp_path / "work")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"distill-jax {__version__}: digits, work folder {tmp_path / 'work'}; importing JAX\n"
    assert "import of jax halted" in done.stderr


def test_the_readme_commands_are_the_ones_that_exist():
    readme = (ROOT / "README.md").read_text()
    for line in readme.splitlines():
        if "distill_jax" in line and "--" in line and "pip" not in line and line.startswith("python"):
            words = line.split("distill_jax")[1].split("#")[0].split()
            if not {"--help", "--list", "--setting", *distill.VERBS} & {*words}:
                distill.setting_from(words)


def test_a_command_that_is_terminated_ends_its_own_processes(tmp_path):
    code = """
import multiprocessing
import sys
import time

sys.path.insert(0, sys.argv.pop())
from distill_jax.command import command_line


def main(arguments):
    command_line.stop_when_terminated()
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)
    process.start()
    print(process.pid, flush=True)
    process.join()


if __name__ == "__main__":
    command_line.run(main)
"""
    (tmp_path / "waits.py").write_text(code)
    process = start_python([tmp_path / "waits.py", str(ROOT)])
    own = int(process.stdout.readline())
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.strip().splitlines()[-1] == "stopped; the same command goes on from here"
    with pytest.raises(ProcessLookupError):
        os.kill(own, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--teacher.depth", "20"], "--teacher.depth: must be left out, since --teacher.name mlp has --teacher.hidden"),
        (["--student.multiplier=2"], "--student.multiplier=2: must be left out, since --student.name mlp has "),
        (["--student.name", "linear", "--student.hidden", "8"], "since --student.name linear has no options"),
        (["--teacher.roberta.layers", "3"], "--teacher.roberta.layers: must be left out"),
        (
            ["--student.name", "roberta", "--student.roberta.pretrained", "x", "--student.roberta.units", "8"],
            "--student.roberta.units: must be left out, since --student.roberta.pretrained says how many there are",
        ),
        (["--optimizer", "adam", "--momentum", "0.5"], "--momentum: must be left out, since --optimizer adam has none"),
        (["--decay_epochs=3"], "--decay_epochs=3: must be left out, since --decay cosine has none, as step has"),
        (["--data-dir", "x"], "--data-dir: must be left out, since --dataset digits is part of scikit-learn"),
        (["--dataset", "x.npz", "--data-dir", "y"], "--data-dir: must be left out, since --dataset x.npz is a path"),
        (
            ["--dataset", "x.npz", "--skip-broken", "True"],
            "--skip-broken: must be left out, since --dataset x.npz is no folder of",
        ),
        (["--tokenizer", "x"], "--tokenizer: must be left out, since --dataset digits is not of texts"),
        (["--dataset", "x.npz", "--length", "64"], "--length: must be left out, since --dataset x.npz is not of texts"),
    ],
)
def test_an_option_that_another_leaves_without_effect_is_not_ignored(words, said):
    with pytest.raises(InputError) as caught:
        distill.setting_from(["digits", *words])
    assert said in str(caught.value)


@pytest.mark.parametrize("preset", ["own-data", "own-texts", "own-texts-pretrained"])
def test_a_preset_for_own_data_is_given_them(preset):
    with pytest.raises(InputError, match=f"^data.dataset: must be given for the preset {preset}"):
        distill.setting_from([preset, "--tokenizer", "x"])


@pytest.mark.parametrize(
    "words",
    [
        ["--optimizer", "sgd", "--momentum", "0.5"],
        ["--decay", "step", "--decay-epochs", "3", "--warmup-epochs", "0"],
        ["--dataset", "imdb_reviews", "--length", "64", "--tokenizer", "x", "--length-buckets", "1"],
        ["--dataset", "not-there", "--tokenizer", "x"],  # of which the loader says what is wrong
        ["--label-noise", "0", "--noise-seed", "3"],
    ],
)
def test_an_option_that_has_its_effect_is_taken(words):
    distill.setting_from(["digits", *words])


def test_an_option_of_the_network_that_is_named_beside_it():
    setting = distill.setting_from(["digits", "--teacher.depth", "20", "--teacher.name", "resnet-cifar"])
    assert setting.teacher.depth == 20


def test_every_field_of_a_network_is_of_some_and_every_network_has_its_own():
    fields = {field.name for field in dataclasses.fields(ModelSetting)} - {"name", "settings"}
    assert fields == {field for of_network in NETWORKS.values() for field in of_network}
    for name in NETWORKS:
        words = {"vocabulary": Vocabulary(size=9, pad=0)} if name in TEXT_NETWORKS else {}
        assert build_model(ModelSetting(name=name, depth=8), 4, (8,) if words else (8, 8, 4), **words)


def test_what_is_written_at_the_end_is_checked_at_the_beginning(tmp_path):
    (tmp_path / "a.json").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^--json .*a\.json: is a folder; must be a file, or new"):
        command_line.check_writable("--json", tmp_path / "a.json", ".json")
    with pytest.raises(InputError, match=r"^--figures .*file: is a file; must be a folder, or new"):
        command_line.check_writable("--figures", tmp_path / "file")
    command_line.check_writable("--figures", tmp_path)
    command_line.check_writable("--json", tmp_path / "b.json", ".json")


def test_the_version_is_said_with_the_commit(capsys):
    distill.main(["--version"])
    said = capsys.readouterr().out
    assert re.fullmatch(r"distill-jax \d+\.\d+\.\d+( \(commit [0-9a-f]{12}\+?\))?, JAX \d+\.\d+\.\d+\S*\n", said)
    assert f"distill-jax {distill_jax.__version__} " in said.replace(",", " ")
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {distill_jax.__version__}\n" in cited


def test_data_that_are_not_there_are_said_before_options_that_would_suit_them():
    words = ["--dataset", "nowhere", "--tokenizer", "folder", "--teacher.roberta.pretrained", "other"]
    with pytest.raises(InputError, match=r"^data.dataset nowhere: is not known; must be one of"):
        distill.setting_from(words)
