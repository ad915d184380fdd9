"""The examples of docstrings, run as they stand."""

import doctest
import importlib
import inspect
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
# Every public function and class of these has an example, but for what needs a study, or shows nothing in a line.
WITH_EXAMPLES = [
    *("dumps", "files", "identity", "limits", "own_code", "presets", "randomness", "setting", "students"),
    *("data.arrays", "data.augment", "data.dataset", "data.noise", "data.sources.labels", "data.subset"),
    *(name.removeprefix("distill_jax.") for name in MODULES if name.startswith("distill_jax.measures.")),
    *("models", "models.attention", "models.channel", "models.layers", "models.mlp", "models.mobilenet"),
    *("models.normalisation", "models.outputs", "models.resnet", "models.roberta", "machine.placement"),
    *("training.buckets", "training.inputs", "training.losses", "training.objective", "training.optimizer"),
    *("training.outcomes", "training.packing", "training.population", "training.schedule", "training.step"),
]
WITHOUT = {
    *("files.sync", "limits.host_memory", "measures.findings.findings", "measures.study_summary.StudySummary"),
    *("measures.study_summary.read_summary", "measures.study_summary.summarise", "measures.sweep_summary.summarise"),
    "training.step.StepBlock",
}


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


def is_public(name, thing, module):
    """Whether a name of a module is a function or a class that it defines for others."""
    defined = inspect.isclass(thing) or inspect.isroutine(inspect.unwrap(thing))
    return defined and not name.startswith("_") and thing.__module__ == module.__name__


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_every_public_function_and_class_has_an_example(name):
    module = importlib.import_module(f"distill_jax.{name}")
    public = {f"{name}.{of}": thing for of, thing in vars(module).items() if is_public(of, thing, module)}
    assert {of for of, thing in public.items() if ">>>" not in (thing.__doc__ or "")} == WITHOUT & public.keys()
    assert public
