"""Texts as spreadsheets, hubs and other systems write them."""

import json

import numpy as np
import pytest
from tiny_tokenizer import ids, write_tokenizer

from distill_jax.data import load_dataset
from distill_jax.setting import DataSetting

PLAIN = "label,text\n0,so bad\n1,good\n"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return write_tokenizer(tmp_path_factory.mktemp("tiny") / "tokenizer")


def folder_of(tmp_path, train, test=PLAIN, suffix="csv"):
    """A folder with these contents, text or bytes."""
    own = tmp_path / "own"
    own.mkdir()
    for split, content in (("train", train), ("test", test)):
        (own / f"{split}.{suffix}").write_bytes(content if isinstance(content, bytes) else content.encode())
    return own


def given(folder, tokenizer, **fields):
    return {"dataset": str(folder), "tokenizer": tokenizer, "cache_dir": folder.parent / "cache", "length": 16} | fields


def first_text(folder, tokenizer, **fields):
    """The tokens of the first training text, without its frame and padding."""
    row = load_dataset(DataSetting(**given(folder, tokenizer, **fields))).train.x[0]
    return list(row[1 : np.flatnonzero(row == 2)[0]])


FAULTS = {
    "a comma that is not quoted": (
        "csv",
        "label,text\n0,bad, very bad\n1,good\n",
        "line 2 has 3 fields and the header 2",
    ),
    "a row cut short": ("csv", "label,text\n0,bad\n1\n", "line 3 has 1 fields and the header 2 (label, text)"),
    "a quote never closed": ("csv", 'label,text\n0,"bad\n1,good\n', "train.csv cannot be read"),
    "a column twice": ("csv", "label,text,text\n0,bad,b\n1,good,g\n", "the column text is there twice"),
    "another encoding": ("csv", "label,text\n0,schön\n1,gut\n".encode("latin-1"), "train.csv cannot be read"),
    "a name twice": ("jsonl", '{"text": "a", "label": 0, "text": "b"}\n', "line 1: the column text is there twice"),
    "a list for an object": ("jsonl", '{"text": "a", "label": 0}\n["b", 1]\n', 'line 2: ["b", 1] is no JSON object'),
    "a line cut short": ("jsonl", '{"text": "a", "label": 0}\n{"text": "b"', "line 2: "),
    "nested without end": ("jsonl", "[" * 200_000, "line 1: "),
    "a pair in one line only": (
        "jsonl",
        '{"text": "a", "label": 0}\n{"text": "b", "text_pair": "c", "label": 1}\n',
        "line 2: text_pair is in some lines and not in all",
    ),
    "no label": ("jsonl", '{"text": "a", "label": null}\n', "line 1: label is None; must be an integer or a word"),
    "a label that is a share": ("jsonl", '{"text": "a", "label": 0.5}\n', "label is 0.5"),
    "a label that is true": ("jsonl", '{"text": "a", "label": true}\n', "label is True"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rows_of_which_something_would_be_lost_are_refused_with_their_number(tmp_path, tokenizer, fails, fault):
    suffix, content, said = FAULTS[fault]
    own = folder_of(tmp_path, content, suffix=suffix)
    fails(f"data.dataset {own}: train.{suffix}", said, **given(own, tokenizer))


HARMLESS = {
    "a byte-order mark": ("csv", b"\xef\xbb\xbf" + PLAIN.encode()),
    "Windows' line ends": ("csv", PLAIN.replace("\n", "\r\n")),
    "empty lines": ("csv", PLAIN.replace("\n", "\n\n")),
    "other columns": ("csv", "id,label,text\n7,0,so bad\n8,1,good\n"),
    "spaces around labels": ("csv", "label,text\n 0 ,so bad\n1,good\n"),
    "a byte-order mark in JSON lines": (
        "jsonl",
        b'\xef\xbb\xbf{"text": "so bad", "label": 0}\n{"text": "x", "label": 1}',
    ),
    "empty JSON lines": ("jsonl", '\n{"text": "so bad", "label": 0}\n\n{"text": "x", "label": 1}\n\n'),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_other_systems_add_does_no_harm(tmp_path, tokenizer, kind):
    suffix, content = HARMLESS[kind]
    own = folder_of(tmp_path, content, content, suffix)
    (own / "._train.csv").write_bytes(b"\0\5\26\7")  # as macOS leaves beside files
    (own / ".DS_Store").write_bytes(b"\0")
    assert first_text(own, tokenizer) == ids("so bad")


def test_a_text_longer_than_a_csv_reader_takes_is_read_and_its_cut_is_said(tmp_path, tokenizer):
    own = folder_of(tmp_path, f"label,text\n0,{'a' * 200_000}\n1,good\n")
    data = load_dataset(DataSetting(**given(own, tokenizer)))
    assert list(data.train.x[0, 1:15]) == ids("a" * 14)
    assert data.notes == ("1 of 2 train texts have more than 16 tokens and lose their end",)
    assert load_dataset(DataSetting(**given(own, tokenizer))).notes == data.notes  # from the cache


def test_words_as_labels_are_numbered(tmp_path, tokenizer):
    own = folder_of(tmp_path, *["label,text\nneg,so bad\npos,good\n"] * 2)
    data = load_dataset(DataSetting(**given(own, tokenizer)))
    assert data.names == ("neg", "pos")
    np.testing.assert_array_equal(data.train.label, [0, 1])


def test_parts_as_the_hub_names_them(tmp_path, tokenizer):
    import pyarrow
    import pyarrow.parquet

    own = tmp_path / "own"
    own.mkdir()

    def write(name, texts, labels):
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels, "idx": labels}), own / name)

    write("train-00000-of-00002.parquet", ["so bad", "b"], [0, 1])
    write("train-00001-of-00002.parquet", ["c"], [1])
    write("test-00000-of-00001.parquet", ["so bad", "good"], [0, 1])
    data = load_dataset(DataSetting(**given(own, tokenizer)))
    np.testing.assert_array_equal(data.train.label, [0, 1, 1])
    assert data.train.x[2, 1] == ids("c")[0]
    assert len(data.test.label) == 2


