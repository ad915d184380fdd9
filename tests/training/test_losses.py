import functools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from distill_jax.errors import InputError
from distill_jax.models.outputs import Outputs
from distill_jax.training.losses import LOSSES, dkd, hard_label, hint, kd, label_smoothing, loss, one_hot

K = 5
OWN = {"temperature": 3.0, "distillation_scale": "T^2"}


@pytest.fixture
def batch():
    keys = jax.random.split(jax.random.key(0), 5)
    student, teacher = (
        Outputs(3 * jax.random.normal(keys[i], (8, K)), {"middle": jax.random.normal(keys[i + 2], (8, 4, 4, 3 - i))})
        for i in (0, 1)
    )
    return student, teacher, jax.random.randint(keys[4], (8,), 0, K)


def called(name, student, teacher, label, params):
    """A loss with the settings that it has by default."""
    of = loss(name)
    own = {key: OWN[key] for key in of.settings if key in OWN}
    if of.init is not None:
        own["params"] = params
    return of.function(student, teacher if of.teacher else None, label, **own)


@pytest.mark.parametrize("name", LOSSES)
def test_each_is_a_number_of_each_example_with_the_gradient_of_finite_differences(batch, name):
    student, teacher, label = batch
    of = loss(name)
    params = of.init(jax.random.key(1), student, teacher) if of.init else {}
    value = called(name, student, teacher, label, params)
    assert value.shape == (8,)
    assert value.dtype == jnp.float32
    assert np.all(value >= 0)
    # Of each example its own: another batch around it changes nothing.
    some = jnp.array([5, 2])
    part = jax.tree.map(lambda a: a[some], batch)
    np.testing.assert_allclose(called(name, *part, params), value[some], rtol=1e-5)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda a: jnp.asarray(a.astype(np.float64)), jax.device_get((student, teacher, params)))
        given = jax.tree.map(lambda a: a[:2], exact[:2])

        def total(s, p):  # finite differences are taken of NumPy's arrays
            return called(name, jax.tree.map(jnp.asarray, s), given[1], label[:2], p).sum()

        near = {"atol": 1e-3, "rtol": 1e-3} if name == "hint" else {}
        check_grads(total, (given[0], exact[2]), order=1, modes=["rev"], **near)


def test_what_has_no_weight_in_a_loss_does_not_matter(batch):
    student, teacher, label = batch
    other = (label + 1) % K
    for distilled in (functools.partial(kd, **OWN), hard_label):
        np.testing.assert_array_equal(distilled(student, teacher, label), distilled(student, teacher, other))


@pytest.mark.parametrize("name", ["kd", "dkd", "squared_error_kd"])
def test_a_student_that_is_its_teacher_has_no_gradient(batch, name):
    _, teacher, label = batch
    gradient = jax.grad(lambda z: called(name, Outputs(z), teacher, label, {}).mean())(teacher.logits)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_a_perfectly_sure_teacher_is_a_label(batch):
    student, _, label = batch
    sure = Outputs(1e4 * jax.nn.one_hot(label, K))
    expected = one_hot(student, None, label)
    np.testing.assert_allclose(
        kd(student, sure, label, temperature=jnp.ones(()), distillation_scale="T^2"), expected, rtol=1e-5
    )
    np.testing.assert_array_equal(hard_label(student, sure, (label + 1) % K), expected)


def test_scale_keeps_the_size_of_the_gradient_at_high_temperature(batch):
    # Hinton et al. 2015, eq. 4: with T^2 the gradient tends to (z - v) / K, for logits of mean zero.
    z, v = (of.logits - of.logits.mean(-1, keepdims=True) for of in batch[:2])

    def gradient(temperature, scale):
        how = {"temperature": temperature, "distillation_scale": scale}
        return jax.grad(lambda z: kd(Outputs(z), Outputs(v), batch[2], **how).sum())(z)

    np.testing.assert_allclose(gradient(1e3, "T^2"), (z - v) / K, atol=2e-2)
    np.testing.assert_allclose(gradient(7.0, "1") * 49, gradient(7.0, "T^2"), rtol=1e-4, atol=1e-6)


