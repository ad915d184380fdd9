import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from distill_jax.measures import comparisons, findings, statistics
from distill_jax.measures.interval import Interval, quote
from distill_jax.measures.ranks import average_ranks


def test_the_interval_over_seeds_is_students_t():
    values = [0.1, 0.4, 0.3, 0.9]
    result = statistics.over_seeds(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (result.mean, result.low, result.high) == pytest.approx((np.mean(values), low, high))
    assert (result.n, result.level) == (4, "seeds")


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_over_seeds_covers_the_truth_19_times_in_20(n):
    draws = np.random.default_rng(n).normal(3, 2, size=(2000, n))
    covered = [r.low <= 3 <= r.high for r in map(statistics.over_seeds, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_no_interval_over_seeds():
    result = statistics.over_seeds([0.5])
    assert math.isnan(result.low)
    assert json.dumps(result.as_json()) == ('{"mean": 0.5, "low": null, "high": null, "n": 1, "level": "seeds"}')


def test_pairing_removes_what_both_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 10, size=5)
    a, b = shared + 1 + 0.1 * rng.normal(size=5), shared
    result = statistics.paired(a, b)
    assert 0.5 < result.low < 1 < result.high < 1.5
    assert statistics.over_seeds(a).high - statistics.over_seeds(a).low > 5


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0])])
def test_pairs_must_be_pairs(a, b):
    with pytest.raises(ValueError, match=r"values|pairs"):
        statistics.paired(a, b)


