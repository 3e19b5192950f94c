"""Agreement against textbooks and against the libraries themselves."""

import numpy as np
import pytest

from tinyllm_magic import errors
from tinyllm_magic.evaluation.agreement import measure_agreement

# J. L. Fleiss, "Measuring nominal scale agreement among many raters", as worked through in many textbooks: 14 raters, 10 subjects
FLEISS_COUNTS = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)


def observed():
    """K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): twelve units, and what four observers said of each."""
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3]
    c = [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None]
    return [list(unit) for unit in zip(a, b, c, d, strict=True)]


def measure(said, level="nominal"):
    return measure_agreement(said, [f"r{n}" for n in range(len(said[0]))], [{"n": n} for n in range(len(said))], level)


def test_fleiss_kappa_is_that_of_the_textbook():
    from statsmodels.stats.inter_rater import fleiss_kappa

    said = [[str(category) for category, n in enumerate(row) for _ in range(n)] for row in FLEISS_COUNTS]
    found = measure(said)

    assert round(found.kappa, 3) == 0.210
    assert found.kappa == pytest.approx(fleiss_kappa(np.asarray(FLEISS_COUNTS)))


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)])
def test_krippendorffs_alpha_is_that_of_its_author_at_each_level(level, alpha):
    assert round(measure(observed(), level).alpha, 3) == alpha


def test_cohens_kappa_is_that_of_the_textbook():
    from sklearn.metrics import cohen_kappa_score

    # 50 proposals, two readers: yes-yes 20, yes-no 5, no-yes 10, no-no 15 gives (0.7 - 0.5) / (1 - 0.5)
    said = [list(pair) for pair, n in ((("y", "y"), 20), (("y", "n"), 5), (("n", "y"), 10), (("n", "n"), 15)) for _ in range(n)]
    found = measure(said)

    assert found.kappa == pytest.approx(0.4)
    assert found.kappa == pytest.approx(cohen_kappa_score(*zip(*said, strict=True)))
    assert found.measures[0].estimate.value == pytest.approx(0.7)
    assert [m.name for m in found.measures] == ["agreement", "Cohen's κ", "Krippendorff's α"]


def test_every_measure_has_an_interval_and_says_the_same_each_time():
    said = observed()[:9]
    found, again = measure(said), measure(said)

    assert all(m.estimate.low <= m.estimate.value <= m.estimate.high and m.estimate.n for m in found.measures)
    assert found == again


def test_samples_of_a_map_are_raters(make_table):
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    rows = [{"sample": s, "w": w} for w in "tcm" for s in range(3)]
    answers = ["yes", "Yes.", "yes", "no", "no", "yes", "no", "no", "no"]
    found = make_table(rows, answers, axes=("sample",)).agreement()
    table, _ = aggregate_raters([[1, 1, 1], [0, 0, 1], [0, 0, 0]])

    assert found.raters == ("sample 1", "sample 2", "sample 3")
    assert found.kappa == pytest.approx(fleiss_kappa(table))
    assert found.disputed == ({"w": "c", "sample 1": "no", "sample 2": "no", "sample 3": "yes"},)


def test_labels_are_one_more_rater_and_rows_without_an_answer_are_left_out_of_kappa(labelled):
    import krippendorff
    from sklearn.metrics import cohen_kappa_score

    found = labelled("aabbab", "aabaa.").agreement("label")

    assert found.raters == ("answer", "label")
    assert found.kappa == pytest.approx(cohen_kappa_score(list("aabba"), list("aabaa")))
    reliability = [[0, 0, 1, 0, 0, np.nan], [0, 0, 1, 1, 0, 1]]
    assert found.alpha == pytest.approx(krippendorff.alpha(reliability_data=reliability, level_of_measurement="nominal"))


def test_models_are_raters(make_table):
    from sklearn.metrics import cohen_kappa_score

    rows = [{"model": m, "n": n} for n in range(4) for m in ("small", "large")]
    found = make_table(rows, ["a", "a", "b", "b", "a", "b", "b", "b"], axes=("model",)).agreement()

    assert found.raters == ("small", "large")
    assert found.kappa == pytest.approx(cohen_kappa_score(list("abab"), list("abbb")))


def test_raters_who_always_say_the_same_have_no_kappa():
    found = measure([["a", "a"]] * 5)

    assert (found.kappa, found.alpha) == (None, None)
    assert "undefined" in str(found)
    assert found.measures[0].estimate.value == 1


def test_what_cannot_agree_says_why(labelled):
    with pytest.raises(errors.OptionError, match="two or more"):
        labelled("ab", "ab").agreement()
    with pytest.raises(errors.OptionError, match="no level"):
        labelled("ab", "ab").agreement("label", level="numbers")
    with pytest.raises(errors.OptionError, match="is of numbers"):
        labelled("ab", "ab").agreement("label", level="ordinal")
    with pytest.raises(errors.OptionError, match="two answers"):
        labelled("ab", "..").agreement("label")
