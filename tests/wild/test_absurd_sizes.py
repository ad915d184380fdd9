"""Sizes that nobody means: one line at once, before anything is traced, allocated or written."""

import json
import time

import jax
import numpy as np
import pytest
import safetensors.numpy
from tiny_tokenizer import write_tokenizer

from distill_jax.command.main import main
from distill_jax.command.spelling import spelt
from distill_jax.errors import InputError
from distill_jax.models import huggingface
from distill_jax.models.roberta import Roberta, RobertaConfig

HUGE = "1000000000000000000000000000000"
ABSURD = [
    ["--epochs", "1e300"],
    ["--epochs", "1e9"],
    ["--seeds", HUGE],
    ["--warmup-steps", HUGE],
    ["--warmup-epochs", "1e300"],
    ["--decay", "step", "--decay-epochs", "5", "1e300"],
    ["--batch-size", HUGE],
    ["--switch-step", HUGE],
    ["--switch-window", HUGE],
    ["--train-examples", HUGE],
    ["--image-size", HUGE],
    ["--classes", HUGE],
    ["--teacher.hidden", HUGE],
    ["--student.hidden", *["1"] * 3000],
    ["--teacher.name", "random-features", "--teacher.features", HUGE],
    ["--student.name", "resnet-cifar", "--student.depth", "6000002"],
    ["--student.name", "resnet-cifar", "--student.width", HUGE],
    ["--student.name", "mobilenet-v2", "--student.multiplier", "1e30"],
]


@pytest.mark.parametrize("words", ABSURD, ids=lambda words: " ".join(words)[:40])
def test_options(words, tmp_path, monkeypatch):
    from distill_jax.machine import backend, program_cache

    monkeypatch.setattr(backend, "use_cores", lambda batch: None)
    monkeypatch.setattr(program_cache, "keep_programs", lambda folder: None)
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        main([*words, "--workdir", str(tmp_path / "work"), "--dataset", "digits"])
    message = spelt(caught.value)
    assert len(message.splitlines()) == 1
    option = [word for word in words if word.startswith("--")][-1]
    assert message.startswith(option)
    assert time.monotonic() - started < 20
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("options", [{"length": 10**12}, {"length": 2**16 + 1}])
def test_lengths_of_texts(tmp_path, fails, options):
    (tmp_path / "own").mkdir()
    for split in ("train", "test"):
        (tmp_path / "own" / f"{split}.csv").write_text("label,text\n0,a\n1,b\n")
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    fails("data.length ", "must be 8 to 65536", dataset=str(tmp_path / "own"), tokenizer=tokenizer, **options)


def test_token_numbers(tmp_path, fails):
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    vocabulary = json.loads((tokenizer / "vocab.json").read_text()) | {"some": 2**31}
    (tokenizer / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "own").mkdir()
    for split in ("train", "test"):
        (tmp_path / "own" / f"{split}.csv").write_text("label,text\n0,a\n1,b\n")
    fails(f"data.tokenizer {tokenizer}: ", "2147483648", dataset=str(tmp_path / "own"), tokenizer=tokenizer)


@pytest.mark.parametrize(
    "said",
    [{"num_hidden_layers": 10**6}, {"vocab_size": 10**12}, {"hidden_size": 10**30}, {"max_position_embeddings": 10**9}],
)
def test_configs(tmp_path, said):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"} | said))
    with pytest.raises(InputError, match=rf"has the {next(iter(said))} 10*; must be an integer in 1 to"):
        huggingface.read_config(tmp_path)


def test_a_config_nested_without_end(tmp_path):
    (tmp_path / "config.json").write_text('{"a": ' * 200_000)
    with pytest.raises(InputError, match=r"config.json cannot be read"):
        huggingface.read_config(tmp_path)


def test_numbers_of_images(tmp_path, fails):
    for name in ("n00000001", "n00000002"):
        images = tmp_path / "train" / name / "images"
        images.mkdir(parents=True)
        (images / f"{name}_{'9' * 30}.JPEG").touch()
    fails(f"data.data_dir {tmp_path}", "has no number of 15 digits at most", dataset="tiny-imagenet", data_dir=tmp_path)


CONFIG = RobertaConfig(layers=1, units=8, heads=1, inner=16, vocabulary=20, positions=12)


@pytest.fixture
def encoder(tmp_path):
    model = Roberta(3, CONFIG)
    params = model.init(jax.random.key(0), np.zeros((1, 4), np.int32), train=False)["params"]
    huggingface.save(tmp_path / "encoder", model, params)
    return tmp_path / "encoder"


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "base_model.model.roberta."])
def test_weights_saved_with_a_wrapper_are_named_as_such(encoder, prefix):
    tensors = safetensors.numpy.load_file(encoder / "model.safetensors")
    named = {f"{prefix}{name.removeprefix('roberta.')}": tensor for name, tensor in tensors.items()}
    safetensors.numpy.save_file(named, encoder / "model.safetensors")
    with pytest.raises(InputError, match=f"begin with '{prefix}', as those of a wrapper .*; save the RoBERTa"):
        huggingface.read_params(encoder, CONFIG, 3)


def test_a_head_of_another_size_is_named(encoder):
    with pytest.raises(InputError, match="its head has 3 labels and the data 5; must have as many, or no head"):
        huggingface.read_params(encoder, CONFIG, 5)
