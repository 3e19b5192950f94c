"""A test of two sets of texts."""

import math

import pytest

from tinyllm_magic.evaluation.distributions import compare_distributions, correct_probabilities, smallest_p


def test_two_sets_without_anything_in_common_give_the_smallest_p():
    assert compare_distributions(["yes"] * 5, ["no"] * 5) == pytest.approx(2 / math.comb(10, 5))
    assert compare_distributions(["yes"] * 2, ["no"] * 6) == pytest.approx(smallest_p(2, 6))


def test_two_sets_that_are_the_same_give_one():
    assert compare_distributions(["a b", "c"], ["a b", "c"]) == pytest.approx(1)
    assert compare_distributions(["", ""], ["", ""]) == pytest.approx(1)


def test_of_two_labels_it_is_fishers_exact_test():
    stats = pytest.importorskip("scipy.stats")
    before, now = ["yes"] * 9 + ["no"], ["yes"] * 4 + ["no"] * 6
    exact = stats.fisher_exact([[9, 1], [4, 6]]).pvalue
    assert compare_distributions(before, now) == pytest.approx(exact, abs=0.01)  # that of random deals


def test_the_same_texts_give_the_same_p_each_time():
    texts = [f"word{n % 7} word{n % 3}" for n in range(30)]
    assert compare_distributions(texts[:15], texts[15:]) == compare_distributions(texts[:15], texts[15:])


def test_corrected_values_are_those_of_benjamini_and_hochberg():
    assert correct_probabilities([0.01, 0.04, 0.9]) == pytest.approx([0.03, 0.06, 0.9])
    assert correct_probabilities([0.01]) == [0.01]
