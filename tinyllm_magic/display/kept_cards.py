"""Keeps the cards that are likely to be shown again, as they were drawn: of recorded answers, and of calls that have just begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..redaction import secrets
from ..responses import Response
from .cards import Card

_MOST, _LONGEST = 256, 20_000  # cards, more than most notebooks have, and characters of the text of one


class KeptCards:
    """The cards of one notebook, each by a name, with all that it was made of."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], Card]] = {}

    def find_answer(self, response: Response, **look: Any) -> Card:
        """As ``Card.of``; the card of a recorded answer is the one that was made before, where nothing that it shows has changed.

        An answer that was read by a schema, or took several requests, holds values of the user's, which may compare as they like.
        """
        if response.source != "recorded" or response.schema is not None or response.steps or len(response.text) > _LONGEST:
            return Card.of(response, **look)
        return self._find_or_make(response.key, (response, look), lambda: Card.of(response, **look))

    def find_waiting(self, model: str, **look: Any) -> Card:
        """The card of a call of this model before anything has arrived: cells of a notebook begin alike."""
        return self._find_or_make(f"waiting for {model}", (look,), lambda: Card(state="streaming", model=model, **look))

    def _find_or_make(self, name: str, made_of: tuple[Any, ...], make: Callable[[], Card]) -> Card:
        made_of, kept = (*made_of, secrets()), self._kept.get(name)
        if kept is not None and kept[0] == made_of:
            return kept[1]
        card = make()
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[name] = made_of, card
        return card
