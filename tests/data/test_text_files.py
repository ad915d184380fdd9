"""Folders of texts as they are handed out: GLUE's files, the hub's, and CSV of every dialect."""

import csv
import io
import json

import numpy as np
import pytest
from tiny_tokenizer import ids, write_tokenizer

from distill_jax.data import load_dataset
from distill_jax.data.sources import text_files
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting

START, END = 0, 2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return write_tokenizer(tmp_path_factory.mktemp("tiny") / "tokenizer")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def load(folder, tokenizer):
    given = {"length": 40, "cache_dir": folder.parent / "cache", "tokenizer": tokenizer}
    return load_dataset(DataSetting(dataset=str(folder), **given))


def tokens(*texts):
    first, *second = texts
    return [START, *ids(first), END, *(token for text in second for token in (END, *ids(text), END))]


def begins_with(row, expected):
    np.testing.assert_array_equal(row[: len(expected)], expected)


# Of each task: the header that GLUE's files have, two training rows, the first one's texts, and those of the test set.
GLUE = {
    "SST-2": ("sentence\tlabel", ['it "works \t1', "bad \t0"], ('it "works ',), "index\tsentence", "0\tbad"),
    "CoLA": (None, ['gj04\t1\t\t"We ran', 'gj04\t0\t*\t"We run'], ('"We ran',), "index\tsentence", "0\tbad"),
    "MRPC": (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        ['1\t7\t8\t"Yes" he said\tHe agreed', "0\t9\t5\tNo\tYes"],
        ('"Yes" he said', "He agreed"),
        "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
        "0\t1\t2\ta\tb",
    ),
    "QNLI": (
        "index\tquestion\tsentence\tlabel",
        ["0\tWho\tHe\tnot_entailment", "1\tWhen\tNow\tentailment"],
        ("Who", "He"),
        "index\tquestion\tsentence",
        "0\ta\tb",
    ),
    "RTE": (
        "index\tsentence1\tsentence2\tlabel",
        ['0\ta "\tb\tnot_entailment', "1\tc\td\tentailment"],
        ('a "', "b"),
        "index\tsentence1\tsentence2",
        "0\ta\tb",
    ),
    "QQP": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        ["0\t1\t2\ta\tb\t1", "1\t3\t4\tc\td\t0"],
        ("a", "b"),
        "id\tquestion1\tquestion2",
        "0\ta\tb",
    ),
    "MNLI": (
        "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
        ["0\tx\ta\tb\tneutral\tneutral", "1\tx\tc\td\tneutral\tcontradiction"],
        ("a", "b"),
        "index\tgenre\tsentence1\tsentence2",
        "0\tx\ta\tb",
    ),
}


