"""Which example is which: the command's rows are the data's, in their order, with the paths of pictures."""

import csv

import numpy as np
import pytest
from command import refused
from PIL import Image

from distill_jax import data
from distill_jax.command import main as command_main
from distill_jax.setting import DataSetting


def ids(*words):
    command_main.main(["ids", *map(str, words)])


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def grey(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)


@pytest.mark.parametrize("parts", [("",), ("train/", "val/")])
def test_the_path_of_every_picture_is_that_of_its_pixels(tmp_path, capsys, parts):
    folder, value = tmp_path / "pictures", {}
    for part in parts:
        for name in ("2", "10", "owl, grey"):
            for i in range(6):
                value[f"{part}{name}/{i}.png"] = len(value)
                grey(folder / part / name / f"{i}.png", len(value) - 1)
    (folder / parts[0] / "2" / "3.png").write_bytes(b"broken")
    options = ["--cache-dir", tmp_path / "cache", "--skip-broken", "True"]
    ids(folder, *options, "--to", tmp_path / "ids.csv")
    assert "ids of " in capsys.readouterr().out
    found = rows_of(tmp_path / "ids.csv")
    dataset = data.load_dataset(DataSetting(dataset=str(folder), cache_dir=tmp_path / "cache", skip_broken=True))
    for split in ("train", "test"):
        of_split, examples = [row for row in found if row["split"] == split], getattr(dataset, split)
        assert [int(row["id"]) for row in of_split] == examples.id.tolist()
        assert [int(row["label"]) for row in of_split] == examples.label.tolist()
        assert [row["class"] for row in of_split] == [dataset.names[k] for k in examples.label]
        assert [value[row["path"]] for row in of_split] == examples.x[:, 0, 0, 0].tolist()
        assert all(row["class"] == row["path"].split("/")[-2] for row in of_split)
    assert len(found) == len(value) - 1


def test_an_npz_has_ids_by_which_logits_are_taken_and_labels_as_students_see_them(tmp_path):
    ids("digits", "--label-noise", "0.2", "--train-examples", "100", "--to", tmp_path / "ids.npz")
    dataset = data.load_dataset(DataSetting(label_noise=0.2, train_examples=100))
    with np.load(tmp_path / "ids.npz") as found:
        for split in ("train", "test"):
            examples = getattr(dataset, split)
            np.testing.assert_array_equal(found[f"{split}_id"], examples.id)
            np.testing.assert_array_equal(found[f"{split}_label"], examples.true_label)
            np.testing.assert_array_equal(found[f"{split}_noisy_label"], examples.label)
            np.testing.assert_array_equal(found[f"{split}_class"].astype(int), examples.true_label)
        assert not [name for name in found if "path" in name]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "must be given a data set"),
        (["--to", "{}/a.csv"], "must be given a data set"),
        (["digits"], "--to: must be given"),
        (["digits", "--to", "{}/a.txt"], "must be a file that ends in .csv or .npz"),
        (["digits", "--to", "{}/none/a.csv"], "its folder is not there"),
        (["digitz", "--to", "{}/a.csv"], "did you mean digits?"),
        (["digits", "--to", "{}/a.csv", "--augment", "crop"], "--augment: must be left out, since it changes no"),
        (
            ["digits", "--to", "{}/a.csv", "--noise-draw", "per-seed"],
            "--noise-draw: must be left out, since every seed",
        ),
        (["digits", "--to", "{}/a.csv", "--epochs", "3"], "Unrecognized options: --epochs"),
    ],
)
def test_what_cannot_be_right_is_one_line(tmp_path, words, part):
    refused(command_main.main, ["ids", *(word.format(tmp_path) for word in words)], [part], tmp_path)


def test_a_preset_stands_for_its_data_and_help_names_the_command(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_main.main(["--help"])
    assert "python -m distill_jax ids --help: write which example is which" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        ids("--help")
    assert "--image-size" in capsys.readouterr().out
    from distill_jax.command.ids import setting_from
    from distill_jax.presets import PRESETS

    assert setting_from(["cifar100-small", "--to", "a.csv"]).data == PRESETS["cifar100-small"].setting.data
    assert setting_from(["digits", "--to", "a.csv"]).data == DataSetting()
