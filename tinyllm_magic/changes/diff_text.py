"""A comparison of two versions as text for a terminal, in colours where it takes them, readable without."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from ..display.html_tables import write_table
from ..display.word_diff import write_pieces
from ..text_format import printable
from .diff_pieces import Extent, Piece, list_facts, list_notes, list_parts, read_fact, summarize, wrap_pieces
from .notebook_diff import CellChange, NotebookDiff

_EXTENT = Extent(texts=5, context=60, longest=3_000)
_SIGNS = {"changed": "●", "added": "+", "removed": "–"}
_STYLES = {"-": "31;9", "+": "32;4"}  # red and struck through, green and underlined: shapes tell them apart, too
_BOLD = "1"
_NARROWEST = 40  # characters of a line


def write_text(diffs: Sequence[NotebookDiff], *, paint: bool, width: int = 100) -> str:
    """The differences as text; with ``paint`` in colours, else with signs around the words that changed."""
    return "\n\n".join("\n".join(_write_notebook(diff, paint, width)) for diff in diffs) + "\n"


def _write_notebook(diff: NotebookDiff, paint: bool, width: int) -> Iterator[str]:
    yield _paint(f"{printable(diff.name)}: {printable(diff.before)} → {printable(diff.after)}", _BOLD, paint)
    yield from (f"  {note}" for note in list_notes(diff))
    if diff.totals:
        yield from _write_facts(map(read_fact, diff.totals), width, "before", "after")
    for cell in diff.cells:
        yield ""
        yield from _write_cell(cell, paint, width)


def _write_cell(cell: CellChange, paint: bool, width: int) -> Iterator[str]:
    yield _paint(f"{_SIGNS[cell.kind]} {printable(cell.title)}", _BOLD, paint) + f"  ({summarize(cell)})"
    facts = list(list_facts(cell))
    if facts:
        yield from _write_facts(facts, width, "before", "after")
    for part in list_parts(cell, _EXTENT):
        if part.is_minor:
            continue
        yield f"  {part.name}"
        pieces = list(wrap_pieces(part.pieces, max(_NARROWEST, width - 4)))
        yield textwrap.indent(_write_pieces(pieces, paint) or "(nothing)", "    ")


def _write_facts(facts: Iterable[tuple[str, str, str]], width: int, *columns: str) -> Iterator[str]:
    yield textwrap.indent(write_table(("", *columns), list(facts), width - 2), "  ")


def _write_pieces(pieces: Sequence[Piece], paint: bool) -> str:
    if not paint:
        return write_pieces(pieces)
    return "".join(text if kind == "=" else _paint(text, _STYLES[kind], paint) for kind, text in pieces)


def _paint(text: str, style: str, paint: bool) -> str:
    """A text in a style, which each of its lines begins and ends anew."""
    if not paint:
        return text
    return "\n".join(f"\x1b[{style}m{line}\x1b[0m" if line else "" for line in text.split("\n"))
