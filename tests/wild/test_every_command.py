"""Every command of the README, in small, as shells and notebooks of any kind run it."""

import importlib
import os
import re
import subprocess
import sys

import pytest
from command import ROOT, SMALL, run, write_npz
from kills import texts

# Modules with arguments as the README has them, made small; {folder} and what `given` has are filled in, and {turn} is
# another in each of the runs of one process.
COMMANDS = {
    "distill_jax": f"{' '.join(SMALL)} --seeds 1 --epochs 2 --dataset {{npz}} --workdir {{folder}}/work",
    "distill_jax --list": "--list",
    "distill_jax export": "export {study} --to {folder}/taken-{turn} --format stablehlo",
    "distill_jax points": "points {study} --to {folder}/points-{turn}.parquet",
    "experiments.paper --list": "--list",
    "experiments.study_tables": "{study}/summary.json",
    "experiments.null_world": "--studies 4 --processes 1 --json {folder}/null.json --figures {folder}/figures",
    "experiments.channel": "--seeds 2 --classes 4 --dim 8 --train-examples 32 --test-examples 32 --similar 1 "
    "--epochs 2 --batch-size 8 --json {folder}/channel.json --figures {folder}/figures",
    "experiments.eigenspace": "--setting mlp --dataset digits --seeds 2 --train-examples 64 --test-examples 64 "
    "--hidden 8 --batch-size 16 --epochs 2 --pairs 2 --top 2 --bottom 2 6 --json {folder}/mlp.json "
    "--figures {folder}/figures",
    "experiments.eigenspace.bridge": "--dataset digits --seeds 2 --train-examples 64 --features 64 --hidden 16 "
    "--steps 20 --json {folder}/bridge.json --figures {folder}/figures",
    "experiments.throughput": "--quick --rows digits-mlp/one-hot/float32/128/p1 --repeats 1 --seconds 0.05 "
    "--json {folder}/speed.json --figure {folder}/speed.png",
    "experiments.throughput --table": f"--table {ROOT}/experiments/results/throughput/xeon-2-cores.json",
    "experiments.export": "{texts} --model kd --seed 0 --to {folder}/exported-{turn}",
    "experiments.framework_cost": "digits --teacher.hidden 8 --student.hidden 8 --json {folder}/cost.json",
    "experiments.text_parity": "--texts 3 --json {folder}/parity.json",
    "experiments.image_parity": "--images 2 --json {folder}/parity.json",
    "experiments.compiled": "--for v5e:1 --rows digits-mlp/one-hot/float32/128/p1 --json {folder}/compiled.json "
    "--figures {folder}/figures",
    "experiments.explorer_frames": "--examples 500 --scales 1 --json {folder}/frames.json",
    "experiments.accelerator": "--minutes 2 --out {folder}/out --rehearse --parts same",
    "experiments.pages": "",
    "experiments.redraw": "--to {folder}/redrawn",
    "theory": "--json {folder}/theory.json --figures {folder}/figures",
}
NEEDS = {  # which only some have
    "experiments.text_parity": "torch",
    "experiments.image_parity": "torchvision",
    "experiments.compiled": "libtpu",
    "experiments.explorer_frames": "playwright",
}

TWICE_IN_A_THREAD = """
import importlib, sys, threading
main, failed = importlib.import_module(sys.argv[1]).main, []
def work():
    try:
        for turn in range(2):
            main([word.replace("{turn}", str(turn)) for word in sys.argv[2:]])
    except BaseException as error:
        failed.append(error)
        raise
thread = threading.Thread(target=work)
thread.start()
thread.join()
sys.exit(bool(failed))
"""


def test_every_command_of_the_readme_is_here():
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/benchmarks.md"))
    there = set(re.findall(r"python3? -m ((?:distill_jax|experiments|theory)[\w.]*)", pages))
    assert there == {name.split()[0] for name in COMMANDS} - {
        f"experiments.{name}" for name in ("export", "pages", "redraw")
    }


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Arrays, a finished study of them, and one of texts."""
    folder = tmp_path_factory.mktemp("given")
    npz = write_npz(folder / "own.npz")
    run(["--dataset", npz, "--workdir", folder / "study", *SMALL])
    run([*texts(folder), "--epochs", "1", "--seeds", "1", "--workdir", folder / "texts"])
    return {"npz": npz, "study": folder / "study", "texts": folder / "texts", "turn": "{turn}"}


def ended(command, folder, without=(), **more):
    folder.mkdir(parents=True)
    environment = {k: v for k, v in os.environ.items() if k not in without} | {"PYTHONPATH": str(ROOT)} | more
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=590, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_in_any_shell_and_twice_in_a_thread(name, given, tmp_path):
    module = name.split()[0]
    if module in NEEDS:
        pytest.importorskip(NEEDS[module])
    python = [sys.executable, "-W", "ignore"]
    folder = tmp_path / "[bold]a b[/red] :smile: é"
    words = [word.format(folder=folder, **given) for word in COMMANDS[name].split()]
    shell = ["bash", "-c", '"$@" <&- >&-', "bash", *python, "-m", module, *words]
    first = ended(shell, folder, without=["HOME"], LC_ALL="C", MPLBACKEND="module://none.here")
    assert first.returncode == 0, first.stderr
    assert "Traceback" not in first.stderr
    made = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert len(made) >= COMMANDS[name].count("{folder}")
    again = tmp_path / "again"
    words = [word.format(folder=again, **given) for word in COMMANDS[name].split()]
    main = f"{module}.__main__" if hasattr(importlib.import_module(module), "__path__") else module
    second = ended([*python, "-c", TWICE_IN_A_THREAD, main, *words], again)
    assert second.returncode == 0, second.stderr
    assert "Traceback" not in second.stderr
