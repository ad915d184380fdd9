import numpy as np
import pytest

from distill_jax.measures.detection import auc, roc


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    marked = rng.random(400) < 0.2
    return np.round(rng.normal(size=400) + marked, 1), marked  # rounded, so that there are ties


def test_the_area_is_that_under_the_curve_and_the_chance_of_a_higher_score(scored):
    score, marked = scored
    false, true = roc(score, marked)
    assert auc(score, marked) == pytest.approx(np.trapezoid(true, false))
    against = score[marked][:, None] - score[~marked]
    assert auc(score, marked) == pytest.approx((against > 0).mean() + (against == 0).mean() / 2)


def test_the_curve_goes_up_from_corner_to_corner(scored):
    false, true = roc(*scored)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= 0).all()
    assert len(false) == len(np.unique(scored[0])) + 1


def test_only_the_order_of_scores_counts_and_reversing_it_mirrors_the_area(scored):
    score, marked = scored
    assert auc(np.exp(score), marked) == auc(score, marked)
    assert auc(-score, marked) == pytest.approx(1 - auc(score, marked))
    assert auc(marked.astype(float), marked) == 1
    assert auc(np.zeros(len(marked)), marked) == 0.5


@pytest.mark.parametrize("marked", [np.zeros(5, bool), np.ones(5, bool)])
def test_there_must_be_both_kinds(marked):
    for function in (auc, roc):
        with pytest.raises(ValueError, match="some and not all"):
            function(np.arange(5.0), marked)
