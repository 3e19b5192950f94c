"""Tables, grids of cards and progress as MIME bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..redaction import mask_data
from . import html_tables
from .bundle import SKELETON, Bundle, pack
from .cards import Card, draw_card, write_card
from .html_text import NO_MATH, escape
from .output import measure_width
from .word_diff import draw_diff, write_diff

_GAP = 0.6  # em, between two cards
_NARROWEST = 13  # em, of a card that has another one beside it
_COLUMNS = (3, 2, 4)  # in the order in which they are tried


def bundle_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", folded: int = 0, rest: str = "more"
) -> Bundle:
    """A table with a title, and a remark below it; in HTML the last ``folded`` rows are behind a fold that counts them as ``rest``."""
    rows = mask_data([tuple(row) for row in rows])  # before cells are broken into lines
    note = f'<p class="tlm-note">{escape(caption)}</p>' if caption else ""
    columns, rows = html_tables.drop_empty_columns(columns, list(rows))
    shown, behind = rows[: len(rows) - folded], html_tables.draw_table(columns, rows[len(rows) - folded :])
    fold = f"<details><summary>{folded} {escape(rest)}</summary>{behind}</details>" if folded else ""
    table = html_tables.draw_table(columns, shown, title)
    page = f'<div class="tlm {NO_MATH}" style="{SKELETON}">{table}{fold}{note}</div>'
    text = html_tables.write_table(columns, rows, measure_width())
    return pack(page, "\n".join(filter(None, (title, text, caption))))


def bundle_grid(
    cards: Sequence[Card],
    *,
    title: str = "",
    articles: Sequence[str] | None = None,
    columns: int | None = None,
    facts: Sequence[str] = (),
    fold: str = "",
) -> Bundle:
    """Cards side by side, and once what they have in common; ``articles`` are their HTML where it is drawn already.

    ``columns`` is how many stand in a row where there is room; else a number that leaves none alone in the last row. ``facts``
    are about all of them, ``fold`` is HTML below them.
    """
    common: tuple[str, ...] = ()
    if articles is None:
        cards, common = share_settings(cards)
    drawn = [draw_card(c) for c in cards] if articles is None else articles
    head = f'<p class="tlm-title {NO_MATH}">{escape(title)}</p>' if title else ""
    label = escape(title or f"{len(cards)} answers")
    ended = all(c.state != "streaming" for c in cards)
    answers = [(c.text, c.title or f"({n})") for n, c in enumerate(cards, 1) if ended and c.state == "done"]
    compared = [text for text, _ in answers], [name for _, name in answers]
    told = [*([f"all: {' · '.join(common)}"] if common else []), *facts]
    foot = f'<footer class="tlm-foot {NO_MATH}">{escape(" · ".join(told))}</footer>' if told else ""
    grid = _lay_out(columns or _choose_columns(len(cards)))
    inner = f'{head}<div style="{grid}">{"".join(drawn)}</div>{draw_diff(*compared)}{fold}{foot}'
    page = f'<section class="tlm tlm-cards" style="{SKELETON}" aria-label="{label}">{inner}</section>'
    lines = "\n".join(filter(None, (write_diff(*compared), f"-- {' · '.join(told)}" if told else "")))
    text = "\n\n".join([*(f"({number}) {write_card(card)}" for number, card in enumerate(cards, 1)), lines])
    return pack(page, "\n".join(filter(None, (title, text.rstrip("\n")))))


def share_settings(cards: Sequence[Card]) -> tuple[Sequence[Card], tuple[str, ...]]:
    """The cards without the model and the parameters that all answers have in common, and these; of one card it says all itself."""
    ended = [c for c in cards if c.state == "done"]
    if len(ended) < 2:
        return cards, ()
    common = tuple(fact for fact in ended[0].settings if fact and all(fact in c.settings for c in ended))
    shown = tuple(fact for fact in common if fact not in ended[0].told)
    return [replace(c, told=(*c.told, *common)) for c in cards], shown


def _choose_columns(count: int) -> int:
    """How many of so many cards stand in a row, so that none is alone in the last one where that can be."""
    return count if count <= 3 else next((c for c in _COLUMNS if count % c != 1), _COLUMNS[0])


def _lay_out(columns: int) -> str:
    """The style of a grid of so many columns, or of one where they would be narrow: a style sheet, which may be dropped, is not needed."""
    share = f"calc((100% - {_GAP * (columns - 1):g}em)/{columns} - .01px)"
    room = f"calc(({_NARROWEST * columns:g}em - 100%)*999)"  # negative where there is room
    least = "100%" if columns == 1 else f"clamp({share},{room},100%)"
    return f"display:grid;grid-template-columns:repeat(auto-fit,minmax({least},1fr));gap:{_GAP:g}em;align-items:start"


def bundle_progress(message: str, done: int, total: int, note: str = "") -> Bundle:
    """How far something has come; ``total`` 0 is unknown. ``note`` is a second line."""
    share = f" {done / total:.0%}" if total else ""
    bar = f'<progress max="{total}" value="{min(done, total)}"></progress>' if total else ""
    below = f'<p class="tlm-note">{escape(note)}</p>' if note else ""
    page = f'<div class="tlm {NO_MATH}" style="{SKELETON}"><label>{escape(message)} {bar}{share}</label>{below}</div>'
    return pack(page, f"{message}{share}" + (f"\n{note}" if note else ""))
