"""What is taken away of a study says what the study's dumps say, with and without this package."""

import importlib.util
import json
import os
import re
import runpy
import shlex
import subprocess
import sys

import numpy as np
import pytest
from command import ROOT, here, refused, write_npz
from small_study import dataset

import distill_jax
from distill_jax.command import main as command_main
from distill_jax.dumps import find_steps
from distill_jax.errors import InputError
from distill_jax.export import formats
from distill_jax.export.inputs import Inputs

OWN = '''
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

class Twin(nn.Module):
    num_classes: int
    dtype: jnp.dtype = jnp.float32
    width: int = 8
    kind = "dense"

    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.Dense(self.width, dtype=self.dtype)(x.reshape(len(x), -1)))  # of so many: no unknown number
        return nn.Dense(self.num_classes)(x)

class Normed(nnx.Module):
    kind = "dense"

    def __init__(self, num_classes, rngs):
        self.first = nnx.Linear(8 * 8 * 3, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.last = nnx.Linear(8, num_classes, rngs=rngs)

    def __call__(self, x, train):
        x = self.norm(self.first(x.reshape(len(x), -1)), use_running_average=not train)
        return self.last(jax.nn.relu(x))
'''  # fmt: skip
PAGE = (ROOT / "docs" / "take-it-away.md").read_text("utf-8")
BLOCK = re.compile(r"```bash\n(?P<command>.*?)\n```|```python\n# (?P<name>\w+)\.py\n(?P<code>.*?)```", re.S)
SHORT = ["--epochs", "2", "--batch-size", "40", "--snapshots", "0.5", "--optimizer", "sgd"]
RESNET = ["--student.name", "resnet-cifar", "--student.depth", "8", "--student.width", "4", "--seeds", "1"]
OURS = ["--student.hidden", "16", "--seeds", "2", "--teacher.settings", "width=5"]
# Without this package and Flax: `None` makes their import fail.
STABLEHLO = """
import sys
sys.modules["distill_jax"] = sys.modules["flax"] = None
import numpy as np
from jax import export
run = export.deserialize(bytearray(open(sys.argv[1] + "/model.stablehlo", "rb").read())).call
x = np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([run(x[:1]), run(x[1:])]))
"""
ALONE = """
import sys
sys.modules["distill_jax"] = sys.modules["flax"] = sys.modules["jax"] = None
sys.path.insert(0, sys.argv[1])
import load, numpy as np
np.save(sys.argv[3], load.logits(np.load(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Two studies: `resnet`, of a teacher of one's own in NNX, and `dense`, of one in Linen."""
    from distill_jax.machine import backend, program_cache

    folder = tmp_path_factory.mktemp("studied")
    (folder / "taken_away.py").write_text(OWN)
    common = ["--dataset", write_npz(folder / "own.npz"), *SHORT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "use_cores", lambda batch: None)  # the tests' JAX has its devices
        patch.setattr(program_cache, "keep_programs", lambda folder: None)
        patch.syspath_prepend(folder)
        networks = [*RESNET, "--teacher.name", "taken_away:Normed", "--students", "one_hot", "kd"]
        here([*common, *networks, "--workdir", folder / "resnet"])
        networks = [*OURS, "--teacher.name", "taken_away:Twin", "--students", "one_hot", "kd", "fitnets"]
        here([*common, *networks, "--workdir", folder / "dense"])
        yield folder


def export(work, to, *more):
    command_main.main(["export", *map(str, (work, "--to", to, *more))])


def said(work, model, seed):
    """The logits of a model's last dump of the test set."""
    steps = find_steps(work / "dumps" / model / f"seed-{seed}", "test")
    return distill_jax.read_dump(steps[max(steps)]).logits


def assert_as_dumped(logits, work, model, seed):
    expected = said(work, model, seed)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def in_a_process(code, folder, tmp_path):
    """The logits that Python code, given a folder, says of the test set."""
    np.save(tmp_path / "x.npy", dataset().test.x)
    arguments = [sys.executable, "-c", code, folder, tmp_path / "x.npy", tmp_path / "logits.npy"]
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(tmp_path / "logits.npy")


