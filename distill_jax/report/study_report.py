"""From the dumps of a study to its numbers, its findings and a report a person can read.

`summarise` reads dumps and gives one dictionary with every number; `write_report` writes it as
`summary.json`, draws the figures and puts both into `report.html`. Neither needs an accelerator or a
checkpoint. But for `timing` and `environment`, which are passed through, the same dumps give the same bytes.
"""

import base64
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure

from distill_jax import dumps
from distill_jax.errors import InputError
from distill_jax.files import write_result
from distill_jax.measures import comparisons, control_check, findings, statistics
from distill_jax.report import plots
from distill_jax.report.rows import ROWS
from distill_jax.students import CONTROL, KD, KINDS, STUDENTS, SWITCHED, TEACHER, look_of

SPLITS = ("train", "test")
_PAIRS = {"kd_to_one_hot": (KD, CONTROL)}  # with which a student's accuracy is compared, where not with (CONTROL, KD)
CHECKED = {"mean_gap_hard": "gap of hard points", "mean_gap_easy": "of easy ones", "slope_instrumented": "slope"}
SNAPSHOTS_SHOWN = 5  # columns of the evolution figure


def summarise(
    workdir: Path,
    setting: dict[str, Any],
    environment: dict[str, Any],
    timing: dict[str, Any],
    *,
    seeds: int,
    total_steps: int,
    switch_step: int,
    students: Mapping[str, str] | None = None,
    sweep: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Every number of a finished study, as JSON-able data.

    Args:
      workdir: folder with the dumps of teacher and students, of seeds 0..seeds-1, at `total_steps` and before.
      setting: the study's setting; quoted, and `data`, `teacher`, `student` name what was run.
      environment: quoted; the report's heading shows `device`, and `command` is printed to be repeated.
      timing: quoted; the report's heading shows `total_seconds`.
      seeds: number of seeds.
      total_steps: the last step, whose dumps are the result.
      switch_step: the step at which the switched students begin to change their loss.
      students: what each is called, by name, the control and the distilled one among them; None for `STUDENTS`.
      sweep: of `sweep_summary.summarise`, where there is a sweep; quoted.

    Returns:
      setting, environment, timing, sweep as given; study (seeds, steps, students, sizes of the data); models (accuracy
      in [0, 1], one per seed); deviations[student][split][statistic] with mean, low, high, n, level, per_seed
      and, but for the control, minus_control, paired by seed (sections 3.1, 3.2): those of `deviations.deviations`,
      cross-fitted ones where there are two seeds or more, and then inherited_noise; gap_by_decile, by the paper's
      choice gap_by_decile_as_in_paper; control_check, see there; accuracy with intervals, paired differences and the
      share of distillation's gain recovered; trajectories of accuracy; findings.

    Raises:
      InputError: a dump is missing or damaged.
    """
    labels = dict(students or {name: KINDS[name].label for name in STUDENTS})
    models = [TEACHER, *labels]
    found = {
        k: p for k, p in dumps.find_dumps(workdir).items() if k[0] in models and k[1] < seeds and k[2] <= total_steps
    }
    for model, seed, split in itertools.product(models, range(seeds), SPLITS):
        path = dumps.dump_path(workdir, model, seed, total_steps, split)
        if (model, seed, total_steps, split) not in found:
            raise InputError(f"dump {path} is not there; run the same command again to write it")
    hits, sizes = _hits(found, seeds)
    comparison: dict[str, Any] = {student: {} for student in labels}
    by_decile: dict[str, Any] = {"gap_by_decile_as_in_paper": {student: {} for student in labels}}
    if seeds > 1:
        by_decile["gap_by_decile"] = {student: {} for student in labels}
    for split in SPLITS:

        def read(model: str, seed: int, split: str = split) -> dumps.Dump:
            return dumps.read_dump(found[model, seed, total_steps, split])

        compared = comparisons.compare(read, list(labels), seeds)
        inherited = comparisons.inherited_noise(read, list(labels), seeds)
        for student, values in comparisons.intervals(compared).items():
            own = {"inherited_noise": inherited[student]} if student in inherited else {}
            comparison[student][split] = values | own
        for name, of_it in by_decile.items():
            for student, tenths in comparisons.gaps_by_tenth(compared, crossed=name == "gap_by_decile").items():
                of_it[student][split] = tenths
    accuracy, per_seed = _accuracy(hits, models, seeds, total_steps)
    quoted = {"setting": setting, "environment": environment, "timing": timing, "sweep": sweep}
    summary: dict[str, Any] = {
        **json.loads(json.dumps(quoted, default=str)),  # paths and tuples as JSON has them
        "study": {
            "seeds": seeds,
            "total_steps": total_steps,
            "switch_step": switch_step,
            "students": labels,
            # Whose luck is then nobody's to inherit: see `comparisons.inherited_noise`.
            "one_teacher": seeds > 1 and "inherited_noise" not in comparison[CONTROL]["train"],
            **sizes,
        },
        "models": per_seed,
        "deviations": comparison,
        **by_decile,
        "accuracy": accuracy,
        "trajectories": _trajectories(hits, models, seeds),
    }
    summary["control_check"] = control_check.check(summary)
    summary["findings"] = findings.findings(summary)
    return summary


def _hits(found: dict, seeds: int) -> tuple[dict, dict[str, int]]:
    """Which examples each dump has right, {(measure, model, step): [bool [N] for each seed]}, and sizes."""
    hits: dict[tuple[str, str, int], list[np.ndarray]] = {}
    sizes: dict[str, int] = {}
    for (model, seed, step, split), path in sorted(found.items(), key=lambda item: item[0]):
        if any((model, k, step, split) not in found for k in range(seeds)):
            continue  # a snapshot that not all seeds have would compare different seeds
        dump = dumps.read_dump(path)
        guess, noisy = dump.logits.argmax(axis=1), dump.label != dump.true_label
        label = dump.label if split == "train" else dump.true_label
        hits.setdefault((f"{split}_accuracy", model, step), []).append(guess == label)
        if noisy.any() and split == "train":
            hits.setdefault(("train_accuracy_true", model, step), []).append(guess == dump.true_label)
        if not seed:
            sizes |= {f"{split}_examples": len(guess), "classes": dump.logits.shape[1]}
            sizes |= {f"{split}_mislabelled": int(noisy.sum())}
    return hits, sizes


def pairs(students: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of models whose difference in accuracy is reported, first minus second.

    >>> pairs(["one_hot", "kd", "dkd"])
    [('kd', 'one_hot'), ('dkd', 'one_hot'), ('dkd', 'kd'), ('kd', 'teacher')]
    """
    others = [s for s in students if s not in (CONTROL, KD)]
    of_others = [(s, other) for s in others for other in _PAIRS.get(s, (CONTROL, KD))]
    return [(KD, CONTROL), *of_others, (KD, TEACHER)]


def _accuracy(hits: dict, models: Sequence[str], seeds: int, last: int) -> tuple[dict[str, Any], dict[str, Any]]:
    accuracy: dict[str, Any] = {}
    per_seed: dict[str, Any] = {model: {} for model in models}
    switched = [s for s in SWITCHED if s in models]
    for measure in sorted({measure for measure, _, _ in hits}):

        def statistic(seed: int, rows: np.ndarray | None, measure: str = measure) -> dict[str, float]:
            of = slice(None) if rows is None else rows
            mean = {model: float(hits[measure, model, last][seed][of].mean()) for model in models}
            middle = (mean[CONTROL] + mean[KD]) / 2  # half of distillation's gain
            mean |= {f"{s}_minus_middle": mean[s] - middle for s in switched}
            return mean | {f"{a}_minus_{b}": mean[a] - mean[b] for a, b in pairs(models[1:])}

        examples = len(hits[measure, "teacher", last][0])
        values = statistics.intervals(statistic, seeds, examples, _within)
        for model in models:
            per_seed[model][measure] = values[model]["per_seed"]
        accuracy[measure] = {
            "models": {model: values[model] for model in models},
            "paired": {name: value for name, value in values.items() if "_minus_" in name},
            "gain_recovered": {
                student: _recovered(values[f"{student}_minus_one_hot"], values["kd_minus_one_hot"])
                for student in switched
            },
        }
    return accuracy, per_seed


def _within(name: str) -> tuple[float, float]:
    return (-1.0 if "_minus_" in name else 0.0), 1.0


def _recovered(part: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Share of distillation's gain over the control that a switched student has, 0 the control and 1 kd."""
    return statistics.ratio_of_means(part["per_seed"], whole["per_seed"]).as_dict()


def _trajectories(hits: dict, models: Sequence[str], seeds: int) -> dict[str, Any]:
    result: dict[str, Any] = {model: {} for model in models}
    for (measure, model, step), correct in sorted(hits.items(), key=lambda item: item[0]):
        value = statistics.over_seeds([float(seed.mean()) for seed in correct]).as_dict()
        line = result[model].setdefault(measure, {"n": seeds, "step": [], "mean": [], "low": [], "high": []})
        for name, entry in {"step": step, **{k: value[k] for k in ("mean", "low", "high")}}.items():
            line[name].append(entry)
    return result


def draw(workdir: Path, summary: dict[str, Any]) -> dict[str, Figure]:
    """The figures of the report, by name; those of single examples show seed 0.

    Raises:
      InputError: a dump is missing or damaged.
    """
    last, switch = summary["study"]["total_steps"], summary["study"]["switch_step"]

    def read(model: str, step: int, split: str) -> dumps.Dump:
        return dumps.read_dump(dumps.dump_path(workdir, model, 0, step, split))

    teachers = [read("teacher", last, split) for split in SPLITS]
    students = list(summary["study"]["students"])
    final = {m: [read(m, last, split) for split in SPLITS] for m in students}
    steps = {m: t["train_accuracy"]["step"] for m, t in summary["trajectories"].items()}
    shown = _spread(steps["kd"], switch)
    snapshots = [read(m, step, "train") for m in students for step in shown if step in steps[m]]
    statistic = summary["deviations"]
    figures = {
        "scatter": plots.scatter(teachers, final[CONTROL] + final[KD], statistic),
        "underfitting": plots.underfitting(
            summary.get("gap_by_decile"),
            summary["gap_by_decile_as_in_paper"],
            selecting=CONTROL if summary["study"]["one_teacher"] else TEACHER,
        ),
        "evolution": plots.evolution(teachers[0], snapshots, switch),
        "accuracy": plots.accuracy(summary["trajectories"], switch),
    }
    figures |= {
        f"scatter_{name}": plots.scatter(teachers, [dump for s in of for dump in final[s]], statistic)
        for name, of in _others(students).items()
    }
    if summary["sweep"]:
        figures |= {f"sweep_{field}": plots.sweep(summary["sweep"], field) for field in summary["sweep"]["fields"]}
    if summary["study"]["train_mislabelled"]:
        figures["mislabelled"] = plots.mislabelled(statistic)
    return figures


def _others(students: Collection[str]) -> dict[str, list[str]]:
    """Students beside the control and the distilled one that share a figure: the two switched ones, and all others."""
    switched = [s for s in students if s in SWITCHED]
    others = [s for s in students if s not in (CONTROL, KD, *SWITCHED)]
    return {name: of for name, of in (("switched", switched), ("others", others)) if of}


def _spread(steps: list[int], switch_step: int) -> list[int]:
    """At most SNAPSHOTS_SHOWN steps: the first, the last before the switch, the last, and some between."""
    if len(steps) <= SNAPSHOTS_SHOWN:
        return steps
    at = max((i for i, step in enumerate(steps) if step <= switch_step), default=0)
    before = np.linspace(0, at, SNAPSHOTS_SHOWN // 2 + 1).round().astype(int)
    after = np.linspace(at, len(steps) - 1, SNAPSHOTS_SHOWN // 2 + 1).round().astype(int)
    return [steps[i] for i in sorted({*before.tolist(), *after.tolist()})]


def write_report(workdir: Path, summary: dict[str, Any]) -> Path:
    """Writes `summary.json`, `figures/*.png` and `*.svg`, and `report.html`, each whole or not at all.

    Args:
      workdir: folder with the study's dumps.
      summary: from `summarise`.

    Returns:
      The path of report.html: one file that loads nothing from elsewhere.

    Raises:
      InputError: a dump is missing or damaged.
      RunError: a file cannot be written.
    """
    images = {}
    for name, figure in draw(workdir, summary).items():
        encoded = plots.encode(figure, name)
        for suffix, data in encoded.items():
            write_result(workdir / "figures" / f"{name}.{suffix}", data)
        images[name] = base64.b64encode(encoded["png"]).decode()
    text = json.dumps(summary, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_result(workdir / "summary.json", (text + "\n").encode())
    path = workdir / "report.html"
    write_result(path, render(summary, images).encode())
    return path


def render(summary: dict[str, Any], images: dict[str, str]) -> str:
    """The report as HTML, from a summary and PNG figures in base64, by name."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"quote": statistics.quote, "number": statistics.number, "duration": _duration}
    labels = {TEACHER: KINDS[TEACHER].label, **summary["study"]["students"]}
    template = environment.from_string(Path(__file__).with_name("study_report.html.jinja").read_text("utf-8"))
    return template.render(
        s=summary,
        images=images,
        labels=labels,
        colors={model: look_of(model)["color"] for model in labels},
        models=list(labels),
        others=_others(summary["study"]["students"]),
        pairs=pairs(summary["study"]["students"]),
        splits=plots.SPLITS,
        rows=ROWS,
        checked=CHECKED,
        multiplicity=findings.multiplicity(summary["findings"]),
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
