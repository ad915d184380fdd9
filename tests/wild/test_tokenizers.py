"""Tokenizers of any kind, each as its own files say."""

import json

import numpy as np
import pytest
import tokenizers
from tiny_tokenizer import FRAME, write_tokenizer, write_wordpiece
from tokenizers import models, normalizers, pre_tokenizers, processors

from distill_jax.data import load_dataset
from distill_jax.data.sources.tokens import save_tokenizer
from distill_jax.setting import DataSetting

TEXTS = ["Hello World", "hello there world"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world", "there"]


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for split in ("train", "test"):
        rows = (json.dumps({"text": text, "label": i}) + "\n" for i, text in enumerate(TEXTS))
        (folder / f"{split}.jsonl").write_text("".join(rows))
    return folder


def bert(folder, pad="[PAD]"):
    """A BERT's tokenizer.json: lower-cased words, framed by [CLS] and [SEP]."""
    folder.mkdir()
    words = [pad, *WORDS[1:]]
    of = tokenizers.Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    of.normalizer, of.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    frame = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B [SEP]"}
    of.post_processor = processors.TemplateProcessing(**frame, special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    of.save(str(folder / "tokenizer.json"))
    return folder


def given(own, tokenizer):
    return {"dataset": str(own), "tokenizer": tokenizer, "cache_dir": own.parent / "cache", "length": 8}


def test_a_bert_s_file_gives_a_bert_s_tokens(own, tmp_path):
    data = load_dataset(DataSetting(**given(own, bert(tmp_path / "bert"))))
    np.testing.assert_array_equal(data.train.x, [[2, 4, 5, 3, 0, 0, 0, 0], [2, 4, 6, 5, 3, 0, 0, 0]])
    assert (data.vocabulary.size, data.vocabulary.pad) == (7, 0)


def tokens_of_pairs(tmp_path, tokenizer):
    folder = tmp_path / "pairs"
    folder.mkdir(exist_ok=True)
    rows = [("Hello [SEP]", "world"), ("hello", "There"), ("hello", "there [PAD]")]
    for split in ("train", "test"):
        lines = (json.dumps({"text": a, "text_pair": b, "label": i % 2}) + "\n" for i, (a, b) in enumerate(rows))
        (folder / f"{split}.jsonl").write_text("".join(lines))
    data = load_dataset(DataSetting(**given(folder, tokenizer) | {"length": 12}))
    return data.train.x.tolist(), data.vocabulary


@pytest.mark.parametrize("types", [True, False])
def test_a_pair_is_framed_and_its_separator_known_where_types_are(tmp_path, types):
    words = ["hello", "world", "there", "[", "]", "sep", "pad"]
    found, vocabulary = tokens_of_pairs(tmp_path, write_wordpiece(tmp_path / "bert", words, types))
    # Names of special tokens within a text are text.
    assert found[0] == [2, 4, 7, 9, 8, 3, 5, 3, 0, 0, 0, 0]
    assert found[1] == [2, 4, 3, 6, 3, *[0] * 7]
    assert found[2] == [2, 4, 3, 6, 7, 10, 8, 3, 0, 0, 0, 0]
    assert (vocabulary.pad, vocabulary.separator) == (0, 3 if types else None)


def test_a_bert_s_vocabulary_of_words_is_read_where_it_says_of_lower_case(own, tmp_path, fails):
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join([*FRAME, "[MASK]", "hello", "world", "there", "Hello"]))
    fails(f"data.tokenizer {folder}: must be", "do_lower_case", **given(own, folder))
    (folder / "tokenizer_config.json").write_text("{}")
    fails(f"data.tokenizer {folder}: must be", "do_lower_case", **given(own, folder))
    for lower_cases, hello in ((True, 5), (False, 8)):
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower_cases}))
        data = load_dataset(DataSetting(**given(own, folder)))
        assert data.train.x[0].tolist() == [2, hello, 6 if lower_cases else 1, 3, 0, 0, 0, 0]
        assert data.vocabulary.separator == 3


def of_other_types(said):
    said["post_processor"]["pair"][0]["SpecialToken"]["type_id"] = 1


