"""Who was taken for whom: a table of counts, the right ones framed, the others shaded by their share of the row."""

from __future__ import annotations

from collections.abc import Sequence

from ..text_format import shorten
from .html_tables import write_table
from .html_text import escape

_LONGEST = 24  # characters of a name


def draw_confusions(expected: Sequence[str], answered: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    """An accessible table: a row for each class that was expected, a column for each that was answered."""
    head = "".join(f'<th scope="col">{escape(shorten(name, _LONGEST))}</th>' for name in answered)
    rows = "".join(
        f'<tr><th scope="row">{escape(shorten(name, _LONGEST))}</th>{_draw_cells(name, answered, row)}</tr>'
        for name, row in zip(expected, counts, strict=True)
    )
    corner = '<th scope="col">expected ↓ answered →</th>'
    table = f"<table><caption>{escape(title)}</caption><thead><tr>{corner}{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="tlm-scroll">{table}</div>'


def _draw_cells(name: str, answered: Sequence[str], row: Sequence[int]) -> str:
    """The counts of one class; those that are right are set in bold within a frame, so that no colour is needed to find them."""
    total = max(sum(row), 1)
    cells = []
    for other, count in zip(answered, row, strict=True):
        shade = f"background:color-mix(in srgb,currentColor {round(35 * count / total)}%,transparent)"
        frame = ";outline:2px solid currentColor;outline-offset:-3px" if other == name else ""
        shown = f"<strong>{count}</strong>" if other == name else str(count) if count else "·"
        cells.append(f'<td class="tlm-num" style="{shade}{frame}">{shown}</td>')
    return "".join(cells)


def write_confusions(
    expected: Sequence[str], answered: Sequence[str], counts: Sequence[Sequence[int]], title: str, width: int | None
) -> str:
    """The same as plain text; what is right stands in brackets."""
    rows = [
        (shorten(name, _LONGEST), *(f"[{n}]" if other == name else str(n) for other, n in zip(answered, row, strict=True)))
        for name, row in zip(expected, counts, strict=True)
    ]
    return f"{title} (expected below, answered beside)\n{write_table(('', *(shorten(a, _LONGEST) for a in answered)), rows, width)}"
