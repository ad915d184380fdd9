import csv
import json

import numpy as np
import pytest
from tiny_tokenizer import SIZE, ids, write_tokenizer

from distill_jax.data import load_dataset
from distill_jax.data.dataset import Vocabulary
from distill_jax.data.sources import tfds_text
from distill_jax.setting import DataSetting

START, PAD, END = 0, 1, 2
TRAIN = [("good", "yes", 1), ("so bad", "no", 0), ("a <pad> </s> b", "<s>", 1)]
TEST = [("good, isn't it", "y\nn", 0)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return write_tokenizer(tmp_path_factory.mktemp("tiny") / "tokenizer")


def write_csv(path, rows, columns):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def write_jsonl(path, rows, columns):
    path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))


def write_parquet(path, rows, columns):
    import pyarrow
    import pyarrow.parquet

    table = {column: list(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)}
    pyarrow.parquet.write_table(pyarrow.table(table), path)


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


@pytest.fixture
def folder(tmp_path):
    """A user's folder of pairs, as CSV."""
    own = tmp_path / "own"
    own.mkdir()
    for split, rows in (("train", TRAIN), ("test", TEST)):
        write_csv(own / f"{split}.csv", rows, ["text", "text_pair", "label"])
    return own


def load(folder, tokenizer, **fields):
    given = {"length": 24, "cache_dir": folder.parent / "cache"} | fields
    return load_dataset(DataSetting(dataset=str(folder), tokenizer=tokenizer, **given))


def padded(tokens, length=24):
    return tokens + [PAD] * (length - len(tokens))


@pytest.mark.parametrize("kind", WRITERS)
def test_pairs_are_as_roberta_wants_them(folder, tokenizer, kind):
    for split, rows in (("train", TRAIN), ("test", TEST)):
        (folder / f"{split}.csv").unlink()
        WRITERS[kind](folder / f"{split}.{kind}", rows, ["text", "text_pair", "label"])
    for _ in range(2):  # tokenised, then from the cache
        data = load(folder, tokenizer)
        for split, rows in ((data.train, TRAIN), (data.test, TEST)):
            assert split.x.dtype == np.uint16
            for tokens, (first, second, _) in zip(split.x, rows, strict=True):
                expected = [START, *ids(first), END, END, *ids(second.replace("\n", "Ċ")), END]
                np.testing.assert_array_equal(tokens, padded(expected))
            np.testing.assert_array_equal(split.label, [label for *_, label in rows])
            np.testing.assert_array_equal(split.id, np.arange(len(rows)))
    assert data.vocabulary == Vocabulary(SIZE, PAD)
    assert (data.num_classes, data.input_shape, data.name) == (2, (24,), "own")
    assert data.mean is None


def test_texts_alone(folder, tokenizer):
    for split, rows in (("train", TRAIN), ("test", TEST)):
        write_csv(folder / f"{split}.csv", [(label, text) for text, _, label in rows], ["label", "text"])
    np.testing.assert_array_equal(load(folder, tokenizer).train.x[1], padded([START, *ids("so bad"), END]))


def test_what_is_too_long_is_cut_where_asked(folder, tokenizer):
    # 'so bad', 'no' is <s>so bad</s></s>no</s>, 12 tokens; the longer of the pair loses first.
    end = load(folder, tokenizer, length=10)
    np.testing.assert_array_equal(end.train.x[1], [START, *ids("so b"), END, END, *ids("no"), END])
    start = load(folder, tokenizer, length=10, truncation="start")
    np.testing.assert_array_equal(start.train.x[1], [START, *ids(" bad"), END, END, *ids("no"), END])
    whole = load(folder, tokenizer, truncation="refuse")
    np.testing.assert_array_equal(whole.train.x, load(folder, tokenizer).train.x)
    assert len({data.fingerprint for data in (end, start, whole)}) == 3