def test_fiellers_interval_covers_the_ratio():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(2000):
        shared = rng.normal(size=4)
        whole = 4 + 0.5 * shared + 0.2 * rng.normal(size=4)
        part = 3 + 0.5 * shared + 0.2 * rng.normal(size=4)
        result = statistics.ratio_of_means(part, whole)
        covered.append(result.low <= 0.75 <= result.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_holms_correction_is_that_of_the_t_tests():
    rng = np.random.default_rng(0)
    samples = [rng.normal(shift, 1.0, n) for shift in (0.0, 0.5, 1.0, 2.0, 4.0) for n in (3, 8, 20)]
    p = sorted(stats.ttest_1samp(sample, 0).pvalue for sample in samples)
    counted = next(i for i, value in enumerate(p) if value > 0.05 / (len(p) - i))  # Holm's steps, one by one
    said = [statistics.over_seeds(sample) for sample in samples]
    assert 0 < counted < sum(value < 0.05 for value in p)
    passed = statistics.holm(said)
    assert sum(passed) == counted
    smallest = sorted(range(len(samples)), key=lambda i: stats.ttest_1samp(samples[i], 0).pvalue)[:counted]
    assert [i for i, also in enumerate(passed) if also] == sorted(smallest)
    no_tests = [statistics.over_seeds(values) for values in ([2.0], [2.0, 2.0])]
    assert statistics.holm([*no_tests, *said]) == [False, False, *passed]
    assert statistics.holm([statistics.over_seeds([5.0, 5.1, 5.2])]) == [True]
    assert statistics.holm([]) == []


def test_an_interval_that_ends_where_its_value_must_is_the_same_test():
    whole = statistics.over_seeds([0.9, 0.95, 0.99])
    cut = whole.within(0, 1)
    assert (cut.low, cut.high) == (whole.low, 1.0)
    assert cut.high < whole.high
    for values in ([0.9, 0.95, 0.99], [0.3, 0.9, 0.95]):
        interval = statistics.over_seeds(values)
        both = [interval, interval.within(-1, 1)]
        assert statistics.holm(both[:1]) == statistics.holm(both[1:])


def test_holms_test_is_of_the_values_where_the_interval_is_cut_or_of_a_ratio():
    values = [0.9, 0.95, 0.99]
    whole = statistics.over_seeds(values, wider=2.0)
    assert whole.as_json()["wider"] == 2
    for low, high in ((whole.low, whole.high), (0.01, 1.0), (0.89, 3.0)):
        said = replace(whole, low=low, high=high).of(values)
        assert statistics._away(said) == pytest.approx(whole.mean / (whole.high - whole.mean) * stats.t.ppf(0.975, 2))
    tests = [whole.of(values)] * 2
    assert statistics.holm(tests) == [True, True]
    assert statistics.holm([replace(test, wider=40.0) for test in tests]) == [False, False]


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_interval_of_an_instrumented_slope_covers_it_and_decides_as_student_s_t_does(seeds):
    rng = np.random.default_rng(seeds)
    covered, studies, slope = 0, 1000, 1.6
    for _ in range(studies):
        spreads = rng.uniform(0.7, 1.3, seeds)
        numerators = slope * spreads + 0.05 * rng.normal(size=seeds)
        values = 1 + (numerators - spreads) / spreads.mean()
        found = comparisons.interval("slope_instrumented", values, False, spreads, False)
        covered += found.low <= slope <= found.high
        assert found.mean == pytest.approx(values.mean())
    assert covered / studies == pytest.approx(0.95, abs=0.02)
    for mean in np.linspace(-1, 1, 41):
        values = mean + rng.normal(size=seeds)
        found = comparisons.interval("slope_instrumented", values, True, spreads, True)
        plain = statistics.over_seeds(values)
        assert (found.low <= 0 <= found.high) == (plain.low <= 0 <= plain.high)
    weak = comparisons.interval("slope_instrumented", values, True, np.linspace(-1, 2, seeds), False)
    assert weak.as_json()["low"] is weak.as_json()["high"] is None


def test_every_statistic_s_interval_ends_where_the_truth_does():
    assert comparisons.possible("kl_teacher_wrong", False) == (0, math.inf)
    assert comparisons.possible("kl", True) == (-math.inf, math.inf)
    assert comparisons.possible("inherited_noise", True) == (-2, 2)
    assert comparisons.possible("rank_correlation_with_kl", False) == (-1, 1)
    assert comparisons.possible("underfit_only_student", True) == (-1, 1)
    assert comparisons.possible("mean_gap_hard", False) == (-math.inf, math.inf)
    found = statistics.over_pairs([0.2, 0.9], comparisons.possible("inherited_noise", False))
    assert (found.low, found.high, found.level) == (-1, 1, "pairs")


def test_shares_stay_between_none_and_all():
    found = statistics.intervals(lambda seed, _: {"share": [0.7, 0.99, 1.0][seed]}, 3, 10, lambda _: (0.0, 1.0))
    assert found["share"].high == 1.0
    assert found["share"].low < 0.7


def test_a_share_of_a_gain_that_may_be_none_has_no_interval():
    result = statistics.ratio_of_means([1.0, 2.0, 1.5], [-3.0, 4.0, 0.5])
    assert result.mean == pytest.approx(3.0)
    assert math.isnan(result.low)
    assert statistics.ratio_of_means([1.0, 2.0], [1.0, -1.0]).as_json()["mean"] is None
    assert math.isnan(statistics.ratio_of_means([1.0], [2.0]).low)


def test_the_bootstrap_over_examples_agrees_with_theory_and_itself():
    values = np.random.default_rng(2).exponential(size=400)

    def mean(rows):
        return {"mean": float(values[slice(None) if rows is None else rows].mean()), "one": 1.0}

    result = statistics.over_examples(mean, 400)
    assert result == statistics.over_examples(mean, 400)
    half = 1.96 * values.std() / 20
    assert result["mean"].mean == values.mean()
    assert result["mean"].high - result["mean"].low == pytest.approx(2 * half, rel=0.15)
    assert (result["mean"].n, result["mean"].level) == (1, "examples")
    assert not result["one"].has_ends  # of what is the same in every draw, as 10 right ones of 10


def test_the_bootstrap_corrects_for_bias_and_holds_the_estimate():
    values = np.random.default_rng(3).normal(size=300)
    largest = statistics.over_examples(lambda rows: {"max": float(np.max(values[rows]))}, 300)["max"]
    assert largest.low <= largest.mean <= largest.high
    missing = statistics.over_examples(lambda rows: {"nan": math.nan}, 10)["nan"]
    assert missing.as_json()["low"] is None


def test_the_rank_correlation_is_spearmans_and_its_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 14))
    result = statistics.rank_correlation(a, b)
    assert result.mean == pytest.approx(stats.spearmanr(a, b).statistic)
    assert statistics.rank_correlation(np.exp(a), b**3) == result
    assert (result.n, result.level) == (14, "settings")
    rho = 0.6
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of normal variables
    pairs = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=(2000, 14))
    covered = [(r := statistics.rank_correlation(*pair.T)).low <= truth <= r.high for pair in pairs]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_a_rank_correlation_of_few_or_equal_values_has_no_interval():
    assert math.isnan(statistics.rank_correlation([1, 2, 3], [1, 3, 2]).low)
    assert math.isnan(statistics.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]).mean)
    full = statistics.rank_correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert full.mean == pytest.approx(1)
    assert math.isnan(full.low)
    with pytest.raises(ValueError, match="two or more"):
        statistics.rank_correlation([1], [2])


