"""A teacher of given weights: what students learn of it, its place in a study's identity, and resume."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command import here, results, stopping_at_the_second, write_npz
from drawn import draw_all
from small_study import QUIET, advance, dataset, setting

from distill_jax.data import augment
from distill_jax.dumps import dump_path, read_dump
from distill_jax.errors import InputError, Interrupted
from distill_jax.models import build_for, torch_weights
from distill_jax.setting import GivenTeacherSetting, ModelSetting
from distill_jax.study import given_weights, prepared
from distill_jax.study.checks import validate
from distill_jax.study.given_weights import teacher_of_weights
from distill_jax.study.study import Study
from distill_jax.study.teachers import Teachers
from distill_jax.training.population import Member
from distill_jax.training.teacher_source import teacher_source
from distill_jax.training.trainer import Runner, Trainer

safetensors = pytest.importorskip("safetensors.numpy")
NETWORK = ModelSetting("resnet-cifar-v1", depth=8, width=4)
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)


def write_weights(path, seed=0):
    """A file of weights as PyTorch's, and the variables that are in it."""
    model = build_for(dataset(), NETWORK, "float32", "teacher")
    variables = jax.tree.map(np.asarray, draw_all(model, (8, 8, 3), seed))
    tensors = {
        torch_weights.tensor_name(names): np.ascontiguousarray(torch_weights.as_tensor(names[-1], leaf))
        for path_, leaf in jax.tree_util.tree_leaves_with_path(variables)
        for names in [tuple(part.key for part in path_)]
    }
    safetensors.save_file(tensors, path)
    return variables


@pytest.fixture
def weights(tmp_path):
    """The file of weights, and its variables."""
    path = tmp_path / "teacher.safetensors"
    return path, write_weights(path)


def given(workdir, path, **groups):
    small = dataclasses.replace(setting(workdir, **groups), teacher=NETWORK)
    return dataclasses.replace(small, given=GivenTeacherSetting(weights=path, mean=MEAN, std=STD))


def logits_by_hand(variables, raw, mean=MEAN, std=STD):
    x = (np.float64(raw) / 255 - mean) / std
    model = build_for(dataset(), NETWORK, "float32", "teacher")
    return np.asarray(jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, jnp.asarray(x, jnp.float32)))


def test_it_says_of_images_what_the_network_says_of_them_normalised_as_its_own(tmp_path, weights):
    path, variables = weights
    data = dataset()
    teacher = teacher_of_weights(given(tmp_path, path), data)
    for split, logits in teacher.of_seed(3).items():
        np.testing.assert_allclose(logits, logits_by_hand(variables, getattr(data, split).x), rtol=1e-4, atol=1e-4)
    unit = {s: dataclasses.replace(getattr(data, s), x=np.float32(getattr(data, s).x / 255)) for s in ("train", "test")}
    of_unit = teacher_of_weights(given(tmp_path, path), dataclasses.replace(data, **unit))
    np.testing.assert_allclose(of_unit.of_seed(0)["test"], teacher.of_seed(0)["test"], rtol=1e-4, atol=1e-4)


def test_students_learn_what_it_says_of_the_very_images_they_see(tmp_path, weights):
    path, variables = weights
    data, students, losses = dataset(), [Member("kd", seed) for seed in (0, 1)], {}
    for source in ("in-step", "all-outcomes"):
        small = given(tmp_path, path, run={"teacher_logits": source})
        teachers = Teachers(small, data, 0, {}, QUIET, teacher_of_weights(small, data).variables).given([0, 1])
        stacked = jax.tree.map(lambda *a: np.stack(a), *[teachers(seed) for seed in (0, 1)])
        losses[source] = advance(Trainer(small, data, "student", (2, 1)), students, stacked, steps=4)[1]
    np.testing.assert_allclose(losses["in-step"], losses["all-outcomes"], rtol=2e-3)
    ways = augment.outcomes("crop-flip", (8, 8, 3))
    for outcome in (0, 5, ways - 1):
        moved = augment.moved(data.train.x, jnp.full(len(data.train.x), outcome), "crop-flip")
        np.testing.assert_allclose(stacked[1][outcome::ways], logits_by_hand(variables, moved), rtol=5e-3, atol=5e-3)


