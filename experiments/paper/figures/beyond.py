"""Beyond the paper: does underfitting predict the gain, does it detect wrong labels, does precision matter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Picture

from distill_jax.measures import comparisons, deviations
from distill_jax.measures.detection import auc, roc
from distill_jax.measures.deviations import preferred
from distill_jax.measures.findings import verdict
from distill_jax.measures.interval import Interval, quote
from distill_jax.measures.statistics import holm, over_seeds, paired, rank_correlation
from distill_jax.report import plots
from distill_jax.report.plots.style import GUIDE, Shares, bars, grid, heading, square
from distill_jax.students import MODELS, label_of, look_of
from experiments.paper.figures.drawn import Drawn, looks
from experiments.paper.figures.labels import label_points
from experiments.paper.outcome import CONTROL, KD, Outcome
from experiments.paper.studies import Planned

SCORES = {
    "x": ("$-X$: teacher alone", {"color": "#000000", "linestyle": (0, (1, 1.5))}),
    "gap_control": ("$X - Y$, control", {"color": "#E69F00", "linestyle": (0, (6, 2))}),
    "gap": ("$X - Y$, distilled", {"color": "#0072B2", "linestyle": "-"}),
    "y": ("$-Y$: distilled alone", {"color": "#009E73", "linestyle": (0, (5, 1.5, 1, 1.5))}),
}


def prediction(outcomes: Sequence[Outcome]) -> Drawn:
    """The gain in test accuracy over the control against the underfitting of hard points, over settings.

    Underfitting is the teacher's phi less the student's, and not less the control's: one control on both axes would
    correlate them by its own luck.
    """
    numbers: dict[str, Any] = {"settings": {}}
    for outcome in outcomes:
        deviations_of_kd = outcome.summary.deviations[KD]
        gaps = {f"{split}_gap": preferred(deviations_of_kd[split], "mean_gap_hard") for split in plots.SPLITS}
        gain = outcome.summary.accuracy["test_accuracy"].paired["kd_minus_one_hot"]
        numbers["settings"][outcome.plan.name] = {"gain": gain} | gaps
    sentences = []
    for split, name in plots.SPLITS.items():
        settings = numbers["settings"].values()
        correlation = rank_correlation([-s[f"{split}_gap"].mean for s in settings], [s["gain"].mean for s in settings])
        numbers[f"{split}_rank_correlation"] = correlation
        sentences.append(f"{name.capitalize()}: {_correlation_line(correlation)}.")
    sentences.append("Settings that share data or a teacher are not independent: the interval is too narrow for that.")
    return Drawn(prediction_picture(numbers, [outcome.plan for outcome in outcomes]), numbers, sentences)


def prediction_picture(numbers: Mapping[str, Any], plans: Sequence[Planned]) -> Picture:
    """A panel for each split, a labelled point for each setting, from `prediction`'s numbers."""
    figure, axes = grid(2, 1, 7.6, 4.9)
    styles = looks(plans)
    gains = [numbers["settings"][plan.name]["gain"] for plan in plans]
    for axis, split in zip(axes[:, 0], plots.SPLITS, strict=True):
        gaps = [numbers["settings"][plan.name][f"{split}_gap"] for plan in plans]
        for gap, gain, style in zip(gaps, gains, styles, strict=True):
            wide = np.array([[gap.high - gap.mean], [gap.mean - gap.low]]) if gap.has_ends else None
            axis.errorbar([-gap.mean], [gain.mean], xerr=wide, elinewidth=0.8, alpha=0.35, color=style["color"])
            bars(axis, [-gap.mean], [gain], **style, zorder=4)  # above the paper of labels
        axis.axhline(0, **GUIDE)
        axis.axvline(0, **GUIDE)
        axis.set(
            xlabel="underfitting of hard points: mean of $X - Y$",
            ylabel="test accuracy less the control's, points",
        )
        axis.yaxis.set_major_formatter(Shares("", sign=True))
        axis.grid(alpha=0.25)
        heading(axis, plots.SPLITS[split].capitalize(), [_correlation_line(numbers[f"{split}_rank_correlation"])])
    texts, colors = [f"{plan.data}\n{plan.networks}" for plan in plans], [style["color"] for style in styles]
    for axis, split in zip(axes[:, 0], plots.SPLITS, strict=True):
        x = [-numbers["settings"][plan.name][f"{split}_gap"].mean for plan in plans]
        label_points(axis, x, gains, texts, colors)
    return figure


def _correlation_line(correlation: Interval) -> str:
    return f"rank correlation of underfitting and gain {quote(correlation, sign=True)}, n = {correlation.n}"


