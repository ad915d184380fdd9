import shutil

import numpy as np
import pytest
from PIL import Image

from distill_jax.data import load_dataset, picture_paths
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting


def load(folder, cache, **fields):
    return load_dataset(DataSetting(dataset="tiny-imagenet", data_dir=folder, cache_dir=cache, **fields))


def write(path, value, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255 - value)).save(path, "JPEG", quality=95)


@pytest.fixture
def small(tmp_path):
    """Three classes, wnids.txt not in alphabetical order; numbers whose order as text differs."""
    root = tmp_path / "tiny"
    for c, wnid in enumerate(["n00000003", "n00000001", "n00000002"]):
        for number in (0, 2, 10):
            path = root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG"
            write(path, 80 * c + number, mode="L" if number == 2 else "RGB")
    lines = []
    for number, wnid in ((11, "n00000001"), (2, "n00000003"), (5, "n00000002"), (7, "n00000009")):
        write(root / "val" / "images" / f"val_{number}.JPEG", number * 10)
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t5\t5\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("n00000003\nn00000001\nn00000002\n")
    return root


def test_order_labels_and_ids(small, tmp_path):
    for _ in range(2):  # decoded, then from the cache
        dataset = load(small, tmp_path / "cache")
        assert dataset.num_classes == 3
        assert dataset.input_shape == (8, 8, 3)
        np.testing.assert_array_equal(dataset.train.label, [0, 0, 0, 1, 1, 1, 2, 2, 2])
        numbers = [0, 2, 10]
        np.testing.assert_array_equal(dataset.train.id, [1000 * w + n for w in (3, 1, 2) for n in numbers])
        np.testing.assert_array_equal(dataset.test.id, [2, 5, 11])
        np.testing.assert_array_equal(dataset.test.label, [0, 2, 1])
        red = dataset.train.x[..., 0].mean(axis=(1, 2))
        np.testing.assert_allclose(red, [80 * c + n for c in range(3) for n in numbers], atol=3)
        grey = dataset.train.x[1::3]
        np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
        np.testing.assert_allclose(dataset.test.x[..., 0].mean(axis=(1, 2)), [20, 50, 110], atol=3)


def test_the_path_of_every_image_is_that_of_its_pixels(small, tmp_path):
    dataset = load(small, tmp_path / "cache")
    paths = picture_paths(DataSetting(dataset="tiny-imagenet", data_dir=small))
    for split in ("train", "test"):
        examples = getattr(dataset, split)
        assert paths[split].keys() == set(examples.id.tolist())
        for number, x in zip(examples.id.tolist(), examples.x, strict=True):
            with Image.open(small / paths[split][number]) as image:
                np.testing.assert_array_equal(x, np.asarray(image.convert("RGB")))


def test_classes_without_wnids(small, tmp_path):
    (small / "wnids.txt").unlink()
    dataset = load(small, tmp_path / "cache")
    np.testing.assert_array_equal(dataset.train.id[::3], [1000, 2000, 3000])
    np.testing.assert_array_equal(dataset.test.label, [2, 1, 0])


def test_other_order_of_wnids_is_no_hit_in_the_cache(small, tmp_path):
    load(small, tmp_path / "cache")
    (small / "wnids.txt").write_text("n00000001\nn00000002\nn00000003\n")
    np.testing.assert_array_equal(load(small, tmp_path / "cache").test.label, [2, 1, 0])


