"""What the pair of panels shows, in one sentence with a study's own numbers."""

from distill_jax.measures.deviations import preferred
from distill_jax.measures.findings import Verdict
from distill_jax.measures.interval import quote
from distill_jax.measures.study_summary import StudySummary
from distill_jax.students import CONTROL, KD

_ENDS: dict[Verdict, str] = {
    "supported": "So it underfits them more than the control.",
    "contradicted": "So it underfits them less than the control, not more.",
    "not supported": "The interval includes 0: on these points no effect of distillation is seen.",
    "undecided": "That decides nothing.",
}


def headline(summary: StudySummary) -> str:
    """The gap of the hard training points, of the distilled student and of the control, and their difference."""
    gaps = {student: preferred(summary.deviations[student]["train"], "mean_gap_hard") for student in (KD, CONTROL)}
    found = next(finding for finding in summary.current_findings if finding.id == "underfits_hard_train")
    end = "One seed decides nothing." if summary.study.seeds == 1 else _ENDS[found.verdict]
    return (
        f"On the hard training points the distilled student has a gap of {quote(gaps[KD], sign=True)}, "
        f"the control of {quote(gaps[CONTROL], sign=True)}: a difference of {found.quoted}. {end}"
    )
