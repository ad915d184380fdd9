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
from distill_jax.setting import ObjectiveSetting, Setting, TrainSetting

WALKED = [m for of in (distill_jax, theory) for m in pkgutil.walk_packages(of.__path__, f"{of.__name__}.")]
MODULES = [m.name for m in WALKED if "__main__" not in m.name]
MODULES += ["experiments.markdown_table", "experiments.paper.engines.on_ray"]
# Every public function and class of these has an example, but for what needs a study, or shows nothing in a line.
WITH_EXAMPLES = [
    *(name for name in MODULES if name.startswith(("theory.", "distill_jax.measures."))),
    *(f"distill_jax.dumps.{name}" for name in ("dump", "index", "reader", "reading", "writer")),
    *(f"distill_jax.{name}" for name in ("fields", "files", "identity", "limits", "own_code", "presets")),
    *(f"distill_jax.{name}" for name in ("randomness", "setting", "students", "machine.placement")),
    *(f"distill_jax.data.{name}" for name in ("arrays", "augment", "dataset", "noise", "sources.labels", "subset")),
    *(f"distill_jax.models{name}" for name in ("", ".attention", ".channel", ".layers", ".mlp", ".mobilenet")),
    *(f"distill_jax.models.{name}" for name in ("normalisation", "outputs", "resnet", "resnet_v1", "roberta")),
    *(f"distill_jax.training.{name}" for name in ("buckets", "inputs", "losses", "objective", "optimizer")),
    *(f"distill_jax.training.{name}" for name in ("outcomes", "packing", "population", "schedule", "step")),
]
WITHOUT = {
    *("files.sync", "limits.host_memory", "measures.findings.findings", "measures.study_summary.StudySummary"),
    *("measures.data_maps.data_maps", "measures.data_maps.steps_in_training"),
    *("measures.study_summary.read_summary", "measures.study_summary.summarise", "measures.sweep_summary.summarise"),
    *("fields.check_finite", "training.step.StepBlock", "theory.formulas.mathml"),
}


def dump(seed):
    rng = np.random.default_rng(seed)
    label = np.arange(40) % 4
    return Dump.of(3 * np.eye(4)[label] + rng.normal(size=(40, 4)), label, model="mine", seed=seed)


GIVEN = {
    **{"np": np, "jax": jax, "jnp": jnp, "MLP": MLP},
    **{"Setting": Setting, "ObjectiveSetting": ObjectiveSetting, "TrainSetting": TrainSetting},
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


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_every_public_function_and_class_has_an_example(name):
    defined = ast.parse(inspect.getsource(importlib.import_module(name))).body
    defined = [d.name for d in defined if isinstance(d, ast.FunctionDef | ast.ClassDef) and not d.name.startswith("_")]
    without = {f"{name}.{of}" for of in defined} - {test.name for test in examples(name)}
    assert {of.removeprefix("distill_jax.") for of in without} <= WITHOUT
