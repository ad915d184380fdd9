import numpy as np

from distill_jax.dumps import Dump
from distill_jax.measures import comparisons


def test_one_teacher_of_all_seeds_has_its_points_chosen_by_controls_without_false_deviations():
    # A world without deviation: a distilled student has some of the teacher's luck, a control has its own, of one size.
    rng, n, seeds = np.random.default_rng(0), 2000, 12
    label = np.arange(n) % 5
    agreed = 2 * np.eye(5)[label] + rng.normal(size=(n, 5))
    luck = rng.normal(size=(n, 5))

    def dump(model, own):
        return Dump.of(agreed + own, label, model=model)

    dumps = {("teacher", seed): dump("teacher", luck) for seed in range(seeds)}
    for seed in range(seeds):
        first, second = rng.normal(size=(2, n, 5))
        dumps["one_hot", seed] = dump("one_hot", first)
        dumps["kd", seed] = dump("kd", 0.8 * luck + 0.6 * second)
    found = comparisons.intervals(comparisons.compare(lambda *place: dumps[place], ["one_hot", "kd"], seeds))["kd"]
    crossed, own = (found[name].against_control for name in ("mean_gap_hard", "mean_gap_hard_as_in_paper"))
    assert crossed.low < 0 < crossed.high
    assert own.low > 0.1  # what its own teacher's choice makes of nothing
    assert not comparisons.inherited_noise(lambda *place: dumps[place], ["one_hot", "kd"], seeds)
