"""A RoBERTa in the trainer and in the main job, on texts with a word that tells their class."""

import csv
import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest
from command import here, refused
from small_study import advance
from small_text_study import LENGTH, TINY, VOCABULARY, dataset, setting
from tiny_tokenizer import SIZE, write_tokenizer

import distill_jax
from distill_jax.command.main import main, setting_from
from distill_jax.data import load_dataset
from distill_jax.data.dataset import Vocabulary
from distill_jax.dumps import read_dump
from distill_jax.errors import InputError
from distill_jax.identity import identity
from distill_jax.models import build_model, huggingface
from distill_jax.models.roberta import Roberta, RobertaConfig
from distill_jax.setting import (
    ModelSetting,
    RobertaSetting,
)
from distill_jax.training.population import Member
from distill_jax.training.trainer import Trainer
from experiments import export

WORDS = ("even", "odd")


def test_students_of_a_seed_drop_the_same_and_seeds_do_not(tmp_path):
    members = [Member(model, seed) for seed in (0, 1) for model in ("one_hot", "one_hot_to_kd")]
    data = dataset()
    whole = setting(tmp_path)
    whole = dataclasses.replace(whole, train=dataclasses.replace(whole.train, epochs=32, batch_size=64))
    trainer = Trainer(whole, data, "student", (2, 2))  # each batch is all data
    teachers = np.zeros((2, 64, 2), np.float32)
    params = jax.tree.map(np.asarray, trainer.initial_state(members).params)
    state, losses = advance(trainer, members, teachers, steps=8)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)  # before the switch they are one run
    assert np.all(losses[0] != losses[2])
    # Going on from the middle gives the same: what is dropped depends on the step alone.
    half, first = advance(trainer, members, teachers, steps=4)
    _, second = advance(trainer, members, teachers, first=4, steps=4, state=half)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), losses)
    said = jax.jit(lambda p: trainer.model.apply({"params": p}, data.train.x, train=False))
    for own, begun in zip(
        losses[:, 0], (jax.tree.map(lambda leaf, i=i: leaf[i], params) for i in range(4)), strict=True
    ):
        own_without = -np.mean(jax.nn.log_softmax(said(begun))[np.arange(64), data.train.label])
        assert 1e-5 < abs(own - own_without) < 0.1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def random_params(model):
    shapes = jax.eval_shape(lambda key: model.init(key, np.zeros((1, 4)), train=False), jax.random.key(0))["params"]
    rng = np.random.default_rng(5)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape), shapes)


@pytest.fixture
def pretrained(tmp_path):
    """An encoder's folder without a head, which every member begins from."""
    model = Roberta(2, RobertaConfig(1, 16, 2, 24, vocabulary=20, positions=14))
    encoder = {name: of for name, of in random_params(model).items() if not name.startswith("head")}
    huggingface.save(tmp_path / "encoder", model, encoder)
    return tmp_path / "encoder"


def test_members_begin_with_the_encoder_and_heads_of_their_own(pretrained, tmp_path):
    own = setting(tmp_path / "work", RobertaSetting(pretrained=pretrained))
    members = [Member("one_hot", 0), Member("kd", 0), Member("one_hot", 1), Member("kd", 1)]
    trainer = Trainer(own, dataset(), "student", (2, 2))
    params = trainer.initial_state(members).params
    expected = huggingface.read_params(pretrained, trainer.model.config, 2)
    for name, tree in expected.items():
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.broadcast_to(b, a.shape)), params[name], tree)
    head = np.asarray(params["head"]["kernel"])
    np.testing.assert_array_equal(head[0], head[1])
    assert np.all(head[0] != head[2])
    # What names the study is the content of the folder and not its place.
    named = identity(own)
    moved = pretrained.rename(tmp_path / "moved")
    elsewhere = setting(tmp_path / "work", RobertaSetting(pretrained=moved))
    assert identity(elsewhere) == named
    other = moved.rename(tmp_path / "other")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    assert identity(setting(tmp_path / "work", RobertaSetting(pretrained=other))) != named


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, r"student.roberta.layers 0: must be in 1 to 2000"),
        ({"units": 100}, r"student.roberta.units 100: must be a multiple of 64"),
        ({"dropout": 1.0}, r"student.roberta.dropout 1\.0: must be a share"),
        ({"attention_dropout": -0.1}, r"student.roberta.attention_dropout -0\.1: must be a share"),
        ({"attention": "cudnn"}, r"student.roberta.attention cudnn: .* `student.roberta.attention_dropout` 0$"),
    ],
)
def test_networks_that_cannot_be_right(changes, message):
    network = ModelSetting(name="roberta", roberta=dataclasses.replace(TINY, **changes))
    with pytest.raises(InputError, match=message):
        build_model(network, 2, (LENGTH,), role="student", vocabulary=VOCABULARY)


