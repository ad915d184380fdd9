"""The figures by name, each with the studies it needs."""

import functools

from experiments.paper.figures import beyond, interpolation, measures, right, scatter, switching
from experiments.paper.figures.drawn import Drawn, Figure
from experiments.paper.published import SETTINGS
from experiments.paper.rows import IMAGE_ROWS, TABLE_2

__all__ = ["FIGURES", "Drawn", "Figure"]

_SELF, _SMALLER, _MOBILE, _TO_MOBILE = (
    f"cifar100-{networks}"
    for networks in ("resnet56-resnet56", "resnet56-resnet20", "mobilenet-mobilenet", "resnet56-mobilenet")
)
_NOISE, _NOISE_SMALLER = (f"cifar100-noise-{networks}" for networks in ("resnet56-resnet56", "resnet56-resnet20"))
_TINY, _TINY_SMALLER, _TINY_TO_MOBILE, _TINY_MOBILE = (row.name for row in IMAGE_ROWS if row.dataset == "Tiny-ImageNet")
_CIFAR10 = tuple(row.name for row in IMAGE_ROWS if row.dataset == "CIFAR10")
_CIFAR100 = (_SELF, _SMALLER, _TO_MOBILE, _MOBILE)
_TINY_ROWS = (_TINY, _TINY_SMALLER, _TINY_TO_MOBILE, _TINY_MOBILE)

_SELF_TEXTS = tuple(
    row.name for row in TABLE_2 if row.dataset in ("QQP", "IMDB", "AGNews") and row.teacher == row.student
)
_MNLI = tuple(f"mnli-roberta{size}-roberta{size}" for size in ("small", "medium"))
_TO_MEDIUM = tuple(f"{texts}-robertabase-robertamedium" for texts in ("mnli", "agnews"))
_TO_SMALL = tuple(f"{texts}-robertabase-robertasmall" for texts in ("agnews", "qqp", "imdb", "mnli"))

_PHI = "Each point is an example: X is the teacher's phi(p) of the class it predicts, Y the student's of that class"
_SEED = "points of seed 0, the control (a second one-hot model) above the distilled student"
_BOTH = functools.partial(scatter.draw, splits=("train", "test"))
_TRUE = functools.partial(scatter.draw, splits=("test",), class_from="true")
_LATE_KD = functools.partial(switching.accuracies, model="one_hot_to_kd")
_LATE_ONE_HOT = functools.partial(switching.accuracies, model="kd_to_one_hot")

_ALL = (
    Figure("fig1a", "Figure 1a", f"{_PHI}; {_SEED}.", (_SELF, _NOISE), scatter.draw),
    Figure(
        "fig1b",
        "Figure 1b",
        "Test accuracy over training when the loss is switched late; the bands are 95% intervals.",
        (_SELF,),
        switching.trajectories,
    ),
    Figure(
        "fig2",
        "Figure 2",
        f"Distillation into other networks. {_PHI}; {_SEED}.",
        (_SMALLER, _TINY_SMALLER, _NOISE_SMALLER),
        scatter.draw,
    ),
    Figure(
        "fig3",
        "Figure 3",
        "X is the final teacher's, Y that of students at snapshots of their training; training points of seed 0.",
        (_SELF,),
        switching.evolution,
    ),
    Figure(
        "fig4",
        "Figure 4",
        "Final test accuracy when the loss is switched to distillation at some step.",
        (_SELF, _TINY),
        _LATE_KD,
    ),
    Figure("fig5", "Figure 5", f"{_PHI}; {_SEED}; both splits.", _CIFAR100, _BOTH),
    Figure("fig6", "Figure 6", f"{_PHI}; {_SEED}; both splits.", _TINY_ROWS, _BOTH),
    Figure("fig7", "Figure 7", f"{_PHI}; {_SEED}; both splits.", _CIFAR10, _BOTH),
    Figure("fig8", "Figure 8", f"Texts. {_PHI}; {_SEED}; both splits.", (*_MNLI, *_TO_MEDIUM), _BOTH),
    Figure("fig9", "Figure 9", f"Texts, self-distillation. {_PHI}; {_SEED}; both splits.", _SELF_TEXTS, _BOTH),
    Figure("fig10", "Figure 10", f"Texts, into another network. {_PHI}; {_SEED}; both splits.", _TO_SMALL, _BOTH),
    Figure(
        "fig11",
        "Figure 11",
        f"As Figures 5 and 6 on the test set, but X and Y are of the true class; {_SEED}.",
        (_SELF, _SMALLER, _TINY, _TINY_SMALLER),
        _TRUE,
    ),
    Figure(
        "fig12",
        "Figure 12",
        f"Test points by which of teacher and student has them right; {_SEED}.",
        (_SELF, _TINY),
        right.draw,
    ),
    Figure(
        "fig13",
        "Figure 13",
        "X is the final teacher's, Y that of students at snapshots of their training; training points of seed 0.",
        (_TINY,),
        switching.evolution,
    ),
    Figure(
        "fig14",
        "Figure 14",
        "Final test accuracy when the loss is switched from one-hot to distillation at some step.",
        (*_CIFAR100, *_TINY_ROWS),
        _LATE_KD,
    ),
    Figure(
        "fig15",
        "Figure 15",
        "Final test accuracy when the loss is switched from distillation to one-hot at some step.",
        (*_CIFAR100, *_TINY_ROWS),
        _LATE_ONE_HOT,
    ),
    Figure(
        "fig16",
        "Figure 16",
        "Test accuracy when training goes on for long after the switch; the bands are 95% intervals.",
        ("cifar100-longer", "tiny-imagenet-longer"),
        switching.trajectories,
    ),
    Figure(
        "fig17",
        "Figure 17",
        f"Longer training, and a smaller batch with a smaller rate. {_PHI}; {_SEED}.",
        ("cifar100-longer", "tiny-imagenet-longer", "cifar100-smaller-batch"),
        scatter.draw,
    ),
    Figure(
        "fig18",
        "Figure 18",
        "Other measures than phi; below, KL(teacher || student) against each. Training points of seed 0.",
        (_SELF,),
        measures.draw,
    ),
    Figure(
        "prediction",
        "",
        "Does underfitting predict the gain? A marker for each image row of Table 2, filled where teacher and student "
        "are the same network.",
        tuple(row.name for row in IMAGE_ROWS),
        beyond.prediction,
    ),
    Figure(
        "interpolation",
        "",
        "Does it matter whether the teacher interpolates? A marker for each setting, filled where teacher and student "
        "are the same network; those right of the upright line do. The switches are the late ones.",
        tuple(pair.name for pair in SETTINGS),
        interpolation.draw,
    ),
    Figure(
        "detection",
        "",
        "Which training labels are wrong? Scores are high where a label is suspected; the curves are of seed 0.",
        (_NOISE, _NOISE_SMALLER),
        beyond.detection,
    ),
    Figure(
        "precision",
        "",
        "The same study in float32 and in bfloat16.",
        (_SELF, "cifar100-other-precision"),
        beyond.precision,
    ),
)

FIGURES = {figure.name: figure for figure in _ALL}
