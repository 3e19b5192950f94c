"""Blind rating as one live widget, ``RatingPanel``: the answers to a row side by side, chosen by keys; and as a picture without a kernel.

Nothing here knows whose an answer is. Texts go to the page as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
from ipywidgets import DOMWidget
from traitlets import Dict, Int, List, Unicode

from ..redaction import mask_data
from ..text_format import shorten
from .bundle import SKELETON, Bundle, load_style, pack
from .html_text import NO_MATH, escape

_STATIC = Path(__file__).parent / "static"
_MOST_SHOWN = 10
_LONGEST_FIELD = 300
_LONGEST_ANSWER = 2_000
NONE_BETTER = -1
"""Stands for the choice that no answer is better."""


@dataclass(frozen=True)
class RatingView:
    """One row as it is shown: its columns, its answers in their order, and what was chosen (``None``: nothing yet)."""

    row: Mapping[str, Any]
    answers: Sequence[str]
    choice: int | None = None


class RatingPanel(anywidget.AnyWidget, DOMWidget):  # type: ignore[misc]  # ipywidgets ships no types
    """One row at a time: the keys 1, 2 … choose an answer, 0 says that none is better, Backspace takes the choice back, arrows move.

    ``read(number)`` gives a row, ``choose(number, choice)`` keeps what was chosen (``NONE_BETTER``; ``None`` takes it back),
    ``summarise()`` says how far the rating has come.
    """

    _esm = _STATIC / "rating.js"
    _css = load_style().removeprefix("<style>").removesuffix("</style>") + (_STATIC / "rating.css").read_text("utf-8")

    number = Int(0, help="the row that is shown, counted from 0").tag(sync=True)
    count = Int(0).tag(sync=True)
    row: Any = List().tag(sync=True)
    answers: Any = List().tag(sync=True)
    choice = Int(None, allow_none=True).tag(sync=True)
    status = Unicode("").tag(sync=True)
    wanted = Dict(help="what the page asks for: choose, withdraw or go, with a number that counts up").tag(sync=True)

    def __init__(
        self, count: int, read: Callable[[int], RatingView], choose: Callable[[int, int | None], None], summarise: Callable[[], str]
    ) -> None:
        self._read, self._choose, self._summarise = read, choose, summarise
        super().__init__()
        self.count = count
        first = next((n for n in range(count) if read(n).choice is None), 0)
        self._show(first)
        self.observe(self._answer, names=["wanted"])

    def _answer(self, change: Any) -> None:
        """Do what the page asks for; what makes no sense does nothing."""
        wanted, number = change["new"], self.number
        with suppress(KeyError, TypeError, ValueError):
            if wanted["do"] == "go":
                self._show(min(max(int(wanted["to"]), 0), self.count - 1))
            elif wanted["do"] == "withdraw":
                self._choose(number, None)
                self._show(number)
            elif wanted["do"] == "choose" and NONE_BETTER <= int(wanted["choice"]) < len(self.answers):
                self._choose(number, int(wanted["choice"]))
                self._show(min(number + 1, self.count - 1))

    def _show(self, number: int) -> None:
        if not self.count:
            self.status = self._summarise()
            return
        view = self._read(number)
        with self.hold_sync():
            self.number = number
            self.row = [[name, shorten(str(value), _LONGEST_FIELD)] for name, value in mask_data(dict(view.row)).items()]
            self.answers = list(mask_data(list(view.answers)))
            self.choice = view.choice
            self.status = self._summarise()

    def __repr__(self) -> str:
        return f"RatingPanel({self.status})"


def bundle_rating(views: Sequence[RatingView], status: str) -> Bundle:
    """The first rows side by side with what was chosen: what stays without a kernel, and where there are no widgets."""
    shown = [_draw_view(number, view) for number, view in enumerate(views[:_MOST_SHOWN], 1)]
    rest = len(views) - _MOST_SHOWN
    more = f'<p class="tlm-note">… and {rest:,} more rows</p>' if rest > 0 else ""
    inner = f'<p class="tlm-title">{escape(status)}</p>{"".join(shown)}{more}'
    page = f'<section class="tlm tlm-rating-twin {NO_MATH}" style="{SKELETON}" aria-label="Blind rating">{inner}</section>'
    text = "\n".join([status, *(_write_view(n, v) for n, v in enumerate(views[:_MOST_SHOWN], 1))])
    return pack(page, text)


def _draw_view(number: int, view: RatingView) -> str:
    facts = " · ".join(f"{name}: {shorten(str(value), 80)}" for name, value in mask_data(dict(view.row)).items())
    cells = "".join(
        f"<td>{'<strong>✓ chosen</strong><br>' if view.choice == place else ''}"
        f'<span class="tlm-text">{escape(shorten(str(mask_data(answer)), _LONGEST_ANSWER))}</span></td>'
        for place, answer in enumerate(view.answers)
    )
    head = "".join(f'<th scope="col">answer {place}</th>' for place in range(1, len(view.answers) + 1))
    tie = " · none is better" if view.choice == NONE_BETTER else ""
    opened = " open" if number == 1 else ""
    table = f'<div class="tlm-scroll"><table><thead><tr>{head}</tr></thead><tbody><tr>{cells}</tr></tbody></table></div>'
    return f"<details{opened}><summary>row {number} · {escape(facts)}{tie}</summary>{table}</details>"


def _write_view(number: int, view: RatingView) -> str:
    lines = [f"row {number}: " + ", ".join(f"{n} {shorten(str(v), 60)}" for n, v in mask_data(dict(view.row)).items())]
    for place, answer in enumerate(view.answers):
        mark = "*" if view.choice == place else " "
        lines.append(f" {mark}{place + 1}  {shorten(' '.join(str(mask_data(answer)).split()), 100)}")
    return "\n".join(lines)
