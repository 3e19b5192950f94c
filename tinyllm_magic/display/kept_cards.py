"""Keeps the cards of recorded answers as they were drawn: a cell that is run again shows the same one (``card_of``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..redaction import secrets
from ..responses import Response
from .cards import Card

_MOST, _LONGEST = 64, 20_000  # cards, and characters of the text of one


@dataclass(frozen=True, slots=True)
class _Kept:
    """A card, and all that it was made of."""

    response: Response
    look: Mapping[str, Any]
    secrets: Mapping[str, str]
    card: Card


_kept: dict[str, _Kept] = {}


def card_of(response: Response, **look: Any) -> Card:
    """As ``Card.of``; the card of a recorded answer is the one that was made before, where nothing that it shows has changed.

    An answer that was read by a schema, or took several requests, holds values of the user's, which may compare as they like.
    """
    if response.source != "recorded" or response.schema is not None or response.steps or len(response.text) > _LONGEST:
        return Card.of(response, **look)
    now, kept = secrets(), _kept.get(response.key)
    if kept is not None and kept.response == response and kept.look == look and kept.secrets == now:
        return kept.card
    card = Card.of(response, **look)
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[response.key] = _Kept(response, look, now, card)
    return card
