"""What differs between samples is draw_changes, readable without colour, and runs nothing."""

import pytest
from htmlaudit import ATTACKS, Page

from tinyllm_magic.display.cards import Card
from tinyllm_magic.display.tables import bundle_grid
from tinyllm_magic.display.word_diff import MOST_TEXTS, draw_changes, draw_diff, find_changes, write_diff


def test_new_words_are_inserted_and_gone_words_deleted():
    page = Page(draw_diff(["a red fox", "a red dog", "a red fox"]))
    assert "what differs: 1 of 2 from (1)" in page.text
    assert "(2) against (1)a red foxdog" in page.text
    assert "the same as (1): (3)" in page.text
    assert [tag for tag, _ in page.elements if tag in ("ins", "del")] == ["del", "ins"]


def test_answers_are_called_what_the_reader_knows_them_by():
    assert "sample 2 against sample 1" in Page(draw_diff(["a b", "a c"], ["sample 1", "sample 2"])).text


def test_equal_answers_are_said_to_be_equal():
    assert Page(draw_diff(["x", "x", "x"])).text == "all 3 answers are the same"


@pytest.mark.parametrize("texts", [[], ["x"], ["x", ""]])
def test_nothing_is_said_where_there_is_nothing_to_compare(texts):
    assert draw_diff(texts) == ""


def test_long_and_many_texts_are_told_apart_in_words_only():
    many = Page(draw_diff([f"answer {n}" for n in range(MOST_TEXTS + 1)]))
    assert many.text == f"{MOST_TEXTS} of {MOST_TEXTS} answers differ from (1)"
    assert "answers differ" in Page(draw_diff(["word " * 5000, "other " * 5000])).text


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_runs_or_loads_anything(attack):
    assert Page(draw_diff([attack, f"{attack} {attack}", "x"], [attack, f"{attack}2"])).wrong == []
    assert Page(draw_changes("x", attack)).wrong == []


def test_plain_text_says_the_same_with_signs():
    told = write_diff(["a red fox", "a red dog", "a red fox"], ["one", "two", "three"])
    assert told.splitlines() == ["what differs: 1 of 2 from one", "the same as one: three", "two: a red [-fox-][+dog+]"]


def test_differences_are_folded():
    assert [d.get("open") for d in Page(draw_diff(["a red fox", "a red dog"])).all("details")] == [None]


def test_answers_with_little_in_common_are_told_apart_in_words_only():
    texts = ["The sky is blue tonight", "Colours of autumn leaves fall", "A third thing"]
    assert Page(draw_diff(texts)).text == "2 of 2 answers differ from (1), with little in common"
    assert write_diff(texts) == "2 of 2 answers differ from (1), with little in common"


def test_answers_beside_a_failed_one_are_still_compared():
    cards = [Card("a red fox", title="one"), Card.failed(ValueError("no"), title="two"), Card("a red dog", title="three")]
    assert "three against one" in Page(bundle_grid(cards)["text/html"]).text
    assert "three: a red [-fox-][+dog+]" in bundle_grid(cards)["text/plain"]


def test_a_row_of_finished_samples_shows_what_differs_and_a_growing_one_does_not():
    done = [Card("a red fox"), Card("a red dog")]
    assert "what differs" in bundle_grid(done)["text/html"]
    assert "what differs" not in bundle_grid([done[0], Card("a", state="streaming")])["text/html"]


def test_what_two_texts_have_in_common_is_cut_to_what_stands_beside_a_change():
    long = " ".join(f"word{n}" for n in range(60))
    pieces = list(find_changes(f"{long} red {long}", f"{long} blue {long}", context=20))
    assert [kind for kind, _ in pieces] == ["=", "-", "+", "="]
    assert (pieces[0][1], pieces[3][1]) == ("… word58 word59 ", "word0 word1 word2 … ")


def test_long_texts_are_compared_by_their_lines_first():
    lines = [f"line {n} with some words in it" for n in range(3000)]
    old, new = "\n".join(lines), "\n".join([*lines[:1500], "line 1500 without some words in it", *lines[1501:]])
    assert [p for p in find_changes(old, new) if p[0] != "="] == [("-", "with "), ("+", "without ")]


def test_what_repeats_itself_is_replaced_as_a_whole_where_matching_it_would_take_minutes():
    kinds = [kind for kind, _ in find_changes("old 1 " * 3000 + "end", "new 1 " * 3000 + "end")]
    assert kinds == ["-", "+", "="]


def test_what_both_begin_and_end_with_is_found_however_often_it_is_repeated():
    assert list(find_changes("a b " * 5000, "a b " * 5000 + "c")) == [("=", "a b " * 5000), ("+", "c")]
