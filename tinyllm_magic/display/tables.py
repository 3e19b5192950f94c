"""Tables, grids of cards, progress and history as MIME bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..redaction import excerpt, mask_data
from . import html_tables
from .bundle import SKELETON, Bundle, load_style, pack
from .cards import Card, draw_card, write_card
from .html_text import NO_MATH, escape
from .output import measure_width
from .word_diff import draw_diff, write_diff

_GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(19em,100%),1fr));gap:.6em;align-items:start"


def bundle_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> Bundle:
    """A table with a title, and a remark below it."""
    rows = mask_data([tuple(row) for row in rows])  # before cells are broken into lines
    note = f'<p class="tlm-note">{escape(caption)}</p>' if caption else ""
    page = f'<div class="tlm {NO_MATH}" style="{SKELETON}">{html_tables.draw_table(columns, rows, title)}{note}</div>'
    text = html_tables.write_table(columns, rows, measure_width())
    return pack(load_style() + page, "\n".join(filter(None, (title, text, caption))))


def bundle_grid(cards: Sequence[Card], *, title: str = "", articles: Sequence[str] | None = None) -> Bundle:
    """Cards side by side, as many in a row as fit; ``articles`` are their HTML where it is drawn already."""
    drawn = [draw_card(c) for c in cards] if articles is None else articles
    head = f'<p class="tlm-title {NO_MATH}">{escape(title)}</p>' if title else ""
    label = escape(title or f"{len(cards)} answers")
    ended = all(c.state != "streaming" for c in cards)
    answers = [(c.text, c.title or f"({n})") for n, c in enumerate(cards, 1) if ended and c.state == "done"]
    compared = [text for text, _ in answers], [name for _, name in answers]
    inner = f'{head}<div style="{_GRID}">{"".join(drawn)}</div>{draw_diff(*compared)}'
    page = f'<section class="tlm tlm-cards" style="{SKELETON}" aria-label="{label}">{inner}</section>'
    text = "\n\n".join([*(f"({number}) {write_card(card)}" for number, card in enumerate(cards, 1)), write_diff(*compared)])
    return pack(load_style() + page, "\n".join(filter(None, (title, text.rstrip("\n")))))


def bundle_progress(message: str, done: int, total: int, note: str = "") -> Bundle:
    """How far something has come; ``total`` 0 is unknown. ``note`` is a second line."""
    share = f" {done / total:.0%}" if total else ""
    bar = f'<progress max="{total}" value="{min(done, total)}"></progress>' if total else ""
    below = f'<p class="tlm-note">{escape(note)}</p>' if note else ""
    page = f'<div class="tlm {NO_MATH}" style="{SKELETON}"><label>{escape(message)} {bar}{share}</label>{below}</div>'
    return pack(load_style() + page, f"{message}{share}" + (f"\n{note}" if note else ""))


@dataclass(frozen=True)
class HistoryItem:
    """One call of a history: when it was made, what was asked, and its card."""

    when: str
    prompt: str
    card: Card


def bundle_history(entries: Sequence[HistoryItem], *, title: str = "History", first: int = 1, none: str = "No calls yet.") -> Bundle:
    """Calls, folded, newest first; ``entries`` come oldest first, ``first`` numbers the oldest, ``none`` stands where there is none."""
    numbered = [(n, e, " ".join(e.prompt.split())) for n, e in reversed(list(enumerate(entries, first)))]
    heads = [" · ".join((f"#{n}", e.when, e.card.model or e.card.asked, e.card.badge, excerpt(asked, 70))) for n, e, asked in numbered]
    folds = (
        f"<details><summary>{escape(head)}</summary>{draw_card(e.card)}</details>" for head, (_, e, _) in zip(heads, numbered, strict=True)
    )
    empty = "" if numbered else f'<p class="tlm-note">{escape(none)}</p>'
    head = f'<p class="tlm-title">{escape(title)}</p>{empty}'
    page = f'<section class="tlm tlm-calls {NO_MATH}" style="{SKELETON}">{head}{"".join(folds)}</section>'
    return pack(load_style() + page, "\n".join((title, *heads)) if heads else f"{title}\n{none}")
