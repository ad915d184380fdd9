"""The claims of the paper's published version (arXiv:2301.12923, NeurIPS 2023): slopes, and teachers that interpolate.

It says that the student exaggerates the teacher's confidence: that the slope of its phi on the teacher's is above 1, in
18 of 18 and in 13 of 18 settings of images, and in 7 of 12 of texts. This is second hand: the published version's text
is not at hand, and the counts are as reported to us. Which are of which points is from a public summary of it alone: by
that 18 of 18 and 7 of 12 are of test points, 13 of 18 of training points, and the counts of images are of students
below the teacher at points of low confidence, which makes a slope above 1 but is not the same.

A setting here is a row of Table 2, or another pair of networks that Figures 8 and 10 show; the published ones are
others, with ImageNet among them. Slopes are instrumented (see `measures.slopes`), which the published ones are not.
Where teacher and student are different networks a slope is also of what their logits are like: the control's is then
not expected to be 1, and what distillation does is the difference from it.

The published version is reported to say, too, that what a switch of the loss does depends on whether the teacher
interpolates, that is, fits all training points. So each setting has its teacher's training accuracy, and there are
rank correlations with it over settings.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distill_jax.measures.findings import SIGNS, Finding, Judgement, corrected, multiplicity
from distill_jax.measures.interval import number
from distill_jax.measures.statistics import rank_correlation
from distill_jax.measures.study_summary import StudySummary, as_json
from experiments import json_interval
from experiments.json_interval import quote
from experiments.markdown_table import markdown_table
from experiments.paper.outcome import CONTROL, KD, Outcome
from experiments.paper.rows import CROSS_PAIRS, PUBLISHED_PAIRS, TABLE_2, Pair, Row
from experiments.paper.scale import PAPER
from experiments.paper.table2 import missing, percent

SETTINGS: tuple[Pair, ...] = (*TABLE_2, *CROSS_PAIRS, *PUBLISHED_PAIRS)
SPLITS = {"train": "training", "test": "test"}
SWITCHES = {"one_hot_to_kd": "late_distillation", "kd_to_one_hot": "late_one_hot"}  # student: id of its finding
# [kind][split]: settings with a slope above 1, and settings, as reported to us
PUBLISHED = {"image": {"train": (13, 18), "test": (18, 18)}, "text": {"test": (7, 12)}}
# Teachers of Table 2 have 99.9% and more, or 98.62% and less: what fits all training points and what does not.
INTERPOLATES = 99.5
AXES = {  # what is correlated with the teacher's training accuracy
    "gain": "distillation's gain",
    "slope_train": "slope on training points",
    "slope_test": "slope on test points",
    "one_hot_to_kd": "one-hot → KD less the control",
    "kd_to_one_hot": "KD → one-hot less the control",
}


def measured(outcome: Outcome) -> dict[str, Any]:
    """Values of a finished study for these claims, as JSON values; accuracies in %.

    Returns:
      n, step; teacher_train_accuracy, by the labels as trained on, and `interpolates`, whether its mean is
      `INTERPOLATES` or more; gain, of distillation over the control in test accuracy, and gain_verdict;
      slope[split], see `_slope`; switches[student]: minus_control (of its test accuracy), share_of_gain (0 the control,
      1 the distilled) and the verdict of the paper's claim.
    """
    summary = outcome.summary
    by_id = {finding.id: finding for finding in summary.current_findings}
    accuracy = summary.accuracy["test_accuracy"]
    teacher = percent(summary.accuracy["train_accuracy"].models["teacher"])
    result = {
        "n": outcome.seeds,
        "step": outcome.last,
        "teacher_train_accuracy": teacher,
        "interpolates": teacher.mean >= INTERPOLATES,
        "gain": percent(accuracy.paired["kd_minus_one_hot"]),
        "gain_verdict": by_id["kd_beats_one_hot"].verdict,
        "slope": {split: _slope(summary, split, by_id) for split in SPLITS},
        "switches": {
            student: {
                "minus_control": percent(accuracy.paired[f"{student}_minus_one_hot"]),
                "share_of_gain": accuracy.gain_recovered[student],
                "verdict": by_id[claim].verdict,
            }
            for student, claim in SWITCHES.items()
        },
    }
    return as_json(result)


def _slope(summary: StudySummary, split: str, by_id: Mapping[str, Finding]) -> dict[str, Any]:
    """Slopes of both students; above_one and above_control: difference and verdict; by, how they are estimated."""
    values = {student: summary.deviations[student][split] for student in (KD, CONTROL)}
    name = "slope_instrumented" if "slope_instrumented" in values[KD] else "slope_least_squares"
    judgements = {
        to: {"difference": finding.difference, "verdict": finding.verdict}
        for to, suffix in (("above_one", ""), ("above_control", "_more"))
        for finding in [by_id[f"exaggerates{suffix}_{split}"]]
    }
    return {"by": name, **{student: slopes[name] for student, slopes in values.items()}, **judgements}


def rows(outcomes: Mapping[str, Outcome], not_run: Mapping[str, Mapping[str, Any]], scale: str) -> list[dict[str, Any]]:
    """All settings as JSON values.

    Args:
      outcomes, not_run, scale: as of `table2.rows`.

    Returns:
      dataset, teacher, student as the paper names them; kind 'image' or 'text'; same_network, whether teacher and
      student are; paper_teacher_train_accuracy, of Table 2, null for other pairs; study; scale; status 'finished',
      with stands_for and what `measured` has, or 'not run', with what `not_run` has.
    """
    return [_row(pair, outcomes.get(pair.name), not_run.get(pair.name, {}), scale) for pair in SETTINGS]


def _row(pair: Pair, outcome: Outcome | None, not_run: Mapping[str, Any], scale: str) -> dict[str, Any]:
    result = {
        "dataset": pair.dataset,
        "teacher": pair.teacher,
        "student": pair.student,
        "kind": "text" if pair.is_text else "image",
        "same_network": pair.teacher == pair.student,
        "paper_teacher_train_accuracy": pair.train[0] if isinstance(pair, Row) else None,
        "study": pair.name,
        "scale": scale,
    }
    if outcome is None:
        none = {"status": "not run", "command": None, "expected_seconds": None, "expected_on": None}
        return result | none | not_run
    return result | {"status": "finished", "stands_for": outcome.plan.title} | measured(outcome)


def finished(table: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that are run."""
    return [row for row in table if row["status"] == "finished"]