def test_the_cache_goes_by_tokenizer_length_and_truncation(folder, tokenizer, tmp_path):
    cache = folder.parent / "cache"
    load(folder, tokenizer)
    moved = write_tokenizer(tmp_path / "the same elsewhere")
    load(folder, moved)
    assert len(list(cache.iterdir())) == 1
    vocabulary = json.loads((moved / "vocab.json").read_text())
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (moved / "vocab.json").write_text(json.dumps(vocabulary))
    np.testing.assert_array_equal(load(folder, moved).train.x[1, 4:7], ids("abd"))  # of 'bad'
    load(folder, tokenizer, length=16)
    load(folder, tokenizer, length=16, truncation="start")
    assert len(list(cache.iterdir())) == 4
    write_csv(folder / "test.csv", [("other", "x", 1)], ["text", "text_pair", "label"])
    np.testing.assert_array_equal(load(folder, tokenizer).test.x[0, 1:6], ids("other"))


def test_noise_subset_and_many_tokens(folder, tokenizer, tmp_path):
    rows = [(f"text {i}", i % 2) for i in range(40)]
    for split in ("train", "test"):
        write_csv(folder / f"{split}.csv", rows, ["text", "label"])
    data = load(folder, tokenizer, label_noise=0.25, train_examples=20)
    assert (data.train.label != data.train.true_label).sum() == 5
    assert np.array_equal(data.train.id % 2, data.train.true_label)
    large = write_tokenizer(tmp_path / "large")
    vocabulary = json.loads((large / "vocab.json").read_text())
    (large / "vocab.json").write_text(json.dumps(vocabulary | {"some": 2**16}))
    assert load(folder, large).train.x.dtype == np.int32
    assert load(folder, large).vocabulary.size == 2**16 + 1


def rewrite(split, rows, columns=("text", "text_pair", "label")):
    return lambda folder: write_csv(folder / f"{split}.csv", rows, columns)


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda f: (f / "test.csv").unlink(), ["has no test file", "as .csv, .tsv, .jsonl or .parquet"]),
        (lambda f: (f / "test.jsonl").touch(), ["has test.csv and test.jsonl", "one of each"]),
        (lambda f: (f / "train.csv").write_text(""), ["train.csv has no rows"]),
        (lambda f: (f / "train.csv").write_bytes(b"text,label\n\xff,1\n"), ["train.csv cannot be read"]),
        (rewrite("train", [("a", 1)], ["words", "label"]), ["train.csv has no column text"]),
        (rewrite("test", [("a", 1)], ["text", "class"]), ["test.csv has no column label"]),
        (rewrite("train", [("a", "b", 0), ("", "b", 1)]), ["train.csv line 3: text is empty"]),
        (rewrite("train", [("a", " \t", 0)]), ["train.csv line 2: text_pair is empty"]),
        (rewrite("train", [("a", "b", " ")]), ["train.csv line 2: label is ' '; must be an integer or a word"]),
        (rewrite("train", [("a", "b", 0), ("a", "b", 0)]), ["train.csv has one class only, 0"]),
        (rewrite("train", [("a", "b", i) for i in range(12)]), ["12 different labels in 12 examples"]),
        (rewrite("test", [("a", "b", 2)]), ["test.csv has the label 2, which train.csv has not"]),
        (rewrite("test", [("a", 1)], ["text", "label"]), ["one split has pairs of texts, the other has not"]),
    ],
)
def test_users_texts_that_cannot_be_right(folder, tokenizer, fails, damage, parts):
    damage(folder)
    fails(f"data.dataset {folder}: ", *parts, dataset=str(folder), tokenizer=tokenizer, cache_dir=folder / "cache")
    assert not (folder / "cache").exists()


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("train.jsonl", '{"text": "a", "label": 0}\n[1]\n', ["line 2: [1] is no JSON object"]),
        ("train.jsonl", '{"text": "a", "label": 0}\n{"text":', ["train.jsonl cannot be read"]),
        ("train.jsonl", '{"text": 3, "label": 0}\n', ["line 1: text is 3; must be a text"]),
        ("train.jsonl", '{"text": "a", "label": 0.5}\n', ["label is 0.5"]),
        (
            "train.jsonl",
            '{"text": "a", "text_pair": "b", "label": 0}\n{"text": "a", "label": 1}\n',
            ["line 2: text_pair is in some lines and not in all"],
        ),
        ("train.parquet", "PAR1", ["train.parquet cannot be read"]),
    ],
)
def test_other_formats_that_cannot_be_right(folder, tokenizer, fails, name, content, parts):
    (folder / "train.csv").unlink()
    (folder / name).write_text(content)
    fails(f"data.dataset {folder}: ", *parts, dataset=str(folder), tokenizer=tokenizer)


