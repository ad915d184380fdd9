import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill_jax.models import count_parameters, roberta
from distill_jax.models.attention import attend
from distill_jax.models.evaluation import evaluation, in_float32, rounded_kernels
from distill_jax.models.roberta import SIZES, Roberta, RobertaConfig, gelu
from experiments.text_parity import make_batch

CONFIG = RobertaConfig(2, 16, 2, 24, vocabulary=30, positions=18)
ONE = dataclasses.replace(CONFIG, layers=1)
STILL = dataclasses.replace(ONE, dropout=0.0, attention_dropout=0.0, head_dropout=0.0)
TOKENS = make_batch(CONFIG, texts=8).tokens


@pytest.fixture
def variables(random_variables):
    return random_variables(Roberta(3, CONFIG), (16,))


@functools.cache  # so that a network is compiled once for all tests
def program(model, train):
    return jax.jit(lambda v, x, key: model.apply(v, x, train=train, rngs={"dropout": key}))


def key(seed):
    return jax.random.key(seed, impl="rbg")  # which compiles in a fraction of the default's time


def logits(model, variables, tokens=TOKENS, train=False, seed=0):
    return program(model, train)(variables, tokens, key(seed))


@pytest.mark.parametrize(("size", "parameters"), [("base", 124_647_170), ("medium", 51_483_138), ("small", 38_873_602)])
def test_parameters(size, parameters):
    # Of base as commonly published for two classes; of the others less layers, and 512 units for 768.
    model = Roberta(2, RobertaConfig.sized(*SIZES[size]))
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, 8)), train=False), jax.random.key(0))
    assert count_parameters(shapes["params"]) == parameters


def test_padding_changes_nothing(variables):
    model = Roberta(3, CONFIG)
    rows = np.array([0, 3])  # which has one token, and the longer of the two, which is left without padding
    shorter = TOKENS[rows, : (TOKENS[3] != CONFIG.pad).sum()]
    assert (shorter[1] != CONFIG.pad).all()
    together = logits(model, variables)[rows]
    np.testing.assert_allclose(logits(model, variables, shorter), together, rtol=1e-5, atol=1e-5)


def test_every_token_and_its_position_matter(variables):
    model = Roberta(3, CONFIG)
    text = TOKENS[-1]
    texts = np.tile(text, (len(text) + 2, 1))  # the text itself, with each token changed, and with two swapped
    for place in range(len(text)):
        texts[1 + place, place] = 2 + text[place] % 20
    texts[-1, [3, 9]] = text[[9, 3]]
    assert np.all((texts[1:] != text).any(axis=1))
    said = np.asarray(logits(model, variables, texts))
    assert np.abs(said[1:] - said[0]).max(axis=1).min() > 1e-4


def test_tokens_may_be_of_any_type(variables):
    model = Roberta(3, STILL)  # of the variables it needs those of one layer alone
    for dtype in (np.uint16, np.float32):
        np.testing.assert_array_equal(logits(model, variables, TOKENS.astype(dtype)), logits(model, variables))