def counts(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many finished settings have a slope above 1, by kind and split, as JSON values.

    Returns:
      For each kind and split: settings, with an interval (without one a slope can have any value, see
      `measures.slopes`), and without_interval, others; above_one, by the mean alone as the published counts are;
      supported and contradicted, by its interval; more_than_control, supported by its interval; published, (how many,
      of how many) or null.
    """
    result = []
    for kind, published in PUBLISHED.items():
        for split in SPLITS:
            every = [row["slope"][split] for row in finished(table) if row["kind"] == kind]
            slopes = [slope for slope in every if json_interval.read(slope[KD]).has_ends]
            verdicts = [slope["above_one"]["verdict"] for slope in slopes]
            result.append(
                {
                    "kind": kind,
                    "split": split,
                    "settings": len(slopes),
                    "without_interval": len(every) - len(slopes),
                    "above_one": sum(slope[KD]["mean"] > 1 for slope in slopes),
                    "supported": verdicts.count("supported"),
                    "contradicted": verdicts.count("contradicted"),
                    "more_than_control": sum(s["above_control"]["verdict"] == "supported" for s in slopes),
                    "published": published.get(split),
                }
            )
    return result


def value_on(axis: str, of: Mapping[str, Any]) -> Mapping[str, Any]:
    """The interval of what `AXES` names, from what `measured` has."""
    if axis in SWITCHES:
        return of["switches"][axis]["minus_control"]
    return of["slope"][axis.removeprefix("slope_")][KD] if axis.startswith("slope_") else of[axis]


def correlations(of_settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rank correlations of the teacher's training accuracy with `AXES`, over what `measured` has; {} below two.

    Each is over the settings that have an interval of it, or, with one seed, a value.
    """
    if len(of_settings) < 2:
        return {}
    teacher = [row["teacher_train_accuracy"]["mean"] for row in of_settings]
    result = {}
    for axis in AXES:
        values = [json_interval.read(value_on(axis, row)) for row in of_settings]
        result[axis] = rank_correlation(teacher, [v.mean if v.has_ends or v.n == 1 else math.nan for v in values])
    return as_json(result)


def quoted(of_axes: Mapping[str, Any], settings: int) -> str:
    """What `correlations` gives as text, with how many of so many settings one is over where it is not of all."""
    return "; ".join(
        f"{AXES[axis]} {quote(value, sign=True)}"
        + (f" ({value['n']} settings, the others have no interval)" if value["n"] < settings else "")
        for axis, value in of_axes.items()
    )


def teachers(table: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How many of the finished settings' teachers interpolate, and how many there are, each counted once."""
    # Away from the paper's scale a teacher may be trained for longer for one student than for another.
    interpolates = {
        (row["dataset"], row["teacher"], row["teacher_train_accuracy"]["mean"]): row["interpolates"]
        for row in finished(table)
    }
    return sum(interpolates.values()), len(interpolates)


def together(table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rows with what they come to, as JSON values."""
    return {"rows": table, "counts": counts(table), "rank_correlations": correlations(finished(table))}


LEGEND = (
    "Slopes of the student's phi on its teacher's, with another seed's teacher for an instrument, and 95% intervals "
    "over n seeds: ✓ above 1, ✗ below 1, ○ neither, ? undecided, as with one seed. In brackets the control's slope, "
    "with the sign of whether the distilled student's is above it (✓), below it (✗) or neither (○). In bold: also by "
    "Holm's correction for all intervals of slopes. † Teacher and student are different networks: the control's slope "
    "is not expected to be 1 there. *Fitted* is the teacher's training accuracy in %, with a star if it interpolates "
    f"({INTERPOLATES:g}% or more). Gain and both switches are test accuracy less the control's, in points; the signs "
    "of the switches are of the claims that a late one to distillation recovers most of the gain, and that one to "
    "one-hot undoes most of it.\n"
)


def lines(table: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, what it counts to, and the rank correlations."""
    all_differences = _differences(table)
    bold = {
        id(difference)
        for difference, is_significant in zip(all_differences, corrected(_judged(all_differences)), strict=True)
        if is_significant
    }
    head = ["data set, teacher → student", "fitted", "slope, training [control]", "slope, test [control]"]
    body = []
    for row in table:
        cells = [f"{row['dataset']}, {row['teacher']} → {row['student']}{'' if row['same_network'] else ' †'}"]
        if row["status"] == "finished":
            fitted = number(row["teacher_train_accuracy"]["mean"]) + ("\\*" if row["interpolates"] else "")
            signs = [SIGNS[switch["verdict"]] for switch in row["switches"].values()]
            differences = [quote(switch["minus_control"], sign=True) for switch in row["switches"].values()]
            cells += [
                fitted,
                *(_cell(row["slope"][split], bold) for split in SPLITS),
                f"{SIGNS[row['gain_verdict']]} {quote(row['gain'], sign=True)}",
                *(f"{sign} {value}" for sign, value in zip(signs, differences, strict=True)),
                str(row["n"]),
            ]
        else:
            cells += [number(None)] * 7
        stand_in = row["scale"] != PAPER.name and row["status"] == "finished"
        body.append([*cells, f"stand-in: {row['stands_for']}" if stand_in else row["status"]])
    head += ["gain", "one-hot → KD", "KD → one-hot", "n", "status"]
    parts = [markdown_table(head, body), missing(table), sentences(table)]
    return "\n".join(part for part in parts if part)


def _cell(slope: Mapping[str, Any], bold: set[int]) -> str:
    texts = [
        f"{SIGNS[slope['above_one']['verdict']]} {quote(slope[KD])}",
        f"{SIGNS[slope['above_control']['verdict']]} {quote(slope[CONTROL])}",
    ]
    marked = [
        f"**{text}**" if id(slope[to]) in bold else text
        for text, to in zip(texts, ("above_one", "above_control"), strict=True)
    ]
    return f"{marked[0]} ({marked[1]})"


def _differences(table: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    slopes = [row["slope"][split] for row in finished(table) for split in SPLITS]
    return [slope[to] for slope in slopes for to in ("above_one", "above_control")]


def _judged(differences: Sequence[Mapping[str, Any]]) -> list[Judgement]:
    return [
        Judgement(difference["verdict"], json_interval.read(difference["difference"])) for difference in differences
    ]


def sentences(table: Sequence[Mapping[str, Any]]) -> str:
    """Summary of the finished settings beside the published counts, in Markdown."""
    text_lines = []
    for count in counts(table):
        if not count["settings"] + count["without_interval"]:
            continue
        published = "no such count is reported to us"
        if count["published"]:
            published = "published {} of {}".format(*count["published"])
        points = f"{count['kind'].capitalize()} settings, {SPLITS[count['split']]} points"
        if not count["settings"]:
            text_lines.append(f"- {points}: none of {count['without_interval']} slopes has an interval; {published}.")
            continue
        text_lines.append(
            f"- {points}: slope above 1 in {count['above_one']} of {count['settings']} ({count['supported']} with "
            f"their whole interval, {count['contradicted']} below it with theirs), above the control's with the "
            f"interval in {count['more_than_control']}"
            + (f", {count['without_interval']} more have no interval" if count["without_interval"] else "")
            + f"; {published}."
        )
    if not text_lines:
        return "No setting is finished.\n"
    text_lines += [
        "- The published counts are second hand: the published version's text is not at hand, the counts are as "
        "reported to us, and which split is which is from a public summary of it.",
        f"- {multiplicity(_judged(_differences(table)))}",
    ]
    ran = finished(table)
    correlation_by_axis = correlations(ran)
    if correlation_by_axis:
        interpolating, of_teachers = teachers(table)
        text_lines.append(
            f"- {interpolating} of {of_teachers} teachers interpolate. Rank correlation of a teacher's training "
            f"accuracy, over {len(ran)} settings, with {quoted(correlation_by_axis, len(ran))}. Settings that share "
            "data or a teacher are not independent: the intervals are too narrow for that."
        )
    return "\n".join(text_lines) + "\n"