def test_a_rank_correlation_is_over_the_settings_that_have_both():
    a, b = [1.0, 2, 3, 4, 5, 6], [2.0, 1, 3, math.nan, 4, 5]
    some = statistics.rank_correlation(a, b)
    assert some == statistics.rank_correlation([1, 2, 3, 5, 6], [2, 1, 3, 4, 5])
    assert some.n == 5
    assert statistics.rank_correlation(b, a) == some
    none = statistics.rank_correlation([1.0, 2.0], [math.nan, 1.0])
    assert (math.isnan(none.mean), none.n) == (True, 1)


def test_an_interval_without_width_is_no_test_by_any_rule():
    same = statistics.over_seeds([0.1 + 0.2, 0.3, 0.1 + 0.2])
    assert 0 < same.high - same.low < 1e-12
    assert statistics.holm([same]) == [False]
    assert findings.verdict(same, 1) == "undecided"


def test_quoted_numbers_have_a_true_minus_sign_and_no_empty_brackets():
    value = Interval(-0.5, -0.75, 0.25, 3, "seeds")
    assert quote(value, sign=True) == "\N{MINUS SIGN}0.50 [\N{MINUS SIGN}0.75, +0.25]"
    assert str(value) == "\N{MINUS SIGN}0.50 [\N{MINUS SIGN}0.75, 0.25]"
    assert quote(statistics.over_seeds([0.5]), 0, scale=100) == "50"
    assert quote(Interval(math.nan, math.nan, math.nan, 0, "seeds")) == "\N{EN DASH}"
    around, above = (Interval(1e-4, low, 0.08, 3, "seeds") for low in (-1e-6, 1e-6))  # of zero
    assert quote(around, sign=True) == "+0.00 [\N{MINUS SIGN}0.00, +0.08]"
    assert quote(above, sign=True) == "+0.00 [+0.00, +0.08]"
    assert quote(Interval(0.0, -1e-17, 0.0, 3, "seeds"), 1) == "0.0 [0.0, 0.0]"


def test_an_interval_is_the_same_after_it_was_json_and_in_another_unit():
    less = Interval(-0.1, math.nan, math.nan, 1, "seeds")
    whole = Interval(0.5, 0.25, 0.75, 2, "seeds", 1.5, (0.4, math.nan), less)
    assert Interval.from_json(json.loads(json.dumps(whole.as_json(), allow_nan=False))) == whole
    assert whole != replace(whole, minus_control=None)
    percent = whole.times(100)
    assert (percent.low, percent.per_seed[0], percent.against_control.mean) == (25, 40, -10)
    assert not percent.against_control.has_ends
    assert whole.minus(0.5).includes(0)
    assert not less.includes(0)


def test_ranks_and_proportions_are_scipy_s():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=(20, 9)), rng.integers(0, 4, (20, 9)), rng.integers(0, 3, 30), np.zeros((3, 1))):
        np.testing.assert_array_equal(average_ranks(values), stats.rankdata(values, axis=-1))
    for times, n in ((0, 10), (3, 10), (10, 10), (5, 4000)):
        found, of_scipy = statistics.proportion(times, n), stats.binomtest(times, n).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx((of_scipy.low, of_scipy.high), abs=1e-12)