@pytest.mark.parametrize(
    ("study", "model", "seed"),
    [("resnet", "teacher", 0), ("resnet", "kd", 0), ("dense", "teacher", 1), ("dense", "fitnets", 1)],
)
def test_arrays_have_the_logits_that_were_dumped(studied, tmp_path, study, model, seed):
    work = studied / study
    export(work, tmp_path / "out", "--model", model, "--seed", seed)
    loaded = distill_jax.load_exported(tmp_path / "out", own_code=True)
    assert_as_dumped(loaded(dataset().test.x), work, model, seed)
    assert loaded.names == ("0", "1", "2", "3", "4")
    origin = json.loads((tmp_path / "out" / "config.json").read_text())["origin"]
    assert (origin["study"], origin["model"], origin["seed"], origin["step"]) == (study, model, seed, 4)
    assert str(studied) not in (tmp_path / "out" / "config.json").read_text()  # which is this machine's


def test_a_hints_parameters_are_not_taken_away(studied, tmp_path):
    from safetensors.numpy import load_file

    names = []
    for model in ("kd", "fitnets"):
        export(studied / "dense", tmp_path / model, "--model", model)
        names.append(sorted(load_file(tmp_path / model / "model.safetensors")))
    assert names[0] == names[1]
    assert names[0] == [f"params/{leaf}" for leaf in ("head/bias", "head/weight", "hidden1/bias", "hidden1/kernel")]


@pytest.mark.parametrize(("study", "model"), [("resnet", "kd"), ("dense", "teacher")])
def test_a_program_has_them_where_there_is_jax_alone(studied, tmp_path, study, model):
    export(studied / study, tmp_path / "out", "--model", model, "--format", "stablehlo")
    assert_as_dumped(in_a_process(STABLEHLO, tmp_path / "out", tmp_path), studied / study, model, 0)


def test_a_dense_network_has_them_where_there_is_no_jax(studied, tmp_path):
    export(studied / "dense", tmp_path / "out")
    assert_as_dumped(in_a_process(ALONE, tmp_path / "out", tmp_path), studied / "dense", "kd", 0)


@pytest.mark.parametrize(("study", "model"), [("resnet", "kd"), ("dense", "teacher"), ("dense", "kd")])
def test_onnx_has_them(studied, tmp_path, study, model):
    pytest.importorskip("jax2onnx", reason="the extra onnx is not among the tests'")
    import onnxruntime

    export(studied / study, tmp_path / "out", "--model", model, "--format", "onnx")
    logits = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx").run(None, {"inputs": dataset().test.x})[0]
    assert_as_dumped(logits, studied / study, model, 0)


