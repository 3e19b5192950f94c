"""The calls of a session as a list that unfolds: what was asked, and the first words of what was answered, on one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..redaction import excerpt
from . import html_tables
from .bundle import SKELETON, Bundle, pack
from .cards import Card, draw_card
from .html_text import NO_MATH, escape

_ASKED, _ANSWERED = 45, 45  # characters of a line
_MOST_CALLS = 50  # of a map that are shown


@dataclass(frozen=True)
class HistoryItem:
    """One line of a history: when it was made, what was asked, its card; and where a map asked more, the prompts and cards of these."""

    when: str
    prompt: str
    card: Card
    others: tuple[tuple[str, Card], ...] = ()

    @property
    def calls(self) -> tuple[tuple[str, Card], ...]:
        """All its calls, each with its prompt."""
        return ((self.prompt, self.card), *self.others)

    @property
    def words(self) -> str:
        """All that can be looked for in it, in small letters."""
        return "\n".join(f"{prompt}\n{card.text}\n{card.model}\n{card.asked}" for prompt, card in self.calls).casefold()

    @property
    def line(self) -> str:
        """The item on one line."""
        models = ", ".join(dict.fromkeys(card.model or card.asked for _, card in self.calls))
        badges = Counter(card.badge for _, card in self.calls)
        how = ", ".join(f"{count} {badge}" for badge, count in badges.items()) if self.others else self.card.badge
        said = f"{excerpt(self.prompt, _ASKED)} → {excerpt(_read_answer(self.card), _ANSWERED)}"
        return " · ".join(filter(None, (self.when, models, f"{len(self.calls)} calls: {how}" if self.others else how, said)))


def bundle_history(entries: Sequence[HistoryItem], *, title: str = "History", first: int = 1, none: str = "No calls yet.") -> Bundle:
    """Calls, folded, newest first; ``entries`` come oldest first, ``first`` numbers the oldest, ``none`` stands where there is none."""
    numbered = [(f"#{number} · {item.line}", item) for number, item in reversed(list(enumerate(entries, first)))]
    folds = "".join(f"<details><summary>{escape(line)}</summary>{_draw_item(item)}</details>" for line, item in numbered)
    empty = "" if numbered else f'<p class="tlm-note">{escape(none)}</p>'
    head = f'<p class="tlm-title">{escape(title)}</p>{empty}'
    page = f'<section class="tlm tlm-calls {NO_MATH}" style="{SKELETON}">{head}{folds}</section>'
    return pack(page, "\n".join((title, *(line for line, _ in numbered))) if numbered else f"{title}\n{none}")


def _draw_item(item: HistoryItem) -> str:
    if not item.others:
        return draw_card(item.card)
    shown = item.calls[:_MOST_CALLS]
    rows = [(excerpt(prompt, 200), excerpt(_read_answer(card), 200), card.badge) for prompt, card in shown]
    rest = len(item.calls) - len(shown)
    more = f'<p class="tlm-note">… and {rest:,} more</p>' if rest else ""
    return html_tables.draw_table(("asked", "answered", "how"), rows) + more


def _read_answer(card: Card) -> str:
    """What was answered, in words: the text, else what stands in its place."""
    return card.text or next(iter((*card.error, *card.remarks)), "")