def test_features_of_its_layers_are_there_for_losses(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(prepared, "load_dataset", lambda *_: dataset())
    small = dataclasses.replace(given(tmp_path / "work", weights[0]), students=("one_hot", "kd", "fitnets"))
    Study(small, QUIET)
    features = dataclasses.replace(small.objective, teacher_features={"middle": "stage9"})
    with pytest.raises(
        InputError, match=r"teacher-features middle=stage9: is no layer of the network; .* stage2_unit1"
    ):
        Study(dataclasses.replace(small, objective=features), QUIET)


STUDY = [
    *("--teacher.name", "resnet-cifar-v1", "--teacher.depth", "8", "--teacher.width", "4", "--student.hidden", "16"),
    *("--students", "one_hot", "kd", "--epochs", "2", "--batch-size", "8", "--snapshots", "0.5", "--seeds", "2"),
    *("--population", "4", "--steps-per-dispatch", "6", "--checkpoint-seconds", "0"),
]


def test_stopped_and_resumed_is_uninterrupted_and_another_teacher_is_another_study(tmp_path, weights, monkeypatch):
    npz, (path, variables) = write_npz(tmp_path / "own.npz"), weights
    common = ["--dataset", npz, *STUDY, "--augment", "crop-flip"]
    said = here([*common, "--workdir", tmp_path / "whole", "--teacher.weights", path])
    assert "their inputs normalised by mean and standard deviation 0.4914 0.4822 0.4465 and 0.2023" in said
    assert "right on train" in said
    elsewhere = tmp_path / "elsewhere.safetensors"  # of the same content
    elsewhere.write_bytes(path.read_bytes())
    stopped = [*common, "--workdir", tmp_path / "stopped", "--teacher.weights", elsewhere]
    with monkeypatch.context() as patched:
        measured, _ = stopping_at_the_second(Runner.__call__)
        patched.setattr(Runner, "__call__", measured)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            here(stopped)
    again = here(stopped)
    assert "right on train" not in again  # its dumps were there
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")
    dump = read_dump(dump_path(tmp_path / "whole", "teacher", 1, 24, "test"))
    mean, std = torch_weights.usual_normalisation("resnet-cifar-v1", 5)
    np.testing.assert_allclose(
        dump.logits, logits_by_hand(variables, dataset().test.x, mean, std), rtol=1e-4, atol=1e-4
    )
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert summary["study"]["one_teacher"] is True
    assert summary["setting"]["teacher"]["network"] == "resnet-cifar-v1"
    for change, fault in (
        (["--teacher.weights", path, "--teacher.mean", "0.5"], "teacher.mean is "),
        (["--teacher.weights", tmp_path / "other.safetensors"], "teacher.weights is "),
    ):
        write_weights(tmp_path / "other.safetensors", seed=1)
        with pytest.raises(InputError, match=f"holds another setting .{fault}"):
            here([*common, "--workdir", tmp_path / "whole", *change])


def test_what_goes_with_no_given_weights_is_named(tmp_path, weights):
    small = given(tmp_path, weights[0])
    validate(small)
    assert teacher_source(small) == "variables"
    assert teacher_source(given(tmp_path, weights[0], data={"augment": "none"})) == "logits"  # which are computed once
    both = dataclasses.replace(small.given, logits=("a.npz",))
    with pytest.raises(InputError, match=r"given.weights .*: must be left out, or `given.logits`: a teacher has one"):
        validate(dataclasses.replace(small, given=both))
    with pytest.raises(InputError, match=r"must be of a `teacher.name` of resnet18-v1, .* and not mlp"):
        validate(dataclasses.replace(small, teacher=ModelSetting()))
    with pytest.raises(InputError, match=r"given.std 0.5: must be left out, since it is for `given.weights`"):
        validate(dataclasses.replace(small, given=GivenTeacherSetting(std=(0.5,))))
    with pytest.raises(InputError, match=r"--teacher.mean: must be left out, since --teacher.weights names no"):
        here(["digits", "--teacher.mean", "0.5"])
    with pytest.raises(InputError, match=r"must be of 4 classes, as the data, and not of the shape \(5, 16\)"):
        teacher_of_weights(small, dataset(classes=4))


def test_a_teacher_s_images_are_evaluated_in_smaller_batches_where_so_many_do_not_fit():
    asked = []

    def program(images):
        asked.append(len(images))
        if len(images) > 6:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return images[:, 0, 0, :2]

    x = np.arange(10 * 2 * 2 * 3, dtype=np.float32).reshape(10, 2, 2, 3)
    found = given_weights._of_split(program, lambda images: images, x, batch=16, devices=2)
    np.testing.assert_array_equal(found, x[:, 0, 0, :2])
    assert asked == [10, 4, 4, 4]
    with pytest.raises(jax.errors.JaxRuntimeError):
        given_weights._of_split(program, lambda images: images, x, batch=16, devices=8)
