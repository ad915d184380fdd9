"""Inputs that stay on the host: the very numbers that inputs on the devices give, in the same order."""

import sys
import threading

import jax
import numpy as np
import pytest
import small_study
import small_text_study
from small_study import QUIET, advance

from distill_jax.errors import InputError
from distill_jax.machine import placement
from distill_jax.machine.placement import make_mesh
from distill_jax.setting import changed
from distill_jax.study.study import Study
from distill_jax.training.population import Member, shape
from distill_jax.training.streaming import Stream
from distill_jax.training.teacher_source import teacher_source
from distill_jax.training.trainer import Trainer


def both_ways(setting, data, members, steps=12):
    """The state, losses and logits of students whose inputs lie on the devices, and of those whose are streamed."""
    seeds = sorted({m.seed for m in members})
    teachers = Trainer(setting, data, "teacher", (len(seeds), 1))
    variables = teachers.initial_state([Member("teacher", s) for s in seeds]).variables
    given = jax.tree.map(np.asarray, variables)
    if teacher_source(setting) == "logits":
        given = teachers.predict(variables, teachers.inputs["train"], teachers.buckets.get("train"))[0]
    results = []
    for option in ("never", "always"):
        trainer = Trainer(changed(setting, run={"streaming": option}), data, "student", shape(members))
        assert trainer.streamed == isinstance(trainer.inputs["train"], np.ndarray) == (option == "always")
        state, losses = advance(trainer, members, given, steps=steps)
        logits = [trainer.predict(state.variables, trainer.inputs[s], trainer.buckets.get(s)) for s in trainer.inputs]
        results.append(jax.tree.map(np.asarray, (state, losses, logits)))
    return results


@pytest.mark.parametrize(
    ("network", "augment", "devices", "names"),
    [
        ("mlp", "crop-flip", 1, ["one_hot", "kd"]),
        ("mlp", "none", 2, ["one_hot", "kd"]),  # each has whole models
        ("resnet", "crop-flip", 4, ["kd"]),  # two share each model's batch
    ],
)
def test_streamed_is_as_resident(tmp_path, monkeypatch, network, augment, devices, names):
    chosen = jax.devices()[:devices]
    monkeypatch.setattr(placement.jax, "devices", lambda: chosen)
    monkeypatch.setattr(placement.jax, "local_device_count", lambda: devices)
    setting = small_study.setting(tmp_path, network, data={"augment": augment})
    members = [Member(name, seed) for seed in (0, 1) for name in names]
    resident, streamed = both_ways(setting, small_study.dataset(), members)
    # In other programs sums are taken in other orders, by the optimisations that tests are compiled with.
    tolerance = {} if network == "mlp" else {"rtol": 1e-5, "atol": 1e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0})), resident, streamed)


def test_streamed_texts_are_as_resident(tmp_path):
    setting, data = small_text_study.setting(tmp_path), small_text_study.dataset()
    resident, streamed = both_ways(setting, data, [Member("kd", 0)], steps=4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), resident, streamed)


def stream(order, examples=24, values=3, batch_size=4, total_steps=30):
    x = np.arange(examples * values, dtype=np.float32).reshape(examples, values)
    mesh = make_mesh(len(order(0)), 1)
    sizes = {
        "seeds": 2,
        "batch_size": batch_size,
        "steps_per_epoch": examples // batch_size,
        "total_steps": total_steps,
    }
    return x, Stream(x, order, mesh, **sizes)


def of_two_seeds(epoch):
    return np.stack([np.random.default_rng([epoch, seed]).permutation(24) for seed in (0, 1)])


def test_a_stream_gives_the_batches_of_any_steps():
    x, batches = stream(of_two_seeds)

    def expected(first, steps):
        rows = [of_two_seeds(s // 6)[:, s % 6 * 4 : s % 6 * 4 + 4] for s in range(first, first + steps)]
        return np.stack([x[of_step] for of_step in rows], axis=1)

    for first, steps in ((0, 4), (4, 4), (8, 1), (3, 2), (29, 1), (0, 30)):  # in order, and from elsewhere
        np.testing.assert_array_equal(batches(first, steps), expected(first, steps))
    batches.close()


def test_a_stream_that_is_closed_reads_no_more():
    before = set(threading.enumerate())  # of other tests: some of these may end meanwhile
    _, batches = stream(of_two_seeds)
    batches(0, 2)
    reading = set(threading.enumerate()) - before
    batches.close()
    for thread in reading:
        thread.join(timeout=10)  # threads end what they are at
    assert reading
    assert not any(thread.is_alive() for thread in reading)


def test_what_fails_while_reading_ahead_is_said():
    def order(epoch):
        if epoch:
            raise OSError("the disk is gone")
        return of_two_seeds(0)

    _, batches = stream(order)
    batches(0, 6)
    with pytest.raises(OSError, match="the disk is gone"):
        batches(6, 1)
    batches.close()


def test_data_beyond_a_quarter_of_the_memory_are_streamed(tmp_path):
    setting, data = small_study.setting(tmp_path), small_study.dataset()
    size = (data.train.x.nbytes + data.test.x.nbytes) / 2**30
    for memory, streamed, steps in ((4.1 * size, False, 4), (3.9 * size, True, 1)):
        trainer = Trainer(changed(setting, run={"memory_gib": memory}), data, "teacher")
        assert (trainer.streamed, trainer.steps_per_dispatch) == (streamed, steps)


def test_without_the_extra_it_is_named_before_anything_is_written(tmp_path, monkeypatch):
    setting = changed(small_study.setting(tmp_path / "work"), run={"streaming": "always"})
    arrays = {"x_train": np.eye(20), "y_train": np.arange(20) % 2, "x_test": np.eye(20), "y_test": np.arange(20) % 2}
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"^run.streaming always: needs grain.*distill-jax\[stream\]"):
        Study(changed(setting, data={"augment": "none"}), QUIET, arrays=arrays)
    assert not (tmp_path / "work").exists()
