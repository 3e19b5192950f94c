"""Paired comparisons against textbooks, against the libraries themselves, and what they tell a person to write."""

import random
import re

import numpy as np
import pytest

from tinyllm_magic import errors
from tinyllm_magic.evaluation.comparisons import compare_values, correct, estimate_paired_shares, measure_chance, plan_rows


def pairs(both, only_first, only_second, neither):
    """Right and wrong of two, by how many rows both, one or none has right."""
    counts = ((1.0, 1.0, both), (1.0, 0.0, only_first), (0.0, 1.0, only_second), (0.0, 0.0, neither))
    return ([a for a, _, n in counts for _ in range(n)], [b for _, b, n in counts for _ in range(n)])


def test_the_paired_interval_is_that_of_the_textbook():
    # Airway hyper-responsiveness before and after transplantation (Bentur et al., 2009), worked through in M. W. Fagerland,
    # S. Lydersen, P. Laake, "Recommended tests and confidence intervals for paired binomial proportions", Statistics in Medicine 33
    # (2014): difference -0.286, Newcombe's interval -0.507 to -0.026, McNemar's exact test p = 0.070
    found = estimate_paired_shares(1, 1, 7, 12)

    assert [round(v, 3) for v in (found.value, found.low, found.high)] == [-0.286, -0.507, -0.026]
    assert round(compare_values(*reversed(pairs(1, 1, 7, 12)), "B", "A", is_share=True).p, 3) == 0.070


def test_the_interval_of_pairs_that_never_differ_is_not_without_width():
    found = estimate_paired_shares(20, 0, 0, 0)

    assert found.value == 0
    assert found.low < -0.05 < 0.05 < found.high


@pytest.mark.parametrize("counts", [(40, 9, 2, 10), (5, 5, 5, 5), (0, 12, 1, 0), (30, 25, 8, 37)])
def test_right_and_wrong_is_tested_as_statsmodels_does(counts):
    from scipy import stats
    from statsmodels.stats.contingency_tables import mcnemar

    both, only_first, only_second, neither = counts
    found = compare_values(*pairs(*counts), "B", "A", is_share=True)

    assert found.test == "McNemar's exact test"
    assert found.p == pytest.approx(min(1, mcnemar([[both, only_first], [only_second, neither]], exact=True).pvalue))
    assert found.p == pytest.approx(stats.binomtest(only_first, only_first + only_second).pvalue)
    assert (found.only_better, found.only_worse, found.n) == (only_first, only_second, sum(counts))


