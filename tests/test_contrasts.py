"""What differs between samples is marked, readable without colour, and runs nothing."""

import pytest
from htmlaudit import ATTACKS, Page

from tinyllm_magic.cards import Card, grid_bundle
from tinyllm_magic.contrasts import MOST_TEXTS, contrast_html, contrast_text, marked


def test_new_words_are_inserted_and_gone_words_deleted():
    page = Page(contrast_html(["a red fox", "a red dog", "a red fox"]))
    assert "what differs: 1 of 2 from (1)" in page.text
    assert "(2) against (1)a red foxdog" in page.text
    assert "the same as (1): (3)" in page.text
    assert [tag for tag, _ in page.elements if tag in ("ins", "del")] == ["del", "ins"]


def test_answers_are_called_what_the_reader_knows_them_by():
    assert "sample 1 against sample 0" in Page(contrast_html(["a", "b"], ["sample 0", "sample 1"])).text


def test_equal_answers_are_said_to_be_equal():
    assert Page(contrast_html(["x", "x", "x"])).text == "all 3 answers are the same"


@pytest.mark.parametrize("texts", [[], ["x"], ["x", ""]])
def test_nothing_is_said_where_there_is_nothing_to_compare(texts):
    assert contrast_html(texts) == ""


def test_long_and_many_texts_are_told_apart_in_words_only():
    many = Page(contrast_html([f"answer {n}" for n in range(MOST_TEXTS + 1)]))
    assert many.text == f"{MOST_TEXTS} of {MOST_TEXTS} answers differ from (1)"
    assert "answers differ" in Page(contrast_html(["word " * 5000, "other " * 5000])).text


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_runs_or_loads_anything(attack):
    assert Page(contrast_html([attack, f"{attack} {attack}", "x"], [attack, f"{attack}2"])).wrong == []
    assert Page(marked("x", attack)).wrong == []


def test_plain_text_says_the_same_with_signs():
    told = contrast_text(["a red fox", "a red dog", "a red fox"], ["one", "two", "three"])
    assert told.splitlines() == ["what differs: 1 of 2 from one", "the same as one: three", "two: a red [-fox-][+dog+]"]


def test_short_differences_stand_open_and_long_ones_are_folded():
    assert "open" in Page(contrast_html(["a red fox", "a red dog"])).all("details")[0]
    assert "open" not in Page(contrast_html(["word " * 300, "other " * 300])).all("details")[0]


def test_answers_beside_a_failed_one_are_still_compared():
    cards = [Card("a red fox", title="one"), Card.failed(ValueError("no"), title="two"), Card("a red dog", title="three")]
    assert "three against one" in Page(grid_bundle(cards)["text/html"]).text
    assert "three: a red [-fox-][+dog+]" in grid_bundle(cards)["text/plain"]


def test_a_row_of_finished_samples_shows_what_differs_and_a_growing_one_does_not():
    done = [Card("a red fox"), Card("a red dog")]
    assert "what differs" in grid_bundle(done)["text/html"]
    assert "what differs" not in grid_bundle([done[0], Card("a", state="streaming")])["text/html"]
