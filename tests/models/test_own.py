"""Networks of one's own: of Linen and NNX, as if they were ours; and what is refused."""

import dataclasses
import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_study import advance, dataset, setting

from distill_jax.data.dataset import Vocabulary
from distill_jax.errors import InputError
from distill_jax.machine.placement import on_host
from distill_jax.models import build_model, kind
from distill_jax.models.evaluation import evaluation
from distill_jax.setting import ModelSetting
from distill_jax.training.population import Member
from distill_jax.training.run_digest import run_digest
from distill_jax.training.trainer import Trainer

MODULE = '''
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

class Twin(nn.Module):  # of the library's MLP with 16 units
    num_classes: int
    dtype: jnp.dtype = jnp.float32
    width: int = 16
    kind = "dense"

    @nn.compact
    def __call__(self, x, train: bool):
        x = x.reshape(len(x), -1)
        x = nn.relu(nn.Dense(self.width, dtype=self.dtype, kernel_init=nn.initializers.he_normal(), name="hidden1")(x))
        return nn.Dense(self.num_classes, name="head")(x)

class Normed(nnx.Module):
    kind = "dense"

    def __init__(self, num_classes, rngs, width=8, dtype=jnp.float32):
        self.first = nnx.Linear(8 * 8 * 3, width, rngs=rngs, dtype=dtype)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.last = nnx.Linear(width, num_classes, rngs=rngs)

    def __call__(self, x, train):
        x = self.norm(self.first(x.reshape(len(x), -1)), use_running_average=not train)
        return self.last(jax.nn.relu(x))

class Words(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(self.num_classes)(nn.Embed(30, 4)(x).mean(1))

class Short(Twin):
    def __call__(self, x, train):
        return x.reshape(len(x), -1)[:, :3]

class Untrained(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))

class Odd(Twin):
    kind = "recurrent"

def built(num_classes, depth=1):
    return Twin(num_classes, width=depth)

number = 3
'''  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch, request):
    name = f"networks_{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_network_like_ours_is_trained_as_ours(own, tmp_path):
    ours, data = setting(tmp_path), dataset()
    twin = ModelSetting(name=f"{own}:Twin")
    theirs = dataclasses.replace(ours, teacher=twin, student=twin)
    found = []
    for one in (ours, theirs):
        trainer = Trainer(one, data, "teacher")
        state, losses = advance(trainer, [Member("teacher", 0)])
        found.append((losses, trainer.predict(state.variables, trainer.inputs["test"])[0], trainer.steps_per_dispatch))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)
    assert found[0][2] == found[1][2]


def test_one_of_nnx_learns_and_keeps_its_statistics(own, tmp_path):
    small = dataclasses.replace(
        setting(tmp_path),
        student=ModelSetting(name=f"{own}:Normed", settings={"width": 12}),
        students=("one_hot", "kd"),
    )
    teachers = Trainer(small, dataset(), "teacher", (2, 1))
    taught, _ = advance(teachers, [Member("teacher", s) for s in (0, 1)])
    trainer, members = Trainer(small, dataset(), "student", (2, 1)), [Member("kd", s) for s in (0, 1)]
    before = trainer.initial_state(members)
    assert before.params["first"]["kernel"].shape == (2, 192, 12)
    after, losses = advance(trainer, members, jax.tree.map(on_host, taught.variables), steps=20)
    assert losses[:, -4:].mean() < losses[:, :4].mean()
    assert np.all(on_host(after.collections["batch_stats"]["norm"]["mean"]) != 0)


def test_one_of_nnx_has_the_fields_that_it_names(own):
    named = ModelSetting(name=f"{own}:Normed", settings={"width": 12})
    model = build_model(named, 3, (8, 8, 3), precision="bfloat16")
    variables = model.init(jax.random.key(0), jnp.ones((2, 8, 8, 3), jnp.bfloat16), train=False)
    single = build_model(named, 3, (8, 8, 3))
    x = jnp.linspace(0, 1, 2 * 192).reshape(2, 8, 8, 3)
    rounded, exact = (network.apply(variables, x, train=False) for network in (model, single))
    assert 0 < np.abs(rounded - exact).max() < 0.05
    np.testing.assert_array_equal(evaluation(model, "cpu")(variables, x), exact)
    with pytest.raises(InputError, match=r"settings widht: is none of .*Normed; there are width$"):
        build_model(dataclasses.replace(named, settings={"widht": 12}), 3, (8, 8, 3), role="student")


def test_texts_are_whole_numbers_to_it(own):
    model = build_model(ModelSetting(name=f"{own}:Words"), 3, (5,), vocabulary=Vocabulary(30, 0))
    variables = model.init(jax.random.key(0), jnp.ones((2, 5), jnp.int32), train=False)
    assert model.apply(variables, jnp.ones((2, 5), jnp.int32), train=False).shape == (2, 3)


def test_a_function_may_build_it_and_a_class_says_its_kind(own):
    model = build_model(ModelSetting(name=f"{own}:built", settings={"depth": 7}), 3, (8, 8, 3))
    assert (model.width, model.num_classes) == (7, 3)
    assert kind(f"{own}:Twin") == "dense"
    assert kind(f"{own}:Words") == "convolutional"  # which is right for every network, if slower
    with pytest.raises(InputError, match="has the kind 'recurrent'; must be of dense, convolutional"):
        kind(f"{own}:Odd")


@pytest.mark.parametrize(
    ("name", "settings", "how", "message"),
    [
        ("number", {}, {}, "model.name .*: is a int; must be a class of a Flax module"),
        ("Twin", {"depth": 3}, {}, "model.settings depth: is none of .*:Twin; there are width"),
        (
            "Words",
            {},
            {"precision": "bfloat16"},
            "train.precision bfloat16: must be float32, since .* has no",
        ),
        ("Twin", {}, {"norm_examples": 4}, "train.norm_examples 4: must be left out, since .* has no such field"),
        ("Short", {}, {}, r"gives float32 \[2, 3\] of inputs \[2, 8, 8, 3\]; must be float32 \[2, 5\]"),
        ("Untrained", {}, {}, "cannot be called as .*train"),
        ("jnp", {}, {}, "is a module; must be a class of a Flax module, or a function"),
        ("none", {}, {}, "model.name .*:none: cannot be imported"),
    ],
)
def test_what_does_not_keep_the_contract_is_refused_in_one_line(own, name, settings, how, message):
    with pytest.raises(InputError, match=message) as caught:
        build_model(ModelSetting(name=f"{own}:{name}", settings=settings), 5, (8, 8, 3), **how)
    assert len(str(caught.value).splitlines()) == 1


def test_a_run_s_name_knows_the_code_of_its_network(own, tmp_path):
    plain = setting(tmp_path)
    twin = dataclasses.replace(plain, teacher=ModelSetting(name=f"{own}:Twin"))
    before = [run_digest(of, m, 0, "x") for of in (plain, twin) for m in ("teacher", "kd")]
    path = tmp_path / f"{own}.py"
    path.write_text(path.read_text() + "\n# another\n")
    with pytest.raises(InputError, match=f"{own}.py has changed since it was imported; must be loaded again"):
        build_model(ModelSetting(name=f"{own}:Twin"), 5, (8, 8, 3))  # which would be the old one
    importlib.reload(sys.modules[own])
    after = [run_digest(of, m, 0, "x") for of in (plain, twin) for m in ("teacher", "kd")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, False]
