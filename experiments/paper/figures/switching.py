"""Figures 1b, 3, 4, 13 to 16: how deviations and accuracy go over training, and what a switch of the loss does."""

from collections.abc import Sequence

from distill_jax.measures import comparisons, deviations
from distill_jax.measures.interval import Interval, quote
from distill_jax.measures.statistics import ratio_of_means
from distill_jax.report import plots
from experiments.paper.figures.drawn import Drawn, chooser_sentence
from experiments.paper.outcome import CONTROL, KD, Outcome

_NO_SHARE = "not above zero by its interval, so that no share of it is given"
_STUDENTS = ("one_hot", "kd", "one_hot_to_kd", "kd_to_one_hot")


def evolution(outcomes: Sequence[Outcome]) -> Drawn:
    """Final teacher against all four students at each snapshot of one study's training set."""
    (outcome,) = outcomes
    steps = outcome.summary.trajectories[KD]["train_accuracy"].step
    gaps: dict[tuple[str, int], Interval] = {}
    for student in _STUDENTS:
        for step in steps:
            pairs = (outcome.comparison(student, "train", seed, step).best for seed in range(outcome.seeds))
            hard = [deviations.gap_by_decile(pair)[0] for pair in pairs]
            gaps[student, step] = comparisons.interval("mean_gap_hard", hard, crossed=True)
    shown = [outcome.dump(student, "train", step=step) for student in _STUDENTS for step in steps]
    switch, last = outcome.plan.switch_step, outcome.last
    crossed_gaps = gaps if outcome.seeds > 1 else None  # those of one seed are of the points shaded
    picture = plots.evolution(outcome.dump("teacher", "train"), shown, switch, crossed_gaps)
    at_switch = max(step for step in steps if step <= switch)
    sentence = (
        f"{outcome.plan.title}: mean gap on hard training points {quote(gaps['one_hot_to_kd', at_switch], sign=True)} "
        f"at step {at_switch:,}, before the switch from one-hot to distillation, and "
        f"{quote(gaps['one_hot_to_kd', last], sign=True)} at the end; the other way round "
        f"{quote(gaps['kd_to_one_hot', at_switch], sign=True)} and {quote(gaps['kd_to_one_hot', last], sign=True)}. "
        f"At the first snapshot, step {steps[0]:,}, {quote(gaps[KD, steps[0]], sign=True)} distilled and "
        f"{quote(gaps[CONTROL, steps[0]], sign=True)} one-hot."
    )
    numbers = {outcome.plan.name: {s: {str(step): gaps[s, step] for step in steps} for s in _STUDENTS}}
    return Drawn(picture, numbers, [sentence, *chooser_sentence(outcome.seeds)])


def trajectories(outcomes: Sequence[Outcome]) -> Drawn:
    """Test accuracy over training of all models, a row for each study."""
    studies, numbers, sentences = [], {}, []
    for outcome in outcomes:
        accuracy = outcome.summary.accuracy["test_accuracy"]
        gain, recovered = accuracy.paired["kd_minus_one_hot"], accuracy.gain_recovered
        lines = [f"gain {quote(gain, sign=True, scale=100)} points"]
        if _is_there(gain):
            shares = {s: quote(recovered[s], 0, scale=100) for s in ("one_hot_to_kd", "kd_to_one_hot")}
            lines += [
                f"one-hot → KD ends with {shares['one_hot_to_kd']}% of it",
                f"KD → one-hot ends with {shares['kd_to_one_hot']}% of it",
            ]
        else:
            lines.append(_NO_SHARE)
        plan = outcome.plan
        studies.append(plots.Switched(plan.title, lines, outcome.summary.trajectories, plan.switch_step))
        numbers[outcome.plan.name] = {"gain": gain, "gain_recovered": recovered, "models": accuracy.models}
        sentences.append(f"{outcome.plan.title}: {'; '.join(lines)}.")
    return Drawn(plots.trajectories(studies), numbers, sentences)


def accuracies(outcomes: Sequence[Outcome], model: str) -> Drawn:
    """Final test accuracy by the step of the switch, a panel for each study.

    Args:
      outcomes: of studies with a sweep of the switch step.
      model: 'one_hot_to_kd' or 'kd_to_one_hot'.
    """
    studies, numbers, sentences = [], {}, []
    for outcome in outcomes:
        accuracy = outcome.summary.accuracy["test_accuracy"]
        gain = accuracy.paired["kd_minus_one_hot"]
        points = _by_switch(outcome, model)
        shares = {step: _share(point, gain) for step, point in points.items()}
        lines = [outcome.plan.data, f"KD over control {quote(gain, sign=True, scale=100)} points"]
        unswitched = {name: accuracy.models[name] for name in ("teacher", CONTROL, KD)}
        studies.append(plots.BySwitch(outcome.plan.networks, lines, list(points), list(points.values()), unswitched))
        by_step = {
            name: {str(step): v for step, v in values.items()}
            for name, values in (("test_accuracy", points), ("gain_kept", shares))
        }
        numbers[outcome.plan.name] = {"gain": gain, **by_step}
        verb = {"one_hot_to_kd": "recovered of it", "kd_to_one_hot": "left of it"}[model]
        share_list = ", ".join(f"{quote(share, 0, scale=100)}% at step {step:,}" for step, share in shares.items())
        share_text = f"{verb} by the step of the switch: {share_list}" if _is_there(gain) else _NO_SHARE
        sentences.append(f"{outcome.plan.title}: gain {quote(gain, sign=True, scale=100)} points; {share_text}.")
    return Drawn(plots.switches(studies, model), numbers, sentences)


def _is_there(gain: Interval) -> bool:
    """Whether there is a gain that a switched student can have a share of; with one seed nobody knows."""
    return gain.n == 1 or gain.low > 0


def _by_switch(outcome: Outcome, model: str) -> dict[int, Interval]:
    """Test accuracy of a switched student by the step of its switch, with `minus_control`."""
    assert outcome.summary.sweep is not None
    students = [s for s in outcome.summary.sweep.students if s.model == model]
    by_step = {s.settings["switch_step"]: s.statistics["test_accuracy"] for s in students}
    return dict(sorted(by_step.items()))


def _share(point: Interval, gain: Interval) -> Interval:
    return ratio_of_means(point.against_control.per_seed, gain.per_seed)