@pytest.mark.parametrize("field", ["dropout", "attention_dropout", "head_dropout"])
def test_each_dropout_is_there_in_training_alone_and_follows_its_key(field, variables):
    model, without = Roberta(3, dataclasses.replace(STILL, **{field: 0.3})), Roberta(3, STILL)
    still = logits(without, variables)
    first, same, other = (logits(model, variables, train=True, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.all(first != other)
    assert np.all(first != still)

    def computation(network, train):
        return str(jax.make_jaxpr(lambda v: program(network, train)(v, TOKENS, key(0)))(variables))

    assert computation(model, False) == computation(without, False) == computation(without, True)
    assert computation(model, True) != computation(without, True)


def random_attention(heads=3, units=8, texts=4, keys=10):
    rng = np.random.default_rng(0)
    query, key, value = (jnp.asarray(rng.normal(size=(texts, keys, heads, units)), jnp.float32) for _ in range(3))
    return query, key, value, jnp.array([1, 4, 7, 10])


def test_attention_s_dropout_leaves_its_mean():
    given = random_attention()
    exact = attend(*given)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = jax.jit(jax.vmap(lambda key: attend(*given, rate=0.25, drawn=key)))(keys)
    spread = np.std(drawn, axis=0)
    assert np.all(spread > 0)
    np.testing.assert_array_less(np.abs(np.mean(drawn, axis=0) - exact), 5 * spread / np.sqrt(len(keys)))
    # Of a text of one token the weight is 1: kept it becomes 4 / 3, dropped 0.
    one = np.asarray(drawn)[:, 0] / np.asarray(exact)[0]
    np.testing.assert_allclose(np.unique(one.round(4)), [0, 1.3333])
    assert np.mean(one > 1) == pytest.approx(0.75, abs=0.01)


def test_attention_does_not_see_past_the_length():
    query, key, value, length = random_attention()
    beyond = jnp.arange(10)[None, :, None, None] >= length[:, None, None, None]
    for rate, drawn in ((0.0, None), (0.5, jax.random.key(0))):
        outcome = [
            attend(query, jnp.where(beyond, k, key), jnp.where(beyond, k, value), length, rate=rate, drawn=drawn)
            for k in (0.0, 50.0)
        ]
        np.testing.assert_array_equal(*outcome)


@functools.cache
def gradient(model):
    """The function from variables to a loss's gradient, of the parameters that the network has."""

    def loss(params):
        said = model.apply({"params": params}, TOKENS, train=True, rngs={"dropout": key(0)})
        return jnp.mean(jax.nn.logsumexp(said, -1) - said[:, 0])

    return jax.jit(lambda v: jax.grad(loss)(v["params"]))


def test_remat_changes_nothing_but_what_is_kept(variables):
    kept, again = Roberta(3, ONE), Roberta(3, ONE, remat=True)  # with dropout, of which the same must be drawn again
    np.testing.assert_array_equal(*(logits(model, variables, train=True) for model in (kept, again)))
    steps = {model: str(jax.make_jaxpr(gradient(model))(variables)) for model in (kept, again)}
    # The layer's softmax is computed a second time for the gradient, the head's tanh outside of it is not.
    plain, remat = ({name: steps[m].count(f" = {name}") for name in ("exp", "tanh")} for m in (kept, again))
    assert remat["exp"] > plain["exp"] > 0
    assert remat["tanh"] == plain["tanh"] == 1


def test_mapped_over_members_equals_solo(random_variables):
    model = Roberta(3, ONE)
    members = [random_variables(model, (16,), seed) for seed in range(2)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    mapped = jax.jit(jax.vmap(program(model, True), in_axes=(0, None, None)))(together, TOKENS, key(0))
    for of_member, said in zip(members, mapped, strict=True):
        np.testing.assert_allclose(said, logits(model, of_member, train=True), rtol=1e-3, atol=1e-5)


def test_in_float32_it_is_computed_without_cudnn():
    assert in_float32(Roberta(3, CONFIG, jnp.bfloat16, "cudnn", remat=True)) == Roberta(3, CONFIG, remat=True)


def test_bfloat16_keeps_float32_parameters_and_close_logits(variables):
    exact, low = (logits(Roberta(3, CONFIG, dtype), variables) for dtype in (jnp.float32, jnp.bfloat16))
    assert low.dtype == jnp.float32
    assert 0 < np.std(low - exact) < 0.05 * np.std(exact)
    grads = jax.eval_shape(gradient(Roberta(3, CONFIG, jnp.bfloat16)), variables)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(grads))


def test_gelu_s_gradient_keeps_its_input_alone():
    x = jnp.linspace(-5, 5, 101)

    def kept(f):
        return sum(leaf.size for leaf in jax.tree.leaves(jax.vjp(f, x)[1]) if leaf.size >= x.size)

    plain = functools.partial(nn.gelu, approximate=False)
    assert kept(gelu) == x.size < kept(plain)
    np.testing.assert_array_equal(gelu(x), plain(x))
    for f in (jnp.sum, lambda y: jnp.sum(y**2)):
        gradients = [jax.grad(lambda x, of=of, f=f: f(of(x)))(x) for of in (gelu, plain)]
        np.testing.assert_allclose(*gradients, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("config", [CONFIG, STILL])
def test_float32_products_are_computed_in_float32(config, variables):
    # A CPU does so whatever is asked; GPUs and TPUs do not.
    text = gradient(Roberta(3, config)).lower(variables).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert all(line.count("HIGHEST") == 2 for line in products)


@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, 0), (0, 0, 0), (0, None, 0)])
def test_cudnn_takes_the_members_of_a_population(monkeypatch, axes):
    # Lowered for a GPU that is not there; what it computes there is compared by `experiments.accelerator`.
    cudnn = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda *_: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda *_: True)
    texts, tokens, heads, units = 4, 16, 2, 8

    def loss(scale, x, length):
        y = (x * scale).reshape(texts, tokens, heads, units)
        return jnp.sum(attend(y, y, y, length, implementation="cudnn").astype(jnp.float32) ** 2)

    wide = jnp.ones((3, texts, tokens, heads * units), jnp.bfloat16)
    arguments = jnp.ones((3, 1), jnp.bfloat16), wide, jnp.full((3, texts), tokens, jnp.int32)
    mapped = [a if axis == 0 else a[0] for a, axis in zip(arguments, axes, strict=True)]
    seeds = [jnp.stack([a, a]) for a in mapped]
    for function, given in ((jax.grad(loss), mapped), (jax.vmap(jax.grad(loss), axes), seeds)):
        traced = jax.jit(jax.vmap(function, axes if given is mapped else 0)).trace(*given)
        assert "fmha" in traced.lower(lowering_platforms=("cuda",)).as_text()


