"""Folders of data that bring code with them: none of it is imported or run, whichever loader reads them."""

import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
from tiny_tokenizer import write_tokenizer

from distill_jax.data.sources.tokens import load_tokenizer

CLASS = "data.mnist.evil.Evil"
LABEL = "tensorflow_datasets.core.features.class_label_feature.ClassLabel"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A current folder with data/mnist/evil.py, which leaves a mark when it is imported."""
    package = tmp_path / "data" / "mnist"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "data"]:
        del sys.modules[name]
    assert not (tmp_path / "mark").exists()


WAYS = {
    "as a feature": {"pythonClassName": CLASS, "tensor": {}},
    "in the other spelling": {"python_class_name": CLASS, "tensor": {}},
    "as TFDS once had it": {"type": CLASS, "content": {}},
    "in a text": {"pythonClassName": LABEL, "jsonFeature": {"json": json.dumps({"type": CLASS})}},
}


@pytest.mark.parametrize("name", ["mnist", "imdb_reviews"])
@pytest.mark.parametrize("way", WAYS)
def test_a_class_that_features_json_names(evil, fails, name, way):
    prepared = evil / "tfds" / ("imdb_reviews/plain_text" if name == "imdb_reviews" else name) / "1.0.0"
    prepared.mkdir(parents=True)
    (prepared / "dataset_info.json").write_text(json.dumps({"name": name, "version": "1.0.0"}))
    dict_s = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    features = {"pythonClassName": dict_s, "featuresDict": {"features": {"x": WAYS[way]}}}
    (prepared / "features.json").write_text(json.dumps(features))
    given = {"data_dir": evil / "tfds", "cache_dir": evil / "cache", "tokenizer": write_tokenizer(evil / "tokenizer")}
    fails(f"data.data_dir {evil / 'tfds'}: ", "must be of TFDS's own classes", dataset=name, **given)


class Marked:
    """Whose pickle imports the module when it is read."""

    def __reduce__(self):
        return __import__, ("data.mnist.evil",)


def test_pickles_in_arrays(evil, fails):
    good = {f"{k}_{s}": np.arange(20) % 2 for s in ("train", "test") for k in "xy"}
    np.savez(evil / "a.npz", **good | {"x_train": np.array([Marked()] * 20, dtype=object)})
    fails(f"data.dataset {evil / 'a.npz'}: cannot be read", "allow_pickle", dataset=str(evil / "a.npz"))
    with zipfile.ZipFile(evil / "b.npz", "w") as file:
        for name in good:
            file.writestr(f"{name}.npy", pickle.dumps(Marked()))
    fails(f"data.dataset {evil / 'b.npz'}: ", dataset=str(evil / "b.npz"))


def test_classes_that_a_tokenizer_names(evil):
    folder = write_tokenizer(evil / "tokenizer")
    remote = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": remote}))
    (folder / "evil.py").write_text((evil / "data" / "mnist" / "evil.py").read_text())
    tokenizer, _ = load_tokenizer(folder, "own")
    assert type(tokenizer).__module__.startswith("transformers.")


def test_pickles_in_parquet(evil, fails):
    import pyarrow
    import pyarrow.parquet

    own = evil / "own"
    own.mkdir()
    schema = pyarrow.schema(
        [
            pyarrow.field(
                "text",
                pyarrow.binary(),
                metadata={
                    "ARROW:extension:name": "arrow.py_extension_type",
                    "ARROW:extension:metadata": pickle.dumps(Marked(), protocol=0),
                },
            ),
            pyarrow.field("label", pyarrow.int64()),
        ]
    )
    for split in ("train", "test"):
        pyarrow.parquet.write_table(
            pyarrow.table({"text": [b"a", b"b"], "label": [0, 1]}, schema), own / f"{split}.parquet"
        )
    fails(f"data.dataset {own}: train.parquet", dataset=str(own), tokenizer=write_tokenizer(evil / "tokenizer"))