def test_the_permutation_test_is_that_of_the_textbook():
    from scipy import stats

    # Darwin's Zea mays data, heights of 15 pairs of crossed and self-fertilised plants in eighths of an inch: R. A. Fisher,
    # The Design of Experiments (1935), section 21, counts 1,726 of the 32,768 signs as extreme as those seen (5.267 %)
    differences = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]

    assert measure_chance(differences) == pytest.approx(1726 / 2**15, abs=0.008)
    exact = stats.permutation_test((np.asarray(differences, float),), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert exact == pytest.approx(1726 / 2**15, abs=1e-9)


def test_a_permutation_test_says_the_same_each_time_and_nothing_of_rows_that_are_alike():
    differences = [random.Random(1).gauss(0.1, 1) for _ in range(50)]

    assert measure_chance(differences) == measure_chance(differences)
    assert measure_chance([0.0] * 9) == 1.0


def test_scores_are_compared_by_their_differences_in_each_row():
    from scipy import stats

    chance = random.Random(5)
    worse = [chance.random() for _ in range(80)]
    better = [w + 0.1 + chance.gauss(0, 0.1) for w in worse]
    found = compare_values(better, worse, "B", "A", is_share=False)
    known = stats.ttest_rel(better, worse).confidence_interval(0.95)

    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert found.test == "permutation test"
    assert re.fullmatch(r"B is better than A: \+0\.\d+, 95 % 0\.\d+ to 0\.\d+, n 80", found.sentence)


def test_several_comparisons_are_corrected_by_holms_method():
    from statsmodels.stats.multitest import multipletests

    found = [compare_values(*pairs(30, only, 5, 40), "B", "A", is_share=True) for only in (8, 15, 22)]
    corrected = [c.corrected for c in correct(found)]

    assert corrected == pytest.approx(list(multipletests([c.p for c in found], method="holm")[1]))
    assert all(c >= f.p for c, f in zip(corrected, found, strict=True))


def test_a_difference_that_is_shown_is_a_sentence_with_its_interval_and_number():
    found = compare_values(*pairs(200, 60, 35, 105), "B", "A", is_share=True)

    assert found.is_shown
    assert found.sentence == "B is better than A: +6.2 points, 95 % 1.5 to 11.0, n 400"
    assert found.evidence == "McNemar's exact test: p 0.013, only B right in 60 rows, only A in 35"


def test_one_that_is_not_shown_says_how_many_more_rows_would_show_how_much():
    from statsmodels.stats.power import TTestPower

    found = compare_values(*pairs(200, 50, 45, 105), "B", "A", is_share=True)

    assert not found.is_shown
    assert re.fullmatch(
        r"no difference shown between B and A: \+1\.2 points, 95 % -\d\.\d to \d\.\d, n 400; [\d,]+ more rows would show 5 points",
        found.sentence,
    )
    assert TTestPower().power(effect_size=found.would_show / 0.487, nobs=400 + found.more_rows, alpha=0.05) >= 0.8


def test_rows_that_do_not_differ_promise_nothing():
    assert plan_rows([0.0] * 10) == (None, None)
    assert compare_values([1.0] * 10, [1.0] * 10, "B", "A", is_share=True).sentence.startswith("no difference shown between B and A")


def test_tables_are_compared_row_by_row_and_the_better_one_stands_first(labelled):
    labels = "abcd" * 30
    worse = labelled(labels, "a" * 120)
    better = labelled(labels, labels[:110] + "x" * 10)

    verdict = worse.against(better, expected="label")

    (found,) = verdict.comparisons
    assert (found.better, found.worse, found.n) == ("B", "A", 120)
    assert found.is_shown
    assert verdict.best.label == "B"
    assert worse.against(better, expected="label", names=("plain", "with examples")).comparisons[0].better == "with examples"
    assert verdict.sentences[0].startswith("B is better than A: +")


def test_three_tables_are_three_comparisons_that_are_corrected(labelled):
    from statsmodels.stats.multitest import multipletests

    labels = "ab" * 40
    tables = [labelled(labels, labels[:n] + "x" * (80 - n)) for n in (40, 55, 60)]

    verdict = tables[0].against(*tables[1:], expected="label")

    assert [(c.better, c.worse) for c in verdict.comparisons] == [("B", "A"), ("C", "A"), ("C", "B")]
    assert [c.corrected for c in verdict.comparisons] == pytest.approx(
        list(multipletests([c.p for c in verdict.comparisons], method="holm")[1])
    )


def test_the_combinations_of_one_table_are_compared_with_each_other(make_table):
    rows = [{"model": model, "n": n, "label": "a"} for n in range(40) for model in ("small", "large")]
    answers = ["a" if r["model"] == "large" or r["n"] < 15 else "b" for r in rows]
    table = make_table(rows, answers, axes=("model",), expect="label")

    verdict = table.against()

    assert list(table.parts) == ["small", "large"]
    assert [len(part) for part in table.parts.values()] == [40, 40]
    assert verdict.sentences[0].startswith("large is better than small: +62.5 points")
    with pytest.raises(errors.OptionError, match=r"answers of 2 combinations \(small, large\)"):
        table.score()


def test_tables_of_other_rows_are_refused(labelled, make_table):
    with pytest.raises(errors.OptionError, match="4 and 2 rows"):
        labelled("aabb", "aabb").against(labelled("ab", "ab"), expected="label")
    with pytest.raises(errors.OptionError, match="row 1 of table B has another 'label'"):
        labelled("ab", "ab").against(labelled("aa", "ab"), expected="label")
    with pytest.raises(errors.OptionError, match="nothing to compare"):
        labelled("ab", "ab").against(expected="label")
    with pytest.raises(errors.OptionError, match="str is no table"):
        labelled("ab", "ab").against("B", expected="label")
