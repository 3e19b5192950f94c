"""F1 of two sets of answers to the same rows is compared as F1, by class and on average."""

import random

import numpy as np
import pytest

from tinyllm_magic.evaluation.comparisons import RANDOMIZATION
from tinyllm_magic.evaluation.f1_differences import compare_f1


def draw(seed, n=60):
    """Labels of three classes, and two sets of answers of which the first is more often right."""
    dice = random.Random(seed)
    expected = [dice.choice([0, 0, 1, 2]) for _ in range(n)]
    first, second = ([e if dice.random() < share else dice.choice([0, 1, 2]) for e in expected] for share in (0.9, 0.4))
    return expected, first, second


def test_the_differences_are_those_of_scikit_learn():
    from sklearn.metrics import f1_score

    expected, first, second = draw(1)
    one, other = (f1_score(expected, said, labels=range(3), average=None, zero_division=0) for said in (first, second))

    found = compare_f1(expected, first, second, 3)

    assert [d.estimate.value for d in found] == pytest.approx([*(one - other), np.mean(one - other)])
    assert all(d.estimate.low <= d.estimate.value <= d.estimate.high for d in found)


def test_answers_that_are_better_show_it_and_answers_that_are_the_same_do_not():
    expected, first, second = draw(2)
    assert compare_f1(expected, first, second, 3)[-1].p < 0.01
    assert [d.p for d in compare_f1(expected, first, first, 3)] == [1, 1, 1, 1]


def test_of_few_rows_the_test_is_exact():
    expected, first, second = [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]
    # of the sixteen ways to deal four pairs out, none but the two that keep all pairs together lie so far apart
    assert compare_f1(expected, first, second, 2)[-1].p == pytest.approx(2 / 16)


def test_the_same_rows_give_the_same_figures_each_time():
    assert compare_f1(*draw(3), 3) == compare_f1(*draw(3), 3)


@pytest.fixture
def verdict(labelled):
    labels = "aabbccaabbccaabbcc" * 3
    good = "".join(c if n % 9 else "a" for n, c in enumerate(labels))
    bad = "".join("a" if c == "b" and n % 4 else c for n, c in enumerate(good))
    return labelled(labels, bad).against(labelled(labels, good), expected="label", metric="f1")


def test_against_says_which_is_better_in_macro_f1_and_in_each_class(verdict):
    (mean,) = verdict.comparisons
    low, high = sorted(s.value for s in verdict.scores)

    assert (mean.measure, mean.better, mean.test, mean.is_shown) == ("macro F1", "B", RANDOMIZATION, True)
    assert mean.difference == pytest.approx(high - low)
    assert mean.sentence.startswith("B is better than A in macro F1: +")
    assert [(c.measure, c.better, c.is_shown) for c in verdict.classes][:2] == [("F1 of a", "B", True), ("F1 of b", "B", True)]
    assert verdict.classes[2].sentence.startswith("no difference shown between B and A in F1 of c: +0.0 points")
    assert "F1 of b" in str(verdict)


def test_the_verdict_shows_a_table_of_classes_and_keeps_what_resampling_says_out_of_what_is_compared(verdict):
    from tinyllm_magic.notebook.score_views import bundle_verdict, verdict_facts

    bundle = bundle_verdict(verdict)

    assert "F1 of each class, p corrected for all classes" in bundle["text/html"]
    assert "F1 of c" in bundle["text/plain"]
    assert "not shown" in bundle["text/plain"]
    (fact,) = [f for f in verdict_facts(verdict) if f.get("measure") == "F1 of b"]
    assert fact.keys() == {"name", "n", "value", "measure"}


def test_accuracy_is_compared_as_before(labelled):
    found = labelled("aabb" * 5, "aabb" * 5).against(labelled("aabb" * 5, "aaaa" * 5), expected="label")
    assert (found.classes, found.comparisons[0].measure) == ((), "")
    assert found.comparisons[0].sentence.startswith("A is better than B: ")
