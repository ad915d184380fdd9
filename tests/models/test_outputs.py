import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.data.dataset import Vocabulary
from distill_jax.errors import InputError
from distill_jax.models import build_model
from distill_jax.models.outputs import chosen_layers, layers_of, outputs
from distill_jax.setting import ModelSetting, RobertaSetting

IMAGE = (8, 8, 3)


def like(shape):
    return jax.ShapeDtypeStruct((2, *shape), "float32")


def network(name):
    setting = ModelSetting(
        name=name, depth=8, width=4, hidden=(6, 7), features=9, roberta=RobertaSetting(layers=2, units=64)
    )
    if name == "roberta":
        words = Vocabulary(size=30, pad=1)
        return build_model(setting, 5, (6,), vocabulary=words), (6,)
    shape = (5, 4) if name == "channel" else IMAGE
    return build_model(setting, 5, shape), shape


@pytest.mark.parametrize("name", ["resnet-cifar", "mlp", "random-features", "channel", "roberta"])
def test_features_are_asked_for_by_layer_and_change_nothing(name):
    model, shape = network(name)
    there = layers_of(model, like(shape))
    x = jax.random.uniform(jax.random.key(1), (3, *shape)) * 9
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), x)
    layers = {f"number {i}": path for i, path in enumerate(there)}
    found, plain = (
        jax.jit(lambda v, of=of: outputs(model, v, x, of, train=False)[0])(variables) for of in (layers, {})
    )
    assert plain.features == {}
    np.testing.assert_allclose(found.logits, plain.logits, rtol=1e-5, atol=1e-6)
    assert {name: value.shape[1:] for name, value in found.features.items()} == {
        name: there[path] for name, path in layers.items()
    }
    if "head" in there:  # the last layer's output is the logits
        np.testing.assert_array_equal(found.features[f"number {list(there).index('head')}"], found.logits)


def test_the_layer_that_is_taken_where_none_is_named_is_the_middle_one():
    model, shape = network("resnet-cifar")
    assert chosen_layers(model, like(shape), {}, "--x") == {"middle": "stage2_unit1"}
    mlp, shape = network("mlp")
    assert chosen_layers(mlp, like(shape), {}, "--x") == {"middle": "hidden2"}
    assert chosen_layers(mlp, like(shape), {"late": "hidden2"}, "--x") == {"late": "hidden2"}
    with pytest.raises(
        InputError, match="--x late=hidden3: is no layer of the network; must be of hidden1, hidden2, head"
    ):
        chosen_layers(mlp, like(shape), {"late": "hidden3"}, "--x")
    linear, shape = network("linear")
    with pytest.raises(InputError, match="--x: must name a layer, since the network has none before its last"):
        chosen_layers(linear, like(shape), {}, "--x")


def test_a_feature_is_what_its_layer_gives():
    model, shape = network("mlp")
    x = jax.random.normal(jax.random.key(1), (3, *shape))
    variables = model.init(jax.random.key(0), x, train=False)
    found, _ = outputs(model, variables, x, {"first": "hidden1"}, train=False)
    kernel, bias = variables["params"]["hidden1"]["kernel"], variables["params"]["hidden1"]["bias"]
    expected = jnp.dot(x.reshape(3, -1), kernel, precision="highest") + bias
    np.testing.assert_allclose(found.features["first"], expected, rtol=1e-5, atol=1e-5)