def test_networks_that_do_not_fit_the_data(pretrained):
    def build(name, length=LENGTH, vocabulary=VOCABULARY, **fields):
        network = ModelSetting(name=name, roberta=RobertaSetting(**fields))
        return build_model(network, 2, (length,), role="student", vocabulary=vocabulary)

    with pytest.raises(InputError, match=r"student.name mlp: must be roberta, since the data are texts"):
        build("mlp")
    with pytest.raises(InputError, match=r"student.name roberta: must be another, since the data are no texts"):
        build("roberta", vocabulary=None)
    with pytest.raises(InputError, match=r"data.length 513: must be at most 512"):
        build("roberta", length=513)
    with pytest.raises(InputError, match=r"data.length 13: must be at most 12"):
        build("roberta", length=13, pretrained=pretrained)
    with pytest.raises(InputError, match=r"pretrained .*: has 20 tokens with padding 1, and `data.tokenizer` 21"):
        build("roberta", vocabulary=Vocabulary(21, 1), pretrained=pretrained)
    assert build("roberta", length=12, pretrained=pretrained).config.layers == 1


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The command line of a user's texts, without a work directory."""
    tmp_path = tmp_path_factory.mktemp("own")
    folder = tmp_path / "texts"
    folder.mkdir()
    for split, count in (("train", 48), ("test", 16)):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            rows = [(f"{i} is {word}", word) for i, word in zip(range(count), itertools.cycle(WORDS), strict=False)]
            csv.writer(file).writerows([("text", "label"), *rows])
    words = ["--length", "16"]
    for role in ("teacher", "student"):
        words += [f"--{role}.name", "roberta", f"--{role}.roberta.layers", "1", f"--{role}.roberta.units", "16"]
        words += [f"--{role}.roberta.dropout", "0", f"--{role}.roberta.attention-dropout", "0"]  # compiles much faster
    words += ["--dataset", folder, "--tokenizer", write_tokenizer(tmp_path / "tokenizer"), "--batch-size", "8"]
    words += ["--epochs", "10", "--snapshots", "0.5", "--optimizer", "adam", "--learning-rate", "0.01", "--seeds", "1"]
    words += ["--checkpoint-seconds", "1000", "--cache-dir", tmp_path / "cache"]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def studied(own, tmp_path_factory):
    """The work directory in which the command has studied them."""
    from distill_jax.machine import backend, program_cache

    work = tmp_path_factory.mktemp("studied")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "use_cores", lambda batch: None)  # the tests' JAX has its devices
        patch.setattr(program_cache, "keep_programs", lambda folder: None)
        here([*own, "--workdir", str(work)])  # what is drawn and said knows no texts
    return work


def last_dump(work, model):
    return read_dump(work / "dumps" / model / "seed-0" / "step-60" / "train")


def test_the_command_on_a_users_texts(studied):
    summary = json.loads((studied / "summary.json").read_text())
    assert summary["study"]["seeds"] == 1
    for model in ("teacher", "kd"):
        dump = last_dump(studied, model)
        np.testing.assert_array_equal(dump.label, np.arange(48) % 2)
        np.testing.assert_array_equal(dump.id, np.arange(48))
        assert np.mean(dump.logits.argmax(axis=1) == dump.label) > 0.9


@pytest.mark.parametrize("model", ["teacher", "kd"])
def test_what_is_exported_has_the_logits_that_were_dumped(studied, own, tmp_path, model):
    export.main([str(studied), "--model", model, "--to", str(tmp_path / "out")])
    assert list(json.loads((tmp_path / "out" / "config.json").read_text())["label2id"]) == list(WORDS)
    network, variables = huggingface.load(tmp_path / "out", 2)
    tokens = load_dataset(setting_from(own).data).train.x
    logits = jax.jit(lambda v: network.apply(v, tokens, train=False))(variables)
    np.testing.assert_allclose(logits, last_dump(studied, model).logits, rtol=1e-4, atol=1e-4)


