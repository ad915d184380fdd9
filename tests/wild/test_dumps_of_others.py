"""Logits from whatever made them."""

import jax.numpy as jnp
import numpy as np
import pytest

from distill_jax.dumps import Dump, read_dump
from distill_jax.errors import InputError
from distill_jax.measures.deviations import _check_class_from, deviations
from distill_jax.report.plots import evolution, scatter

LOGITS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
LABEL = np.arange(20) % 4


def torch_s(array):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(array)
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


MAKERS = {"lists": np.ndarray.tolist, "JAX": jnp.asarray, "a column": lambda a: a if a.ndim == 2 else a[:, None]}
MAKERS |= {"PyTorch": torch_s, "bfloat16": lambda a: jnp.asarray(a, jnp.bfloat16) if a.ndim == 2 else a}


@pytest.mark.parametrize("maker", MAKERS)
def test_arrays_of_any_library_become_a_dump(maker):
    of = MAKERS[maker]
    dump = Dump(of(LOGITS), of(LABEL), of(LABEL), of(np.arange(20)), {})
    np.testing.assert_allclose(dump.logits, LOGITS, rtol=0.01 if maker == "bfloat16" else 0)
    assert [getattr(dump, n).dtype for n in ("logits", "label", "id")] == [
        np.float64 if maker == "lists" else np.float32,
        np.int32,
        np.int64,
    ]
    assert dump.label.shape == dump.id.shape == (20,)
    assert deviations(dump, dump)["agreement"] == 1


SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
REFUSED = {
    "logits: are probabilities": (SOFTMAX, LABEL),
    "logits: are probabilities, since": (SOFTMAX.round(2), LABEL),
    "label: has values from 1 to 4; must be in 0 to 3": (LOGITS, LABEL + 1),
    "label: is float64": (LOGITS, LABEL.astype(float)),
    r"label: is int64 \(20, 4\)": (LOGITS, np.eye(4, dtype=int)[LABEL]),
    r"label: is int64 \(19,\); must be integers \[20\]": (LOGITS, LABEL[:19]),
    r"logits: have the shape \(20,\)": (LOGITS[:, 0], LABEL),
    "logits: are complex64": (LOGITS + 1j, LABEL),
    "logits: are <U1": ([["a", "b"]] * 20, LABEL),
    "logits: cannot be made an array": ([[1.0, 2.0], [1.0]], LABEL),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_no_logits_or_labels_is_refused_in_one_line(said):
    logits, label = REFUSED[said]
    with pytest.raises(InputError, match=f"^{said}") as caught:
        Dump(logits, label, np.zeros(20, int), np.arange(20), {})
    assert "\n" not in str(caught.value)


def test_logarithms_of_probabilities_are_logits():
    dump = Dump(np.log(SOFTMAX), LABEL, LABEL, np.arange(20), {})
    assert deviations(Dump(LOGITS, LABEL, LABEL, np.arange(20), {}), dump)["kl"] == pytest.approx(0, abs=1e-6)


def test_dumps_with_equal_ids_and_other_labels_are_no_pair():
    one, other = (Dump(LOGITS, (LABEL + k) % 4, (LABEL + k) % 4, np.arange(20), {}) for k in (0, 1))
    with pytest.raises(InputError, match="have the same ids, but another true_label in 20 of 20 examples"):
        deviations(one, other)


def dumped(**attributes):
    return Dump(LOGITS, LABEL, LABEL, np.arange(20), attributes)


def test_students_that_cannot_be_told_apart_are_not_drawn_over_each_other():
    teacher = dumped(split="test")
    assert len(scatter([teacher], [dumped(split="test", model=m) for m in "ab"]).axes) == 2
    for draw in (lambda s: scatter([teacher], s), lambda s: evolution(teacher, s)):
        with pytest.raises(InputError, match="dumps: two have the model"):
            draw([dumped(split="test")] * 2)
        with pytest.raises(InputError, match="dumps: are none"):
            draw([])
        assert len(draw([dumped(split="test")]).axes) == 1


def test_a_choice_that_is_none_is_refused():
    with pytest.raises(InputError, match="class_from 'Teacher': must be 'teacher' or 'true'"):
        _check_class_from("Teacher")  # in the tests the type of `deviations` is checked before


def test_a_folder_that_is_no_dump_is_not_to_be_removed(tmp_path):
    with pytest.raises(InputError, match="is none; must be a folder such as"):
        read_dump(tmp_path)
