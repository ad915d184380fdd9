"""Data named without a preset: nothing of them is altered, and the recipe is one for their kind."""

import pytest

from distill_jax.command.main import setting_from


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion-mnist", "cifar10", "tiny-imagenet", "my.npz", "MY.NPZ"])
def test_images_and_features_have_their_own_labels(name):
    for words in (["--dataset", name], [f"--dataset={name}"], ["--seeds", "2", "--dataset", name]):
        setting = setting_from(words)
        assert (setting.data.dataset, setting.data.label_noise) == (name, 0)
        assert setting.optimizer.optimizer == "adam"


@pytest.mark.parametrize("name", ["imdb_reviews", "glue/mnli", "a/file.csv", "folder"])
def test_texts_are_learned_as_texts_are(name, tmp_path):
    if name == "folder":
        name = str(tmp_path)
    setting = setting_from(["--dataset", name])
    assert (setting.data.label_noise, setting.teacher.name, setting.student.name) == (0, "roberta", "roberta")
    assert (setting.optimizer.optimizer, setting.optimizer.learning_rate) == ("adam", 1e-3)
    for role in ("teacher", "student"):
        fine_tuned = setting_from(["--dataset", name, f"--{role}.roberta.pretrained", "base"])
        assert (fine_tuned.optimizer.optimizer, fine_tuned.optimizer.learning_rate) == ("adam", 2e-5)
        assert fine_tuned.data.label_noise == 0
    assert setting_from(["--dataset", name, "--learning-rate", "0.5"]).optimizer.learning_rate == 0.5


def test_what_is_asked_for_counts():
    assert setting_from([]).data.label_noise == 0.2  # the main job, as it is known by its name
    assert setting_from(["--dataset", "mnist", "--label-noise", "0.3"]).data.label_noise == 0.3
    assert setting_from(["digits", "--dataset", "my.npz"]).data.label_noise == 0.2
