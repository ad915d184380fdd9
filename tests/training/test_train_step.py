import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_study import advance, dataset, on_devices, setting

from distill_jax.data import augment
from distill_jax.errors import RunError
from distill_jax.machine import backend, placement
from distill_jax.machine.placement import on_host
from distill_jax.models.evaluation import evaluation
from distill_jax.setting import ModelSetting, TrainSetting
from distill_jax.training import outcomes, programs
from distill_jax.training.population import Member, seeds, shape
from distill_jax.training.programs import mesh_of
from distill_jax.training.step import make_epoch_order
from distill_jax.training.teacher_source import teacher_source
from distill_jax.training.trainer import Timing, Trainer

TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **(tolerance or TOLERANCE)), a, b)


@pytest.mark.parametrize("epoch", [0, 3])
def test_every_epoch_is_another_permutation(epoch):
    order = make_epoch_order(50, 2)
    one, two = np.asarray(order(1, 0, epoch)), np.asarray(order(1, 0, epoch + 1))
    for row in (*one, *two):
        np.testing.assert_array_equal(np.sort(row), np.arange(50))
    np.testing.assert_array_equal(one[1], two[0])
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one, np.asarray(order(0, 0, epoch)))
    assert not np.array_equal(one, np.asarray(order(1, 1, epoch)))


