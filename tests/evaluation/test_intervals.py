"""Intervals against textbooks and against the libraries themselves."""

import random

import numpy as np
import pytest

from tinyllm_magic.evaluation.intervals import estimate_f1, estimate_mean, estimate_rows, estimate_share


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_wilsons_as_newcombe_computed_it(count, n, low, high):
    found = estimate_share(count, n)

    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert (found.value, found.n) == (count / n, n)


def test_the_interval_of_a_mean_is_students():
    from scipy import stats

    values = [4.1, 5.0, 3.3, 6.2, 4.9]
    found = estimate_mean(values)
    known = stats.ttest_1samp(values, 0).confidence_interval(0.95)

    assert found.value == pytest.approx(4.7)
    assert (found.low, found.high) == pytest.approx((known.low, known.high))


def test_one_row_has_no_interval_and_equal_rows_have_none_of_any_width():
    assert (estimate_mean([0.3]).low, estimate_mean([0.3]).high) == (None, None)
    assert (estimate_mean([0.3, 0.3]).low, estimate_mean([0.3, 0.3]).high) == (0.3, 0.3)


def test_rows_that_are_right_or_wrong_are_a_share_others_a_mean():
    assert estimate_rows([1.0, 0.0, 1.0, 1.0]) == estimate_share(3, 4)
    assert estimate_rows([1.0, 0.5, 1.0]) == estimate_mean([1.0, 0.5, 1.0])


@pytest.mark.parametrize("seed", range(5))
def test_f1_is_what_scikit_learn_says(seed):
    from sklearn.metrics import f1_score

    chance = random.Random(seed)
    expected = [chance.randrange(4) for _ in range(60)]
    answered = [e if chance.random() < 0.6 else chance.randrange(-1, 4) for e in expected]
    found = estimate_f1(expected, answered, 4)
    known = f1_score(expected, answered, labels=range(4), average=None, zero_division=0)

    assert [e.value for e in found] == pytest.approx([*known, np.mean(known)])
    assert all(e.low <= e.value <= e.high and e.n == 60 for e in found)


def test_the_interval_of_f1_is_the_same_each_time_and_narrower_with_more_rows():
    few, again = (estimate_f1([0, 1] * 20, [0, 1, 1, 1] * 10, 2)[-1] for _ in range(2))
    many = estimate_f1([0, 1] * 200, [0, 1, 1, 1] * 100, 2)[-1]

    assert few == again
    assert many.value == pytest.approx(few.value)
    assert many.high - many.low < 0.5 * (few.high - few.low)
