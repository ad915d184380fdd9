"""The examples of docstrings, run as they stand."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distill_jax
from distill_jax.dumps import Dump
from distill_jax.models import MLP
from distill_jax.setting import ObjectiveSetting, TrainSetting

MODULES = [m.name for m in pkgutil.walk_packages(distill_jax.__path__, "distill_jax.") if "__main__" not in m.name]
MODULES += ["experiments.markdown_table"]


def dump(seed):
    rng = np.random.default_rng(seed)
    label = np.arange(40) % 4
    return Dump.of(3 * np.eye(4)[label] + rng.normal(size=(40, 4)), label, model="mine", seed=seed)


GIVEN = {
    **{"np": np, "jax": jax, "jnp": jnp},
    **{"MLP": MLP, "ObjectiveSetting": ObjectiveSetting, "TrainSetting": TrainSetting},
    **{"teacher_of_seed_0": dump(0), "teacher_of_seed_1": dump(1), "student_of_seed_0": dump(2)},
    **{"teacher": dump(0).logits, "student": dump(2).logits, "labels": dump(0).label},
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(module, extraglobs=GIVEN, optionflags=flags)
    assert not failed


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 20
