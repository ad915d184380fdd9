"""WebDataset's shards of pictures, as its own writer lays them out."""

import io
import tarfile

import numpy as np
from PIL import Image


def write(path, examples, suffix="png", classes=True, more=()):
    """A shard of pictures with their classes; names are keys."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for key, (pixels, label) in examples.items():
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "png")
            files = {suffix: content.getvalue()} | ({"cls": str(label).encode()} if classes else {}) | dict(more)
            for name, data in files.items():
                member = tarfile.TarInfo(f"{key}.{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def drawn(labels, seed=0, prefix="a"):
    x = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 8, 3), np.uint8)
    return {f"{prefix}/{i:04}": pair for i, pair in enumerate(zip(x, labels, strict=True))}


def images(*shards):
    return np.stack([pixels for shard in shards for pixels, _ in shard.values()])


def test_shards_of_both_splits(tmp_path, load):
    first, second, test = drawn([0, 2, 1]), drawn([2, 10], 1), drawn([1, 0], 2)
    for name, shard in (("x-train-000000", first), ("x-train-000001", second), ("x-val-000000", test)):
        write(tmp_path / "own" / f"{name}.tar", shard, more={"json": b"{}"})
    data = load(tmp_path / "own")
    np.testing.assert_array_equal(data.train.x, images(first, second))
    np.testing.assert_array_equal(data.test.x, images(test))
    assert data.names == ("0", "1", "2", "10")
    assert data.train.label.tolist() == [0, 2, 1, 2, 3]
    assert "files in shards that are not read: .json" in data.notes


def test_without_test_shards_a_fifth_is_held_out(tmp_path, load):
    write(tmp_path / "own" / "train.tar", drawn(["cat", "dog"] * 5))
    data = load(tmp_path / "own")
    assert data.names == ("cat", "dog")
    assert np.bincount(data.test.label).tolist() == [1, 1]


def test_what_cannot_be_right(tmp_path, fails):
    own = tmp_path / "own"
    write(own / "val-0000.tar", drawn([0, 1]))
    fails(f"data.dataset {own}: has no shard of train", dataset=str(own))
    write(own / "train-0000.tar", drawn([0, 1]), classes=False)
    fails(f"data.dataset {own}: train-0000.tar: a/0000.png has no .cls beside it", dataset=str(own))
    write(own / "train-0000.tar", drawn([0, 1]), more={"jpg": b"again"})
    fails(f"data.dataset {own}: train-0000.tar: a/0000 has two pictures", dataset=str(own))
    write(own / "train-0000.tar", drawn([0, 1] * 300))
    whole = (own / "train-0000.tar").read_bytes()
    (own / "train-0000.tar").write_bytes(whole[: len(whole) // 2 + 7])
    fails(f"data.dataset {own}: train-0000.tar cannot be read: ", dataset=str(own))
    (own / "train-0000.tar").write_bytes(b"no archive")
    fails(f"data.dataset {own}: train-0000.tar cannot be read: ", dataset=str(own))