@pytest.mark.parametrize("leftovers", [False, True])
def test_validation_images_in_folders_of_classes(small, tmp_path, leftovers):
    before = load(small, tmp_path / "cache")
    for line in (small / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split()[:2]
        target = small / "val" / wnid / "images" / name
        target.parent.mkdir(parents=True)
        shutil.move(small / "val" / "images" / name, target)
    if not leftovers:
        (small / "val" / "val_annotations.txt").unlink()
        (small / "val" / "images").rmdir()
    after = load(small, tmp_path / "cache")
    assert after.fingerprint == before.fingerprint


def test_the_subset(tiny_dir, session_cache):
    dataset = load(tiny_dir, session_cache)
    wnids = (tiny_dir / "wnids.txt").read_text().split()
    assert dataset.num_classes == len(wnids)
    assert dataset.input_shape == (64, 64, 3)
    images = sorted((tiny_dir / "train").glob("*/images/*.JPEG"))
    assert len(dataset.train.id) == len(images) == len(set(dataset.train.id.tolist()))
    row_of = {identifier: row for row, identifier in enumerate(dataset.train.id.tolist())}
    greys = 0
    for path in images[::7]:
        wnid, number = path.stem.split("_")
        row = row_of[int(wnid[1:]) * 1000 + int(number)]
        assert wnids[dataset.train.label[row]] == wnid
        with Image.open(path) as image:
            greys += image.mode == "L"
            np.testing.assert_array_equal(dataset.train.x[row], np.asarray(image.convert("RGB")))
    lines = (tiny_dir / "val" / "val_annotations.txt").read_text().splitlines()
    assert len(lines) == len(dataset.test.id)
    label_of = dict(zip(dataset.test.id.tolist(), dataset.test.label.tolist(), strict=True))
    for line in lines:
        name, wnid = line.split()[:2]
        assert wnids[label_of[int(name.removeprefix("val_").removesuffix(".JPEG"))]] == wnid


def test_ids_are_those_of_the_whole_in_a_subset(tiny_dir, session_cache):
    whole, part = load(tiny_dir, session_cache), load(tiny_dir, session_cache, classes=3, train_examples=30)
    rows = np.flatnonzero(np.isin(whole.train.id, part.train.id))
    assert len(rows) == 30
    np.testing.assert_array_equal(part.train.x, whole.train.x[rows])


def truncate(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda d: shutil.rmtree(d / "train"), ["has no train/n00000003"]),
        (lambda d: shutil.rmtree(d / "train" / "n00000002"), ["has no train/n00000002", "unpack it again"]),
        (lambda d: (shutil.rmtree(d / "train"), (d / "wnids.txt").unlink()), ["fewer than 2 classes"]),
        (lambda d: (d / "wnids.txt").write_text("n00000001\n"), ["fewer than 2 classes"]),
        (lambda d: (d / "wnids.txt").write_text("../x\ny\n"), ["'../x' is no wnid"]),
        (lambda d: (d / "wnids.txt").write_bytes(b"\xff\xfe"), []),
        (lambda d: shutil.rmtree(d / "train" / "n00000002" / "images"), ["n00000002: has no images"]),
        (lambda d: shutil.rmtree(d / "val"), ["val"]),
        (lambda d: (d / "val" / "val_annotations.txt").unlink(), ["val_annotations.txt"]),
        (lambda d: (d / "val" / "val_annotations.txt").write_text("\nx\n"), ["no image of these classes"]),
        (lambda d: (d / "val" / "images" / "val_2.JPEG").unlink(), ["has no val/images/val_2.JPEG"]),
        (lambda d: truncate(d / "train/n00000001/images/n00000001_0.JPEG"), ["_0.JPEG cannot be decoded"]),
        (lambda d: (d / "val/images/val_5.JPEG").write_text("<html>"), ["val_5.JPEG cannot be decoded"]),
        (lambda d: write(d / "train/n00000001/images/n00000001_2.JPEG", 9, (9, 8)), ["has 9x8 pixels"]),
        (lambda d: write(d / "train/n00000001/images/n00000001_1002.JPEG", 9), ["two images in train/"]),
        (lambda d: write(d / "train/n00000001/images/cat.JPEG", 9), ["cat.JPEG has no number"]),
        (lambda d: [write(p, 9, (9, 9)) for p in (d / "val").rglob("*.JPEG")], ["differ in size"]),
    ],
)
def test_damage_is_refused_in_one_line(small, tmp_path, fails, damage, parts):
    damage(small)
    fields = {"dataset": "tiny-imagenet", "data_dir": small, "cache_dir": tmp_path / "cache"}
    fails(f"data.data_dir {small}", *parts, **fields)


def test_missing_folder(tmp_path, fails):
    fails("data.data_dir: must be given", "tiny-imagenet-200.zip", dataset="tiny-imagenet")
    fails("data.data_dir", "does not exist", "200.zip", dataset="tiny-imagenet", data_dir=tmp_path / "a")


def test_label(small, tmp_path, fails):
    fields = {"dataset": "tiny-imagenet", "data_dir": small, "cache_dir": tmp_path / "cache"}
    fails("data.label kind: must be label", label="kind", **fields)


def test_what_is_left_out_is_said_with_counts(small, session_cache):
    of_val = "{} of 4 images of val/ are left out, of other classes or of none"
    assert load(small, session_cache).notes == (of_val.format(1),)
    names = (small / "wnids.txt").read_text().split()
    (small / "wnids.txt").write_bytes(b"\xef\xbb\xbf" + "\n".join(names[:2]).encode())  # as some systems begin a text
    assert load(small, session_cache).notes == (
        f"classes of train/ that are not read: {names[2]}",
        of_val.format(2),
    )


def test_pictures_that_would_be_passed_over_are_refused(small, session_cache):
    (small / "train" / "n00000001" / "images" / "n00000001_11.webp").write_bytes(b"")
    with pytest.raises(InputError, match=r"n00000001_11\.webp is a picture of a kind that is not read"):
        load(small, session_cache)


def test_a_line_of_the_annotations_that_is_there_twice_is_named(small, session_cache):
    lines = (small / "val" / "val_annotations.txt").read_text().splitlines()
    (small / "val" / "val_annotations.txt").write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(InputError, match=f"val_annotations.txt names {lines[0].split()[0]} twice"):
        load(small, session_cache)
