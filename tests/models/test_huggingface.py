"""Hugging Face's folders, and our networks for texts against what PyTorch once made of one of each kind."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from distill_jax import identity
from distill_jax.errors import InputError
from distill_jax.models import huggingface
from experiments.text_parity import CLASSES, Batch, differences, our_results

# Made by make_text_fixtures.py.
FIXTURES = {kind: Path(__file__).with_name(f"{kind}_fixture") for kind in ("roberta", "bert", "distilbert")}
FIXTURE = FIXTURES["roberta"]


@pytest.fixture
def copied(tmp_path):
    """A function that copies a fixture, by its kind, to where it may be changed."""
    return lambda kind: Path(shutil.copytree(FIXTURES[kind], tmp_path / "model"))


@pytest.fixture
def folder(copied):
    return copied("roberta")


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("kind", FIXTURES)
def test_logits_and_gradients_are_those_pytorch_once_gave(kind):
    with np.load(FIXTURES[kind] / "pytorch.npz") as file:
        theirs = dict(file)
    batch = Batch(*(theirs.pop(name) for name in ("tokens", "length", "label")))
    found = differences(our_results(FIXTURES[kind], batch), theirs)
    assert found["logit"] > 0.5
    assert found["logit_difference"] < 1e-4
    assert found["gradient_difference"] < 1e-4 * found["gradient"]


@pytest.mark.parametrize("kind", FIXTURES)
def test_what_is_saved_is_loaded_to_the_bit(tmp_path, kind):
    model, variables = huggingface.load(FIXTURES[kind], CLASSES)
    assert model.config.kind == kind
    huggingface.save(tmp_path / "again", model, variables["params"])
    again, same = huggingface.load(tmp_path / "again", CLASSES)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, same, variables)
    saved, original = (load_file(f / "model.safetensors") for f in (tmp_path / "again", FIXTURES[kind]))
    assert saved.keys() == original.keys()
    assert {p.name for p in (tmp_path / "again").iterdir()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("kind", "separator", "with_types"),
    [("roberta", None, False), ("bert", 3, True), ("bert", None, False), ("distilbert", None, False)],
)
def test_a_tokenizer_beside_what_is_saved_is_told_what_the_network_is_given(tmp_path, kind, separator, with_types):
    model, variables = huggingface.load(FIXTURES[kind], CLASSES)
    model = model.clone(config=dataclasses.replace(model.config, separator=separator))
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "é", "model_input_names": ["token_type_ids"]}')
    huggingface.save(tmp_path, model, variables["params"])
    said = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    assert ("token_type_ids" in said["model_input_names"]) == with_types
    assert {"input_ids", "attention_mask"} <= set(said["model_input_names"])
    assert said["pad_token"] == "é"
    assert huggingface.read_config(tmp_path).separator == separator


def masked(tensors):
    """As a masked language model has them: an encoder, no classifier, a head of its own."""
    kept = {name: t for name, t in tensors.items() if name.split(".")[0] in FIXTURES and "pooler" not in name}
    return kept | {"lm_head.bias": np.zeros(30, np.float32), "roberta.embeddings.position_ids": np.arange(18)[None]}


def bare(tensors):
    return {name.partition(".")[2]: tensor for name, tensor in masked(tensors).items()}


def as_first_saved(tensors):
    """As BERT's first files have it: a pooler and no classifier, and old names of a normalisation's parameters."""
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in (tensors | {"cls.predictions.bias": np.zeros(30, np.float32)}).items()
        if not name.startswith("classifier.")
    }


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *((kind, change) for kind in FIXTURES for change in (masked, bare)),
        ("bert", as_first_saved),
    ],
)
def test_an_encoder_alone_is_given_a_head_by_seed(copied, kind, change):
    folder, has_pooler = copied(kind), change is as_first_saved
    _, whole = huggingface.load(folder, CLASSES)
    change_weights(folder, change)
    drawn = [huggingface.load(folder, 5, seed)[1]["params"] for seed in (0, 0, 1)]
    for params in drawn:
        assert params["head"]["kernel"].shape == (16, 5)
        encoder = {name: params[name] for name in params if name != "head" and (has_pooler or name != "head_dense")}
        jax.tree.map(np.testing.assert_array_equal, encoder, {name: whole["params"][name] for name in encoder})
    np.testing.assert_array_equal(drawn[0]["head"]["kernel"], drawn[1]["head"]["kernel"])
    assert np.all(drawn[0]["head"]["kernel"] != drawn[2]["head"]["kernel"])
    # Of its own initialisation, 0.02.
    assert has_pooler or 0.01 < np.std(drawn[0]["head_dense"]["kernel"]) < 0.03


def in_shards(folder, parts=3):
    """Makes shards of a folder's weights, as transformers names them."""
    tensors, weight_map = load_file(folder / "model.safetensors"), {}
    (folder / "model.safetensors").unlink()
    for part in range(parts):
        name = f"model-{part + 1:05}-of-{parts:05}.safetensors"
        of_part = dict(sorted(tensors.items())[part::parts])
        save_file(of_part, folder / name)
        weight_map |= dict.fromkeys(of_part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize("kind", FIXTURES)
def test_shards_are_the_one_file(copied, kind):
    _, whole = huggingface.load(FIXTURES[kind], CLASSES)
    folder = copied(kind)
    in_shards(folder)
    jax.tree.map(np.testing.assert_array_equal, huggingface.load(folder, CLASSES)[1], whole)


def test_what_names_a_study_is_in_the_shards_too(folder):
    names = [identity._content(folder)]
    in_shards(folder)
    for change in (lambda: None, lambda: (folder / "model-00003-of-00003.safetensors").write_bytes(b"other")):
        change()
        identity._content.cache_clear()
        names.append(identity._content(folder))
    assert len(set(names)) == 3


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_weights_of_half_precision_become_float32(folder, dtype):
    change_weights(folder, lambda tensors: {n: t.astype(dtype) for n, t in tensors.items()})
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
        (lambda f: change_config(f, model_type="gpt2"), ["model_type 'gpt2'", "must be roberta, bert, distilbert"]),
        (lambda f: change_config(f, model_type="bert"), ["begin with 'roberta.'", "save the BERT that is within"]),
        (lambda f: change_config(f, model_type=["bert"]), ["model_type ['bert']"]),
        (lambda f: change_config(f, hidden_act="silu"), ["hidden_act 'silu'", "must be gelu, "]),
        (lambda f: change_config(f, is_decoder=True), ["is_decoder True", "must be False"]),
        (lambda f: change_config(f, num_hidden_layers=0), ["num_hidden_layers 0", "1 to 2000"]),
        (lambda f: change_config(f, vocab_size="30"), ["vocab_size '30'", "integer"]),
        (lambda f: change_config(f, hidden_dropout_prob=1), ["hidden_dropout_prob 1", "[0, 1)"]),
        (lambda f: change_config(f, num_attention_heads=3), ["num_attention_heads 3", "divisor of the hidden_size 16"]),
        (lambda f: change_config(f, max_position_embeddings=2), ["max_position_embeddings 2", "above 2"]),
        (lambda f: (f / "model.safetensors").unlink(), ["must have model.safetensors, and has none"]),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            ["has none but pytorch_model.bin", "to convert it", "safetensors.torch"],
        ),
        (lambda f: (f / "model.safetensors").rename(f / "tf_model.h5"), ["has none but tf_model.h5; save it again"]),
        (
            lambda f: (in_shards(f), (f / "model-00002-of-00003.safetensors").unlink()),
            ["names model-00002-of-00003.safetensors, not there; must have all shards"],
        ),
        (
            lambda f: (in_shards(f), (f / "model-00002-of-00003.safetensors").write_bytes(b"no")),
            ["model-00002-of-00003.safetensors cannot be read"],
        ),
        (
            lambda f: (in_shards(f), (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b"}}')),
            ["model.safetensors.index.json cannot be read", "'../b'"],
        ),
        (
            lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1"),
            ["model.safetensors is a pointer of Git LFS", "git lfs pull"],
        ),
        (
            lambda f: change_weights(f, lambda t: t | {WITHOUT: t[WITHOUT].astype(np.int8)}),
            [f"has {WITHOUT} as I8; must be floating-point"],
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


def test_a_bert_that_has_lost_its_pooler_is_refused(copied):
    folder = copied("bert")
    change_weights(folder, lambda tensors: {n: t for n, t in tensors.items() if "pooler" not in n})
    refused(folder, ["must have the tensor bert.pooler.dense."])


def test_a_pair_s_tokens_have_the_types_that_the_separator_tells():
    model, variables = huggingface.load(FIXTURES["bert"], CLASSES)
    texts = np.array([[4, 5, 3, 6, 7, 3, 0, 0], [4, 5, 8, 6, 7, 3, 0, 0]])  # a pair, and a text alone

    def logits(separator, params):
        config = dataclasses.replace(model.config, separator=separator)
        return jax.jit(lambda p: model.clone(config=config).apply({"params": p}, texts, train=False))(params)

    params = variables["params"]
    told, untold = (logits(separator, params) for separator in (3, None))
    np.testing.assert_array_equal(told[1], untold[1])
    assert np.all(told[0] != untold[0])


def test_labels_outside_the_head(folder):
    refused(folder, [f"its head has {CLASSES} labels and the data 4"], num_classes=4)


def test_a_file_is_no_folder(folder):
    refused(folder / "config.json", ["is no folder"])
