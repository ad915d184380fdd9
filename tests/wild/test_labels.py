"""Labels as people have them: from 1 on, with gaps, words, all there is but class numbers."""

import json

import numpy as np
import pytest

from distill_jax.command.main import main
from distill_jax.data import load_dataset
from distill_jax.data.sources.labels import numbered, shown
from distill_jax.errors import InputError
from distill_jax.setting import DataSetting

CLASSES, EXAMPLES = 3, 60


def write(folder, of_class, name="own.npz"):
    """A file of features whose labels are what `of_class` makes of 0, 1, 2."""
    rng = np.random.default_rng(0)
    y = np.arange(EXAMPLES) % CLASSES
    x = (rng.normal(size=(EXAMPLES, 4)) + 3 * y[:, None]).astype(np.float32)
    label = np.array([of_class(k) for k in y])
    np.savez(folder / name, x_train=x, y_train=label, x_test=x[:30], y_test=label[:30])
    return str(folder / name)


NAMED = {
    "from 1": (lambda k: k + 1, ("1", "2", "3")),
    "multiples": (lambda k: k * 30 + 3, ("3", "33", "63")),
    "years": (lambda k: 2020 - k, ("2018", "2019", "2020")),
    "signs": (lambda k: k - 1, ("-1", "0", "1")),
    "too large for int64": (lambda k: np.uint64(2**63) + np.uint64(k), tuple(str(2**63 + k) for k in range(3))),
    "words": (lambda k: ["cat", "ant", "bee"][k], ("ant", "bee", "cat")),
    "numbers as words": (lambda k: ["10", "9", "-2"][k], ("-2", "9", "10")),
    "numbers with zeros in front": (lambda k: ["01", "1", "+1"][k], ("+1", "01", "1")),
    "numbers of 5,000 digits": (lambda k: f"{k + 1}" + "9" * 4999, tuple(f"{k + 1}" + "9" * 4999 for k in range(3))),
    "words with spaces around them": (lambda k: [" a", "b ", "c"][k], ("a", "b", "c")),
    "numbers and words": (lambda k: ["1", "2", "other"][k], ("1", "2", "other")),
}


@pytest.mark.parametrize("kind", NAMED)
def test_labels_that_are_not_0_to_k_are_numbered_and_it_is_said(tmp_path, kind):
    of_class, names = NAMED[kind]
    data = load_dataset(DataSetting(write(tmp_path, of_class), label_noise=0.5))
    plain = load_dataset(DataSetting(write(tmp_path, lambda k: k, "plain.npz")))
    assert (data.num_classes, data.names) == (CLASSES, names)
    assert [data.names[k] for k in data.train.true_label] == [str(of_class(k)).strip() for k in plain.train.label]
    assert data.notes == (
        f"labels are numbered in this order: {shown(names)}",
        "30 of 60 training labels are replaced by another class",
    )
    assert set(data.train.label) == {0, 1, 2}  # noise draws no class that is not there
    assert (plain.names, plain.notes) == (None, ())
    assert data.fingerprint != plain.fingerprint


def test_the_first_classes_of_any_labels_have_examples(tmp_path):
    data = load_dataset(DataSetting(write(tmp_path, lambda k: 7 * k + 5), classes=2))
    assert (data.num_classes, data.names) == (2, ("5", "12"))
    assert set(data.train.label) == set(data.test.label) == {0, 1}
    assert data.notes[:2] == (
        "40 of 60 training examples are used (classes 2)",
        "20 of 30 test examples are used (classes 2)",
    )


def test_numbers_that_are_no_classes_are_refused(tmp_path, fails):
    path = str(tmp_path / "own.npz")
    x = np.zeros((40, 3), np.float32)
    np.savez(path, x_train=x, y_train=np.arange(40), x_test=x, y_test=np.arange(40))
    fails(f"data.dataset {path}: y_train has 40 different labels in 40 examples", "must be classes", dataset=path)


def test_a_test_label_that_training_has_not_is_named():
    with pytest.raises(InputError, match=r"^data.dataset own: y_test has the label dog, which y_train has not"):
        numbered(["cat", "bee"], ["cat", "dog"], ("y_train", "y_test"), "own")


def test_a_class_without_a_training_example_is_refused(tmp_path, fails):
    from test_idx_files import write_idx

    write_idx(tmp_path / "raw", labels=np.arange(40, dtype=np.uint8) % 7)  # of a data set with 10 classes
    given = {"dataset": "mnist", "data_dir": tmp_path / "raw", "cache_dir": tmp_path / "cache"}
    fails("data.dataset mnist: 3 of 10 classes have no training example, the first 7", **given)


def test_the_command_says_what_it_made_of_labels_and_keeps_the_table(tmp_path, capsys, monkeypatch):
    from distill_jax.machine import backend, program_cache
    from distill_jax.report import study_report as report

    monkeypatch.setattr(report, "draw", lambda folder, summary: {})
    monkeypatch.setattr(report, "render", lambda summary, images, explorer: "")
    monkeypatch.setattr(backend, "use_cores", lambda batch: None)
    monkeypatch.setattr(program_cache, "keep_programs", lambda folder: None)
    path = write(tmp_path, lambda k: ["cat", "ant", "bee"][k])
    words = [
        "--dataset",
        path,
        "--workdir",
        str(tmp_path / "work"),
        "--seeds",
        "1",
        "--epochs",
        "2",
        "--batch-size",
        "8",
    ]
    main([*words, "--label-noise", "0.25", "--snapshots", "1", "--student.hidden", "4", "--teacher.hidden", "4"])
    _, *said = capsys.readouterr().out.splitlines()  # of what it was about to do
    assert said[0] == "data: labels are numbered in this order: 0 = ant, 1 = bee, 2 = cat"
    assert said[1] == "data: 15 of 60 training labels are replaced by another class"
    assert json.loads((tmp_path / "work" / "classes.json").read_text()) == ["ant", "bee", "cat"]


@pytest.mark.parametrize(
    ("of_class", "said"),
    [
        (lambda k: ["", "a", "b"][k], "y_train has the label ''"),
        (lambda k: ["\ud83d", "a", "b"][k], "y_train has the label '\\ud83d'"),
        (lambda k: np.timedelta64(k, "D"), "y_train is timedelta64[D]"),
    ],
    ids=["empty", "half of a pair", "times"],
)
def test_labels_that_are_none_are_refused(tmp_path, fails, of_class, said):
    path = write(tmp_path, of_class)
    fails(f"data.dataset {path}: {said}", "integer", dataset=path)