def test_what_cannot_be_exported_is_refused(studied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in ("jax2onnx", "flatbuffers", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, module, None)
    work = str(studied / "dense")
    for arguments, parts in [
        ([], ["WORKDIR: must be given", "distill-jax export --help"]),
        ([work], ["--to: must be given"]),
        ([work, "--to", work], ["--to", "is there already; must be a new folder"]),
        ([work, "--to", "no/where"], ["--to no/where: its folder is not there"]),
        ([str(studied / "nothing"), "--to", "out"], ["nothing: holds no study"]),
        ([work, "--to", "out", "--model", "best"], ["--model best: must be one that is trained", "fitnets"]),
        ([work, "--to", "out", "--seed", "2"], ["--seed 2: must be one that is trained to its end there: 0, 1"]),
        ([work, "--to", "out", "--format", "pickle"], ["--format", "pickle", "safetensors"]),
        ([work, "--to", "out", "--format", "huggingface"], ["huggingface: is for networks of texts"]),
        ([work, "--to", "out", "--format", "onnx"], ["--format onnx: needs jax2onnx", "distill-jax[onnx]"]),
        ([work, "--to", "out"], ["--format safetensors: needs safetensors", "distill-jax[export]"]),
        ([work, "--to", "out", "--format", "stablehlo"], ["needs flatbuffers", "distill-jax[export]"]),
    ]:
        refused(command_main.main, ["export", *arguments], parts, tmp_path)


def test_a_study_that_says_too_little_is_not_exported(studied, tmp_path):
    work, out = tmp_path / "work", tmp_path / "out"
    for absent, fault in [
        (["networks"], "does not say what its networks are given; run the study's command again"),
        (["runs"], "must be one that is trained to its end there: none"),
    ]:
        work.mkdir()
        for path in (studied / "resnet").iterdir():
            if path.name not in absent:
                os.symlink(path, work / path.name)
        with pytest.raises(InputError, match=fault):
            export(work, out)
        for path in work.iterdir():
            path.unlink()
        work.rmdir()


def test_the_networks_code_must_be_as_it_was(studied, tmp_path, monkeypatch):
    monkeypatch.setattr("distill_jax.study.trained.code", lambda names: "other")
    with pytest.raises(InputError, match=r"teacher\.name taken_away:Twin: has other code now than when"):
        export(studied / "dense", tmp_path / "out", "--model", "teacher")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_there_whole_or_not_at_all(studied, tmp_path, monkeypatch):
    def full(folder, network):
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(formats._WRITERS, "safetensors", full)
    with pytest.raises(OSError, match="No space"):
        export(studied / "resnet", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_program_that_says_something_else_is_refused(studied, tmp_path, monkeypatch):
    from distill_jax.export import programs

    class Other:
        def call(self, x):
            return np.zeros((len(x), 5), np.float32)

    monkeypatch.setattr(programs.export, "deserialize", lambda data: Other())
    with pytest.raises(InputError, match=r"--format stablehlo: cannot hold resnet-cifar \(its logits are off by 1 of"):
        export(studied / "resnet", tmp_path / "out", "--format", "stablehlo")
    assert not list(tmp_path.iterdir())


def test_code_of_ones_own_is_imported_where_that_is_allowed_alone(studied, tmp_path):
    export(studied / "dense", tmp_path / "out", "--model", "teacher")
    with pytest.raises(InputError, match=r"taken_away:Twin: is code of one's own; .* own_code=True"):
        distill_jax.load_exported(tmp_path / "out")


def test_a_damaged_folder_is_refused_in_a_line(studied, tmp_path):
    export(studied / "dense", tmp_path / "out")
    config = tmp_path / "out" / "config.json"
    whole = json.loads(config.read_text())
    for change, fault in [
        ({"network": None}, "`network` is null; must be an object of fields"),
        ({"network": {"name": "mlp", "hidden": "many"}}, "`network.hidden` is"),
        ({"network": {"name": "mlp", "hidden": [4]}}, r"has for params/head/weight the shape \(5, 16\), and"),
        ({"network": {"name": "none"}}, "network.name none: must be one of"),
        ({"precision": 3}, "its precision is 3"),
        ({"inputs": {"shape": [8]}}, "does not say what inputs are"),
    ]:
        config.write_text(json.dumps(whole | change))
        with pytest.raises(InputError, match=fault) as caught:
            distill_jax.load_exported(tmp_path / "out")
        assert len(str(caught.value).splitlines()) == 1
    config.write_text(json.dumps(whole))
    (tmp_path / "out" / "model.safetensors").write_bytes(b"x" * 30)
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        distill_jax.load_exported(tmp_path / "out")
    with pytest.raises(InputError, match=r"must have config\.json and model\.safetensors"):
        distill_jax.load_exported(tmp_path)


def test_inputs_of_another_kind_are_refused():
    images, tokens = Inputs((4, 4, 1), "uint8", 2, (1.0,), (2.0,)), Inputs((6,), "int32", 2)
    assert images.checked(np.zeros((3, 4, 4, 1), np.uint8)).shape == (3, 4, 4, 1)
    assert tokens.checked([[1, 2, 3, 4, 5, 6]]).dtype == np.int32
    for inputs, x, fault in [
        (images, np.zeros((4, 4, 1), np.uint8), r"\[4, 4, 1\]: must be \[B, 4, 4, 1\], raw inputs"),
        (images, np.zeros((1, 4, 4, 1), np.float32), "float32: must be uint8"),
        (tokens, np.zeros((1, 6), np.float32), "float32: must be int32"),
    ]:
        with pytest.raises(InputError, match=fault):
            inputs.checked(x)


def test_the_page_loads_what_it_takes_away(studied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "digits").symlink_to(studied / "dense")
    (tmp_path / "taken").mkdir()
    np.save("images.npy", dataset().test.x)
    ran = []
    for block in BLOCK.finditer(PAGE):
        if block["command"]:
            program, *words = shlex.split(block["command"])
            assert program == "distill-jax"
            form = words[-1]
            absent = {"onnx": "jax2onnx", "huggingface": "no texts here"}.get(form)
            if here_too := absent is None or importlib.util.find_spec(absent) is not None:
                command_main.main(words)
        elif here_too:
            (tmp_path / f"{block['name']}.py").write_text(block["code"])
            monkeypatch.delitem(sys.modules, "load", raising=False)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "path", list(sys.path))
                assert_as_dumped(runpy.run_path(f"{block['name']}.py")["logits"], studied / "dense", "kd", 0)
            ran.append(block["name"])
    assert {"with_this_package", "without_it", "with_jax_alone"} <= set(ran)
    assert PAGE.count("```") == 2 * len(BLOCK.findall(PAGE))
