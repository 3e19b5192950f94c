"""Tables and bars as HTML and as text; plain JSON data as small tables: an object by its fields, a list by its items."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..text_format import printable, shorten
from .html_text import escape

_PROSE = 60  # characters
_GAP = "  "  # between two columns
_NARROWEST = 4  # cells of a terminal
_MOST_ITEMS = 50
_LONGEST_CELL = 500  # characters
NOTHING: Any = object()
"""Stands where there is no value; ``None`` is one."""


def draw_table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """An accessible table, everything in it escaped; columns of numbers stand right, of prose are wide, ``None`` is an empty cell."""
    rows = list(rows)
    kinds = [' class="tlm-num"' if _is_numeric(column) else "" for column in zip(*rows, strict=True)] or [""] * len(columns)
    wide = [' style="min-width:18em"' if _is_prose(column) else "" for column in zip(*rows, strict=True)] or kinds
    head = "".join(f'<th scope="col"{k}{w}>{escape(c)}</th>' for c, k, w in zip(columns, kinds, wide, strict=True))
    cells = ("".join(f"<td{k}>{_draw_cell(v)}</td>" for v, k in zip(row, kinds, strict=True)) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="tlm-scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def drop_empty_columns(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
    """A table without the columns in which nothing stands; one without rows keeps all."""
    kept = [at for at in range(len(columns)) if not rows or any(str(row[at] if row[at] is not None else "") for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> str:
    """The same table as aligned plain text, in lines of at most ``width`` cells of a terminal where that is given.

    Then the widest columns become narrower, and what does not fit goes on below, within its column.
    """
    lines = [[" ".join(printable(_write_cell(v)).splitlines()).replace("\t", " ") for v in row] for row in (columns, *rows)]
    widths = [max(map(_measure, column)) for column in zip(*lines, strict=True)]
    if width is not None:
        widths = _fit(widths, width - len(_GAP) * (len(widths) - 1))
    drawn = [_wrap_row(line, widths) for line in lines]
    drawn.insert(1, [_GAP.join("-" * w for w in widths)])
    return "\n".join(line for row in drawn for line in row)


def _fit(widths: Sequence[int], width: int) -> list[int]:
    """Widths of columns that take ``width`` together: the narrow ones stay, the others share what is left."""
    fitted, left = list(widths), max(width, _NARROWEST * len(widths))
    for done, at in enumerate(sorted(range(len(widths)), key=widths.__getitem__)):
        fitted[at] = min(widths[at], left // (len(widths) - done))
        left -= fitted[at]
    return fitted


def _wrap_row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row's text, each cell broken where it is wider than its column."""
    import wcwidth  # a cell without a table needs none

    cells = [[text] if _measure(text) <= width else wcwidth.wrap(text, width) for text, width in zip(row, widths, strict=True)]
    lines = itertools.zip_longest(*cells, fillvalue="")
    return [_GAP.join(c + " " * (w - _measure(c)) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]


def _measure(text: str) -> int:
    """Cells of a terminal that a text takes."""
    if text.isascii() and text.isprintable():
        return len(text)
    import wcwidth

    return max(0, wcwidth.wcswidth(text))


@dataclass(frozen=True)
class Bar:
    """A share as a table's cell: a bar, and the same in words.

    >>> print(Bar(3, 4))
    ██████░░ 75%
    """

    part: float
    whole: float

    @property
    def words(self) -> str:
        """The share in percent; empty where there is nothing to share."""
        return f"{self.part / self.whole:.0%}" if self.whole else ""

    def __str__(self) -> str:
        full = round(8 * self.part / self.whole) if self.whole else 0
        return f"{'█' * full}{'░' * (8 - full)} {self.words}" if self.whole else ""


def _draw_cell(value: object) -> str:
    if not isinstance(value, Bar) or not value.whole:
        return escape(_write_cell(value))
    return f'<label><meter min="0" max="{value.whole:.9g}" value="{value.part:.9g}">{value.words}</meter> {value.words}</label>'


def _write_cell(value: object) -> str:
    return "" if value is None else str(value)


def _is_prose(column: Sequence[object]) -> bool:
    """Whether a column holds sentences, which would else be squeezed into the width of a word."""
    return any(isinstance(v, str) and len(v) > _PROSE for v in column)


def _is_numeric(column: Sequence[object]) -> bool:
    given = [v for v in column if v is not None]
    return bool(given) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given)


def draw_value(value: Any) -> str:
    """A value as HTML: a table of an object or a list, else a paragraph; of long lists the first items."""
    if isinstance(value, Mapping) and value:
        return draw_table(("field", "value"), [(name, describe_cell(item)) for name, item in value.items()])
    if isinstance(value, list) and value:
        columns, rows = _columns_and_rows(value[:_MOST_ITEMS])
        rest = len(value) - _MOST_ITEMS
        more = f'<p class="tlm-note">… and {rest:,} more; the JSON below has them all</p>' if rest > 0 else ""
        return draw_table(columns, rows) + more
    empty = {"list": "(an empty list)", "dict": "(no fields)"}.get(type(value).__name__, "") if not value else ""
    return f'<p class="tlm-text">{escape(empty or json.dumps(value) if not isinstance(value, str) else value)}</p>'


def describe_cell(value: Any) -> Any:
    """A value as one cell of a table: items of a list after each other, an object as JSON."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return shorten(value, _LONGEST_CELL)
    if isinstance(value, (list, tuple)) and value and not any(isinstance(v, (Mapping, list, tuple)) for v in value):
        return shorten(", ".join(v if isinstance(v, str) else json.dumps(v, default=str) for v in value), _LONGEST_CELL)
    if isinstance(value, (bool, Mapping, list, tuple)):
        return shorten(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_CELL)
    return shorten(str(value), _LONGEST_CELL)


def _columns_and_rows(items: Sequence[Any]) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """A list of objects by their fields, any other by its items."""
    if not all(isinstance(item, Mapping) for item in items):
        return ("value",), [(describe_cell(item),) for item in items]
    names = list(dict.fromkeys(str(name) for item in items for name in item))
    return names, [[describe_cell(item.get(name)) for name in names] for item in items]
