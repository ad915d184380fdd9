import numpy as np
import pytest
from scipy.special import softmax

from distill_jax.dumps import Dump
from distill_jax.errors import InputError
from distill_jax.measures.cartography import DataMap

N, CLASSES, STEPS = 60, 5, (0, 10, 20, 40)


def dumps(**changes):
    rng = np.random.default_rng(0)
    true_label = rng.integers(CLASSES, size=N)
    label = np.where(rng.random(N) < 0.2, (true_label + 1) % CLASSES, true_label)
    logits = rng.normal(size=(len(STEPS), N, CLASSES)) * np.array(STEPS)[:, None, None] / 10
    common = {"model": "kd", "split": "train", "true_label": true_label}
    made = [Dump.of(z, label, step=step, **common) for z, step in zip(logits, STEPS, strict=True)]
    if changes:
        last = {"logits": logits[-1], "label": label, "step": STEPS[-1], **common} | changes
        made[-1] = Dump.of(**last)
    return made


def test_a_data_map_is_mean_and_standard_deviation_of_the_labels_probability():
    given = dumps()
    found = DataMap.of(given)
    label, rows = given[0].label, np.arange(N)
    p = np.array([softmax(dump.logits.astype(np.longdouble), axis=1)[rows, label] for dump in given])  # [E, N]
    mean = p.sum(axis=0) / len(STEPS)
    np.testing.assert_allclose(found.confidence, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variability, np.sqrt(((p - mean) ** 2).sum(axis=0) / len(STEPS)), atol=1e-12)
    hits = sum((dump.logits.argmax(axis=1) == label).astype(int) for dump in given)
    np.testing.assert_array_equal(found.correctness * len(STEPS), hits)
    np.testing.assert_array_equal(found.mislabelled, label != given[0].true_label)
    assert found.mislabelled.any()


def test_the_order_of_the_dumps_does_not_matter():
    forwards, backwards = DataMap.of(dumps()), DataMap.of(dumps()[::-1])
    for name, values in vars(forwards).items():
        np.testing.assert_allclose(values, vars(backwards)[name], rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model": "one_hot"}, "of model kd and one_hot"),
        ({"seed": 1}, "of seed 0 and 1"),
        ({"split": "test"}, "of split train and test"),
        ({"step": 10}, "step 10 twice"),
        ({"id": np.arange(N)[::-1]}, "0 and 40 differ in their id"),
        ({"label": np.zeros(N, int)}, "differ in their label"),
        ({"true_label": np.zeros(N, int)}, "differ in their true_label"),
        ({"logits": np.full((N, CLASSES), np.inf)}, "step 40 hold logits that are not finite"),
    ],
)
def test_dumps_that_are_not_of_one_model_and_its_examples_are_refused(changes, fault):
    with pytest.raises(InputError, match=fault):
        DataMap.of(dumps(**changes))


@pytest.mark.parametrize("count", [0, 1])
def test_one_step_has_no_variability(count):
    with pytest.raises(InputError, match=f"are {count}; must be two or more"):
        DataMap.of(dumps()[:count])