@pytest.mark.parametrize("taught", [True, False])
@pytest.mark.parametrize("augment", ["crop-flip", "none"])
@pytest.mark.parametrize("network", ["mlp", "random-features"])
def test_programs_are_compiled_for_the_very_arguments_that_they_are_given(tmp_path, network, augment, taught):
    small, data = setting(tmp_path, data={"augment": augment}), dataset()
    if network == "random-features":
        features = ModelSetting(name="random-features", features=10)
        small = dataclasses.replace(small, teacher=features, student=features)
    members = [Member("kd" if taught else "one_hot", s) for s in (0, 1)]
    trainer = Trainer(small, data, "student", (2, 1))
    teachers = Trainer(small, data, "teacher", (2, 1)).initial_state(members).variables
    if teacher_source(small) == "logits":
        teachers = np.zeros((2, len(data.train.label), data.num_classes), np.float32)
    runner = trainer.runner(members, jax.tree.map(np.asarray, teachers), Timing())
    real, like = runner.arguments(trainer.initial_state(members), 0, 4), trainer.arguments_like(taught, 4)
    assert jax.tree.structure(real) == jax.tree.structure(like)
    for a, b in zip(jax.tree.leaves(real), jax.tree.leaves(like), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert not isinstance(a, jax.Array) or a.sharding.is_equivalent_to(b.sharding, a.ndim)


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_one_device_and_four_train_the_same(tmp_path, monkeypatch, network):
    results = []
    for devices in (1, 4):
        with monkeypatch.context() as patched:
            on_devices(patched, devices)
            # As on accelerators: on a CPU small networks are not shared.
            patched.setattr(backend, "defaults", lambda *_: backend.Defaults(1, 1, 512))
            trainer = Trainer(setting(tmp_path, network), dataset(), "teacher")
            assert trainer.mesh.shape["batch"] == devices
            state, losses = advance(trainer, [Member("teacher", 0)])
            logits, _ = trainer.predict(state.variables, trainer.inputs["test"])
            results.append((losses, logits, jax.tree.map(on_host, state.variables)))
    close(*results)


@pytest.mark.parametrize("norm_examples", [2, 4])
def test_statistics_of_parts_of_a_batch_are_the_same_on_any_devices_and_need_not_cross_them(
    tmp_path, monkeypatch, norm_examples
):
    small = setting(tmp_path, "resnet", train={"norm_examples": norm_examples})
    members, losses, exchanged = [Member("teacher", 0)], [], 0
    for devices in (1, 4):  # 8 or 2 of a batch on each
        with monkeypatch.context() as patched:
            on_devices(patched, devices)
            trainer = Trainer(small, dataset(), "teacher")
            losses.append(advance(trainer, members, steps=4)[1])
            exchanged = len(re.findall(r"all-(?:reduce|gather|to-all)\(", trainer.programs[False, 1].as_text()))
    close(*losses)
    # Where a device has but a part of what they are over, each of 7 norms' sums are awaited, forward and backward.
    assert exchanged == 1 if norm_examples == 2 else exchanged >= 14


@pytest.mark.parametrize(
    ("population", "shared", "alone"),
    [((1, 1), (1, 1, 4), (1, 1, 1)), ((3, 1), (1, 1, 4), (3, 1, 1)), ((2, 2), (2, 2, 1), (2, 2, 1))],
)
def test_devices_without_members_share_batches_or_rest(monkeypatch, population, shared, alone):
    on_devices(monkeypatch, 4)
    assert placement.make_mesh(*population).devices.shape == shared
    assert placement.make_mesh(*population, batch_is_shared=False).devices.shape == alone
    assert mesh_of("resnet-cifar", population, TrainSetting(batch_size=8)).devices.shape == shared
    assert mesh_of("mlp", population, TrainSetting(batch_size=8)).devices.shape == alone


def test_devices_that_do_not_divide_a_batch_rest(monkeypatch):
    on_devices(monkeypatch, 4)
    assert [mesh_of("resnet-cifar", (1, 1), TrainSetting(batch_size=size)).devices.size for size in (8, 10, 9, 7)] == [
        4,
        2,
        3,
        1,
    ]
    assert mesh_of("resnet-cifar", (2, 1), TrainSetting(batch_size=7)).devices.shape == (2, 1, 1)


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_a_member_of_a_population_is_its_solo_run(tmp_path, network):
    small, data = setting(tmp_path, network), dataset()
    teachers = [Member("teacher", s) for s in (0, 1)]
    taught = Trainer(small, data, "teacher", (2, 1))
    state, _ = advance(taught, teachers)
    variables = jax.tree.map(on_host, state.variables)
    members = [
        *(Member("one_hot", 0, (("learning_rate", 0.02),)), Member("kd", 0, (("temperature", 1.5),))),
        *(Member("kd", 0, (("distillation_weight", 0.5),)), Member("one_hot_to_kd", 0, (("switch_step", 2),))),
        *(Member("one_hot", 1), Member("kd", 1)),
        *(Member("kd_to_one_hot", 1, (("switch_step", 1), ("switch_window", 2))), Member("one_hot_to_kd", 1)),
    ]
    if network == "resnet":
        members = [members[i] for i in (1, 3, 4, 6)]

    def stacked(population):
        return jax.tree.map(lambda a: a[seeds(population)], variables)

    steps = 20 if network == "mlp" else 4
    together, losses = advance(Trainer(small, data, "student", shape(members)), members, stacked(members), steps=steps)
    alone = Trainer(small, data, "student")

    def variables_of(state, i):
        return jax.tree.map(lambda a: on_host(a)[i], state.variables)

    for i, member in enumerate(members):
        state, solo = advance(alone, [member], stacked([member]), steps=steps)
        if network == "mlp" and member.changes:
            changed = Trainer(member.applied(small), data, "student")  # as a study of that setting would train it
            _, plain = advance(changed, [Member(member.model, member.seed)], stacked([member]), steps=steps)
            np.testing.assert_array_equal(solo, plain)
        close(losses[i], solo[0])
        close(variables_of(together, i), variables_of(state, 0))
    assert not any(np.allclose(losses[0], other) for other in losses[1:])


def test_members_in_turn_are_members_mapped_and_none_of_their_convolutions_is_grouped(tmp_path, monkeypatch):
    on_devices(monkeypatch, 1)
    small, data = setting(tmp_path, "resnet"), dataset()
    positions = small.train.batch_size * math.prod(data.input_shape[:2])
    members = [Member(model, seed) for seed in (0, 1) for model in ("kd", "kd_to_one_hot")]
    masters = [Member("teacher", seed) for seed in (0, 1)]
    given = jax.tree.map(on_host, Trainer(small, data, "teacher", (2, 1)).initial_state(masters).variables)
    found = {}
    for in_turn, limit in ((True, positions), (False, positions + 1)):
        of = backend.Defaults(4, 1, 512, in_turn_from=limit, packed="all")
        monkeypatch.setattr(backend, "defaults", lambda *_, of=of: of)
        trainer = Trainer(small, data, "student", shape(members))
        state, losses = advance(trainer, members, given, steps=4)
        found[in_turn] = jax.tree.map(on_host, state.variables), losses
        traced = str(trainer.jitted_steps(True, 1).trace(*trainer.arguments_like(True, 1)).jaxpr)
        groups = set(re.findall(r"feature_group_count=(\d+)", traced))
        assert (groups == {"1"}) == in_turn
    close(found[True], found[False])


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_devices_that_share_a_teacher_s_work_are_taught_the_same(tmp_path, monkeypatch, network):
    on_devices(monkeypatch, 4)
    small, data = setting(tmp_path, network), dataset()
    members = [Member(model, seed) for seed in (0, 1) for model in ("kd", "kd_to_one_hot")]
    masters = [Member("teacher", seed) for seed in (0, 1)]
    given = jax.tree.map(on_host, Trainer(small, data, "teacher", (2, 1)).initial_state(masters).variables)
    found = []
    for batch_size, shared, expected in ((8, True, 2), (8, False, 1), (9, True, 1)):
        of = backend.Defaults(4, 2, 512, teacher_is_shared=shared)
        monkeypatch.setattr(backend, "defaults", lambda *_, of=of: of)
        now = setting(tmp_path, network, train={"batch_size": batch_size})
        trainer = Trainer(now, data, "student", shape(members))
        assert dict(trainer.mesh.shape) == {"seed": 2, "student": 2, "batch": 1}
        assert trainer._sharing == expected
        traced = str(trainer.jitted_steps(True, 1).trace(*trainer.arguments_like(True, 1)).jaxpr)
        assert traced.count("all_gather[") == expected - 1
        found.append(advance(trainer, members, given, steps=4))
    close(found[0][1], found[1][1])
    close(*(jax.tree.map(on_host, state.variables) for state, _ in found[:2]))


def test_many_steps_a_dispatch_are_many_dispatches(tmp_path):
    results = []
    for size in (1, 4, 10):
        small = setting(tmp_path, run={"steps_per_dispatch": size})
        trainer = Trainer(small, dataset(), "teacher", (2, 1))
        state, losses = advance(trainer, [Member("teacher", s) for s in (0, 1)], steps=20)
        results.append((losses, jax.tree.map(on_host, state.params)))
    close(results[0], results[1])
    close(results[0], results[2])


def test_no_teacher_is_evaluated_where_the_weight_is_zero(tmp_path):
    small = setting(tmp_path, objective={"switch_step": 8})
    trainer = Trainer(small, dataset(), "student")
    teacher = Trainer(small, dataset(), "teacher").initial_state([Member("teacher", 0)])
    variables = jax.tree.map(on_host, teacher.variables)
    advance(trainer, [Member("one_hot_to_kd", 0)], variables, steps=8)
    assert set(trainer.programs) == {(False, 4)}
    advance(trainer, [Member("one_hot_to_kd", 0)], variables, steps=12)
    assert set(trainer.programs) == {(False, 4), (True, 4)}


def test_students_of_a_seed_are_one_until_their_losses_differ(tmp_path):
    small = setting(tmp_path, objective={"switch_step": 8})
    teacher = Trainer(small, dataset(), "teacher").initial_state([Member("teacher", 0)])
    variables = jax.tree.map(on_host, teacher.variables)
    trainer = Trainer(small, dataset(), "student")
    losses = {
        model: advance(trainer, [Member(model, 0)], variables, steps=16)[1][0]
        for model in ("one_hot", "kd", "one_hot_to_kd", "kd_to_one_hot")
    }
    np.testing.assert_array_equal(losses["one_hot"][:8], losses["one_hot_to_kd"][:8])
    np.testing.assert_array_equal(losses["kd"][:8], losses["kd_to_one_hot"][:8])
    assert not np.any(losses["one_hot"][9:] == losses["one_hot_to_kd"][9:])


def as_on_a_tpu(monkeypatch, small, data, members, given):
    """The losses of 20 steps of students whose teachers' logits are in rows filled up to a TPU's tiles."""
    monkeypatch.setattr(programs, "row_length", lambda values, platform: placement.row_length(values, "tpu"))
    trainer = Trainer(small, data, "student", shape(members))
    assert trainer.teachers_like().shape[-1] == 128
    return advance(trainer, members, given, steps=20)[1]


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_a_cached_teacher_teaches_as_one_in_the_step(tmp_path, monkeypatch, network):
    plain = setting(tmp_path, network, data={"augment": "none"})
    data, members = dataset(), [Member(model, seed) for seed in (0, 1) for model in ("kd", "one_hot_to_kd")]
    if network == "resnet":
        members = members[:1]
    teachers = Trainer(plain, data, "teacher", (len(seeds(members)), 1))
    state = teachers.initial_state([Member("teacher", seed) for seed in seeds(members)])
    given = {
        "in-step": jax.tree.map(on_host, state.variables),
        "cached": teachers.predict(state.variables, teachers.inputs["train"])[0],
    }
    results = []
    for kind, taught in given.items():
        small = setting(tmp_path, network, data={"augment": "none"}, run={"teacher_logits": kind})
        trainer = Trainer(small, data, "student", shape(members))
        results.append(advance(trainer, members, taught, steps=20 if network == "mlp" else 3)[1])
    close(*results)
    if network == "mlp":
        filled = as_on_a_tpu(monkeypatch, small, data, members, given["cached"])
        np.testing.assert_array_equal(filled, results[1])
    assert teacher_source(plain) == "logits"
    assert teacher_source(setting(tmp_path)) == "variables"


@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_a_teacher_s_logits_of_all_outcomes_teach_as_it_does_in_the_step(tmp_path, monkeypatch, network):
    data, members = dataset(), [Member(model, seed) for seed in (0, 1) for model in ("kd", "one_hot_to_kd")]
    if network == "resnet":
        members = members[:1]
    plain = setting(tmp_path, network)
    teachers = Trainer(plain, data, "teacher", (len(seeds(members)), 1))
    state = teachers.initial_state([Member("teacher", seed) for seed in seeds(members)])
    variables = jax.tree.map(on_host, state.variables)
    teach, kind = evaluation(teachers.model, "cpu"), plain.data.augment
    tables = [
        outcomes.table(teach, jax.tree.map(lambda a, i=i: a[i], variables), data, kind, batch=300)
        for i in range(len(seeds(members)))
    ]
    ways = augment.outcomes(kind, data.input_shape)
    assert ways > 1
    assert tables[0].shape == (len(data.train.label) * ways, data.num_classes)
    assert tables[0].nbytes == outcomes.table_bytes(data, kind, "cpu")
    for number in (0, ways - 1):  # each place of the table is what the teacher says of that outcome
        x = augment.moved(jnp.asarray(data.train.x), jnp.full(len(data.train.x), number), kind)
        one = jax.tree.map(lambda a: a[0], variables)
        said = teach(one, augment.normalise(x, data.mean, data.std))
        np.testing.assert_allclose(tables[0][number::ways], said, rtol=2e-3, atol=2e-3)
    found = []
    for how, given in (("in-step", variables), ("all-outcomes", np.stack(tables))):
        small = setting(tmp_path, network, run={"teacher_logits": how})
        trainer = Trainer(small, data, "student", shape(members))
        found.append(advance(trainer, members, given, steps=20 if network == "mlp" else 3)[1])
    close(*found, rtol=5e-3, atol=5e-4)
    assert not np.array_equal(*found)
    if network == "mlp":
        filled = as_on_a_tpu(monkeypatch, small, data, members, np.stack(tables))
        np.testing.assert_array_equal(filled, found[1])


def test_each_repetition_learns_its_own_labels(tmp_path):
    data = dataset()
    drawn = [data.train.label, (data.train.label + 1) % data.num_classes]
    own = dataclasses.replace(data, draw=lambda seed: drawn[seed])
    small, members = setting(tmp_path), [Member("teacher", s) for s in (0, 1)]
    _, losses = advance(Trainer(small, own, "teacher", (2, 1)), members)
    for seed, label in enumerate(drawn):
        of_one = dataclasses.replace(data, train=dataclasses.replace(data.train, label=label))
        close(losses[seed], advance(Trainer(small, of_one, "teacher"), [members[seed]])[1][0])


def test_memory_grows_with_the_members(tmp_path):
    small, data = setting(tmp_path), dataset()
    needs = []
    for count in (4, 16, 64):  # spread over the same number of devices
        members = [Member("teacher", s) for s in range(count)]
        needs.append(Trainer(small, data, "teacher", (count, 1)).runner(members, None, Timing()).memory())
    assert needs[0] < needs[1] < needs[2]


def test_a_step_transfers_nothing_to_the_host(tmp_path, monkeypatch):
    trainer = Trainer(setting(tmp_path), dataset(), "teacher", (2, 1))
    members = [Member("teacher", s) for s in (0, 1)]
    runner, state = trainer.runner(members, None, Timing()), trainer.initial_state(members)
    jitted = trainer.jitted_steps(False, 4)
    # With an abstract state whatever reads it fails; JAX's guard does not see a CPU's arrays, which are host memory.
    monkeypatch.setattr(trainer, "compiled_steps", lambda *_: jitted)
    after, metrics = jax.eval_shape(lambda state: runner(state, 4, 4), state)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert metrics["loss"].shape == (2, 4)

    def read(state):
        moved, metrics = runner(state, 4, 4)
        return moved, float(metrics["loss"].sum())

    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.eval_shape(read, state)
    # Nor does the program itself call the host.
    told = jax.jit(lambda x: jax.debug.print("{}", x)).lower(jnp.ones(2)).as_text()
    step = jitted.lower(*runner.arguments(state, 4, 4)).as_text()
    assert "callback" in told
    assert "callback" not in step


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", ["mlp", "resnet"])
def test_the_step_can_be_lowered_for_cpu_cuda_and_tpu(tmp_path, monkeypatch, network, precision):
    on_devices(monkeypatch, 1)
    small = setting(tmp_path, network, train={"precision": precision})
    trainer = Trainer(small, dataset(), "student", (2, 1))
    steps = trainer.steps_per_dispatch
    jitted, args = trainer.jitted_steps(True, steps), trainer.arguments_like(True, steps)
    platforms = ("cpu", "cuda", "tpu")
    exported = jax.export.export(jitted, platforms=platforms)(*args)
    assert exported.platforms == platforms
    assert ("convolution" if network == "resnet" else "while") in exported.mlir_module()


def test_bfloat16_keeps_state_and_loss_in_float32(tmp_path):
    small = setting(tmp_path, "resnet", train={"precision": "bfloat16"})
    state, losses = advance(Trainer(small, dataset(), "teacher"), [Member("teacher", 0)])
    exact_trainer = Trainer(setting(tmp_path, "resnet"), dataset(), "teacher")
    full, exact = advance(exact_trainer, [Member("teacher", 0)])
    assert {leaf.dtype for leaf in jax.tree.leaves(state.variables)} == {jnp.dtype("float32")}
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses[:, :3], exact[:, :3], rtol=0.05)
    assert jax.tree.structure(state) == jax.tree.structure(full)


