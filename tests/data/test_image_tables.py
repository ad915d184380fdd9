"""Tables with a column of pictures: Parquet files as the hub has them, and folders that `datasets` has saved."""

import io
import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

NAMES = ["hen", "cat", "dog"]  # not in the order of the alphabet


def png(pixels):
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def write(folder, name, labels, seed=0, column="image", label="label", named=True, plain=False):
    folder.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    pictures = [png(pixels) if plain else {"bytes": png(pixels), "path": None} for pixels in x]
    table = pyarrow.table({column: pictures, label: labels, "index": list(range(len(labels)))})
    features = {label: {"names": NAMES, "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if named else None
    table = table.replace_schema_metadata(metadata)
    if name.endswith(".parquet"):
        parquet.write_table(table, folder / name)
    else:
        with pyarrow.ipc.new_stream(str(folder / name), table.schema) as stream:
            stream.write_table(table)
    return x


def save(folder, splits):
    """A folder as `save_to_disk` makes it, each split of two files; their pictures."""
    folder.mkdir()
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    pictures = {}
    for seed, (split, labels) in enumerate(splits.items()):
        names = [f"data-{part:05d}-of-00002.arrow" for part in (0, 1)]
        half = len(labels) // 2
        parts = [
            write(folder / split, name, of_part, 2 * seed + part)
            for part, (name, of_part) in enumerate(zip(names, (labels[:half], labels[half:]), strict=True))
        ]
        (folder / split / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
        pictures[split] = np.concatenate(parts)
    return pictures


@pytest.mark.parametrize("place", ["", "data"])
@pytest.mark.parametrize("test", ["test", "validation"])
@pytest.mark.parametrize("plain", [False, True])
def test_a_folder_of_the_hub(tmp_path, load, place, test, plain):
    folder = tmp_path / "own" / place
    first = write(folder, "train-00000-of-00002.parquet", [0, 1, 2, 0], 0, plain=plain)
    second = write(folder, "train-00001-of-00002.parquet", [1, 2], 1, plain=plain)
    held_out = write(folder, f"{test}-00000-of-00001.parquet", [2, 1, 0], 2, plain=plain)
    data = load(tmp_path / "own")
    np.testing.assert_array_equal(data.train.x, np.concatenate([first, second]))
    assert data.train.label.tolist() == [0, 1, 2, 0, 1, 2]  # the file's own numbers
    assert data.names == tuple(NAMES)
    np.testing.assert_array_equal(data.test.x, held_out)
    np.testing.assert_array_equal(load(tmp_path / "own").train.x, data.train.x)


def test_a_folder_that_datasets_has_saved(tmp_path, load, fails):
    pictures = save(tmp_path / "own", {"train": [0, 1, 2, 0, 1], "validation": [2, 1], "unsupervised": [0, 1]})
    data = load(tmp_path / "own")
    np.testing.assert_array_equal(data.train.x, pictures["train"])
    np.testing.assert_array_equal(data.test.x, pictures["validation"])
    assert data.train.label.tolist() == [0, 1, 2, 0, 1]
    assert data.names == tuple(NAMES)
    assert "splits that are not read: unsupervised" in data.notes
    for path in (tmp_path / "own" / "train").glob("*.arrow"):
        path.write_bytes(path.read_bytes()[:100])
    fails(f"data.dataset {tmp_path / 'own'}: cannot be read: ", dataset=str(tmp_path / "own"))
    (tmp_path / "own" / "train" / "state.json").unlink()
    fails(f"data.dataset {tmp_path / 'own'}: cannot be read: ", "save it again", dataset=str(tmp_path / "own"))


@pytest.mark.parametrize("saved", [True, False])
def test_what_datasets_itself_makes(tmp_path, load, monkeypatch, saved):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hub"))
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    columns = {"image": [{"bytes": png(pixels), "path": None} for pixels in x], "label": [0, 1, 2, 2, 1, 0]}
    whole = datasets.Dataset.from_dict(columns, features=features)
    parts = {"train": whole.select([5, 0, 1, 2]), "test": whole.select([3, 4])}
    if saved:
        datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "own"))
        data = load(tmp_path / "own")
    else:
        (tmp_path / "own").mkdir()
        for split, part in parts.items():
            part.to_parquet(str(tmp_path / "own" / f"{split}.parquet"))
        data = load(f"hf:{tmp_path / 'own'}")
    np.testing.assert_array_equal(data.train.x, x[[5, 0, 1, 2]])
    assert data.test.label.tolist() == [2, 1]
    assert data.names == tuple(NAMES)


def test_a_name_that_the_hub_has_not(fails):
    pytest.importorskip("datasets")
    fails("data.dataset hf:nobody/nothing: cannot be loaded: ", "must be hf:NAME", dataset="hf:nobody/nothing")


def test_other_columns_and_labels_without_names(tmp_path, load, fails):
    write(tmp_path / "own", "train.parquet", ["b", "a"] * 5, column="img", label="kind", named=False)
    data = load(tmp_path / "own", label="kind")
    assert data.names == ("a", "b")
    assert np.bincount(data.test.label).tolist() == [1, 1]
    assert data.notes[0] == "2 of 10 pictures, a fifth of each class, are held out for the test"
    fails("data.label label: must be kind or index for", dataset=str(tmp_path / "own"))


def test_a_file_that_is_written_again_is_read_again(tmp_path, load):
    write(tmp_path / "own", "test.parquet", [0, 1, 2])
    for seed in (1, 2):
        x = write(tmp_path / "own", "train.parquet", [0, 1, 2] * 4, seed)
        np.testing.assert_array_equal(load(tmp_path / "own").train.x, x)


def test_a_part_that_is_absent_is_said(tmp_path, fails):
    write(tmp_path / "own", "train-00000-of-00002.parquet", [0, 1, 2])
    write(tmp_path / "own", "test.parquet", [0, 1, 2])
    fails(f"data.dataset {tmp_path / 'own'}: has train-00000-of-00002.parquet; must", dataset=str(tmp_path / "own"))


def test_what_cannot_be_right(tmp_path, load, fails):
    write(tmp_path / "own", "test.parquet", [0, 1])
    fails(f"data.dataset {tmp_path / 'own'}: has no split train, but test", dataset=str(tmp_path / "own"))
    write(tmp_path / "own", "train.parquet", [0, 1, None, 1])
    fails(f"data.dataset {tmp_path / 'own' / 'train.parquet'}: row 2 has no label", dataset=str(tmp_path / "own"))
    write(tmp_path / "own", "train.parquet", [0, 1, 0, 1])
    table = parquet.read_table(tmp_path / "own" / "train.parquet")
    pictures = table.column("image").to_pylist()
    pictures[1]["bytes"], pictures[3]["bytes"] = b"no picture", None
    parquet.write_table(table.set_column(0, "image", [pictures]), tmp_path / "own" / "train.parquet")
    fields = {"dataset": str(tmp_path / "own"), "cache_dir": tmp_path / "cache"}
    fails(f"data.dataset {tmp_path / 'own'}: train.parquet row 1 cannot be decoded", "(1 more are broken)", **fields)
    (tmp_path / "own" / "test.parquet").write_bytes(b"PAR1")
    fails(f"data.dataset {tmp_path / 'own'}: cannot be read: ", **fields)
    write(tmp_path / "hidden", "train.parquet", [0, 1, 0, 1])
    write(tmp_path / "hidden", "test.parquet", [-1, -1])
    fails(
        f"data.dataset {tmp_path / 'hidden'}: test has the label -1, which train has not",
        dataset=str(tmp_path / "hidden"),
    )
