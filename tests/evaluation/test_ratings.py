"""Blind rating: no names, an order fixed by a seed, choices in a file, and in the verdict."""

import json

import pytest

from tinyllm_magic import errors
from tinyllm_magic.evaluation.intervals import estimate_share


@pytest.fixture
def two(labelled):
    """Two tables that answer twelve rows, two of them alike."""
    labels = "ab" * 6
    return labelled(labels, [f"first {n}" for n in range(12)]), labelled(
        labels, [f"first {n}" if n < 2 else f"second {n}" for n in range(12)]
    )


def rate_all(rating, wins):
    """Choose of each item the answer that is ``wins``."""
    for number, item in enumerate(rating.items):
        rating.choose(number, item.order.index(wins))


def test_answers_stand_without_names_in_an_order_that_a_seed_fixes(two):
    rating, again, other = two[0].rate(two[1]), two[0].rate(two[1]), two[0].rate(two[1], seed=1)

    assert [i.answers for i in rating.items] == [i.answers for i in again.items] != [i.answers for i in other.items]
    assert {i.order for i in rating.items} == {(0, 1), (1, 0)}
    assert all(set(i.answers) == {f"first {i.row['number']}", f"second {i.row['number']}"} for i in rating.items)
    assert (len(rating.items), rating.alike) == (10, 2)
    assert len(two[0].rate(two[1], rows=4).items) == 4


def test_choices_are_kept_in_a_file_beside_the_notebook(two, tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "study.ipynb"))
    rating = two[0].rate(two[1])
    rate_all(rating, 1)

    (kept,) = json.loads((tmp_path / "study.ratings.json").read_text())["ratings"].values()
    assert sorted(kept["chosen"].values()) == [1] * 10
    assert two[0].rate(two[1]).result == rating.result
    assert two[0].rate(two[1], seed=5).result == rating.result


def test_what_was_chosen_counts_with_an_interval_and_a_test(two):
    from scipy import stats

    rating = two[0].rate(two[1])
    rate_all(rating, 1)
    rating.choose(0, None)
    rating.withdraw(1)
    result = rating.result

    assert (result.counts, result.ties, result.open) == ((0, 8), 1, 1)
    assert result.share == estimate_share(8, 8)
    assert result.p == pytest.approx(stats.binomtest(8, 8).pvalue)
    assert result.sentence.startswith("blind rating: B is preferred to A: 100.0 % of 8 rows, 95 % 67.6 to 100.0")
    assert "1 without a preference, 1 not rated yet" in result.sentence


def test_a_rating_is_part_of_the_verdict(two):
    rate_all(two[0].rate(two[1]), 1)

    verdict = two[0].against(two[1], expected="label", names=("plain", "new"))

    assert "new is preferred to plain" in verdict.sentences[-1]
    assert two[0].against(two[0], expected="label").rating is None


def test_an_even_rating_shows_no_preference(two):
    rating = two[0].rate(two[1])
    for number, item in enumerate(rating.items):
        rating.choose(number, item.order.index(number % 2))

    assert "no preference shown between" in rating.result.sentence
    assert repr(rating) == "BlindRating(10 of 10 rows rated)"


def test_what_is_not_there_cannot_be_chosen(two):
    rating = two[0].rate(two[1])
    for number, shown in ((10, 0), (-1, 0), (0, 2)):
        with pytest.raises(errors.OptionError):
            rating.choose(number, shown)
    assert not rating.path.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"ratings": {"x": 3}}', '{"ratings": {"x": {}}}'])
def test_a_damaged_file_is_one_clear_error_and_stays(two, text):
    path = two[0].ratings_path()
    path.write_text(text)
    with pytest.raises(errors.StoreError, match="is no file of ratings"):
        two[0].rate(two[1])
    assert path.read_text() == text


def test_a_notebook_that_was_renamed_finds_its_ratings_in_the_file_of_its_old_name(two, tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "Untitled.ipynb"))
    rating = two[0].rate(two[1])
    rate_all(rating, 1)
    before = (tmp_path / "Untitled.ratings.json").read_bytes()
    (tmp_path / "broken.ratings.json").write_text("{")
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "study.ipynb"))

    again = two[0].rate(two[1])

    assert again.result == rating.result
    again.choose(0, None)
    assert (tmp_path / "Untitled.ratings.json").read_bytes() == before
    (kept,) = json.loads((tmp_path / "study.ratings.json").read_text())["ratings"].values()
    assert len(kept["chosen"]) == 10


def test_what_was_chosen_under_the_own_name_counts_before_what_lies_beside_it(two, tmp_path, monkeypatch):
    for name, wins in (("other", 1), ("study", 0)):
        monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / f"{name}.ipynb"))
        rating = two[0].rate(two[1])
        rate_all(rating, wins)
    assert two[0].rate(two[1]).result.counts == (10, 0)


def test_a_file_that_was_named_has_no_neighbours(two, tmp_path):
    rate_all(two[0].rate(two[1], path=tmp_path / "one.ratings.json"), 1)
    assert two[0].rate(two[1], path=tmp_path / "two.ratings.json").chosen == {}