def detection(outcomes: Sequence[Outcome]) -> Drawn:
    """Which score tells mislabelled training points best: the teacher's X, the student's Y, or their gap."""
    words = {
        "supported": "better",
        "contradicted": "worse",
        "not supported": "no better, as far as these seeds tell",
        "undecided": "undecided",
    }
    numbers, sentences, differences = {}, [], []
    figure, axes = grid(1, len(outcomes), 4.8, 4.6)
    for axis, outcome in zip(axes[0], outcomes, strict=True):
        auc_by_score: dict[str, list[float]] = {name: [] for name in SCORES}
        curves = {}
        for seed in range(outcome.seeds):
            kd, control = (outcome.pair(student, "train", seed) for student in (KD, CONTROL))
            scores = {"x": -kd.x, "gap": kd.x - kd.y, "gap_control": control.x - control.y, "y": -kd.y}
            for name, score in scores.items():
                auc_by_score[name].append(auc(score, kd.mislabelled))
                if seed == 0:
                    curves[name] = roc(score, kd.mislabelled)
        for name, (label, style) in SCORES.items():
            axis.plot(*curves[name], lw=1.7, label=label, **style)
        areas = {name: over_seeds(values) for name, values in auc_by_score.items()}
        less_x, less_y = (paired(auc_by_score["gap"], auc_by_score[name]) for name in ("x", "y"))
        differences += [less_x, less_y]
        numbers[outcome.plan.name] = {
            "x": areas["x"],
            "gap_control": areas["gap_control"],
            "gap": areas["gap"].as_json()
            | {
                "minus_x": less_x,
                "minus_y": less_y,
                "minus_control": paired(auc_by_score["gap"], auc_by_score["gap_control"]),
            },
            "y": areas["y"].as_json() | {"minus_x": paired(auc_by_score["y"], auc_by_score["x"])},
        }
        axis.plot([0, 1], [0, 1], **GUIDE)
        axis.set(xlabel="share of right labels flagged", ylabel="share of wrong labels flagged")
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axis.xaxis.set_major_formatter(Shares())
        axis.yaxis.set_major_formatter(Shares())
        order = sorted(SCORES, key=lambda name: -areas[name].mean)
        lines = [f"AUC of {SCORES[name][0]} {quote(areas[name], 3)}" for name in order]
        heading(axis, outcome.plan.networks, [outcome.plan.data, *lines], small=True)
        sentences.append(
            f"{outcome.plan.title}: area under the curve of X - Y {quote(areas['gap'], 3)}, of X alone "
            f"{quote(areas['x'], 3)}: {words[verdict(less_x, 1)]}, {quote(less_x, 3, sign=True)} paired; of the "
            f"control's X - Y {quote(areas['gap_control'], 3)}; of the student's Y alone {quote(areas['y'], 3)}: "
            f"X - Y is {words[verdict(less_y, 1)]}, {quote(less_y, 3, sign=True)} paired."
        )
    significant = sum(verdict(difference, 1) in ("supported", "contradicted") for difference in differences)
    if outcomes[0].seeds > 1:
        sentences.append(
            f"Of these {len(differences)} differences {significant} exclude zero, {sum(holm(differences))} also by "
            "Holm's correction; studies with the same teachers are not independent."
        )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    square(figure, axes)
    return Drawn(figure, numbers, sentences)


def precision(outcomes: Sequence[Outcome]) -> Drawn:
    """Every model's accuracy, and the students' gap on hard training points, in two precisions, paired by seed."""
    first = outcomes[0]
    names = [outcome.plan.setting.train.precision for outcome in outcomes]
    numbers: dict[str, Any] = {}
    for model in MODELS:
        accuracies = [o.summary.accuracy["test_accuracy"].models[model] for o in outcomes]
        numbers[model] = {"test_accuracy": _two("test_accuracy", names, accuracies)}
        if model != "teacher":
            gaps = [preferred(o.summary.deviations[model]["train"], "mean_gap_hard") for o in outcomes]
            numbers[model]["mean_gap_hard"] = _two("mean_gap_hard", names, gaps)
    accuracy, gap = numbers[KD]["test_accuracy"]["difference"], numbers[KD]["mean_gap_hard"]["difference"]
    sentence = (
        f"{first.plan.title}: {names[1]} less {names[0]}, distilled student: "
        f"{quote(accuracy, sign=True, scale=100)} points of test accuracy and {quote(gap, sign=True)} of the gap on "
        "hard training points, paired."
    )
    return Drawn(precision_picture(numbers, first.plan.title, names), numbers, [sentence])


def precision_picture(numbers: Mapping[str, Any], title: str, names: Sequence[str]) -> Picture:
    """Accuracies and gaps of every model in both precisions, from `precision`'s numbers."""
    figure, axes = grid(1, 2, 5.0, 3.6)
    for axis, name in zip(axes[0], ("test_accuracy", "mean_gap_hard"), strict=True):
        models = [model for model in MODELS if name in numbers[model]]
        for index, model in enumerate(models):
            for offset, precise in zip((-0.12, 0.12), names, strict=True):
                filled = {"mfc": "white"} if offset > 0 else {}
                bars(axis, [index + offset], [numbers[model][name][precise]], **look_of(model) | filled)
        axis.set_xticks(range(len(models)), [label_of(m).replace(" (", "\n(") for m in models], fontsize=8)
        axis.grid(axis="y", alpha=0.25)
    axes[0, 0].set_ylabel("test accuracy")
    axes[0, 0].yaxis.set_major_formatter(Shares())
    axes[0, 1].set_ylabel("mean gap $Y - X$, hard training points")
    accuracy, gap = numbers[KD]["test_accuracy"]["difference"], numbers[KD]["mean_gap_hard"]["difference"]
    lines = [f"filled {names[0]}, empty {names[1]}", f"distilled: {quote(accuracy, sign=True, scale=100)} points"]
    heading(axes[0, 0], title, lines, small=True)
    heading(axes[0, 1], "", [f"distilled: {quote(gap, sign=True)}"], small=True)
    return figure


def _two(name: str, precisions: Sequence[str], values: Sequence[Interval]) -> dict[str, Interval]:
    pairs = list(zip(values[1].per_seed, values[0].per_seed, strict=False))  # one may have more seeds
    differences = np.subtract(*zip(*pairs, strict=True))
    difference = comparisons.interval(name, differences, name in deviations.CROSSED)
    return dict(zip(precisions, values, strict=True)) | {"difference": difference}
