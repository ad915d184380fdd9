"""Rows of tables of deviations: which statistics are shown, and how."""

from distill_jax.measures import fidelity

# Of each name, title, digits, whether with a sign, scale.
_GAPS = (
    ("mean_gap_hard", "Mean gap, hard points", 2, True, 1),
    ("underfit_fraction_hard", "Underfit share, hard points, %", 1, False, 100),
    ("mean_gap_easy", "Mean gap, easy points", 2, True, 1),
    ("underfit_fraction_easy", "Underfit share, easy points, %", 1, False, 100),
    ("slope_instrumented", "Slope of Y on X", 3, False, 1),
    ("confidence_gap_hard", "Mean gap of each model's own class, hard points", 2, True, 1),
    ("confidence_gap_easy", "Mean gap of each model's own class, easy points", 2, True, 1),
    ("share_same_class_hard", "Hard points whose class its teacher predicts, %", 1, False, 100),
    ("inherited_noise", "Inherited noise: correlation with the teacher's", 3, False, 1),
)
_AS_IN_PAPER = (
    ("mean_gap_hard_as_in_paper", "As in the paper: mean gap, hard points", 2, True, 1),
    ("underfit_fraction_hard_as_in_paper", "As in the paper: underfit share, hard points, %", 1, False, 100),
    ("mean_gap_easy_as_in_paper", "As in the paper: mean gap, easy points", 2, True, 1),
    ("underfit_fraction_easy_as_in_paper", "As in the paper: underfit share, easy points, %", 1, False, 100),
    ("slope_least_squares", "As in the paper: slope by least squares", 3, False, 1),
    ("slope_theil_sen", "As in the paper: slope by Theil and Sen", 3, False, 1),
)
_ALL_CLASSES = (
    ("agreement", "Agreement with teacher, %", 1, False, 100),
    ("agreement_teacher_right", "Agreement where the teacher is right, %", 1, False, 100),
    ("agreement_teacher_wrong", "Agreement where the teacher is wrong, %", 1, False, 100),
    ("top_k_agreement", f"Overlap of the most probable classes ({fidelity.TOP}, or half of all), %", 1, False, 100),
    ("kl", "KL(teacher ‖ student), nats", 3, False, 1),
    ("kl_teacher_right", "KL where the teacher is right, nats", 3, False, 1),
    ("kl_teacher_wrong", "KL where the teacher is wrong, nats", 3, False, 1),
    ("jensen_shannon", "Jensen-Shannon divergence, nats", 3, False, 1),
    ("rank_correlation", "Rank correlation of the classes that are not the label", 3, False, 1),
    ("imitation_blocked", "Points with no class but the label above the teacher's, %", 1, False, 100),
    ("calibration_error", "Calibration error, %", 1, False, 100),
)
_MISLABELLED = (
    ("mean_gap_mislabelled", "Mean gap of the wrong label, mislabelled points", 2, True, 1),
    ("underfit_fraction_mislabelled", "Underfit share of the wrong label, mislabelled points, %", 1, False, 100),
    ("mean_gap_mislabelled_as_in_paper", "As in the paper: mean gap, mislabelled points", 2, True, 1),
    ("mislabelled_fitted", "Wrong labels reproduced, %", 1, False, 100),
)
GROUPS = {
    "Gaps and slopes": _GAPS,
    "As in the paper": _AS_IN_PAPER,
    "Over all classes": _ALL_CLASSES,
    "Mislabelled points": _MISLABELLED,
}
ROWS = tuple(row for group in GROUPS.values() for row in group)
