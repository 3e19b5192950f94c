"""Charts as tables with inline SVG: values with their intervals, and values against their cost.

All words and figures stand in the table, and the SVG holds shapes alone: where a page drops it, as JupyterLab does with the outputs of
a notebook that nobody has trusted yet, nothing is lost but the picture. Shapes, not colours, tell marks from each other; lines take
the colour of the text around them, in light and in dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..text_format import format_money, shorten
from .html_text import escape

_WIDTH, _ROW, _HEIGHT = 340, 24, 220  # pixels
_MARGIN = 24  # pixels beside the first and the last tick, half of what a label takes
_LONGEST_NAME = 60  # characters
_SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",  # circle, square, diamond, two triangles, cross
    "M-4.5 -4.5H4.5V4.5H-4.5z",
    "M0 -6L6 0L0 6L-6 0z",
    "M0 -6L6 5H-6z",
    "M0 6L6 -5H-6z",
    "M-5 -1.5H-1.5V-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5z",
)


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
    """Each value as a mark on its interval, one below the other, over a common axis, with its name and its figures beside it."""
    low, high = _choose_range([v for m in marks for v in (m.value, m.low, m.high) if v is not None], is_share=is_share)
    ticks = _choose_ticks(low, high)
    place = _scale(ticks[0], ticks[-1], _MARGIN, _WIDTH - _MARGIN)
    costs = any(m.cost is not None for m in marks)
    rows = [_draw_row(mark, number, ticks, place, with_cost=costs) for number, mark in enumerate(marks)]
    labels = " ".join(f'<span style="width:{2 * _MARGIN}px;text-align:center">{_write_tick(t, is_share=is_share)}</span>' for t in ticks)
    axis = f'<div style="display:flex;justify-content:space-between;width:{_WIDTH}px">{labels}</div>'
    rows.append(f"<tr><td></td><td>{axis}</td><td></td>{'<td></td>' if costs else ''}</tr>")
    return (
        f'<div class="tlm-scroll"><table class="tlm-chart"><caption>{escape(title)}</caption><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _draw_row(mark: Mark, number: int, ticks: Sequence[float], place: Callable[[float], float], *, with_cost: bool) -> str:
    y = _ROW / 2
    parts = [_line(place(t), 0, place(t), _ROW, 0.15) for t in ticks]
    if mark.low is not None and mark.high is not None:
        low, high = place(mark.low), place(mark.high)
        parts += [_line(low, y, high, y, 0.8), _line(low, y - 5, low, y + 5, 0.8), _line(high, y - 5, high, y + 5, 0.8)]
    parts.append(_shape(place(mark.value), y, number))
    cost = f'<td class="tlm-num">{escape(format_money(mark.cost))}</td>' if with_cost else ""
    name = escape(shorten(mark.name, _LONGEST_NAME))
    return f'<tr><th scope="row">{name}</th><td>{_wrap(parts, _ROW)}</td><td>{escape(mark.note)}</td>{cost}</tr>'


def draw_costs(marks: Sequence[Mark], title: str, *, is_share: bool) -> str:
    """Values with their intervals (upwards) against their cost (to the right), by shape; empty where fewer than two costs are known."""
    known = [(number, m, m.cost) for number, m in enumerate(marks) if m.cost is not None]
    if len(known) < 2:
        return ""
    low, high = _choose_range([v for _, m, _ in known for v in (m.value, m.low, m.high) if v is not None], is_share=is_share)
    up = _scale(low, high, _HEIGHT - _MARGIN / 2, _MARGIN / 2)
    most = _choose_range([0.0, *(cost for _, _, cost in known)], is_share=False)[1]
    along = _scale(0, most, _MARGIN / 2, _WIDTH - _MARGIN / 2)
    parts = [_line(along(0), up(t), along(most), up(t), 0.15) for t in _choose_ticks(low, high)]
    parts += [_line(along(t), up(low), along(t), up(high), 0.15) for t in _choose_ticks(0, most)]
    parts += [_line(along(0), up(low), along(most), up(low), 0.6), _line(along(0), up(low), along(0), up(high), 0.6)]
    legend = []
    for number, mark, cost in known:
        x = along(cost)
        if mark.low is not None and mark.high is not None:
            parts.append(_line(x, up(mark.low), x, up(mark.high), 0.8))
        parts.append(_shape(x, up(mark.value), number))
        name = escape(shorten(mark.name, _LONGEST_NAME))
        legend.append(f"<li>{_wrap([_shape(8, 8, number)], 16, 16)} {name}: {escape(mark.note)}, {escape(format_money(cost))}</li>")
    upwards = f"upwards {_write_tick(low, is_share=is_share)} to {_write_tick(high, is_share=is_share)}"
    caption = f'<p class="tlm-note">{escape(title)} ({upwards}, to the right {format_money(0.0)} to {format_money(most)})</p>'
    return f'{caption}{_wrap(parts, _HEIGHT)}<ul style="list-style:none;padding:0">{"".join(legend)}</ul>'


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
    """Round values at even distances, the first not above the range and the last not below it."""
    step = _round_step((high - low) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _write_tick(value: float, *, is_share: bool) -> str:
    return f"{100 * value:.3g} %" if is_share else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, strength: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" stroke-width="1.5" stroke-opacity="{strength}"/>'


def _shape(x: float, y: float, number: int) -> str:
    return f'<path class="tlm-mark" transform="translate({x:.1f} {y:.1f})" d="{_SHAPES[number % len(_SHAPES)]}" fill="currentColor"/>'


def _wrap(parts: Sequence[str], height: float, width: float = _WIDTH) -> str:
    """A picture without words, which stand beside it."""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg {size} aria-hidden="true" style="display:inline-block;vertical-align:middle">{"".join(parts)}</svg>'
