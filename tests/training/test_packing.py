import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_study import advance, dataset, setting

from distill_jax.machine import backend
from distill_jax.machine.placement import on_host
from distill_jax.setting import OptimizerSetting
from distill_jax.training import packing
from distill_jax.training.packing import Packing, StatePacking
from distill_jax.training.population import Member
from distill_jax.training.trainer import Trainer


def tree():
    rng = np.random.default_rng(0)
    shapes = {"a": (3,), "b": (), "c": (3, 3, 2, 4), "d": (5, 2), "e": (1,), "f": (1, 1, 4, 2)}
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("together", [64, 2])
@pytest.mark.parametrize("kind", ["none", "small", "all"])
def test_a_packed_tree_is_unpacked_as_it_was(monkeypatch, kind, together):
    monkeypatch.setattr(packing, "_TOGETHER", together)
    whole = tree()
    how = Packing(kind, jax.eval_shape(lambda: whole))
    packed = how.pack(whole)
    jax.tree.map(np.testing.assert_array_equal, how.unpack(packed), whole)
    arrays = {"none": 6, "small": 3 + -(-3 // together), "all": 2 * -(-3 // together)}[kind]
    assert len(jax.tree.leaves(packed)) == arrays
    # Weight decay knows kernels by their axes.
    assert sum(a.size for a in jax.tree.leaves(packed) if a.ndim > 1) == 72 + 10 + 8


@pytest.mark.parametrize(
    ("network", "optimizer"), [("mlp", "sgd"), ("mlp", "adam"), ("mlp", "adamw"), ("resnet", "sgd")]
)
@pytest.mark.parametrize("kind", ["small", "all"])
def test_packed_it_trains_the_same(tmp_path, monkeypatch, network, kind, optimizer):
    rule = OptimizerSetting(optimizer=optimizer, learning_rate=0.01, weight_decay=0.01, decay_norm_and_bias=False)
    small = setting(tmp_path, network, run={"steps_per_dispatch": 4})
    small = dataclasses.replace(small, optimizer=rule)
    members = [Member("teacher", s) for s in (0, 1)]
    outcomes = []
    for packed in ("none", kind):
        with monkeypatch.context() as patched:
            patched.setattr(backend, "defaults", lambda *_, packed=packed: backend.Defaults(2, 4, 512, packed=packed))
            trainer = Trainer(small, dataset(), "teacher", (2, 1))
            state, losses = advance(trainer, members, steps=8)
            outcomes.append((losses, jax.tree.map(on_host, state)))
    assert jax.tree.structure(outcomes[0]) == jax.tree.structure(outcomes[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *outcomes)


def test_a_state_has_no_more_arrays_than_what_is_packed(tmp_path):
    trainer = Trainer(setting(tmp_path, "resnet"), dataset(), "teacher")
    state = jax.tree.map(lambda a: a[0], trainer.initial_state([Member("teacher", 0)]))
    packed = StatePacking("all", jax.eval_shape(lambda: state)).pack(state)
    assert len(jax.tree.leaves(packed.params)) == len(jax.tree.leaves(packed.opt_state)) == 2
    assert len(jax.tree.leaves(packed.collections)) == 1
    again = StatePacking("all", jax.eval_shape(lambda: state)).unpack(packed)
    jax.tree.map(np.testing.assert_array_equal, again, state)
