"""What an installation without an extra says: one line that names it, before anything is written."""

import os
import subprocess
import sys

import pytest
from command import ROOT

from distill_jax.command.spelling import spelt
from distill_jax.data.sources import hub
from distill_jax.data.sources.text_files import _parquet
from distill_jax.data.sources.tfds_images import open_source
from distill_jax.data.sources.tokens import load_tokenizer
from distill_jax.errors import InputError
from distill_jax.models import huggingface, torch_weights
from distill_jax.setting import DataSetting, RunSetting
from distill_jax.training import streaming, trackers


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [
        ("transformers", "text", lambda folder: load_tokenizer(folder, "imdb_reviews")),
        ("pyarrow.parquet", "text", lambda folder: next(_parquet(folder / "train.parquet"))),
        (
            "safetensors",
            "text",
            lambda folder: huggingface.read_params(folder, None, 2, "student.roberta.pretrained"),
        ),
        (
            "safetensors",
            "weights",
            lambda folder: torch_weights.read(folder / "tokenizer.json", None, 2, 3, "given.weights"),
        ),
        ("tensorflow_datasets", "tfds", lambda folder: open_source("mnist", folder, "3.0.1")),
        ("datasets", "hub", lambda _: hub.read(DataSetting(dataset="hf:any"))),
        ("grain", "stream", lambda _: streaming.require("always")),
        ("tensorboardX", "tensorboard", lambda _: trackers.check(RunSetting(tensorboard=True))),
        ("tensorboardX", "tensorboard", lambda _: trackers.check(RunSetting(trackers=("tensorboard",)))),
        ("wandb", "wandb", lambda _: trackers.check(RunSetting(trackers=("wandb",)))),
        ("mlflow", "mlflow", lambda _: trackers.check(RunSetting(trackers=("mlflow",)))),
    ],
)
def test_a_package_that_is_absent_is_named_with_its_extra(tmp_path, monkeypatch, module, extra, call):
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("distill_jax.data.sources.tfds_images._check_features", lambda *_: None)
    with pytest.raises(InputError) as caught:
        call(tmp_path)
    said = spelt(caught.value)
    assert said.startswith("--")
    assert said.endswith(f": needs {module.partition('.')[0]}, of an extra: pip install 'distill-jax[{extra}]'")
    assert len(said.splitlines()) == 1


def test_images_and_features_need_no_extra(tmp_path):
    absent = (
        "transformers",
        "pyarrow",
        "safetensors",
        "tensorflow_datasets",
        "array_record",
        "tensorboardX",
        "grain",
        "datasets",
        "wandb",
        "mlflow",
    )
    code = f"""
import sys
for name in {absent!r}:
    sys.modules[name] = None
from distill_jax.command import main
from undrawn import leave_out_figures
leave_out_figures()  # Matplotlib is of no extra
main.main(["digits", "--seeds", "1", "--epochs", "1", "--workdir", {str(tmp_path / "work")!r}])
"""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        **{"cwd": ROOT, "env": os.environ | {"PYTHONPATH": paths}},
        **{"capture_output": True, "text": True, "timeout": 300, "check": False},
    )
    assert done.returncode == 0, done.stderr
    assert "report: " in done.stdout