def test_a_file_is_no_folder(folder, tokenizer, fails):
    fails("data.dataset ", "is a file", dataset=str(folder / "train.csv"), tokenizer=tokenizer)
    fails("data.dataset ", "is not there", dataset=str(folder / "absent.jsonl"), tokenizer=tokenizer)


def test_options_that_cannot_be_right(folder, tokenizer, tmp_path, fails):
    given = {"dataset": str(folder), "tokenizer": tokenizer, "cache_dir": tmp_path / "cache"}
    fails("data.tokenizer: must be given", "vocab.json and merges.txt", **(given | {"tokenizer": None}))
    fails(f"data.tokenizer {tmp_path}: must be", "tokenizer.json", **(given | {"tokenizer": tmp_path}))
    damaged = write_tokenizer(tmp_path / "damaged")
    (damaged / "vocab.json").write_text("{")
    fails(f"data.tokenizer {damaged}: cannot be read", **(given | {"tokenizer": damaged}))
    fails("data.length 7: must be 8 to 65536", **(given | {"length": 7}))
    fails(
        "data.length 12: must be 21 or more for the longest train text",
        **(given | {"length": 12, "truncation": "refuse"}),
    )
    fails("data.augment crop: must be none", **(given | {"augment": "crop"}))
    fails("data.image_size 4: must not be given", **(given | {"image_size": 4}))
    fails("data.label class: must be label", **(given | {"label": "class"}))
    assert not list((tmp_path / "cache").glob("*-12-*"))


