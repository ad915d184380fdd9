"""Worlds to draw studies from: a truth, teachers and students that differ from it by luck, and perhaps a deviation.

Of seed k the logits are

    teacher  f + e_k
    control  f + e'_k
    student  f + r e_k + s e''_k, s = sqrt(1 - r^2)

with the truth f of a study and luck e, e', e'' of one law. In a world without deviation every model, by itself, is then
a draw from one law, and a student can be exchanged for its teacher: no difference between two of them is systematic.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

MODELS = ("teacher", "one_hot", "kd")
_SPREAD = 3.0  # of the truth's logits
_FEATURES = 5  # of the examples, where luck is shared by them


@dataclasses.dataclass(frozen=True)
class World:
    """A distribution that studies are drawn from.

    Attributes:
      seeds: of a study.
      examples: of the split.
      classes: 2 or more.
      inherited: how much of its teacher's luck a student has, r in [0, 1].
      luck: its standard deviation, that of the truth's logits being 1.
      margin: by how many of these one class's logit is raised in the truth; with 3 nearly all models predict it, as
        they do the labels of training points.
      law: of the luck: independent and normal; with heavy tails, Student's t with 3 degrees of freedom; uneven, from
        none on the example with the largest margin to twice as much as on average on that with the smallest; half of
        it along one direction of the classes; or linear in a few features of the examples, the same for all models,
        so that no example has luck of its own.
      lowered: by how much the student's logit of the true class is lowered on the fifth of the examples with the
        smallest margin: it underfits them.
      stretched: factor of the student's truth: above 1 it exaggerates its teacher's confidence.
      one_teacher: whether all seeds have one, as where it is given: e_k is the same for all k.
      own: s, how much luck of its own a student has, where that is less than sqrt(1 - r^2): it then varies less than
        its teacher does, which makes a difference where all seeds have one.
    """

    seeds: int = 3
    examples: int = 100
    classes: int = 4
    inherited: float = 0.5
    luck: float = 1.0
    margin: float = 0.0
    law: Literal["normal", "heavy", "uneven", "shared by classes", "shared by examples"] = "normal"
    lowered: float = 0.0
    stretched: float = 1.0
    one_teacher: bool = False
    own: float | None = None


CLEAR = World(margin=3.0, luck=0.3)
NULL = {
    "centre": World(),
    "no luck inherited": World(inherited=0.0),
    "most luck inherited": World(inherited=0.9),
    "much luck": World(luck=3.0),
    "400 examples": World(examples=400),
    "2 classes": World(classes=2),
    "clear classes, little luck": CLEAR,
    "heavy tails": World(law="heavy"),
    "uneven luck": World(law="uneven"),
    "luck shared by classes": World(law="shared by classes"),
    "luck shared by examples": World(law="shared by examples"),
    "5 seeds": World(seeds=5),
    "24 seeds": World(seeds=24),
    "2 seeds": World(seeds=2),
    "2 seeds, correlated": World(seeds=2, inherited=0.0, law="shared by examples"),
    "one teacher": World(one_teacher=True),
    "one teacher, 24 seeds": World(one_teacher=True, seeds=24),
    "one teacher, 24 seeds, most inherited": dataclasses.replace(
        CLEAR, one_teacher=True, seeds=24, examples=400, luck=0.1, inherited=0.9
    ),
    "one teacher, 10 seeds, little own luck": dataclasses.replace(
        CLEAR, one_teacher=True, seeds=10, examples=400, luck=0.1, own=0.2
    ),
}
SEEDS_OF_POWER = (2, 3, 5, 10)
DEVIATING = {
    f"{name}, {seeds} seeds": dataclasses.replace(world, seeds=seeds)
    for name, world in {
        "hard points 1 lower": dataclasses.replace(CLEAR, lowered=1.0),
        "logits 1.1 x": dataclasses.replace(CLEAR, stretched=1.1),
    }.items()
    for seeds in SEEDS_OF_POWER
}


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The fields of a `dumps.Dump`, whose own module imports JAX, which every process would have to load.

    Attributes:
      logits: float32 [N, K].
      label, true_label, id: int [N].
      attributes: model, seed, split.
    """

    logits: np.ndarray
    label: np.ndarray
    true_label: np.ndarray
    id: np.ndarray
    attributes: dict[str, Any]


def draw(world: World, studies: int, rng: np.random.Generator) -> Iterator[dict[tuple[str, int], Drawn]]:
    """The dumps of some studies, of each by model and seed; every study has a truth of its own."""
    truth = _SPREAD * rng.normal(size=(studies, world.examples, world.classes))
    truth[..., 0] += _SPREAD * world.margin
    ordered = np.sort(truth, axis=2)
    rank = np.argsort(np.argsort(ordered[..., -1] - ordered[..., -2]))
    best = truth.argmax(axis=2).astype(np.int32)
    student_truth = world.stretched * truth
    hard = np.nonzero(rank < world.examples // 5)
    student_truth[(*hard, best[hard])] -= world.lowered
    model_truths = np.stack([truth, truth, student_truth], axis=1)[:, :, None]
    logits = (model_truths + _SPREAD * world.luck * _luck(world, studies, rank, rng)).astype(np.float32)
    number = np.arange(world.examples)
    for study_logits, label in zip(logits, best, strict=True):
        yield {
            (model, seed): Drawn(seed_logits, label, label, number, {"model": model, "seed": seed, "split": "test"})
            for model, model_logits in zip(MODELS, study_logits, strict=True)
            for seed, seed_logits in enumerate(model_logits)
        }


def _luck(world: World, studies: int, rank: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Luck of `MODELS`, of standard deviation 1 on average, float64 [studies, 3, seeds, N, K].

    Args:
      world, studies, rng: as of `draw`.
      rank: of the examples' margins, int [studies, N].
    """
    shape = (studies, 3, world.seeds, world.examples, world.classes)
    if world.law == "shared by examples":
        features = rng.normal(size=(studies, 1, 1, world.examples, _FEATURES)) / np.sqrt(_FEATURES)
        luck = features @ rng.normal(size=(*shape[:3], _FEATURES, world.classes))
    else:
        luck = rng.normal(size=shape)
    if world.law == "shared by classes":
        direction = np.linspace(-1, 1, world.classes)
        direction /= np.sqrt(np.mean(direction**2))
        luck = (luck + rng.normal(size=(*shape[:4], 1)) * direction) / np.sqrt(2)
    elif world.law == "uneven":
        luck *= np.linspace(2, 0, world.examples)[rank][:, None, None, :, None]
    if world.one_teacher:
        luck[:, 0] = luck[:, 0, :1]
    own = np.sqrt(1 - world.inherited**2) if world.own is None else world.own
    luck[:, 2] = world.inherited * luck[:, 0] + own * luck[:, 2]
    if world.law == "heavy":
        # One scale for a teacher and its student: luck that is partly inherited has then the law of luck that is not.
        scale = 1 / np.sqrt(rng.chisquare(3, size=(studies, 2, *shape[2:4], 1)))  # t with 3 degrees has variance 3
        if world.one_teacher:
            scale[:, 0] = scale[:, 0, :1]
        luck *= scale[:, [0, 1, 0]]
    return luck