def test_smoothed_labels_are_distillation_from_a_teacher_with_these_probabilities(batch):
    student, _, label = batch
    a = 0.3
    probabilities = (1 - a) * jax.nn.one_hot(label, K) + a / K
    expected = kd(student, Outputs(jnp.log(probabilities)), label, temperature=jnp.ones(()), distillation_scale="1")
    np.testing.assert_allclose(label_smoothing(student, None, label, smoothing=a), expected, rtol=1e-5)
    np.testing.assert_allclose(
        label_smoothing(student, None, label, smoothing=0.0), one_hot(student, None, label), rtol=1e-6
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_decoupled_distillation_coupled_again_is_the_divergence_of_all_classes(batch, temperature):
    # Zhao et al. 2022, equation 6: KD = TCKD + (1 - p_y) NCKD.
    student, teacher, label = batch
    p = jax.nn.softmax(teacher.logits / temperature)
    not_label = 1 - jnp.take_along_axis(p, label[:, None], 1)[:, 0]
    coupled = dkd(student, teacher, label, temperature=temperature, alpha=1.0, beta=not_label)
    divergence = optax.kl_divergence(jax.nn.log_softmax(student.logits / temperature), p)
    np.testing.assert_allclose(coupled, divergence * temperature**2, rtol=1e-4, atol=1e-5)


def test_the_parts_of_decoupled_distillation_see_what_they_should(batch):
    student, teacher, label = batch
    higher = Outputs(student.logits + 2 * jax.nn.one_hot(label, K))
    of = functools.partial(dkd, teacher=teacher, label=label, temperature=2.0)
    # Among themselves the other classes are what they were.
    np.testing.assert_allclose(of(higher, alpha=0.0, beta=1.0), of(student, alpha=0.0, beta=1.0), rtol=1e-4, atol=1e-5)
    assert np.all(np.abs(of(higher, alpha=1.0, beta=0.0) - of(student, alpha=1.0, beta=0.0)) > 1e-3)
    two = [Outputs(o.logits[:, :2]) for o in (student, teacher)]
    np.testing.assert_allclose(dkd(*two, label % 2, temperature=2.0, alpha=0.0), 0, atol=1e-6)


def test_a_hint_is_nothing_where_the_regressor_makes_the_teacher_s_of_the_student_s(batch):
    student, _, label = batch
    kernel, bias = jax.random.normal(jax.random.key(3), (3, 7)), jnp.arange(7.0)
    g = {"middle": jnp.einsum("bhwc,cd->bhwd", student.features["middle"], kernel) + bias}
    params = {"middle": {"kernel": kernel, "bias": bias}}
    found = hint(student, Outputs(student.logits, g), label, params=params)
    np.testing.assert_allclose(found, 0, atol=1e-9)
    # Half the mean square of what is missing.
    g = {"middle": g["middle"] + 2.0}
    np.testing.assert_allclose(hint(student, Outputs(student.logits, g), label, params=params), 2.0, rtol=1e-5)


def test_a_hint_resizes_maps_and_refuses_what_cannot_be_compared(batch):
    student, _, label = batch
    halves = student.features["middle"].reshape(8, 2, 2, 2, 2, 3).mean((2, 4))
    identity = {"middle": {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}}
    constant = Outputs(student.logits, {"middle": jnp.full((8, 4, 4, 3), 5.0)})
    of_half = Outputs(student.logits, {"middle": jnp.full_like(halves, 5.0)})
    np.testing.assert_allclose(hint(constant, of_half, label, params=identity), 0, atol=1e-9)
    init = LOSSES["hint"].init
    with pytest.raises(InputError, match="has 3 axes; must have as many as the teacher's, 1"):
        init(jax.random.key(0), student, Outputs(student.logits, {"middle": jnp.zeros((8, 4))}))
    with pytest.raises(InputError, match=r"are middle; must have the names of `objective.teacher_features`, late"):
        init(jax.random.key(0), student, Outputs(student.logits, {"late": halves}))


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("", "kd2", "must be of one_hot, kd, .*, or your own as module:function"),
        ("x = 1", "mine_a:x", "is a int; must be a function"),
        ("def x(student, teacher, label, *, a): ...", "mine_b:x", "setting a must have a number for a default"),
        ("def x(student, teacher, label, *, a='b'): ...", "mine_c:x", "setting a must have a number for a default"),
        ("def x(s, t, y, *, switch_step=1): ...", "mine_d:x", "switch_step must be of another name"),
        ("def x(s, t, y): ...", "mine_e:y", "cannot be imported .*must be module:attribute"),
        ("import no_such_module", "mine_f:y", "cannot be imported .No module named 'no_such_module'"),
    ],
)
def test_what_is_no_loss_is_refused_in_one_line(tmp_path, monkeypatch, code, name, message):
    monkeypatch.syspath_prepend(tmp_path)
    if ":" in name:
        (tmp_path / f"{name.split(':')[0]}.py").write_text(code)
    with pytest.raises(InputError, match=message):
        loss(name)


def test_a_loss_that_is_defined_anew_is_the_new_one(monkeypatch):
    module = types.ModuleType("cell")  # as a notebook's, whose cells define a function again
    monkeypatch.setitem(sys.modules, "cell", module)
    module.mine = lambda student, teacher, label: one_hot(student, teacher, label)
    first = loss("cell:mine").function
    module.mine = lambda student, teacher, label: 2 * one_hot(student, teacher, label)
    assert loss("cell:mine").function is module.mine is not first
