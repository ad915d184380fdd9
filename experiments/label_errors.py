"""Which score tells wrong training labels from right ones: our deviations, cleanlab's, data maps, margins, the loss.

    python -m experiments.label_errors [STUDY] [--json FILE]

STUDY is the folder of a finished study with wrong labels; without one `digits` is made, or found finished, in
work/digits. Every score is of each training example and should be high where its label is wrong. It is measured by the
area under its curve (`measures.detection.auc`), over seeds, and paired with what one would do without distillation:
cleanlab's Datalab from the teacher's probabilities. These are in-sample, of a model that was trained with the labels in
question, where cleanlab asks for out-of-sample ones. So Datalab is asked a second time from the inputs alone, of which
it makes out-of-sample probabilities by nearest neighbours. Needs cleanlab (the extra `tools`).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.table import Table

from distill_jax import data, saved_setting
from distill_jax.command import command_line
from distill_jax.data.progress_log import logged
from distill_jax.dumps import Dump, DumpReader
from distill_jax.errors import InputError
from distill_jax.extras import needed
from distill_jax.measures import deviations
from distill_jax.measures.data_maps import data_maps, steps_in_training
from distill_jax.measures.detection import auc
from distill_jax.measures.deviations import phi
from distill_jax.measures.statistics import holm, over_seeds, paired
from distill_jax.measures.study_summary import StudySummary
from distill_jax.points.chosen import choose
from distill_jax.points.pred_probs import pred_probs
from distill_jax.students import CONTROL, KD, TEACHER, label_of
from distill_jax.study.workdir import SAVED
from experiments.json_interval import quote
from experiments.markdown_table import markdown_table

PROG = "python -m experiments.label_errors"
MODELS = (TEACHER, CONTROL, KD)
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")  # cleanlab's names
INPUTS = "inputs"  # in a model's place: what is made of these alone
REFERENCE = ("datalab", TEACHER)
SCORES = {  # what each is called
    "underfit": "X \N{MINUS SIGN} Y of the teacher's class, as in the paper",
    "underfit_label": "X \N{MINUS SIGN} Y of the label",
    "loss": "cross-entropy, last step",
    "margin_over_time": "area under the margin (AUM), negated",
    "map_confidence": "data map: confidence, negated",
    "map_variability": "data map: variability",
    "datalab": "cleanlab's Datalab: label score, negated",
    "self_confidence": "cleanlab: self-confidence, negated",
    "normalized_margin": "cleanlab: normalized margin, negated",
    "confidence_weighted_entropy": "cleanlab: confidence-weighted entropy, negated",
}
Scores = dict[tuple[str, str], np.ndarray]  # by (score, model), float [N] each


@dataclasses.dataclass(frozen=True)
class Setting:
    """Compares scores by which wrong training labels are found, on a study's own label noise."""

    study: tyro.conf.Positional[Path | None] = None
    """The --workdir of a finished study with label noise [default: digits, made in work/digits]."""
    json: Path | None = None
    """Write the numbers to this file too."""


def own_scores(read: DumpReader, summary: StudySummary, seed: int) -> Scores:
    """The scores that this package knows by itself, of one seed."""
    last, found = summary.study.total_steps, {}
    teacher = read(TEACHER, seed, last, "train")
    for student in (CONTROL, KD):
        dump = read(student, seed, last, "train")
        (own,) = deviations.points(teacher, [dump], teacher)
        found["underfit", student] = own.in_dumps_order(own.x - own.y)
        found["underfit_label", student] = phi(teacher.logits, dump.label) - phi(dump.logits, dump.label)
    maps = data_maps(read, summary, seed)
    for model in MODELS:
        dump = read(model, seed, last, "train")
        found["loss", model] = np.logaddexp(0.0, -phi(dump.logits, dump.label))
        if model in maps:
            margins = [margin(read(model, seed, step, "train")) for step in steps_in_training(summary, model)]
            found["margin_over_time", model] = -np.mean(margins, axis=0)
            found["map_confidence", model] = -maps[model].confidence
            found["map_variability", model] = maps[model].variability
    return found


def margin(dump: Dump) -> np.ndarray:
    """The label's logit less the largest of the others, float64 [N] (Pleiss et al. 2020, arXiv:2001.10528)."""
    logits = dump.logits.astype(np.float64)
    entries = np.arange(len(logits)), dump.label
    own = logits[entries]
    logits[entries] = -np.inf
    return own - logits.max(axis=1)


def cleanlab_scores(read: DumpReader, summary: StudySummary, seed: int) -> Scores:
    """The scores that cleanlab makes of each model's probabilities of one seed."""
    rank, found = needed("cleanlab.rank", "tools", PROG), {}
    for model in MODELS:
        dump = read(model, seed, summary.study.total_steps, "train")
        probabilities = pred_probs(dump)
        found["datalab", model] = datalab(dump.label, pred_probs=probabilities)
        for method in METHODS:
            found[method, model] = -rank.get_label_quality_scores(dump.label, probabilities, method=method)
    return found


