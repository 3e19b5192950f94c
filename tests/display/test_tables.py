"""Cards side by side: nothing of an answer runs in them."""

import pytest
from htmlaudit import ATTACKS, Page

from tinyllm_magic.display.cards import Card
from tinyllm_magic.display.tables import bundle_grid, bundle_table
from tinyllm_magic.responses import Usage


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_an_answer_can_run_in_a_grid(attack):
    data = bundle_grid([Card(attack, model=attack, title=attack), Card.failed(ValueError(attack))], title=attack)
    assert Page(data["text/html"]).wrong == []
    assert set(data) == {"text/html", "text/plain"}


def test_what_all_cards_have_in_common_is_said_once():
    cards = [Card("a", model="m", usage=Usage(1, n), params={"temperature": 0, "seed": n}, title=f"sample {n}") for n in (1, 2)]
    data = bundle_grid(cards, facts=["2 answers"])
    assert data["text/plain"].splitlines() == [
        "(1) sample 1", "a", "-- 1 in / 1 out tokens · seed 1 · live", "",
        "(2) sample 2", "a", "-- 1 in / 2 out tokens · seed 2 · live", "",
        "all 2 answers are the same", "-- all: m · temperature 0 · 2 answers",
    ]  # fmt: skip
    assert Page(data["text/html"]).text.count("temperature 0") == 1


def test_one_answer_beside_failures_keeps_its_own_facts():
    shown = bundle_grid([Card("a", model="m"), Card.failed(ValueError("no"), model="m")])["text/plain"]
    assert shown.count("-- m · ") == 2


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3), (7, 4), (8, 3), (10, 2)])
def test_no_card_stands_alone_in_the_last_row(count, columns):
    style = Page(bundle_grid([Card(str(n)) for n in range(count)])["text/html"]).all("div")[0]["style"]
    assert columns == 1 or count % columns != 1
    assert f"/{columns} " in style if columns > 1 else "minmax(100%" in style


def test_columns_in_which_nothing_stands_are_left_out():
    assert bundle_table("T", ["a", "b"], [["x", ""], ["y", None]])["text/plain"].splitlines()[1] == "a"
    assert "b" in bundle_table("T", ["a", "b"], [])["text/plain"]
