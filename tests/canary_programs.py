"""The canary: each kind of program as XLA compiles it for users, against the same one operation by operation.

`test_canary` runs these in a process of their own, since other tests' programs are compiled with fewer optimisations.
Known wrong results begin at 32,769 rows of float32 and 16,385 of float64 (see `compiler_faults`), so that programs here
have more rows wherever they can. The library's `measures` are NumPy and have no program.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import WITH_KINKS, both, differences, single_operations
from jax.sharding import AxisType, Mesh

from distill_jax.data.dataset import Dataset, Vocabulary
from distill_jax.machine.placement import BATCH, SEED, STUDENT, make_mesh, place
from distill_jax.models import build_model, mobilenet
from distill_jax.models.evaluation import evaluation, teaching
from distill_jax.models.resnet import ResNet
from distill_jax.models.roberta import Roberta, RobertaConfig
from distill_jax.setting import ModelSetting, OptimizerSetting
from distill_jax.training.inputs import PerMember, PerSeed, Shared
from distill_jax.training.objective import Objective
from distill_jax.training.optimizer import make_rule
from distill_jax.training.predict import Predictor
from distill_jax.training.step import StepBlock, TrainState, make_frozen_features, make_init
from experiments.channel.population import draw
from experiments.channel.population import learn as learn_channels
from experiments.channel.setting import Setting as ChannelSetting
from experiments.eigenspace.population import learn as learn_eigenspace
from experiments.eigenspace.setting import Setting as EigenspaceSetting
from experiments.eigenspace.setting import filled
from experiments.many_seeds.seed_batches import SeedBatches
from theory import channel, simulation

ROWS, CLASSES = 40_960, 4
TOKENS = Vocabulary(size=32, pad=1)
MEAN, STD = np.float32(120), np.float32(60)
RULE = make_rule(OptimizerSetting(optimizer="sgd", weight_decay=1e-2))

# Differences are by the greatest value of an array. With the fault each row after the 32,768th is another one, here a
# fifth of all: a row is off by as much as rows differ, a sum over rows by 1e-2 and more. Sums in another order, which
# are allowed, are off by 1e-8 to 1e-5. Where there is a ReLU, rounding may put a value on its other side, and takes one
# row in 10,240 from a gradient.
TOLERANCE = 1e-4  # and compiled.WITH_KINKS


def check(found: Any, right: Any, tolerance: float = TOLERANCE) -> None:
    off = differences(found, right)
    assert {name: much for name, much in off.items() if not much <= tolerance} == {}


# Training and evaluation.


def images(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels that fit: of labels at random the gradient is small beside what it is a sum of."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, count).astype(np.int32)
    means = rng.uniform(60, 180, (CLASSES, side, side, 3))
    return np.clip(means[label] + rng.normal(0, 40, (count, side, side, 3)), 0, 255).astype(np.uint8), label


def texts(count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts of several lengths, of tokens of which some come with some labels."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, count).astype(np.int32)
    x = (2 + 4 * label[:, None] + rng.integers(0, 8, (count, length))).astype(np.uint16)
    x[np.arange(length) >= rng.integers(2, length + 1, count)[:, None]] = TOKENS.pad
    return x, label


DENSE = {"mlp": {"hidden": (16,)}, "linear": {}, "random-features": {"features": 16}, "channel": {}}
WHOLE = {
    "resnet-cifar": {"depth": 8, "width": 4},
    "resnet-cifar, bottleneck": {"depth": 11, "width": 4, "block": "bottleneck"},
    "mobilenet-v2, whole": {"multiplier": 0.1},
}


def network(kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, np.ndarray, np.ndarray]:
    """A network, and inputs and labels: 40,960 examples, or as many pixels or tokens.

    Of the deep kinds it has one unit, or is narrow and whole, or has one unit a stage where a kind has one width alone.
    """
    name = kind.split(",")[0]
    if kind in DENSE:
        x, label = images(ROWS, 2)
        return build_model(ModelSetting(name=name, **DENSE[kind]), CLASSES, x.shape[1:]), x, label
    if name == "roberta":
        layers, rate = (2, 0.1) if kind.endswith("whole") else (1, 0.0)
        x, label = texts(ROWS // 4, 4)
        rates = {"dropout": rate, "attention_dropout": rate, "head_dropout": rate}
        config = RobertaConfig.sized(layers, 8, vocabulary=TOKENS.size, positions=6, **rates)
        return Roberta(CLASSES, config), x, label
    if kind in WHOLE:
        x, label = images(ROWS // 64, 16 if name == "mobilenet-v2" else 8)
        return build_model(ModelSetting(name=name, **WHOLE[kind]), CLASSES, x.shape[1:]), x, label
    if name in ("resnet18", "resnet50"):
        x, label = images(ROWS // 64, 16)
        how = {"resnet18": ("basic", 4, "small"), "resnet50": ("bottleneck", 4, "imagenet")}[name]
        return ResNet(CLASSES, (1, 1, 1, 1), *how), x, label
    x, label = images(ROWS // 4, 2)
    if name == "mobilenet-v2":
        monkeypatch.setattr(mobilenet, "_STAGES", ((1, 8, 1, 2),))
        model = build_model(ModelSetting(name=name, multiplier=0.1, strides="cifar"), CLASSES, x.shape[1:])
        return model, x, label
    return ResNet(CLASSES, (1,), kind.removeprefix("resnet, "), 8), x, label


def drawn(model: Any, x: np.ndarray, seed: int, students: int = 1) -> TrainState:
    """A state as it is after some training: no scale is 1 and no bias 0."""
    rng = np.random.default_rng(seed)

    def number(path: Any, like: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = path[-1].key in ("var", "scale")
        wide = np.sqrt(np.prod(like.shape[:-1])) if len(like.shape) > 1 else 10
        values = rng.uniform(0.5, 1.5, like.shape) if scale else rng.normal(size=like.shape) / wide
        return np.stack([values.astype(like.dtype)] * students)

    like = jax.eval_shape(
        make_init(model, RULE, jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype)), jnp.int32(0), jnp.int32(0)
    )
    params, collections = (jax.tree_util.tree_map_with_path(number, tree) for tree in (like.params, like.collections))
    momentum = jax.tree.map(lambda leaf: np.zeros((students, *leaf.shape), leaf.dtype), like.opt_state)
    return TrainState(params, collections, momentum)


def first(tree: Any) -> Any:
    return jax.tree.map(lambda a: a[0], tree)


def check_training(
    model: Any,
    x: np.ndarray,
    label: np.ndarray,
    weights: list[list[float]],
    teacher: Any = None,
    teacher_inputs: Any = None,
    frozen_features: Any = None,
    mesh: Mesh | None = None,
) -> None:
    """Checks the block that trains by all examples in each step: what it moves, and metrics.

    Args:
      weights: of distillation, [V, steps].
      teacher, teacher_inputs, frozen_features: of the block.
      mesh: over which the compiled one shares its batch.
    """
    students, steps = np.shape(weights)
    of_texts = isinstance(model, Roberta)

    def block(mesh: Mesh | None) -> Any:
        return StepBlock(
            model,
            RULE,
            mesh,
            mean=None if of_texts else MEAN,
            std=None if of_texts else STD,
            augmentation="none",
            dtype=jnp.float32,
            objective=Objective(("one_hot", "kd")),
            batch_size=len(x),
            steps_per_epoch=1,
            steps=steps,
            students=students,
            teacher=teacher,
        )

    order = np.stack([np.random.default_rng(e).permutation(len(x)) for e in range(steps)]).astype(np.int32)
    rates, settings = np.full((students, steps), 0.5, np.float32), {"temperature": np.full(students, 4, np.float32)}
    state, weight = drawn(model, x, 0, students), np.array(weights, np.float32)
    own = PerMember({"kd": weight}, rates, settings, {} if frozen_features is None else frozen_features)
    of_seed = PerSeed(
        {} if teacher_inputs is None else teacher_inputs, label, order, role=np.int32(1), seed=np.int32(0)
    )
    args = state, own, of_seed, Shared(x, np.int32(0))

    def moved(outcome: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
        after, metrics = outcome
        # Parameters themselves are mostly what they were before.
        by = jax.tree.map(lambda a, b: np.asarray(a) - b, after.params, state.params)
        return after.replace(params=by), metrics

    compiled = jax.jit(block(mesh))(*jax.device_put(args))
    with single_operations():
        right = block(None)(*jax.device_put(args))
    check(moved(compiled), moved(right), WITH_KINKS if not isinstance(model, Roberta) else TOLERANCE)


def check_step(kind: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, label = network(kind, monkeypatch)
    if loss == "one-hot":
        check_training(model, x, label, [[0.0]])
    else:  # half of it, with the teacher in the step
        check_training(model, x, label, [[0.5]], teaching(model, "cpu"), first(drawn(model, x, 1).variables))


DEFAULT = {
    ("mlp", "one-hot"),
    ("mlp", "distilled"),
    ("linear", "one-hot"),
    ("channel", "distilled"),
    ("resnet, basic", "one-hot"),
    ("resnet, bottleneck", "distilled"),
    ("mobilenet-v2", "one-hot"),
    ("roberta", "distilled"),
}
EVERY = [
    *DENSE,
    *("resnet, basic", "resnet, bottleneck", "mobilenet-v2", "roberta"),
    *("resnet-cifar", "resnet-cifar, bottleneck", "resnet18", "resnet50", "roberta, whole"),
]


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        pytest.param(kind, loss, marks=() if (kind, loss) in DEFAULT else pytest.mark.slow)
        for kind in EVERY
        for loss in ("one-hot", "distilled")
    ],
)
def test_a_training_step(kind, loss, monkeypatch):
    check_step(kind, loss, monkeypatch)


def test_steps_of_two_students_that_switch_with_a_cached_teacher(monkeypatch):
    model, x, label = network("mlp", monkeypatch)
    logits = np.random.default_rng(0).normal(0, 4, (len(x), CLASSES)).astype(np.float32)
    check_training(model, x, label, [[0, 0, 1], [1, 1, 0]], "cached", logits)


def test_a_step_on_features_that_are_computed_once(monkeypatch):
    model, x, label = network("random-features", monkeypatch)
    made = jax.jit(make_frozen_features(model, mean=MEAN, std=STD, dtype=jnp.float32, input_shape=x.shape[1:]))
    features, right = both(made, first(drawn(model, x, 0).variables), x)
    check(features, right)
    check_training(model, x, label, [[0.0]], frozen_features=features[None])


def test_a_batch_that_four_devices_share(monkeypatch):
    model, x, label = network("mlp", monkeypatch)
    x, label = np.tile(x, (4, 1, 1, 1)), np.tile(label, 4)
    check_training(model, x, label, [[0.0]], mesh=make_mesh(1, 1))


@pytest.mark.parametrize(
    "kind",
    [
        *DENSE,
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("resnet, basic", "roberta", "mobilenet-v2, whole", "resnet50")
        ),
    ],
)
def test_evaluation(kind, monkeypatch):
    model, x, _ = network(kind, monkeypatch)
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1, 1), (SEED, STUDENT, BATCH), axis_types=(AxisType.Auto,) * 3)
    mean, std = (None, None) if kind == "roberta" else (MEAN, STD)
    predict = Predictor(evaluation(model, "cpu"), mesh, 1, mean=mean, std=std, input_shape=x.shape[1:], batch=len(x))
    (found, _), (right, _) = both(predict, *jax.device_put((drawn(model, x, 0).variables, x)))
    assert found.shape == (1, len(x), CLASSES)
    check(found, right)


# Experiments and theory.


def of_one_seed(program: Any, portions: SeedBatches, *args: Any) -> Any:
    """What a program, compiled for a portion of seeds that are all alike, gives of the last; arguments are of one."""
    of_all = (jax.tree.map(lambda a: np.stack([a] * portions.size), arg) for arg in args)
    found = portions.program(program, len(args))(*(place(portions.mesh, arg, SEED) for arg in of_all))
    return jax.tree.map(lambda a: np.asarray(a)[-1], found)


def test_appendix_c5():
    n = {"train_examples": ROWS, "test_examples": ROWS, "batch_size": ROWS, "epochs": 1}
    setting = ChannelSetting(classes=CLASSES, dim=3, similar=1, **n)
    portions, seed = SeedBatches(range(1), 1), np.int32(3)
    with jax.enable_x64(True):
        points = of_one_seed(draw(setting), portions, seed)
        with single_operations():
            right = draw(setting)(seed)
    check(points, right)
    learned = of_one_seed(learn_channels(setting, selector=True), portions, seed, points)
    with single_operations():
        check(learned, learn_channels(setting, selector=True)(seed, jax.device_put(points)))


@pytest.mark.parametrize("kind", ["random-features", pytest.param("mlp", marks=pytest.mark.slow)])
def test_appendix_c4(kind):
    n = {"train_examples": 32, "batch_size": 32, "epochs": 2}  # few, since eigendirections are of an [N, N] matrix
    setting = filled(EigenspaceSetting(setting=kind, features=16, hidden=16, **n))
    x, label = images(ROWS, 2)
    seed = np.int32(3), x[:32], label[:32], x, label, np.array([[0, 1], [6, 8]], np.int32)
    one = learn_eigenspace(setting, Dataset("images", None, None, CLASSES, MEAN, STD), selector=True)
    found = of_one_seed(one, SeedBatches(range(1), 1), *seed)
    with single_operations():
        check(found, one(*jax.device_put(seed)))


def test_the_theory_s_simulation():
    found, right = both(lambda: simulation.updates(0, 4, 10, ROWS // 20, [0.25], 1.8, 1))  # 20,480 examples
    assert found.dtype == jnp.float64
    check(found, right, 1e-10)


@pytest.mark.parametrize(("dim", "above"), [(3, -0.1), (10, -0.5), (100, -0.1), (100, -1.0)])
def test_the_theory_s_sampler(dim, above):
    direction = np.eye(dim)[np.zeros(20_480, int)]
    found, right = both(lambda: channel.truncated_sphere(jax.random.key(0), direction, above))
    check(found, right, 1e-10)
