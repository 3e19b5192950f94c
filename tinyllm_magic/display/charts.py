"""Charts as inline SVG: values with their intervals, and a value against its cost.

Every mark has its name and its figures beside it, so that no colour has to be told from another; lines and letters take the colour of
the text around them, in light and in dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..text_format import format_money, shorten
from .html_text import escape

_WIDTH, _ROW, _TOP, _BOTTOM = 720, 30, 12, 34  # pixels
_LETTER = 7.2  # pixels that a letter takes
_LONGEST_NAME = 30  # characters
_GAP = 12


@dataclass(frozen=True)
class Mark:
    """A named value with the bounds of its interval, what is written beside it, and its cost in US dollars (``None``: unknown)."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    cost: float | None = None


def draw_intervals(marks: Sequence[Mark], title: str, *, is_share: bool) -> str:
    """Each value as a dot on its interval, one below the other, over a common axis."""
    names = [shorten(m.name, _LONGEST_NAME) for m in marks]
    left = _GAP + _LETTER * max(map(len, names))
    right = _WIDTH - _GAP - _LETTER * max(len(m.note) for m in marks)
    low, high = _choose_range([v for m in marks for v in (m.value, m.low, m.high) if v is not None], is_share=is_share)
    place = _scale(low, high, left + _GAP, right - _GAP)
    bottom = _TOP + _ROW * len(marks)
    parts = _draw_axis(_choose_ticks(low, high), place, bottom, is_share=is_share)
    for number, (mark, name) in enumerate(zip(marks, names, strict=True)):
        y = _TOP + _ROW * (number + 0.5)
        parts.append(_text(left, y, name, "end"))
        parts += _draw_whisker(mark, place, y)
        parts.append(f'<circle cx="{place(mark.value):.1f}" cy="{y:.1f}" r="5" fill="currentColor"/>')
        parts.append(_text(right + _GAP / 2, y, mark.note))
    return _wrap(parts, bottom + _BOTTOM, title, [f"{m.name}: {m.note}" for m in marks])


def draw_costs(marks: Sequence[Mark], title: str, *, is_share: bool) -> str:
    """Values with their intervals (upwards) against their cost (to the right); empty where fewer than two costs are known."""
    known = [m for m in marks if m.cost is not None]
    if len(known) < 2:
        return ""
    left, bottom = 70, 260
    low, high = _choose_range([v for m in known for v in (m.value, m.low, m.high) if v is not None], is_share=is_share)
    up = _scale(low, high, bottom, _TOP)
    most = max(m.cost or 0.0 for m in known) or 1.0
    along = _scale(0, most, left + _GAP, _WIDTH - 2 * _GAP)
    parts = [
        *(_text(left - 6, up(t), _write_tick(t, is_share=is_share), "end") for t in _choose_ticks(low, high)),
        *(_line(left, up(t), _WIDTH - _GAP, up(t), 0.15) for t in _choose_ticks(low, high)),
        _line(left, bottom, _WIDTH - _GAP, bottom, 0.6),
        *(_text(along(t), bottom + 16, format_money(t), "middle") for t in _choose_ticks(0, most)),
    ]
    for mark in known:
        x, y = along(mark.cost or 0.0), up(mark.value)
        if mark.low is not None and mark.high is not None:
            parts.append(_line(x, up(mark.low), x, up(mark.high), 0.8))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="currentColor"/>')
        is_far = x > _WIDTH / 2  # its name would not fit on the right
        parts.append(_text(x - 10 if is_far else x + 10, y, shorten(mark.name, _LONGEST_NAME), "end" if is_far else "start"))
    facts = [f"{m.name}: {m.note}, {format_money(m.cost)}" for m in known]
    return _wrap(parts, bottom + _BOTTOM, title, facts)


def _draw_whisker(mark: Mark, place: Callable[[float], float], y: float) -> list[str]:
    if mark.low is None or mark.high is None:
        return []
    low, high = place(mark.low), place(mark.high)
    return [_line(low, y, high, y, 0.8), _line(low, y - 5, low, y + 5, 0.8), _line(high, y - 5, high, y + 5, 0.8)]


def _draw_axis(ticks: Sequence[float], place: Callable[[float], float], bottom: float, *, is_share: bool) -> list[str]:
    parts = [_line(place(t), _TOP, place(t), bottom, 0.15) for t in ticks]
    parts.append(_line(place(ticks[0]), bottom, place(ticks[-1]), bottom, 0.6))
    return parts + [_text(place(t), bottom + 16, _write_tick(t, is_share=is_share), "middle") for t in ticks]


def _choose_range(values: Sequence[float], *, is_share: bool) -> tuple[float, float]:
    """A range with round ends that holds all values; of shares never beyond 0 and 1."""
    low, high = min(values), max(values)
    step = _round_step((high - low or abs(high) or 1.0) / 4)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    if low == high:
        low, high = low - step, high + step
    return (max(0.0, low), min(1.0, high)) if is_share else (low, high)


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(n * size for n in (1, 2, 5, 10) if n * size >= rough)


def _choose_ticks(low: float, high: float) -> list[float]:
    step = _round_step((high - low) / 5)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _write_tick(value: float, *, is_share: bool) -> str:
    return f"{100 * value:.3g} %" if is_share else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, strength: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" stroke-width="1.5" stroke-opacity="{strength}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" dy=".35em" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _wrap(parts: Sequence[str], height: float, title: str, facts: Sequence[str]) -> str:
    said = escape("; ".join((title, *facts)))
    head = f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" height="{height:.0f}" role="img" aria-label="{said}"'
    style = 'font-size="13" font-family="inherit" fill="none" style="max-width:100%;height:auto;display:block"'
    caption = f'<p class="tlm-note">{escape(title)}</p>'
    return f"{caption}{head} {style}><title>{escape(title)}</title>{''.join(parts)}</svg>"
