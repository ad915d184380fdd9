"""All results as one dictionary, and as Markdown: the page beside the figures, and the README's table."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_jax.errors import InputError
from distill_jax.measures import findings
from experiments import json_interval
from experiments.markdown_table import markdown_table
from experiments.paper import published, table2
from experiments.paper.outcome import Outcome
from experiments.paper.scale import SCALES

CLAIMS = {  # of `findings`, in a few words
    "below_hard_train": "underfits hard points, training",
    "underfits_hard_train": "more than the control",
    "below_hard_test": "underfits hard points, test",
    "underfits_hard_test": "more than the control there",
    "underfits_mislabelled": "mislabelled points, more than the control",
    "kd_beats_one_hot": "KD beats one-hot",
    "late_distillation": "late KD recovers most",
    "late_one_hot": "late one-hot undoes most",
}
FITTED = ("teacher", "one_hot", "kd")
_BEYOND = ("prediction", "interpolation", "detection", "precision")  # figures


def studies(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Of each finished study what it is, what it took, on what, and its findings; one command makes them all."""
    studies_by_name = {}
    for name, outcome in outcomes.items():
        summary = dataclasses.replace(outcome.summary, findings=outcome.summary.current_findings).as_json()
        fields = {k: summary[k] for k in ("setting", "study", "timing", "findings")}
        fields["fitted"] = summary["accuracy"]["train_accuracy"]["models"]
        run_environment = {k: value for k, value in summary["environment"].items() if k != "command"}
        studies_by_name[name] = {
            "title": outcome.plan.title,
            "row": outcome.plan.is_row,
            **fields,
            "environment": run_environment,
        }
    return studies_by_name


def of_claims(of_studies: Mapping[str, Mapping[str, Any]]) -> str:
    """The findings of studies in Markdown, a line for each study and a column for each claim.

    In bold are those whose interval excludes zero also by Holm's correction for all that are shown.
    """
    findings_by_study = [[f for f in _findings(study) if f.id in CLAIMS] for study in of_studies.values()]
    shown = [finding for study_findings in findings_by_study for finding in study_findings]
    bold = {
        id(finding) for finding, is_significant in zip(shown, findings.corrected(shown), strict=True) if is_significant
    }
    rows = []
    for study, study_findings in zip(of_studies.values(), findings_by_study, strict=True):
        by_id = {finding.id: finding for finding in study_findings}
        cells = [f"{study['title']} (n = {study['study']['seeds']})"]
        for claim in CLAIMS:
            if claim not in by_id:
                cells.append("")
                continue
            finding = by_id[claim]
            value = f"{findings.SIGNS[finding.verdict]} {finding.quoted}"
            cells.append(f"**{value}**" if id(finding) in bold else value)
        cells.append(", ".join(f"{100 * study['fitted'][model]['mean']:.0f}" for model in FITTED))
        rows.append(cells)
    return markdown_table(["study", *CLAIMS.values(), "fitted, %"], rows)


def _findings(study: Mapping[str, Any]) -> list[findings.Finding]:
    return [
        findings.Finding(**value | {"difference": json_interval.read(value["difference"])})
        for value in study["findings"]
    ]


LEGEND = (
    "Differences with 95% intervals over seeds, paired: in phi for underfitting (from the teacher, then from the "
    "control), in points of test accuracy for the rest (the switched from the middle between control and distilled). "
    "Hard points are chosen by another seed's teacher. "
    "✓ supported, ○ not supported, ✗ contradicted, ? undecided: the gain is not certain enough to judge a switch by "
    "(it must exclude zero also by Holm's correction for its study's claims), or the gap and the share of underfit "
    "points say opposite things. In bold: also by Holm's correction for all intervals of the table. *Fitted* is the "
    "training accuracy of teacher, control and distilled student at the end.\n"
)


def together(of_studies: Mapping[str, Mapping[str, Any]]) -> str:
    """Summary of the findings: of each claim in how many studies it is supported, and their multiplicity."""
    findings_by_claim: dict[str, list[findings.Finding]] = {claim: [] for claim in CLAIMS}
    for study in of_studies.values():
        for finding in _findings(study):
            if finding.id in findings_by_claim:
                findings_by_claim[finding.id].append(finding)
    counts = []
    for claim_text, claim_findings in zip(CLAIMS.values(), findings_by_claim.values(), strict=True):
        verdicts = [finding.verdict for finding in claim_findings]
        undecided = verdicts.count("undecided")
        count = f"{claim_text}: {verdicts.count('supported')} of {len(verdicts) - undecided}"
        counts.append(count + (f" ({undecided} undecided)" if undecided else ""))
    all_findings = [finding for claim_findings in findings_by_claim.values() for finding in claim_findings]
    return f"Supported: {'; '.join(counts)}. {findings.multiplicity(all_findings)}\n"


def page(results: Mapping[str, Any]) -> str:
    """Everything in Markdown: Table 2, the findings, and the figures with their captions."""
    scale = SCALES[results["scale"]]
    parts = [
        f"# Scale {scale.name}: {scale.what}\n",
        f"Made by `{results['environment']['command']}`.\n",
        "## Table 2\n",
        "Test accuracy in %, means with 95% intervals over n seeds, of the last step.\n",
        table2.lines(results["table2"]),
        "## Findings\n",
        LEGEND,
        of_claims(results["studies"]),
        together(results["studies"]),
        "## The published version's claims\n",
        published.LEGEND,
        published.lines(results["published"]["rows"]),
        "## Figures\n",
    ]
    for name, figure in results["figures"].items():
        parts += [f"### {figure['paper'] or name.capitalize()}\n", f"![]({name}.png)\n", f"{figure['caption']}\n"]
    return "\n".join(parts)


def readme(path: Path) -> str:
    """The README's lines on a result file: the findings of the rows of Table 2, and what goes beyond the paper.

    Raises:
      InputError: it is no such file.
    """
    try:
        results = json.loads(path.read_text())
        rows = {name: study for name, study in results["studies"].items() if study["row"]}
        settings = published.finished(results["published"]["rows"])
        captions = [results["figures"][name]["caption"] for name in _BEYOND]
    except OSError as error:
        raise InputError("--markdown", path, f"cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("--markdown", path, "is not results.json of `python -m experiments.paper all`") from error
    beyond = "".join(f"- {caption}\n" for caption in captions)
    claims = f"The published version's claims. {published.LEGEND}", published.lines(settings)
    return "\n".join([LEGEND, of_claims(rows), together(rows), *claims, beyond])
