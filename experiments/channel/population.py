"""Teachers, controls and students of many seeds, trained by the library's own step, with data drawn on the device.

A seed is one repetition of everything: class vectors, training and test points, initial weights, order of batches.
Seeds go in portions of one shape through two compiled programs: one draws data (float64, given on as float32), the
other trains and evaluates. In each, a device takes its seeds one after another in a loop.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distill_jax.machine.placement import SEED, on_host, place
from distill_jax.models import Channel
from distill_jax.randomness import Role, role_key
from distill_jax.setting import OptimizerSetting
from distill_jax.training.optimizer import make_rule
from experiments.channel.setting import Setting
from experiments.many_seeds.seed_batches import SeedBatches
from experiments.many_seeds.training import Training
from theory import channel

_PORTION = 16  # seeds of a portion on each device: what is on the device at once stays below 1 GB


class Drawn(NamedTuple):
    """The data of a seed.

    Attributes:
      means: class vectors, float32 [K, D].
      x, test_x: points, float32 [N, K, D].
      label, test_label: int32 [N].
      own: x_k . mu_k of the training points, float32 [N, K]; 0 where the channel is.
    """

    means: jax.Array
    x: jax.Array
    label: jax.Array
    test_x: jax.Array
    test_label: jax.Array
    own: jax.Array


class Outcome(NamedTuple):
    """Results of seeds, all with a leading axis of seeds; V is over `comparison.MODELS`.

    Attributes:
      label, test_label: int32 [S, N].
      own: see `Drawn`.
      logits, test_logits: after training, float32 [S, V, N, K].
      accuracy: of training and of test points after every step, the 0th before the first, float32 [S, V, 2, steps + 1];
        of a teacher that takes another number of steps at the same shares of its own.
      cosine: of w_k and mu_k after training, float32 [S, V, K].
      selector, test_selector: logits of a second teacher, float32 [S, N, K]; None where there is none.
    """

    label: np.ndarray
    test_label: np.ndarray
    own: np.ndarray
    logits: np.ndarray
    test_logits: np.ndarray
    accuracy: np.ndarray
    cosine: np.ndarray
    selector: np.ndarray | None = None
    test_selector: np.ndarray | None = None


def outcomes(setting: Setting, seeds: range, selector: bool = True) -> Iterator[Outcome]:
    """The outcomes of these seeds, a portion at a time, in order; with the second teacher that gaps need or without."""
    portions = SeedBatches(seeds, _PORTION)
    drawing, learning = portions.program(draw(setting), 1), portions.program(learn(setting, selector), 2)
    for numbers, count in portions:
        number = place(portions.mesh, numbers, SEED)
        with jax.enable_x64(True):
            drawn = drawing(number)
        learned = learning(number, drawn)
        parts = {"label": drawn.label, "test_label": drawn.test_label, "own": drawn.own, **learned}
        yield Outcome(**{name: on_host(array)[:count] for name, array in parts.items()})


def draw(setting: Setting) -> Callable[[jax.Array], Drawn]:
    """The function from a seed's number, int32 scalar, to its data; to be traced with 64-bit JAX."""
    vectors = {"normal": channel.normal_means, "unit": channel.unit_means}[setting.class_vectors]
    reading = {
        "similar": setting.similar,
        "alpha": setting.alpha,
        "repetition": setting.draw == "repetition",
        "truncate_similar": setting.truncate_similar,
        "with_target": setting.draw_from == "all",
        "separable": setting.separable,
        "truncate_z": setting.truncate == "z",
        "similar_scale": setting.similar_scale,
    }

    def one(seed: jax.Array) -> Drawn:
        keys = jax.random.split(role_key(Role.DATA, seed))
        means = vectors(keys[0], setting.classes, setting.dim)
        n = setting.train_examples
        data = channel.sample_c5(keys[1], means, n=n + setting.test_examples, **reading)
        x, label = channel.features(data, setting.classes), data.y.astype(jnp.int32)
        margins = jnp.einsum("nkd,kd->nk", x[:n], means)
        means, x, margins = (a.astype(jnp.float32) for a in (means, x, margins))
        return Drawn(means, x[:n], label[:n], x[n:], label[n:], margins)

    return one


def learn(setting: Setting, selector: bool) -> Callable[[jax.Array, Drawn], dict[str, jax.Array]]:
    """The function from a seed's number and data to what its models have learned: fields of `Outcome`."""
    model, rule = Channel(setting.classes), make_rule(OptimizerSetting(optimizer="adam"))

    def passes(epochs: int) -> Training:
        arguments = setting.train_examples, setting.batch_size, epochs, setting.learning_rate, setting.temperature
        return Training(model, rule, *arguments)

    training_by_role = {
        Role.TEACHER: passes(setting.teacher_epochs or setting.epochs),
        Role.STUDENT: passes(setting.epochs),
    }
    training_by_role[Role.SELECTOR] = training_by_role[Role.TEACHER]
    # Of the teacher as many points as of the students, at the same shares of its own training.
    teacher_steps = np.rint(
        np.linspace(0, training_by_role[Role.TEACHER].steps, training_by_role[Role.STUDENT].steps + 1)
    ).astype(int)

    def train(
        role: int, seed: jax.Array, drawn: Drawn, weights: list[float], teacher_logits: jax.Array | None
    ) -> jax.Array:
        """Weights after every step, [steps + 1, V, K, D], of the models that share a seed's role."""
        training = training_by_role[role]
        first = training.start(role, seed, len(weights), (setting.classes, setting.dim))
        return training.run(role, seed, first, drawn.x, drawn.label, weights, teacher_logits, lambda _, p: p["kernel"])[
            1
        ]

    def logits(kernel: jax.Array, x: jax.Array) -> jax.Array:
        return model.apply({"params": {"kernel": kernel}}, x, train=False)

    def one(seed: jax.Array, drawn: Drawn) -> dict[str, jax.Array]:
        teacher = train(Role.TEACHER, seed, drawn, [0.0], None)
        students = train(Role.STUDENT, seed, drawn, [0.0, 1.0], logits(teacher[-1, 0], drawn.x))
        path = jnp.concatenate([teacher[teacher_steps], students], 1).swapaxes(0, 1)  # [V, steps + 1, K, D]
        last = path[:, -1]
        accuracies = []
        for x, label in ((drawn.x, drawn.label), (drawn.test_x, drawn.test_label)):
            all_logits = jax.vmap(jax.vmap(logits, (0, None)), (0, None))(path, x)
            accuracies.append(jnp.mean(all_logits.argmax(-1) == label, -1))
        length = jnp.linalg.norm(last, axis=-1) * jnp.linalg.norm(drawn.means, axis=-1)
        selector_logits = {}
        if selector:
            second = train(Role.SELECTOR, seed, drawn, [0.0], None)[-1, 0]
            selector_logits = {"selector": logits(second, drawn.x), "test_selector": logits(second, drawn.test_x)}
        return selector_logits | {
            "logits": jax.vmap(logits, (0, None))(last, drawn.x),
            "test_logits": jax.vmap(logits, (0, None))(last, drawn.test_x),
            "accuracy": jnp.stack(accuracies, 1),
            "cosine": jnp.einsum("vkd,kd->vk", last, drawn.means) / length,
        }

    return one
