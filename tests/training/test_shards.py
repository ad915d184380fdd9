"""A batch in shards: the same to the bit on one device, two and four, and to rounding what it is as a whole."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_text_study
from jax.sharding import PartitionSpec
from small_study import advance, dataset, on_devices, setting

from distill_jax.errors import InputError
from distill_jax.machine import backend
from distill_jax.machine.placement import make_mesh, on_host
from distill_jax.setting import TrainSetting, changed
from distill_jax.study.checks import validate
from distill_jax.training.population import Member, shape
from distill_jax.training.predict import Predictor
from distill_jax.training.programs import Programs, check_statistics, inputs_of
from distill_jax.training.shards import Shards, apart, tree_sum
from distill_jax.training.trainer import Trainer

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


@pytest.mark.parametrize("in_loop", [True, False])
def test_the_mean_over_shards_is_one_tree_of_sums_on_any_number_of_devices(monkeypatch, in_loop):
    rng = np.random.default_rng(0)
    numbers = (rng.normal(size=(8, 3, 5)) * 10.0 ** rng.integers(-6, 6, (8, 3, 5))).astype(np.float32)
    a, b, c, d, e, f, g, h = numbers
    expected = (((a + b) + (c + d)) + ((e + f) + (g + h))) / np.float32(8)
    assert not np.array_equal(expected, numbers.sum(0) / np.float32(8)), "the order matters"
    assert not np.array_equal(expected, tree_sum(list(numbers[[0, 4, 1, 5, 2, 6, 3, 7]])) / np.float32(8))
    found = []
    for devices in (1, 2, 4):
        mesh, shards = make_mesh(1, 1, devices=jax.devices()[:devices]), Shards(8, devices, in_loop)

        def mean(x, shards=shards):
            return shards.mean(lambda shard: {"matrix": x[shard], "number": x[shard, 0, 0]})

        specs = {"in_specs": PartitionSpec(), "out_specs": PartitionSpec(), "check_vma": False}
        found.append(jax.jit(jax.shard_map(mean, mesh=mesh, **specs))(numbers))
    same_bits([{"matrix": expected, "number": expected[0, 0]}, *found])


def test_what_is_apart_is_no_part_of_one_operation():
    a, b, c = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    compiled = jax.jit(lambda a, b, c: apart({"product": a * b})["product"] + c).lower(a, b, c).compile()
    np.testing.assert_array_equal(compiled(a, b, c), a * b + c)
    fused = [part for part in compiled.as_text().split("\n\n") if "multiply(" in part and "add(" in part]
    assert not fused


CASES = {
    "mlp": (in_shards(setting("work")), dataset(), TEACHER),
    "students": (in_shards(setting("work")), dataset(), PAIR),
    "resnet": (in_shards(setting("work", "resnet"), norm_examples=2), dataset(), TEACHER),
    "text with dropout": (in_shards(small_text_study.setting("work")), small_text_study.dataset(), TEACHER),
}


@pytest.mark.parametrize("case", CASES)
def test_one_device_two_and_four_have_the_same_bits(monkeypatch, case):
    of, data, members = CASES[case]
    given = None
    if members is PAIR:
        teacher = Trainer(changed(of, train={"batch_shards": None}), data, "teacher").initial_state(TEACHER)
        given = jax.tree.map(on_host, teacher.variables)
    results = []
    for devices in (1, 2, 4):
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
    for shards in (None, 2, 8):
        trainer = Trainer(in_shards(setting("work", network), shards, norm_examples), dataset(), "teacher")
        trainer.steps_per_dispatch = 1
        state, losses = advance(trainer, TEACHER, steps=1)
        before = trainer.initial_state(TEACHER)
        moved = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), state.params, before.params)
        results.append((moved, state.collections, losses))
    for other in results[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6), results[0], other)


def test_shards_draw_other_dropout_and_the_augmentation_of_the_whole_batch(monkeypatch):
    on_devices(monkeypatch, 1)
    text = in_shards(small_text_study.setting("work"))
    without = dataclasses.replace(text.teacher, roberta=dataclasses.replace(text.teacher.roberta, dropout=0.0))
    losses = {}
    for name, of in {"dropout": text, "none": dataclasses.replace(text, teacher=without)}.items():
        for shards in (None, SHARDS):
            trainer = Trainer(changed(of, train={"batch_shards": shards}), small_text_study.dataset(), "teacher")
            losses[name, shards] = advance(trainer, TEACHER, steps=4)[1]
    np.testing.assert_allclose(losses["none", None], losses["none", SHARDS], rtol=1e-4)
    assert np.abs(losses["dropout", None] - losses["dropout", SHARDS]).min() > 1e-3


@pytest.mark.parametrize("texts", [False, True])
def test_a_row_is_evaluated_in_the_same_block_by_any_number_of_processes(monkeypatch, texts):
    """Each process's calls are those of its rows; `jax` is told of two processes that have one device each."""
    monkeypatch.setattr("distill_jax.training.predict.SHARD_EXAMPLES", 16)
    data = small_text_study.dataset()
    trainer = Trainer(in_shards(small_text_study.setting("work")), data, "teacher")
    x, buckets = trainer.inputs["train"], trainer.buckets["train"] if texts else None
    blocks = []

    def of_rows(self, variables, x, chosen, buckets):
        of_processes.append(chosen.reshape(jax.process_count(), -1))
        return jnp.zeros((1, len(chosen) // jax.process_count(), 2))

    monkeypatch.setattr(Predictor, "_of_rows", of_rows)
    for processes in (1, 2, 4):
        of_processes = []
        monkeypatch.setattr(jax, "process_count", lambda n=processes: n)
        trainer.predict({}, x, buckets)
        size = of_processes[0].size // SHARDS
        rows = [block for call in of_processes for process in call for block in process.reshape(-1, size)]
        blocks.append({tuple(block.tolist()) for block in rows if len(set(block.tolist())) > 1})
    assert blocks[0] == blocks[1] == blocks[2]
    assert {row for block in blocks[0] for row in block} >= set(range(len(x) - 1))


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


def test_devices_that_do_not_divide_the_shards_are_refused(monkeypatch):
    on_devices(monkeypatch, 3)
    with pytest.raises(InputError, match=r"^train.batch_shards 4: must be a multiple of 3, the number of devices that"):
        Trainer(in_shards(setting("work", "resnet"), norm_examples=2), dataset(), "teacher")


def test_devices_exchange_a_step_s_sums_alone(monkeypatch):
    trainer = Trainer(in_shards(setting("work", "resnet"), norm_examples=2), dataset(), "teacher")
    program = trainer.jitted_steps(False, 1).lower(*trainer.arguments_like(False, 1)).compile().as_text()
    exchanges = re.findall(r"(all-\w+(?:-\w+)?|collective-permute)(?:-start)?\(", program)
    assert sorted(exchanges) == ["all-gather", "all-to-all"]