def test_types_that_no_separator_tells_are_refused(own, tmp_path, fails):
    folder = of_words(tmp_path / "changed", of_other_types)
    fails(f"data.tokenizer {folder}: gives the tokens of a pair the types [1, 0, 0, 0, 0]", **given(own, folder))


def test_a_file_s_own_lower_casing_and_prefix_space_count(own, tmp_path):
    plain = write_tokenizer(tmp_path / "plain")
    setting = DataSetting(**given(own, plain))
    save_tokenizer(setting, tmp_path / "saved")
    before = load_dataset(setting)
    np.testing.assert_array_equal(load_dataset(DataSetting(**given(own, tmp_path / "saved"))).train.x, before.train.x)
    said = json.loads((tmp_path / "saved" / "tokenizer.json").read_text())
    said["normalizer"] = {"type": "Lowercase"}
    said["pre_tokenizer"]["add_prefix_space"] = True
    (tmp_path / "saved" / "tokenizer.json").write_text(json.dumps(said))
    after = load_dataset(DataSetting(**given(own, tmp_path / "saved"))).train.x
    assert after[0, 2] == before.train.x[1, 1]  # 'hello' in lower case, after a space
    assert after[0, 1] != before.train.x[0, 1]


def test_tokens_added_in_a_file_of_their_own_are_not_taken_from_an_older_cache(own, tmp_path):
    folder = write_tokenizer(tmp_path / "roberta")
    before = load_dataset(DataSetting(**given(own, folder))).train.x
    size = len(json.loads((folder / "vocab.json").read_text()))
    (folder / "added_tokens.json").write_text(json.dumps({"Hello": size}))
    after = load_dataset(DataSetting(**given(own, folder)))
    assert (after.vocabulary.size, after.train.x[0, 1]) == (size + 1, size)
    assert before[0, 1] != size


@pytest.mark.parametrize("fault", ["no padding", "no frame"])
def test_a_tokenizer_that_a_classifier_cannot_use_is_refused(own, tmp_path, fails, fault):
    folder = bert(tmp_path / "bert", pad="nothing" if fault == "no padding" else "[PAD]")
    if fault == "no frame":
        said = json.loads((folder / "tokenizer.json").read_text()) | {"post_processor": None}
        (folder / "tokenizer.json").write_text(json.dumps(said))
    right = "must say pad_token" if fault == "no padding" else "begins a text with no token of its own"
    fails(f"data.tokenizer {folder}: ", right, **given(own, folder))


def of_words(folder, change):
    """A BERT's file after a change of what it says."""
    bert(folder)
    said = json.loads((folder / "tokenizer.json").read_text())
    change(said)
    (folder / "tokenizer.json").write_text(json.dumps(said))
    return folder


def with_a_bare_pair(said):
    said["post_processor"]["pair"] = said["post_processor"]["pair"][1:]


def test_a_pair_without_a_token_in_front_is_refused(own, tmp_path, fails):
    folder = of_words(tmp_path / "changed", with_a_bare_pair)
    fails(f"data.tokenizer {folder}: begins a pair with no token of its own", **given(own, folder))


def test_a_tokenizer_that_meets_a_word_it_cannot_write_is_refused(own, tmp_path, fails):
    def change(said):
        words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4}
        said["model"] = {"type": "WordLevel", "vocab": words, "unk_token": "none"}

    folder = of_words(tmp_path / "changed", change)
    fails(f"data.tokenizer {folder}: makes no tokens of a train text", **given(own, folder))


def test_padding_with_a_token_of_the_frame_is_refused(own, tmp_path, fails):
    folder = bert(tmp_path / "padded")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[SEP]"}))
    fails(f"data.tokenizer {folder}: pads with [SEP], which it also puts into a text", **given(own, folder))


def test_a_tokenizer_that_knows_no_word_is_refused(own, tmp_path, fails):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "vocab.json").write_text("{}")
    (folder / "merges.txt").write_text("")
    fails(f"data.tokenizer {folder}: ", **given(own, folder))