def test_a_part_that_is_absent_or_a_folder_of_other_files_is_said(tmp_path, tokenizer, fails):
    own = folder_of(tmp_path, PLAIN)
    (own / "train.csv").rename(own / "train-00000-of-00002.csv")
    fails(f"data.dataset {own}: has train-00000-of-00002.csv; must be", **given(own, tokenizer))
    (own / "train-00000-of-00002.csv").rename(own / "training.csv")
    fails(f"data.dataset {own}: has no train file, but test.csv, training.csv", **given(own, tokenizer))


def test_names_in_capitals(tmp_path, tokenizer):
    own = folder_of(tmp_path, PLAIN)
    (own / "train.csv").rename(own / "Train.CSV")
    assert first_text(own, tokenizer) == ids("so bad")
    arrays = {f"x_{s}": np.zeros((20, 2), np.float32) for s in ("train", "test")}
    np.savez(tmp_path / "a.npz", **arrays, **{f"y_{s}": np.arange(20) % 2 for s in ("train", "test")})
    (tmp_path / "a.npz").rename(tmp_path / "A.NPZ")
    assert load_dataset(DataSetting(str(tmp_path / "A.NPZ"))).num_classes == 2


def test_a_label_of_the_hub_s_hidden_test_sets(tmp_path, tokenizer, fails):
    hidden = "".join(json.dumps({"text": text, "label": -1}) + "\n" for text in ("so bad", "good"))
    own = folder_of(tmp_path, hidden.replace("-1", "0", 1).replace("-1", "1"), hidden, "jsonl")
    fails(f"data.dataset {own}: test.jsonl has the label -1 alone", **given(own, tokenizer))


def test_columns_and_files_that_are_not_read_are_said(tmp_path, tokenizer):
    folder = folder_of(tmp_path, "label,text,text_2,title\n0,so bad,x,y\n1,good,x,y\n")
    (folder / "validation.csv").write_text(PLAIN)
    assert load_dataset(DataSetting(**given(folder, tokenizer))).notes == (
        "columns that are not read: text_2, title",
        "files of own/ that are not read: validation.csv",
    )


def test_columns_of_parquet_that_are_not_read_are_said(tmp_path, tokenizer):
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path / "own"
    folder.mkdir()
    for split in ("train", "test"):
        table = pyarrow.table({"text": ["so bad", "good"], "label": [0, 1], "title": ["a", "b"]})
        pyarrow.parquet.write_table(table, folder / f"{split}.parquet")
    assert load_dataset(DataSetting(**given(folder, tokenizer))).notes == ("columns that are not read: title",)


@pytest.mark.parametrize("row", ['{"text": "\\ud83d x", "label": 0}', '{"text": "x", "label": "\\ud83d"}'])
def test_half_of_a_pair_of_surrogates_is_refused(tmp_path, tokenizer, fails, row):
    folder = folder_of(tmp_path, row + '\n{"text": "b", "label": "c"}\n', suffix="jsonl")
    (folder / "test.jsonl").write_text('{"text": "b", "label": "c"}\n')
    fails(f"data.dataset {folder}: train.jsonl", **given(folder, tokenizer))


@pytest.mark.parametrize("name", ["label_10**40", "what[1]?", "n" * 230])
def test_a_folder_of_any_name(tmp_path, tokenizer, name):
    folder = folder_of(tmp_path, PLAIN).rename(tmp_path / name)
    assert load_dataset(DataSetting(**given(folder, tokenizer))).num_classes == 2
