"""Folders of pictures as people have them: what is read, what is said, what is refused."""

import io
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

SIDE = 12


def colours(rng, height=SIDE, width=SIDE):
    """A picture without edges, which formats that lose something keep to a few values."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    corners = rng.uniform(40, 200, (3, 3))
    return (
        (corners[0] + corners[1] * x[..., None] * 0.2 + corners[2] * y[..., None] * 0.2).clip(0, 255).astype(np.uint8)
    )


def write(folder, per_class=3, suffix="png", splits=("train", "test"), classes=("cat", "dog"), **how):
    rng, made = np.random.default_rng(0), {}
    for split in splits:
        for name in classes:
            place = folder / split / name if split else folder / name
            place.mkdir(parents=True)
            for i in range(per_class):
                made[place / f"{i}.{suffix}"] = pixels = colours(rng, **how)
                Image.fromarray(pixels).save(
                    place / f"{i}.{suffix}", **({"quality": 95} if suffix in ("jpg", "JPEG", "webp") else {})
                )
    return made


def test_pictures_are_as_they_were_drawn(tmp_path, load):
    made = write(tmp_path / "own")
    data = load(tmp_path / "own")
    right = list(made.values())
    np.testing.assert_array_equal(data.train.x, right[:6])
    np.testing.assert_array_equal(data.test.x, right[6:])
    assert data.train.label.tolist() == data.test.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.id.tolist() == list(range(6))
    assert data.names == ("cat", "dog")
    assert data.notes == ("labels are numbered in this order: 0 = cat, 1 = dog",)
    again = load(tmp_path / "own")
    assert isinstance(again.train.x, np.memmap)
    np.testing.assert_array_equal(again.train.x, data.train.x)


@pytest.mark.parametrize(("suffix", "off"), [("jpg", 4), ("webp", 8), ("bmp", 0), ("tiff", 0), ("JPEG", 4)])
def test_other_formats(tmp_path, load, suffix, off):
    made = write(tmp_path / "own", suffix=suffix)
    difference = np.abs(load(tmp_path / "own").train.x.astype(int) - np.stack(list(made.values())[:6]))
    assert difference.max() <= off


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "TEST"])
def test_names_of_the_test_folder(tmp_path, load, name):
    write(tmp_path / "own", splits=("Train", name))
    assert len(load(tmp_path / "own").test.label) == 6


def test_test_is_taken_before_val_and_the_other_is_said(tmp_path, load):
    write(tmp_path / "own", splits=("train", "val", "test"))
    data = load(tmp_path / "own")
    assert data.notes[0] == "folders of own/ that are not read: val/"


def test_without_a_test_folder_a_fifth_of_each_class_is_held_out_and_said(tmp_path, load):
    made = write(tmp_path / "own", per_class=10, splits=("",))
    data, other = load(tmp_path / "own"), load(tmp_path / "own", noise_seed=1)
    assert np.bincount(data.test.label).tolist() == [2, 2]
    assert np.bincount(data.train.label).tolist() == [8, 8]
    assert sorted([*data.train.id, *data.test.id]) == list(range(20))
    assert data.test.id.tolist() != other.test.id.tolist()
    np.testing.assert_array_equal(data.test.x, np.stack(list(made.values()))[data.test.id])
    assert data.notes[0] == "4 of 20 pictures, a fifth of each class, are held out for the test"


def test_kinds_of_pixels(tmp_path, load):
    """Of each class one picture of a kind: all become 8 bits of three colours."""
    rng = np.random.default_rng(1)
    rgb = colours(rng)
    image = Image.fromarray(rgb)
    alpha = image.copy()
    alpha.putalpha(Image.fromarray(rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)))
    kinds = {
        "rgb": (image, rgb, 0),
        "rgba": (alpha, rgb, 0),
        "palette": (image.quantize(32), np.asarray(image.quantize(32).convert("RGB")), 0),
        "grey": (image.convert("L"), np.repeat(np.asarray(image.convert("L"))[..., None], 3, 2), 0),
        "one-bit": (image.convert("1"), np.repeat(np.asarray(image.convert("1").convert("L"))[..., None], 3, 2), 0),
    }
    deep = (np.asarray(image.convert("L")).astype(np.uint16) * 257).astype(np.uint16)
    kinds["deep"] = Image.fromarray(deep), np.repeat(np.asarray(image.convert("L"))[..., None], 3, 2), 0
    for name, (picture, _, _) in kinds.items():
        for split in ("train", "val"):
            for i in range(2):
                (tmp_path / "own" / split / name).mkdir(parents=True, exist_ok=True)
                picture.save(tmp_path / "own" / split / name / f"{i}.png")
    for split in ("train", "val"):
        (tmp_path / "own" / split / "cmyk").mkdir()
        for i in range(2):
            image.convert("CMYK").save(tmp_path / "own" / split / "cmyk" / f"{i}.jpg", quality=98)
    data = load(tmp_path / "own")
    assert data.train.x.shape == (14, SIDE, SIDE, 3)
    for name, (_, right, off) in kinds.items():
        of = data.train.x[data.train.label == data.names.index(name)]
        assert np.abs(of.astype(int) - right).max() <= off, name
    of = data.train.x[data.train.label == data.names.index("cmyk")]
    assert np.abs(of.astype(int) - rgb).max() <= 6
    assert "4 of 28 pictures have 16 bits of grey, and are rounded to 8" in data.notes
    assert "4 of 28 pictures have an alpha channel, which is dropped" in data.notes


def test_grey_alone_has_one_channel(tmp_path, load):
    for path, pixels in write(tmp_path / "own").items():
        Image.fromarray(pixels).convert("L").save(path)
    assert load(tmp_path / "own").train.x.shape == (6, SIDE, SIDE, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_was(tmp_path, load, orientation):
    rng = np.random.default_rng(2)
    seen = colours(rng, height=8, width=14)
    turned = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.transpose(1, 0, 2),
        6: seen.transpose(1, 0, 2)[::-1],
        7: seen.transpose(1, 0, 2)[::-1, ::-1],
        8: seen.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in write(tmp_path / "own", height=8, width=14):
        Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
    x = load(tmp_path / "own").train.x
    assert x.shape == (6, 8, 14, 3)
    np.testing.assert_array_equal(x[0], seen)


def test_sizes_that_differ_need_one_to_be_chosen(tmp_path, load, fails):
    made = write(tmp_path / "own")
    first = next(iter(made))
    Image.fromarray(colours(np.random.default_rng(3), 30, 20)).save(first)
    fields = {"dataset": str(tmp_path / "own"), "cache_dir": tmp_path / "cache"}
    fails("data.image_size: must be given, since pictures differ in size: train/cat/0.png 20x30 and train", **fields)
    data = load(tmp_path / "own", image_size=8)
    assert data.train.x.shape == (6, 8, 8, 3)
    with Image.open(first) as image:  # the middle 20x20 of 20x30
        right = np.asarray(image.crop((0, 5, 20, 25)).resize((8, 8), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(data.train.x[0] - right).max() <= 3
    larger = load(tmp_path / "own", image_size=16)
    assert larger.train.x.shape == (6, 16, 16, 3)
    assert any(note.startswith("11 of 12 pictures are smaller than") for note in larger.notes)


def broken(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_broken_picture_is_named_and_can_be_left_out(tmp_path, load, fails):
    made = list(write(tmp_path / "own", per_class=4))
    broken(made[1])
    made[5].write_text("no picture")
    fields = {"dataset": str(tmp_path / "own"), "cache_dir": tmp_path / "cache"}
    said = fails(f"data.dataset {tmp_path / 'own'}: train/cat/1.png cannot be decoded: ", "truncated", **fields)
    assert said.endswith(" (1 more are broken); remove it, or give `data.skip_broken` True")
    broken_too = made.pop(1)
    broken_too.rename(broken_too.with_suffix(".kept"))
    fails(f"data.dataset {tmp_path / 'own'}: train/dog/1.png cannot be decoded: is no JPEG", **fields)
    made[4].unlink()
    broken_too.with_suffix(".kept").rename(broken_too)
    data = load(tmp_path / "own", skip_broken=True)
    assert data.train.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.id.tolist() == [0, 2, 3, 4, 5, 6]
    assert data.notes[0] == "1 of 15 pictures are broken and left out: train/cat/1.png"
    assert load(tmp_path / "own", skip_broken=True).notes == data.notes  # also from the cache


def test_classes_that_one_split_lacks(tmp_path, load, fails):
    write(tmp_path / "own", classes=("cat", "dog", "hen"))
    for path in (tmp_path / "own" / "test" / "hen").iterdir():
        path.unlink()
    fields = {"dataset": str(tmp_path / "own"), "cache_dir": tmp_path / "cache"}
    fails(f"data.dataset {tmp_path / 'own'}: test/hen/ has no picture", **fields)
    (tmp_path / "own" / "test" / "hen").rmdir()
    data = load(tmp_path / "own")
    assert data.num_classes == 3
    assert data.notes[0] == "classes without a test picture: hen"
    write(tmp_path / "more", classes=("cat", "dog"), splits=("train",))
    write(tmp_path / "more", classes=("cat", "owl"), splits=("val",))
    fails(
        f"data.dataset {tmp_path / 'more'}: val/ has the label owl, which train/ has not",
        dataset=str(tmp_path / "more"),
    )


def test_what_is_no_such_folder_is_said(tmp_path, fails):
    write(tmp_path / "own", splits=("val",))
    fails(f"data.dataset {tmp_path / 'own'}: has val/ and no train/", dataset=str(tmp_path / "own"))
    write(tmp_path / "one", classes=("cat",), per_class=20)
    fails(f"data.dataset {tmp_path / 'one'}: train/ has one class only", dataset=str(tmp_path / "one"))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, fails):
    made = list(write(tmp_path / "own"))
    large = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(large, "png")
    made[0].write_bytes(large.getvalue())
    fails(
        f"data.dataset {tmp_path / 'own'}: train/cat/0.png cannot be decoded: ", "bomb", dataset=str(tmp_path / "own")
    )


def test_decoding_by_several_threads_leaves_the_process_s_warnings_as_they_were(tmp_path, load):
    write(tmp_path / "own", per_class=100)
    before, interval = list(warnings.filters), sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-6)
        load(tmp_path / "own")
    finally:
        sys.setswitchinterval(interval)
    assert list(warnings.filters) == before


def test_numbers_of_classes_are_in_their_own_order(tmp_path, load):
    write(tmp_path / "own", classes=("0", "1", "2", "10"))
    data = load(tmp_path / "own")
    assert data.names == ("0", "1", "2", "10")
