"""The card of a recorded answer that is shown again: drawn once, and anew once anything that it shows has changed."""

from dataclasses import replace

import pytest

from tinyllm_magic.display.cards import Card, bundle_card
from tinyllm_magic.display.kept_cards import KeptCards
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.responses import Answer, Record, Response, Step

TEXT = "Say **hidden-value-0123456789**."


def respond(text=TEXT, source="recorded", created="2025-01-01T00:00:00Z", **more):
    request = Request("openai", "gpt-4o-mini", (Message("user", "Hi"),), {"temperature": 0})
    answer = Answer(text, finish_reason="stop")
    return Response(request, Record(request.key, request.canonical(), answer, created), source, **more)


@pytest.fixture
def cards():
    return KeptCards()


def test_the_same_answer_with_the_same_look_is_the_card_that_was_drawn(cards):
    first = cards.find_answer(respond(), format="markdown")
    assert cards.find_answer(respond(), format="markdown") is first
    assert bundle_card(first) == bundle_card(Card.of(respond(), format="markdown"))


def test_who_changes_a_bundle_changes_no_card(cards):
    bundle_card(cards.find_answer(respond())).clear()
    assert "text/html" in bundle_card(cards.find_answer(respond()))


def secret_known(monkeypatch):
    monkeypatch.setenv("A_SECRET", "hidden-value-0123456789")
    return respond(), {}


@pytest.mark.parametrize(
    "change",
    [
        lambda _: (respond("Another answer"), {}),
        lambda _: (respond(created="2026-01-01T00:00:00Z"), {}),
        lambda _: (respond(), {"format": "text"}),
        lambda _: (respond(), {"notes": ("found in other.llm.jsonl",)}),
        lambda _: (replace(respond(), request=replace(respond().request, params={"temperature": 1})), {}),
        lambda _: (respond(source="live"), {}),
        lambda _: (respond(steps=(Step(respond("Before")),)), {}),
        secret_known,
    ],
    ids=["text", "date", "format", "notes", "parameters", "live", "steps", "secret"],
)
def test_a_card_is_drawn_anew_where_what_it_shows_has_changed(cards, monkeypatch, change):
    before = cards.find_answer(respond())
    response, look = change(monkeypatch)
    assert cards.find_answer(response, **look) == Card.of(response, **look) != before


def test_calls_that_begin_alike_have_the_same_card_and_others_their_own(cards, monkeypatch):
    first = cards.find_waiting("gpt-4o-mini", notes=("kept hidden-value-0123456789",))
    assert cards.find_waiting("gpt-4o-mini", notes=("kept hidden-value-0123456789",)) is first
    assert bundle_card(first) == bundle_card(Card(state="streaming", model="gpt-4o-mini", notes=first.notes))
    assert cards.find_waiting("gpt-4o", notes=first.notes).model == "gpt-4o"
    assert cards.find_waiting("gpt-4o-mini").notes == ()
    monkeypatch.setenv("A_SECRET", "hidden-value-0123456789")
    assert cards.find_waiting("gpt-4o-mini", notes=("kept hidden-value-0123456789",)).notes == ("kept <A_SECRET>",)
