"""Scores of tables: what counts as right, what is left out, who was taken for whom, and which rows failed."""

import math
import subprocess
import sys

import pytest

from tinyllm_magic import errors
from tinyllm_magic.evaluation.intervals import estimate_share


def test_accuracy_is_a_share_with_its_interval_and_number(labelled):
    score = labelled("aabb", ["a", "A.", '"b"', "a"]).score("label")

    assert (score.value, score.n) == (0.75, 4)
    assert (score.low, score.high) == (estimate_share(3, 4).low, estimate_share(3, 4).high)
    assert str(score) == "accuracy 75.0 %, 95 % 30.1 to 95.4, n 4"


def test_a_row_without_an_answer_is_wrong_and_one_without_a_label_is_left_out(labelled):
    score = labelled(["a", "b", None, math.nan, "b"], "a.abb").score("label")

    assert (score.value, score.n, score.unanswered, score.unlabelled) == (2 / 3, 3, 1, 2)
    assert "1 row without an answer counted as wrong" in str(score)
    assert "2 rows without an expected answer left out" in str(score)


def test_confusions_are_those_of_scikit_learn_with_columns_for_answers_of_no_class(labelled):
    from sklearn.metrics import confusion_matrix

    labels, answers = "aaabbbcc", ["a", "b", "a", "b", "x", ".", "c", "c"]
    confusion = labelled(labels, answers).score("label").confusion

    assert confusion.expected == ("a", "b", "c")
    assert confusion.answered == ("a", "b", "c", "(another answer)", "(no answer)")
    assert confusion.counts == ((2, 1, 0, 0, 0), (0, 1, 0, 1, 1), (0, 0, 2, 0, 0))
    known = confusion_matrix(list(labels), [a if a in "abc" else "z" for a in answers], labels=list("abcz"))
    assert [row[:3] for row in confusion.counts] == [tuple(row[:3]) for row in known[:3]]


def test_f1_by_class_is_that_of_scikit_learn(labelled):
    from sklearn.metrics import precision_recall_fscore_support

    labels, answers = "aaabbbccc", "aabbbbcca"
    score = labelled(labels, answers).score("label", "f1")
    precision, recall, f1, counts = precision_recall_fscore_support(list(labels), list(answers), labels=list("abc"))

    assert [c.f1.value for c in score.classes] == pytest.approx(list(f1))
    assert [c.precision for c in score.classes] == pytest.approx(list(precision))
    assert [c.recall.value for c in score.classes] == pytest.approx(list(recall))
    assert [c.n for c in score.classes] == list(counts)
    assert score.value == pytest.approx(sum(f1) / 3)
    assert score.low <= score.value <= score.high
    assert all(c.f1.low <= c.f1.value <= c.f1.high for c in score.classes)
    assert str(score).startswith("macro F1 ")


def test_free_texts_are_no_classes(labelled):
    assert labelled(["a cat", "a dog", "a cow"], ["A cat.", "a pig", "a cow"]).score("label").confusion is None
    assert labelled("aabb", "aabb").score("label", "exact").confusion is None


def test_a_function_scores_each_row_and_rows_without_an_answer_are_left_out(labelled):
    def closeness(expected, answer):
        return 1 - abs(float(expected) - float(answer)) / 10

    score = labelled("1234", "12.9").score("label", closeness)

    assert (score.metric, score.value, score.n, score.unanswered) == ("closeness", pytest.approx((1 + 1 + 0.5) / 3), 3, 1)
    assert "1 row without an answer left out" in str(score)


def test_a_function_that_says_right_or_wrong_makes_a_share(labelled):
    score = labelled("abcd", "abx.").score("label", lambda expected, answer: expected == answer)

    assert (score.value, score.n) == (0.5, 4)
    assert (score.low, score.high) == (estimate_share(2, 4).low, estimate_share(2, 4).high)


def test_the_failures_come_first_and_the_worst_of_them_before_the_others(labelled):
    table = labelled("1234", "1259")

    assert [(r["number"], r["expected"], r["answer"]) for r in table.score("label").failures] == [(2, "3", "5"), (3, "4", "9")]
    worst = table.score("label", lambda expected, answer: -abs(int(expected) - int(answer)) / 2).failures
    assert [r["number"] for r in worst] == [3, 2]


def test_several_samples_of_a_row_are_one_row_of_the_figure(make_table):
    rows = [{"sample": s, "label": label} for label in "ab" for s in range(2)]
    score = make_table(rows, ["a", "b", "b", "b"], axes=("sample",)).score("label")

    assert (score.value, score.n) == (0.75, 2)


def test_expected_answers_may_be_given_one_for_each_row(labelled):
    assert labelled("xx", "ab").score(["a", "a"]).value == 0.5
    with pytest.raises(errors.OptionError, match="3 expected answers for 2 rows"):
        labelled("xx", "ab").score(["a", "a", "a"])


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t: t.score(), "nobody has said what was expected"),
        (lambda t: t.score("lable"), "Did you mean 'label'"),
        (lambda t: t.score("label", "acuracy"), "Did you mean 'accuracy'"),
        (lambda t: t.score("label", 7), "int is no metric"),
        (lambda t: t.score("label", lambda *_: "good"), "returned str, no number"),
        (lambda t: t.score("label", answer="field"), "no typed column"),
        (lambda t: t.score([None, None]), "no row can be scored"),
    ],
    ids=["nothing", "column", "metric", "number", "function", "field", "no row"],
)
def test_what_cannot_be_scored_says_why(labelled, ask, said):
    with pytest.raises(errors.OptionError) as caught:
        ask(labelled("ab", "ab"))
    assert said in str(caught.value)


@pytest.mark.parametrize("ask", [lambda t: t.score("label"), lambda t: t.against(t, expected="label"), lambda t: t.agreement("label")])
def test_a_missing_extra_is_one_clear_error(labelled, monkeypatch, ask):
    import importlib

    known = importlib.import_module

    def refuse(name, package=None):
        if name.partition(".")[0] in ("statsmodels", "scipy", "sklearn", "krippendorff", "numpy"):
            raise ModuleNotFoundError(name)
        return known(name, package)

    monkeypatch.setattr("tinyllm_magic.extras.importlib.import_module", refuse)
    with pytest.raises(errors.MissingExtraError) as caught:
        ask(labelled("abab", "abba"))
    assert caught.value.extra == "stats"
    assert 'pip install "tinyllm-magic[stats]"' in caught.value.hint


def test_the_libraries_of_statistics_are_imported_on_first_use():
    script = """
import sys
import tinyllm_magic.batch.runner, tinyllm_magic.notebook.formatters
print(sorted({"krippendorff", "numpy", "scipy", "sklearn", "statsmodels"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
