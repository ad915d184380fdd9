"""Teachers, controls and students of many seeds, trained by the library's own step, and their ways in eigenspace.

A seed is one repetition of everything: training and test points, wrong labels, random features, initial weights, order
of batches, pairs of directions. Control and student of a seed share initial weights and order, the teacher has its own.

Random features are a fixed map that all models of a seed share, computed once: with a map for each model there would be
no common direction to compare teacher and student along. They are scaled as the library's (`relu_features`), with
squared length about 1: Adam moves every weight by about its rate whatever the features' size, so that at 0.001 the
logits move by some 0.04 a step, and unscaled features would be fitted within the first few.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distill_jax.data import Dataset
from distill_jax.data.augment import normalise
from distill_jax.machine.placement import SEED, on_host, place
from distill_jax.models.mlp import MLP, Linear, relu_features
from distill_jax.randomness import Role, role_key
from distill_jax.setting import OptimizerSetting
from distill_jax.training.objective import Objective
from distill_jax.training.optimizer import make_rule
from distill_jax.training.step import TrainState
from experiments.eigenspace.data import Drawn, draw
from experiments.eigenspace.directions import along, eigendirections
from experiments.eigenspace.setting import Setting
from experiments.many_seeds.seed_batches import SeedBatches
from experiments.many_seeds.training import ONE_HOT_OR_KD, Training

PROJECTIONS = ("norm", "displacement")
_PORTION = 16  # seeds of a portion on each device
_RULES = {
    "adam": OptimizerSetting(optimizer="adam"),
    "gradient-descent": OptimizerSetting(optimizer="sgd", momentum=0.0),
}
_OBJECTIVES = {
    "cross-entropy": ONE_HOT_OR_KD,
    "squared": Objective(("squared_error", "squared_error_kd")),
}


class Outcome(NamedTuple):
    """Results of seeds, with a leading axis of seeds; V is over `comparison.MODELS`.

    Attributes:
      drawn: see `data.Drawn`.
      eigenvalue: of the Gram matrix, descending, float32 [S, N].
      path: after every step, the 0th before the first, float32 [S, V, steps + 1, projection, top and bottom, pairs];
        projections as in `PROJECTIONS`.
      accuracy: of training points, against the labels as trained on, and of test points, every so many steps from the
        0th on, float32 [S, V, times, 2].
      logits, test_logits: after training, float32 [S, V, N, K].
      selector, test_selector: those of a second teacher, float32 [S, N, K]; None where there is none.
    """

    drawn: Drawn
    eigenvalue: np.ndarray
    path: np.ndarray
    accuracy: np.ndarray
    logits: np.ndarray
    test_logits: np.ndarray
    selector: np.ndarray | None = None
    test_selector: np.ndarray | None = None


def outcomes(setting: Setting, dataset: Dataset, seeds: range, selector: bool = True) -> Iterator[Outcome]:
    """The outcomes of these seeds, a portion at a time, in order; with the second teacher that gaps need or without."""
    portions = SeedBatches(seeds, _PORTION)
    learning = portions.program(learn(setting, dataset, selector), 6)
    for numbers, count in portions:
        drawn = draw(setting, dataset, numbers)
        inputs = numbers, drawn.train.x, drawn.train.label, drawn.test.x, drawn.test.label, drawn.pairs
        learned = learning(*(place(portions.mesh, array, SEED) for array in inputs))
        arrays = {name: on_host(array)[:count] for name, array in learned.items()}
        accuracy = arrays.pop("accuracy")[:, :, :: setting.every]
        yield Outcome(drawn.take(np.arange(count)), accuracy=accuracy, **arrays)


def learn(setting: Setting, dataset: Dataset, selector: bool) -> Callable[..., dict[str, jax.Array]]:
    """The function from a seed, its points and pairs to what its models have learned: fields of `Outcome`."""
    linear = setting.setting == "random-features"
    classes = dataset.num_classes
    model = Linear(classes, bias=False) if linear else MLP(classes, (setting.hidden,))

    def inputs(x: jax.Array) -> jax.Array:
        return normalise(x, dataset.mean, dataset.std).reshape(len(x), -1)

    def one(
        seed: jax.Array, x: jax.Array, label: jax.Array, test_x: jax.Array, test_label: jax.Array, pairs: jax.Array
    ) -> dict[str, jax.Array]:
        x, test_x = inputs(x), inputs(test_x)
        if linear:
            key = role_key(Role.FEATURES, seed)
            kernel = jax.random.normal(key, (x.shape[1], setting.features), jnp.float32)
            x, test_x = relu_features(x, kernel), relu_features(test_x, kernel)
        eigenvalue, directions = eigendirections(x, setting.centred)
        chosen = directions[pairs.ravel()]
        # The theory's flow is of a sum over examples, the loss a mean over them.
        unit = 1.0 if setting.optimizer == "adam" else len(x) / eigenvalue[0]
        training = Training(
            model,
            make_rule(_RULES[setting.optimizer]),
            len(x),
            setting.batch_size,
            setting.epochs,
            setting.learning_rate * unit,
            setting.temperature,
            _OBJECTIVES[setting.loss],
        )

        def logits(params: Any, points: jax.Array) -> jax.Array:
            return jax.vmap(lambda model_params: model.apply({"params": model_params}, points, train=False))(params)

        def accuracy(params: Any) -> jax.Array:
            splits = ((x, label), (test_x, test_label))
            return jnp.stack(
                [jnp.mean(logits(params, points).argmax(-1) == target, -1) for points, target in splits], -1
            )

        def first(role: int, models: int) -> TrainState:
            start = training.start(role, seed, models, x.shape[1:])
            if setting.initial == "zero":
                start = start.replace(params=jax.tree.map(jnp.zeros_like, start.params))
            return start

        def train(role: int, weights: list[float], teacher_logits: jax.Array | None) -> tuple[Any, Any]:
            models = len(weights)
            start = first(role, models)
            origin = along(chosen, _first_layer(start.params))

            def record(now: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
                projections = along(chosen, _first_layer(params))
                sizes = jnp.stack(
                    [jnp.linalg.norm(projections, axis=-1), jnp.linalg.norm(projections - origin, axis=-1)], 1
                )
                nothing = jnp.full((models, 2), jnp.nan)
                accuracies = jax.lax.cond(now % setting.every == 0, accuracy, lambda _: nothing, params)
                return sizes.reshape(models, len(PROJECTIONS), *pairs.shape), accuracies

            return training.run(role, seed, start, x, label, weights, teacher_logits, record)

        teacher, teacher_records = train(Role.TEACHER, [0.0], None)
        students, student_records = train(Role.STUDENT, [0.0, 1.0], logits(teacher.params, x)[0])
        path, accuracies = (
            jnp.concatenate(parts, 1).swapaxes(0, 1) for parts in zip(teacher_records, student_records, strict=True)
        )
        params = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), teacher.params, students.params)
        selector_logits = {}
        if selector:
            arguments = seed, first(Role.SELECTOR, 1), x, label, [0.0], None
            second = training.run(Role.SELECTOR, *arguments, lambda *_: ())[0].params
            selector_logits = {"selector": logits(second, x)[0], "test_selector": logits(second, test_x)[0]}
        return selector_logits | {
            "eigenvalue": eigenvalue,
            "path": path,
            "accuracy": accuracies,
            "logits": logits(params, x),
            "test_logits": logits(params, test_x),
        }

    return one


def _first_layer(params: Any) -> jax.Array:
    """The first layer's kernels [V, P, U]: of the MLP the hidden one, of the linear model the only one."""
    return params["hidden1"]["kernel"] if "hidden1" in params else params["head"]["weight"].swapaxes(-2, -1)