def test_quick_learning(tmp_path):
    small = setting(tmp_path, train={"epochs": 10})
    _, losses = advance(Trainer(small, dataset(), "teacher"), [Member("teacher", 0)], steps=60)
    assert losses[0, -10:].mean() < 0.8 * losses[0, :5].mean()


def test_what_is_not_trained_is_computed_once_and_learns_the_same(tmp_path):
    features = ModelSetting(name="random-features", features=50)
    data, members = dataset(train=24), [Member("teacher", s) for s in (0, 1)]
    results, products = [], []
    for memory in (1e-9, None):  # too little to keep the features of 24 examples, enough
        run = {"steps_per_dispatch": 6, "memory_gib": memory, "streaming": "never"}
        small = setting(tmp_path, data={"augment": "none"}, run=run)
        trainer = Trainer(dataclasses.replace(small, teacher=features), data, "teacher", (2, 1))
        state, losses = advance(trainer, members, steps=12)
        results.append((losses, jax.tree.map(on_host, state.variables)))
        initial = trainer.initial_state(members)
        kept = jax.tree.leaves(trainer.frozen_features(initial))
        assert [leaf.shape for leaf in kept] == ([] if memory else [(2, 24, 50)])
        text = str(trainer.jitted_steps(False, 6).trace(*trainer.arguments_like(False, 6)).jaxpr)
        products.append(text.count("dot_general"))
    assert products[1] == products[0] - 1  # that with the fixed kernel is not in the step
    close(*results)
    np.testing.assert_array_equal(results[1][1]["constants"]["kernel"], initial.collections["constants"]["kernel"])
    abstract = trainer.frozen_features_like()
    assert (abstract.shape, abstract.dtype) == (kept[0].shape, kept[0].dtype)


def test_as_many_are_evaluated_at_once_as_fit_and_their_logits_are_the_same(tmp_path):
    data = dataset(train=200, test=40)
    small = setting(tmp_path)
    trainer = Trainer(small, data, "teacher", (2, 1))
    members = [Member("teacher", seed) for seed in (0, 1)]
    state = trainer.initial_state(members)
    expected, _ = trainer.predict(state.variables, trainer.inputs["train"])
    whole = trainer.evaluation_memory("train")
    assert trainer.fit_evaluation(whole) == (200, 200)
    trainer = Trainer(small, data, "teacher", (2, 1))
    before, size = trainer.fit_evaluation(0.75 * whole)
    assert before == 200
    assert size in (100, 52, 50, 48)  # half of it, or a quarter where the rest weighs much
    assert trainer.evaluation_memory("train") <= 0.75 * whole
    assert trainer.fit_evaluation(0.0) == (size, size)  # asked once
    close(trainer.predict(trainer.initial_state(members).variables, trainer.inputs["train"])[0], expected)
    with pytest.raises(RunError, match="too small to evaluate one example at a time"):
        Trainer(small, data, "teacher", (2, 1)).fit_evaluation(1.0)
