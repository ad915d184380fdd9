"""A batch in shards: the same to the bit on one device, two and four, and to rounding what it is as a whole."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_text_study
from small_study import advance, dataset, on_devices, setting

from distill_jax.errors import InputError
from distill_jax.machine import backend
from distill_jax.machine.placement import make_mesh, on_host
from distill_jax.setting import TrainSetting, changed
from distill_jax.study.checks import validate
from distill_jax.training import predict
from distill_jax.training.population import Member, shape
from distill_jax.training.programs import Programs, check_statistics, inputs_of, program_memory
from distill_jax.training.shards import Exchange, Vector, tree_sum
from distill_jax.training.step import _BlockInputs
from distill_jax.training.trainer import Timing, Trainer

TEACHER, SHARDS = [Member("teacher", 0)], 4
PAIR = [Member("one_hot", 0), Member("kd", 0)]


def in_shards(of, shards=SHARDS, norm_examples=None):
    return changed(of, train={"batch_shards": shards, "norm_examples": norm_examples, "batch_size": 16})


def same_bits(results):
    first, *others = ([np.asarray(leaf) for leaf in jax.tree.leaves(result)] for result in results)
    assert first
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_sum_over_shards_is_one_tree_of_sums_on_any_number_of_devices():
    rng = np.random.default_rng(0)
    numbers = (rng.normal(size=(8, 15)) * 10.0 ** rng.integers(-6, 6, (8, 15))).astype(np.float32)
    a, b, c, d, e, f, g, h = numbers
    expected = ((a + b) + (c + d)) + ((e + f) + (g + h))
    assert not np.array_equal(expected, tree_sum(list(numbers[[0, 4, 1, 5, 2, 6, 3, 7]]))), "the order matters"
    for devices in (1, 2, 4):
        mesh = make_mesh(1, 1, devices=jax.devices()[:devices])
        of_devices = [tree_sum(list(part)) for part in numbers.reshape(devices, -1, 15)]
        sums = Exchange(mesh)([jax.device_put(v, d) for v, d in zip(of_devices, mesh.devices.ravel(), strict=True)])
        same_bits([expected, *sums])
        assert [s.devices() for s in sums] == [{d} for d in mesh.devices.ravel()]


def test_devices_tell_each_other_bits_and_no_numbers():
    """A TPU makes of a gather a sum with zeros, and -0.0 + 0.0 is 0.0."""
    jaxpr = str(
        Exchange(make_mesh(1, 1, devices=jax.devices()[:4])).trace(jax.ShapeDtypeStruct((15,), "float32")).jaxpr
    )
    (gathered,) = (line for line in jaxpr.splitlines() if "= all_gather[" in line)
    assert "i32[" in gathered


def test_a_tree_is_a_vector_and_back():
    tree = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "loss": np.float32(7)}
    vector = Vector.like(tree)
    same_bits([tree, vector.unpack(vector.pack(tree))])


CASES = {
    "mlp": (in_shards(setting("work")), dataset(), TEACHER),
    "students": (in_shards(setting("work")), dataset(), PAIR),
    "resnet": (in_shards(setting("work", "resnet"), norm_examples=2), dataset(), TEACHER),
    "text with dropout": (
        changed(in_shards(small_text_study.setting("work")), train={"length_buckets": 1}),
        small_text_study.dataset(),
        TEACHER,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_device_two_and_four_have_the_same_bits(monkeypatch, case):
    of, data, members = CASES[case]
    given = None
    if members is PAIR:
        teacher = Trainer(changed(of, train={"batch_shards": None}), data, "teacher").initial_state(TEACHER)
        given = jax.tree.map(on_host, teacher.variables)
    results = []
    for devices in (1, 2, 4) if case == "mlp" else (1, 2):
        with monkeypatch.context() as patched:
            on_devices(patched, devices)
            if case in ("mlp", "students"):  # as on accelerators: on a CPU small networks are not shared
                patched.setattr(backend, "defaults", lambda *_: backend.Defaults(4, 4, 512, packed="all"))
            trainer = Trainer(of, data, "teacher" if members is TEACHER else "student", shape(members))
            assert dict(trainer.mesh.shape) == {"seed": 1, "student": 1, "batch": devices}
            state, losses = advance(trainer, members, given, steps=8 if trainer.steps_per_dispatch > 1 else 2)
            logits, _ = trainer.predict(state.variables, trainer.inputs["test"], trainer.buckets.get("test"))
            results.append((losses, logits, jax.tree.map(on_host, state)))
    same_bits(results)


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_a_step_in_shards_is_one_of_the_whole_batch_to_rounding(network, monkeypatch):
    on_devices(monkeypatch, 1)
    norm_examples = 2 if network == "resnet" else None
    results = []
    for shards in (None, 4):
        trainer = Trainer(in_shards(setting("work", network), shards, norm_examples), dataset(), "teacher")
        trainer.steps_per_dispatch = 1
        state, losses = advance(trainer, TEACHER, steps=1)
        before = trainer.initial_state(TEACHER)
        moved = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), state.params, before.params)
        results.append((moved, state.collections, losses))
    for other in results[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6), results[0], other)


def test_shards_are_augmented_as_the_whole_batch_is_and_draw_other_dropout(monkeypatch):
    on_devices(monkeypatch, 1)
    trainer = Trainer(in_shards(setting("work")), dataset(), "teacher")
    runner = trainer.runner(TEACHER, None, Timing())
    _, own, per_seed, shared = runner.arguments(trainer.initial_state(TEACHER), 0, 4)
    of_seed = jax.tree.map(lambda a: a[0], per_seed)
    block = trainer._block(with_teacher=False, steps=1)
    inputs = _BlockInputs(own, of_seed, shared, constants={}, buckets=None, first_epoch=jnp.int32(0))
    whole = jax.jit(lambda step: dataclasses.replace(block, shards=None)._batch(inputs, step)[0])(2)
    parts = [jax.jit(lambda step, shard: block._batch(inputs, step, shard)[0])(2, shard) for shard in range(SHARDS)]
    for field in ("x", "label"):
        np.testing.assert_array_equal(np.concatenate([getattr(p, field) for p in parts]), getattr(whole, field))
    assert len({tuple(jax.random.key_data(part.dropout).tolist()) for part in parts}) == SHARDS


@pytest.mark.parametrize("texts", [False, True])
def test_a_row_is_evaluated_in_the_same_block_by_any_number_of_processes(monkeypatch, texts):
    monkeypatch.setattr("distill_jax.training.predict.SHARD_EXAMPLES", 16)
    data = small_text_study.dataset()
    trainer = Trainer(in_shards(small_text_study.setting("work")), data, "teacher")
    x, buckets = trainer.inputs["train"], trainer.buckets["train"] if texts else None
    called = []

    def compiled(length):
        def of_block(variables, x, chosen):
            called.append((length, tuple(np.asarray(chosen).tolist())))
            return jnp.stack([chosen, x[chosen, 1]], axis=1)[None].astype(jnp.float32)

        return of_block

    monkeypatch.setattr(trainer.predict, "compiled", compiled)
    blocks, expected = [], np.stack([np.arange(len(x)), np.asarray(x)[:, 1]], axis=1)
    for processes in (1, 2, 4):
        called = []
        monkeypatch.setattr(jax, "process_count", lambda n=processes: n)
        parts = []
        for process in range(processes):
            monkeypatch.setattr(predict.jax, "process_index", lambda: 0)  # to which all devices here belong
            rows = predict.process_rows(len(x), process, processes)
            parts.append(trainer.predict._by_blocks({}, x, np.arange(rows.start, rows.stop), buckets))
        np.testing.assert_array_equal(np.concatenate(parts, axis=1)[0], expected)
        blocks.append(called)
    assert blocks[0] == blocks[1] == blocks[2]
    assert len(blocks[0]) == SHARDS


@pytest.mark.parametrize(
    ("network", "fields", "message"),
    [
        ("mlp", {"batch_shards": 3, "batch_size": 12}, "train.batch_shards 3: must be a power of two, 2 or more, of"),
        ("mlp", {"batch_shards": 1}, "train.batch_shards 1: must be a power of two, 2 or more, of"),
        ("mlp", {"batch_shards": 16, "batch_size": 24}, ".* of which `train.batch_size` 24 is a multiple"),
        ("resnet", {"batch_shards": 4, "norm_examples": 8}, "train.norm_examples 8: must be a divisor of 4, the .*"),
    ],
)
def test_wrong_shards_are_refused_in_one_line(network, fields, message):
    with pytest.raises(InputError, match=f"^{message}"):
        validate(changed(setting("work", network), train={"batch_size": 16} | fields))


def test_statistics_over_several_shards_are_refused():
    data, train = dataset(), TrainSetting(batch_size=16, batch_shards=4)
    networks = {role: Programs(setting("work", role), data, "teacher").model for role in ("mlp", "resnet")}
    check_statistics(train, {"student": networks["mlp"]}, inputs_of(data))
    check_statistics(dataclasses.replace(train, norm_examples=2), {"student": networks["resnet"]}, inputs_of(data))
    message = (
        "^train.norm_examples: must be a divisor of 4, the examples in each of `train.batch_shards` 4, since the stu"
    )
    with pytest.raises(InputError, match=message):
        check_statistics(train, {"student": networks["resnet"]}, inputs_of(data))


def test_memory_counts_the_optimizer_s_state_and_all_shards_on_any_number_of_devices(monkeypatch):
    needs = []
    for devices in (1, 4):
        with monkeypatch.context() as patched:
            on_devices(patched, devices)
            patched.setattr(backend, "defaults", lambda *_: backend.Defaults(4, 4, 512))
            trainer = Trainer(in_shards(setting("work")), dataset(), "teacher")
            sharded = trainer.compiled_shards(False, 4)
            needs.append(trainer.runner(TEACHER, None, Timing()).memory())
    state = trainer.state_like()
    kept = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(state.opt_state))
    params = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(state.params))
    assert needs[0] == needs[1] == program_memory(sharded.largest) + sharded.beside
    assert kept > 0
    assert kept + 3 * params <= sharded.beside <= kept + 3 * params + 3 * 64  # a shard gives its losses too


def test_devices_that_do_not_divide_the_shards_rest(monkeypatch):
    on_devices(monkeypatch, 3)
    trainer = Trainer(in_shards(setting("work", "resnet"), norm_examples=2), dataset(), "teacher")
    assert trainer.mesh.size == 2


def test_streamed_inputs_have_the_same_bits(monkeypatch):
    results = []
    for devices, streaming in ((1, "never"), (1, "always"), (4, "always")):
        with monkeypatch.context() as patched:
            on_devices(patched, devices)
            patched.setattr(backend, "defaults", lambda *_: backend.Defaults(4, 4, 512))
            of = changed(in_shards(setting("work")), run={"streaming": streaming})
            trainer = Trainer(of, dataset(), "teacher")
            state, losses = advance(trainer, TEACHER, steps=8)
            logits, _ = trainer.predict(state.variables, trainer.inputs["test"])
            results.append((losses, logits, jax.tree.map(on_host, state)))
    same_bits(results[1:])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *results[:2])