@pytest.fixture
def prepared(tmp_path):
    """A function that lays out a data set of TFDS: its folder, name, features and the examples of each split."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2 as proto

    def write(name, config, texts, classes, splits):
        folder = tmp_path / "tfds" / name / config / "1.0.0"
        folder.mkdir(parents=True)
        for split, examples in splits.items():
            writer = ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
            for given in examples:
                example = proto.Example()
                for key, value in given.items():
                    feature = example.features.feature[key]
                    if isinstance(value, str):
                        feature.bytes_list.value.append(value.encode())
                    else:
                        feature.int64_list.value.append(value)
                writer.write(example.SerializeToString())
            writer.close()
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        info = {"name": name, "version": "1.0.0", "fileFormat": "array_record"} | (
            {"configName": config} if config else {}
        )
        info["splits"] = [
            {"name": split, "filepathTemplate": template, "shardLengths": [str(len(examples))]}
            for split, examples in splits.items()
        ]
        (folder / "dataset_info.json").write_text(json.dumps(info))
        core = "tensorflow_datasets.core.features."
        features = {text: {"pythonClassName": core + "text_feature.Text", "text": {}} for text in texts}
        features["label"] = {
            "pythonClassName": core + "class_label_feature.ClassLabel",
            "classLabel": {"numClasses": str(classes)},
        }
        if "idx" in next(iter(splits.values()))[0]:
            scalar = {"shape": {}, "dtype": "int32", "encoding": "none"}
            features["idx"] = {"pythonClassName": core + "tensor_feature.Tensor", "tensor": scalar}
        whole = {"pythonClassName": core + "features_dict.FeaturesDict", "featuresDict": {"features": features}}
        (folder / "features.json").write_text(json.dumps(whole))
        return tmp_path / "tfds"

    return write


SETS = {
    "glue/mnli": ("mnli", ("premise", "hypothesis"), 3, "validation_matched"),
    "glue/qqp": ("qqp", ("question1", "question2"), 2, "validation"),
    "glue/sst2": ("sst2", ("sentence",), 2, "validation"),
    "glue/cola": ("cola", ("sentence",), 2, "validation"),
    "glue/mrpc": ("mrpc", ("sentence1", "sentence2"), 2, "validation"),
    "glue/qnli": ("qnli", ("question", "sentence"), 2, "validation"),
    "glue/rte": ("rte", ("sentence1", "sentence2"), 2, "validation"),
    "imdb_reviews": ("plain_text", ("text",), 2, "test"),
    "ag_news_subset": ("", ("title", "description"), 4, "test"),
}


@pytest.mark.parametrize("name", SETS)
def test_data_sets_of_tfds(prepared, tokenizer, tmp_path, name):
    config, texts, classes, tested = SETS[name]
    of_glue = name.startswith("glue")

    def examples(split, count):
        made = []
        for i in range(count):
            of_it = {text: f"{split} {text} {i}" for text in texts} | {"label": i % classes}
            made.append(of_it | ({"idx": 100 - i} if of_glue else {}))
        return made

    splits = {"train": examples("a", 12), tested: examples("b", 5)}
    folder = prepared(name.split("/")[0], config, texts, classes, splits)
    data = load_dataset(DataSetting(name, folder, tmp_path / "cache", tokenizer=tokenizer, length=64))
    assert data.num_classes == classes
    for split, given in ((data.train, splits["train"]), (data.test, splits[tested])):
        for row, example in enumerate(given):
            expected = [START, *ids(example[texts[0]]), END]
            if len(texts) > 1:
                expected += [END, *ids(example[texts[1]]), END]
            np.testing.assert_array_equal(split.x[row], padded(expected, 64))
            assert split.label[row] == example["label"]
            assert split.id[row] == (100 - row if of_glue else row)


def test_data_sets_of_tfds_that_are_not_there(tokenizer, tmp_path, fails):
    for name in SETS:
        fails("data.data_dir: must be given", "tfds.builder(", dataset=name, tokenizer=tokenizer)
        given = {"dataset": name, "tokenizer": tokenizer, "data_dir": tmp_path}
        fails(f"data.data_dir {tmp_path}: ", "is not prepared there", f"tfds.builder('{name}", **given)


class FirstOf:
    """The first 600 records of a split of TFDS, since all of them take half a minute."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return 600

    def __getitems__(self, rows):
        return self.source.__getitems__(rows)


def test_imdb_with_the_real_tokenizer(data_root, tfds_dir, tmp_path, monkeypatch):
    folder = data_root / "roberta-tokenizer"
    if not folder.is_dir() or not (tfds_dir / "imdb_reviews").is_dir():
        pytest.skip("no roberta-tokenizer or no imdb_reviews there")
    import tensorflow_datasets as tfds
    import transformers

    read = tfds_text._read
    monkeypatch.setattr(tfds_text, "_read", lambda of, source: read(of, FirstOf(source)))
    given = {"data_dir": tfds_dir, "cache_dir": tmp_path, "tokenizer": folder}
    data = load_dataset(DataSetting("imdb_reviews", length=64, **given))
    assert (data.vocabulary, data.num_classes) == (Vocabulary(50265, PAD), 2)
    assert isinstance(data.train.x, np.memmap)
    source = tfds.data_source("imdb_reviews", data_dir=tfds_dir, split="test", download=False)
    tokenizer = transformers.RobertaTokenizer.from_pretrained(folder)
    for row in range(0, 600, 20):
        expected = tokenizer(source[row]["text"].decode(), truncation=True, max_length=64, padding="max_length")
        np.testing.assert_array_equal(data.test.x[row], expected["input_ids"])
        assert data.test.label[row] == source[row]["label"]