def datalab(label: np.ndarray, **given: np.ndarray) -> np.ndarray:
    """Datalab's label score, negated, float [N], from `pred_probs` [N, K] or `features` [N, D]."""
    lab = needed("cleanlab", "tools", PROG).Datalab({"label": label}, label_name="label", verbosity=0)
    alone = {"find_label_issues_kwargs": {"n_jobs": 1}}  # JAX has threads, with which a process must not fork
    lab.find_issues(issue_types={"label": {"clean_learning_kwargs": alone}}, **given)
    return -lab.get_issues("label")["label_score"].to_numpy()


def inputs(workdir: Path, summary: StudySummary) -> np.ndarray | None:
    """The training examples as features [N, D], normalised as networks see them; None of texts.

    Raises:
      InputError: the data cannot be loaded.
    """
    setting = saved_setting.load(workdir / SAVED).data
    dataset = data.load_dataset(setting)
    if dataset.mean is None or dataset.std is None or len(dataset.train.id) != summary.study.train_examples:
        return None
    x = (np.asarray(dataset.train.x, np.float32) - dataset.mean) / dataset.std
    return x.reshape(len(x), -1)


def measure(workdir: Path) -> dict[str, Any]:
    """The areas of all scores on a study's training set.

    Raises:
      InputError: there is no such study, or its labels are all right.
    """
    chosen = choose(workdir)
    summary, read = chosen.summary, DumpReader(workdir)
    if not summary.study.train_mislabelled:
        raise InputError(workdir, None, "has no wrong training labels; must be a study with data.label_noise")
    features, areas = inputs(workdir, summary), {}
    for seed in logged(range(summary.study.seeds), summary.study.seeds, "seeds"):
        dump = read(TEACHER, seed, summary.study.total_steps, "train")
        scores = own_scores(read, summary, seed) | cleanlab_scores(read, summary, seed)
        if features is not None:
            scores["datalab", INPUTS] = datalab(dump.label, features=features)
        for key, score in scores.items():
            areas.setdefault(key, []).append(auc(score, dump.label != dump.true_label))
    reference, rows = areas[REFERENCE], []
    for score, model in sorted(areas, key=lambda key: (list(SCORES).index(key[0]), [*MODELS, INPUTS].index(key[1]))):
        values = areas[score, model]
        area = over_seeds(values).within(0, 1).of(values)
        less = None
        if (score, model) != REFERENCE:
            less = paired(values, reference).of(np.subtract(values, reference))
        rows.append({"score": score, "model": model, "area": area, "minus_reference": less})
    differences = [row["minus_reference"] for row in rows if row["minus_reference"] is not None]
    passed = iter(holm(differences))
    return {
        "study": workdir.absolute().name,
        "seeds": summary.study.seeds,
        "train_examples": summary.study.train_examples,
        "train_mislabelled": summary.study.train_mislabelled,
        "reference": dict(zip(("score", "model"), REFERENCE, strict=True)),
        "rows": [_as_json(row) | {"holm": row["minus_reference"] is not None and next(passed)} for row in rows],
    }


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.as_json() if hasattr(value, "as_json") else value for name, value in row.items()}


def lines(result: Mapping[str, Any]) -> str:
    """The result as a table in Markdown; differences that stay by Holm's correction are in bold."""
    head = ["score", "of", "area under the curve", "less the reference"]
    return markdown_table(head, [_cells(row, result["reference"], "**{}**".format) for row in result["rows"]])


def _cells(row: Mapping[str, Any], reference: Mapping[str, str], mark: Callable[[str], str]) -> list[str]:
    less = row["minus_reference"]
    said = "the reference" if less is None else quote(less, 3, sign=True)
    model = "the inputs alone, out of sample" if row["model"] == INPUTS else label_of(row["model"])
    return [SCORES[row["score"]], model, quote(row["area"], 3), mark(said) if row["holm"] else said]


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    command_line.check_writable("--json", setting.json, ".json")
    cleanlab = needed("cleanlab", "tools", PROG)
    from sklearn import __version__ as of_sklearn

    from distill_jax.machine.environment import environment

    run_environment = environment(f"{PROG} {' '.join(arguments)}".strip())
    run_environment["versions"] |= {"cleanlab": cleanlab.__version__, "scikit-learn": of_sklearn}
    study = setting.study
    if study is None:
        import distill_jax

        study = distill_jax.run("digits", workdir=Path("work/digits")).folder
    said = {"environment": run_environment, **measure(study)}
    table = Table("score", "of", "area under the curve", "less the reference", box=None)
    for row in said["rows"]:
        table.add_row(*_cells(row, said["reference"], str))
    command_line.console(150).print(table)
    command_line.write_json(setting.json, said)


if __name__ == "__main__":
    command_line.run(main)
