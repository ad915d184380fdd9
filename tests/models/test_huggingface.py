"""Hugging Face's folders, and our RoBERTa against what PyTorch once made of one."""

import json
import shutil
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from distill_jax.errors import InputError
from distill_jax.models import huggingface
from experiments.text_parity import CLASSES, Batch, differences, our_results

FIXTURE = Path(__file__).with_name("roberta_fixture")  # made by make_roberta_fixture.py


@pytest.fixture
def folder(tmp_path):
    """A copy of the fixture that may be changed."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "model"))


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_logits_and_gradients_are_those_pytorch_once_gave():
    with np.load(FIXTURE / "pytorch.npz") as file:
        theirs = dict(file)
    batch = Batch(*(theirs.pop(name) for name in ("tokens", "length", "label")))
    found = differences(our_results(FIXTURE, batch), theirs)
    assert found["logit"] > 0.5
    assert found["logit_difference"] < 1e-4
    assert found["gradient_difference"] < 1e-4 * found["gradient"]


def test_what_is_saved_is_loaded_to_the_bit(tmp_path):
    model, variables = huggingface.load(FIXTURE, CLASSES)
    huggingface.save(tmp_path / "again", model, variables["params"])
    again, same = huggingface.load(tmp_path / "again", CLASSES)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, same, variables)
    saved, original = (load_file(f / "model.safetensors") for f in (tmp_path / "again", FIXTURE))
    assert saved.keys() == original.keys()
    assert {p.name for p in (tmp_path / "again").iterdir()} == {"config.json", "model.safetensors"}


def masked(tensors):
    """As a masked language model has them: an encoder, no classifier, a head of its own."""
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith("roberta.")}
    return kept | {"lm_head.bias": np.zeros(30, np.float32), "roberta.embeddings.position_ids": np.arange(18)[None]}


def bare(tensors):
    return {name.removeprefix("roberta."): tensor for name, tensor in masked(tensors).items()}


@pytest.mark.parametrize("change", [masked, bare])
def test_an_encoder_alone_is_given_a_head_by_seed(folder, change):
    _, whole = huggingface.load(folder, CLASSES)
    change_weights(folder, change)
    drawn = [huggingface.load(folder, 5, seed)[1]["params"] for seed in (0, 0, 1)]
    for params in drawn:
        assert params["head"]["kernel"].shape == (16, 5)
        encoder = {name: params[name] for name in params if not name.startswith("head")}
        jax.tree.map(np.testing.assert_array_equal, encoder, {name: whole["params"][name] for name in encoder})
    np.testing.assert_array_equal(drawn[0]["head"]["kernel"], drawn[1]["head"]["kernel"])
    assert np.all(drawn[0]["head"]["kernel"] != drawn[2]["head"]["kernel"])
    assert 0.01 < np.std(drawn[0]["head_dense"]["kernel"]) < 0.03  # of its own initialisation, 0.02


def test_weights_of_half_precision_become_float32(folder):
    change_weights(folder, lambda tensors: {n: t.astype(ml_dtypes.bfloat16) for n, t in tensors.items()})
    kernel = huggingface.load(folder, CLASSES)[1]["params"]["layer_1"]["up"]["kernel"]
    assert kernel.dtype == np.float32
    exact = huggingface.load(FIXTURE, CLASSES)[1]["params"]["layer_1"]["up"]["kernel"]
    np.testing.assert_allclose(kernel, exact, rtol=2**-8)


def test_what_a_config_does_not_say_is_transformers_default(folder):
    (folder / "config.json").write_text('{"model_type": "roberta"}')
    config = huggingface.read_config(folder)
    assert (config.layers, config.units, config.heads, config.inner) == (12, 768, 12, 3072)
    assert (config.positions, config.types, config.epsilon, config.head_dropout) == (512, 2, 1e-12, 0.1)


def refused(folder, parts, num_classes=CLASSES):
    with pytest.raises(InputError) as caught:
        huggingface.load(folder, num_classes, field="student.pretrained")
    message = str(caught.value)
    assert message.startswith(f"student.pretrained {folder}: ")
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message


WITHOUT = "roberta.encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (shutil.rmtree, ["is not there", "config.json and model.safetensors"]),
        (lambda f: (f / "config.json").unlink(), ["has no config.json"]),
        (lambda f: (f / "config.json").write_text("{"), ["config.json cannot be read"]),
        (lambda f: (f / "config.json").write_text("[]"), ["no JSON object"]),
        (lambda f: change_config(f, model_type="bert"), ["model_type 'bert'", "must be 'roberta'"]),
        (lambda f: change_config(f, hidden_act="relu"), ["hidden_act 'relu'", "must be 'gelu'"]),
        (lambda f: change_config(f, num_hidden_layers=0), ["num_hidden_layers 0", "1 to 2000"]),
        (lambda f: change_config(f, vocab_size="30"), ["vocab_size '30'", "integer"]),
        (lambda f: change_config(f, hidden_dropout_prob=1), ["hidden_dropout_prob 1", "[0, 1)"]),
        (lambda f: change_config(f, num_attention_heads=3), ["num_attention_heads 3", "divisor of the hidden_size 16"]),
        (lambda f: change_config(f, max_position_embeddings=2), ["max_position_embeddings 2", "above 2"]),
        (lambda f: (f / "model.safetensors").unlink(), ["must have model.safetensors, and has none"]),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            ["has none but pytorch_model.bin", "safetensors"],
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), ["cannot be read", "fetch it again"]),
        (
            lambda f: change_weights(f, lambda t: {n: v for n, v in t.items() if n != WITHOUT}),
            ["must have the tensor", WITHOUT],
        ),
        (lambda f: change_config(f, intermediate_size=25), ["of shape (16, 24)", "must be (16, 25)"]),
    ],
)
def test_what_is_no_such_model_is_refused_in_one_line(folder, damage, parts):
    damage(folder)
    refused(folder, parts)


def test_labels_outside_the_head(folder):
    refused(folder, [f"its head has {CLASSES} labels and the data 4"], num_classes=4)


def test_a_file_is_no_folder(folder):
    refused(folder / "config.json", ["is no folder"])