def test_cudnn_is_asked_for_where_it_can_be(variables):
    # Lowered for a GPU, not run. The last layer has one query, which cuDNN does not take.
    still = dataclasses.replace(CONFIG, dropout=0.0, attention_dropout=0.0, head_dropout=0.0)
    model = Roberta(3, still, jnp.bfloat16, "cudnn")
    traced = jax.jit(lambda v: model.apply(v, TOKENS, train=True))
    try:
        program = traced.trace(variables).lower(lowering_platforms=("cuda",)).as_text()
    except RuntimeError as error:
        if "cuDNN" not in str(error):
            raise
        pytest.skip("needs cuDNN, of JAX's extra cuda")
    assert program.count("fmhaSoftmax") == CONFIG.layers - 1


def test_kernels_rounded_before_a_bfloat16_teacher_teaches_change_nothing(variables):
    """Its head has two layers, both of which are used in float32."""
    said = jax.jit(evaluation(Roberta(3, CONFIG, dtype=jnp.bfloat16), "cpu", "bfloat16"))
    np.testing.assert_array_equal(said(variables, TOKENS), said(rounded_kernels(variables), TOKENS))


@pytest.mark.parametrize("of_kind", [{}, {"kind": "bert", "types": 2, "pad": 0}])
def test_gradients_of_positions_and_types_are_sums_over_tokens_however_they_are_made(of_kind, monkeypatch):
    config = dataclasses.replace(STILL, **of_kind)
    model, tokens = Roberta(3, config), make_batch(config, texts=8).tokens
    variables = model.init(jax.random.key(0), tokens, train=False)

    def gradients():
        loss = jax.jit(jax.grad(lambda v: (model.apply(v, tokens, train=False) ** 2).sum()))
        return loss(variables)["params"]

    added = gradients()
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, default, cuda=None, **_: (cuda or default)(*args))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), gradients(), added)
    for name in ("position", "token_type"):
        assert np.abs(added[name]["embedding"]).max() > 1e-3


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_a_table_s_gradient_adds_what_each_token_says_to_its_row(platform, monkeypatch):
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, default, cuda: (cuda if platform == "cuda" else default)(*args)
    )
    rng = np.random.default_rng(0)
    table, index = rng.normal(size=(9, 4)).astype(np.float32), rng.integers(0, 6, (3, 7))
    y = rng.normal(size=(3, 7, 4)).astype(np.float32)
    expected = np.zeros_like(table)
    np.add.at(expected, index, y)
    found, gradient = jax.vjp(lambda t: roberta.looked_up(t, index, 6), table)
    np.testing.assert_array_equal(found, table[index])
    np.testing.assert_allclose(gradient(y)[0], expected, rtol=1e-5, atol=1e-6)