def lay_out(folder, task):
    """Writes the files of a task; its validation file's name."""
    header, rows, _, test_header, test_row = GLUE[task]
    of_mnli = "_matched" if task == "MNLI" else ""
    for name in ("train.tsv", f"dev{of_mnli}.tsv"):
        lines = rows if header is None else [header, *rows]
        (folder / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    (folder / f"test{of_mnli}.tsv").write_text(f"{test_header}\n{test_row}\n")
    return f"dev{of_mnli}.tsv"


@pytest.mark.parametrize("task", GLUE)
def test_glue_s_own_files(folder, tokenizer, task):
    validation, texts = lay_out(folder, task), GLUE[task][2]
    data = load(folder, tokenizer)
    assert data.num_classes == 2
    for split in (data.train, data.test):
        assert len(split.label) == 2
        begins_with(split.x[0], tokens(*texts))
        assert split.label.tolist() == [1, 0]
    reason = "there is no test file" if task == "MNLI" else "test.tsv has no labels"
    assert f"{validation} is tested on, since {reason}" in data.notes
    assert ("train.tsv has no header and is read as CoLA's: source, label, original_label, sentence" in data.notes) == (
        task == "CoLA"
    )
    assert ("quotes in train.tsv are text" in data.notes) == ('"' in texts[0])
    of_words = {"QNLI": ("entailment", "not_entailment"), "MNLI": ("contradiction", "neutral")}
    assert data.names == (of_words | {"RTE": of_words["QNLI"]}).get(task)


def write_hub(folder, splits, columns, names, inner=""):
    """Writes Parquet files as `datasets` does, with the names of the classes beside the columns."""
    import pyarrow
    import pyarrow.parquet

    place = folder / inner
    place.mkdir(exist_ok=True)
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    said = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    for split, rows in splits.items():
        of_columns = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        table = pyarrow.table(of_columns).replace_schema_metadata(said if names else None)
        pyarrow.parquet.write_table(table, place / f"{split}-00000-of-00001.parquet")


HUB = [("sentence",), ("sentence1", "sentence2"), ("question", "sentence"), ("premise", "hypothesis"), ("text",)]


@pytest.mark.parametrize("inner", ["", "data"])
@pytest.mark.parametrize("columns", HUB)
def test_data_sets_of_the_hub(folder, tokenizer, columns, inner):
    def row(*words, label):
        return (7, *(f"{word} {name}" for word, name in zip(words, columns, strict=False)), label)

    rows = [row("a", "b", label=1), row("c", "d", label=0)]
    hidden = [(*given[:-1], -1) for given in rows]
    splits = {"train": rows, "validation": rows, "test": hidden}
    write_hub(folder, splits, ("idx", *columns, "label"), ["no", "yes"], inner)
    data = load(folder, tokenizer)
    assert data.names == ("no", "yes")
    begins_with(data.test.x[0], tokens(*(f"{word} {name}" for word, name in zip("ab", columns, strict=False))))
    assert data.test.label.tolist() == [1, 0]
    said = "validation-00000-of-00001.parquet is tested on, since test-00000-of-00001.parquet has no labels"
    assert said in data.notes


def test_hidden_labels_are_no_class(folder, tokenizer, fails):
    rows, hidden = [("a", 1), ("b", 0)], [("a", -1), ("b", -1)]
    columns = ("sentence", "label")
    write_hub(folder, {"train": rows, "test": hidden}, columns, [])
    given = {"dataset": str(folder), "tokenizer": tokenizer}
    fails(f"data.dataset {folder}: test-00000-of-00001.parquet has the label -1 alone, which hides", **given)
    write_hub(folder, {"train": [*rows, ("c", -1)], "test": rows}, columns, ["no", "yes"])
    fails(f"data.dataset {folder}: training row 2 has the label -1, none of no, yes", **given)
    # Where nothing says what numbers are called they may be -1 and 1.
    write_hub(folder, {"train": [("a", 1), ("b", -1)], "test": [("a", -1)]}, columns, [])
    assert load(folder, tokenizer).names == ("-1", "1")


def test_the_folder_above_is_told_of_its_data_sets(folder, tokenizer, fails):
    for task in ("RTE", "SST-2"):
        (folder / task).mkdir()
        lay_out(folder / task, task)
    given = {"dataset": str(folder), "tokenizer": tokenizer}
    fails(f"data.dataset {folder}: has no train file, but the folders RTE, SST-2, each a data set", **given)


ROWS = [("plain", "1"), ('says "hi", twice; a|b', "0"), ("two\nlines\tand a tab", "1"), ('"quoted"', "0")]


def written(rows=ROWS, **dialect):
    stream = io.StringIO(newline="")
    csv.writer(stream, **dialect).writerows([("text", "label"), *rows])
    return stream.getvalue()


BACKSLASHES = {"escapechar": "\\", "doublequote": False}
SAID = {"semicolons": ";", "tabs": "\t", "bars": "|"}


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("others", [{}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"}, BACKSLASHES])
def test_csv_of_any_dialect(folder, suffix, encoding, delimiter, others):
    if suffix == ".tsv" and delimiter != "\t":
        return
    if delimiter == "\t" and others is BACKSLASHES:
        return  # between tabs such quotes are text
    path = folder / f"train{suffix}"
    path.write_bytes(written(delimiter=delimiter, **others).encode(encoding))
    found = text_files._read("own", [path])
    assert list(zip(found.first, found.label, strict=True)) == ROWS
    names = [name for name, mark in SAID.items() if mark == delimiter and suffix == ".csv"]
    assert [note for note in found.notes if "between its fields" in note] == [
        f"train.csv has {name} between its fields" for name in names
    ]
    assert any("backslashes" in note for note in found.notes) == (others is BACKSLASHES)


def test_quotes_between_tabs_are_text_unless_they_must_be_more(folder):
    path = folder / "train.tsv"

    def texts(*rows):
        path.write_text("text\tlabel\n" + "".join(f"{row}\t1\n" for row in rows))
        found = text_files._read("own", [path])
        return found.first, any("quotes in train.tsv are text" in note for note in found.notes)

    assert texts('"all of it"', "none") == (['"all of it"', "none"], True)
    assert texts('"begins', 'in "it') == (['"begins', 'in "it'], True)
    assert texts('"a ""b"" c"', 'in "it') == (['"a ""b"" c"', 'in "it'], True)
    assert texts('"a ""b"" c"', "none") == (['a "b" c', "none"], False)
    assert texts('"two\nlines"', "none") == (["two\nlines", "none"], False)
    assert texts("no", "none") == (["no", "none"], False)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        (
            "train.csv",
            "text;label\na;b;1\n",
            "line 2 has 3 fields and the header 2 (text, label); a text with semicolons",
        ),
        ("train.csv", "text,label\na,b,1\n", "a text with commas must stand in double quotes"),
        ("train.csv", 'text,label\n"a" b,1\n', "',' expected after '\"'"),
        ("train.tsv", "text\tlabel\na\tb\t1\n", "line 2 has 3 fields and the header 2 (text, label)"),
        ("train.tsv", 'text\tlabel\n"a\tb\t1\n', "line 2 has 3 fields and the header 2 (text, label)"),
        ("train.tsv", "a\t1\nb\t0\n", "has no column text, but a, 1"),
        ("train.csv", "text,text,label\na,b,1\n", "the column text is there twice"),
        ("train.tsv", "sentence1\tsentence2\tgold_label\na\tb\t-\n", "gold_label is '-'"),
        ("train.csv", b"text,label\ncaf\xe9,1\n", "cannot be read: 'utf-8' codec"),
    ],
)
def test_what_is_not_clear_is_refused(folder, name, content, part):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        text_files._read("own", [path])
    assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
