"""The examples of docstrings, run as they stand."""

import ast
import doctest
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distill_jax
import theory
from distill_jax.dumps import Dump
from distill_jax.models import MLP
from distill_jax.setting import ObjectiveSetting, TrainSetting

WALKED = [m for of in (distill_jax, theory) for m in pkgutil.walk_packages(of.__path__, f"{of.__name__}.")]
MODULES = [m.name for m in WALKED if "__main__" not in m.name]
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


class Finder(doctest.DocTestFinder):
    """Finds functions within a decorator of another module too, such as theory's `float64`."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object))


def examples(name):
    module = importlib.import_module(name)
    return [test for test in Finder().find(module, globs=GIVEN | vars(module)) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not sum(runner.run(test).failed for test in examples(name))


def test_there_are_examples():
    assert sum(len(examples(name)) for name in MODULES) >= 20


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("theory.")])
def test_all_of_theory_has_an_example(name):
    defined = ast.parse(inspect.getsource(importlib.import_module(name))).body
    public = {d.name for d in defined if isinstance(d, ast.FunctionDef | ast.ClassDef) and not d.name.startswith("_")}
    assert public <= {test.name.removeprefix(f"{name}.") for test in examples(name)}
