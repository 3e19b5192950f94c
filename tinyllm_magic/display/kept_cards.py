"""Keeps the cards that are likely to be shown again, as they were drawn: of recorded answers, and of calls that have just begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..redaction import secrets
from ..responses import Response
from .cards import Card

_MOST, _LONGEST = 256, 20_000  # cards, more than most notebooks have, and characters of the text of one
_kept: dict[str, tuple[tuple[Any, ...], Card]] = {}  # each card by a name, with all that it was made of


def card_of(response: Response, **look: Any) -> Card:
    """As ``Card.of``; the card of a recorded answer is the one that was made before, where nothing that it shows has changed.

    An answer that was read by a schema, or took several requests, holds values of the user's, which may compare as they like.
    """
    if response.source != "recorded" or response.schema is not None or response.steps or len(response.text) > _LONGEST:
        return Card.of(response, **look)
    return _find_or_make(response.key, (response, look), lambda: Card.of(response, **look))


def waiting_card(model: str, **look: Any) -> Card:
    """The card of a call of this model before anything has arrived: cells of a notebook begin alike."""
    return _find_or_make(f"waiting for {model}", (look,), lambda: Card(state="streaming", model=model, **look))


def _find_or_make(name: str, made_of: tuple[Any, ...], make: Callable[[], Card]) -> Card:
    made_of, kept = (*made_of, secrets()), _kept.get(name)
    if kept is not None and kept[0] == made_of:
        return kept[1]
    card = make()
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[name] = made_of, card
    return card