def test_an_exported_network_is_given_the_tokens_it_was_trained_on(studied, own, tmp_path):
    import transformers

    export.main([str(studied), "--to", str(tmp_path / "out")])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    data = load_dataset(setting_from(own).data)
    texts = [f"{i} is {WORDS[i % 2]}" for i in range(48)]
    np.testing.assert_array_equal(tokenizer(texts, padding="max_length", truncation=True)["input_ids"], data.train.x)


def test_an_exported_network_classifies_texts_by_their_names(studied, tmp_path):
    pytest.importorskip("torch", reason="transformers' pipelines need PyTorch")
    import transformers

    export.main([str(studied), "--to", str(tmp_path / "out")])
    classify = transformers.pipeline("text-classification", str(tmp_path / "out"), device="cpu")
    assert [said["label"] for said in classify(["12 is even", "7 is odd", "30 is even"])] == ["even", "odd", "even"]


def test_transformers_loads_what_is_exported(studied, own, tmp_path):
    torch = pytest.importorskip("torch", reason="transformers' network needs PyTorch")
    import transformers

    export.main([str(studied), "--to", str(tmp_path / "out")])
    network, found = transformers.RobertaForSequenceClassification.from_pretrained(
        tmp_path / "out", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    data = load_dataset(setting_from(own).data)
    tokens = torch.from_numpy(data.train.x.astype(np.int64))
    with torch.no_grad():
        logits = network.eval()(input_ids=tokens, attention_mask=tokens != data.vocabulary.pad).logits
    np.testing.assert_allclose(logits.numpy(), last_dump(studied, "kd").logits, rtol=1e-3, atol=1e-3)


def test_a_study_whose_setting_is_damaged_is_not_exported(studied, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"link: is there already; must be a new folder"):
        export.main([str(studied), "--to", str(tmp_path / "link")])
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for content in ('{"optimizer": {}, "data": []}', '{"optimizer": {}, "data": {}, "student": {}}', "[" * 200_000):
        (damaged / "setting.json").write_text(content)
        with pytest.raises(InputError, match=r"damaged: holds no study; must be the --workdir of one"):
            export.main([str(damaged), "--to", str(tmp_path / "out")])


def test_what_cannot_be_exported_is_refused(studied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = str(studied)
    for arguments, part in [
        ([], "WORKDIR: must be given"),
        ([work], "--to: must be given"),
        ([work, "--to", work], "is there already"),
        ([work, "--to", "no/where"], "--to no/where: its folder is not there"),
        (["nothing", "--to", "out"], "nothing: holds no study"),
        ([work, "--to", "out", "--model", "best"], "--model best: must be one that is trained to its end there: "),
        ([work, "--to", "out", "--seed", "1"], "--seed 1: must be one that is trained to its end there: 0"),
    ]:
        refused(export.main, arguments, [part], tmp_path)


@pytest.mark.parametrize("form", ["safetensors", "stablehlo", "onnx"])
def test_other_formats_have_them_too(studied, own, tmp_path, form):
    if form == "onnx":
        pytest.importorskip("jax2onnx", reason="the extra onnx is not among the tests'")
    export.main([str(studied), "--to", str(tmp_path / "out"), "--format", form])
    tokens = load_dataset(setting_from(own).data).train.x
    if form == "safetensors":
        loaded = distill_jax.load_exported(tmp_path / "out")
        assert loaded.names == WORDS
        logits = loaded(tokens)
    elif form == "stablehlo":
        program = jax.export.deserialize(bytearray((tmp_path / "out" / "model.stablehlo").read_bytes()))
        logits = program.call(tokens.astype(np.int32))
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
        logits = session.run(None, {"inputs": tokens.astype(np.int32)})[0]
    expected = last_dump(studied, "kd").logits
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    assert (tmp_path / "out" / "tokenizer" / "tokenizer.json").is_file()


def test_the_command_refuses_labels_outside_a_pretrained_head(own, tmp_path):
    model = Roberta(3, RobertaConfig(1, 16, 2, 24, vocabulary=SIZE, positions=18))
    huggingface.save(tmp_path / "three", model, random_params(model))
    work = tmp_path / "work"
    work.mkdir()
    at = own.index("--student.roberta.layers")  # which the weights say, as they do the units
    words = [*own[:at], *own[at + 4 :], "--student.roberta.pretrained", str(tmp_path / "three")]
    words += ["--workdir", str(work / "own")]
    refused(main, words, ["--student.roberta.pretrained", "its head has 3 labels and the data 2"], work)
