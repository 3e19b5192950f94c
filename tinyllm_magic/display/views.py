"""Where a growing answer is shown: an output that updates itself, a terminal, or nowhere; and how often it is drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol, TextIO

from ..responses import ChunkAccumulator
from ..text_format import format_progress
from . import markup
from .bundle import Bundle, pack
from .cards import Card, bundle_card, draw_article, draw_card, pair_with_tokens, write_card, write_footer, write_heading, write_message
from .output import NAMESPACE, build_metadata, is_terminal, show_or_update, write
from .steps import write_steps
from .tables import bundle_grid, bundle_progress


class View(Protocol):
    """Where a growing answer is shown."""

    def push(self, card: Card, so_far: ChunkAccumulator | None = None) -> None:
        """Show a state on the way, with what has arrived ``so_far``: that is read only when it will be shown."""

    def finish(self, card: Card) -> None:
        """Show the last state; called once, whatever happened."""


def _fill(card: Card, so_far: ChunkAccumulator | None) -> Card:
    """The card with what has arrived; the same one where nothing has."""
    text, reasoning = ("", "") if so_far is None else (so_far.text, so_far.reasoning)
    return card.grown(text, reasoning) if text or reasoning else card


class QuietView:
    """Shows nothing."""

    def push(self, card: Card, so_far: ChunkAccumulator | None = None) -> None:
        """Nothing."""

    def finish(self, card: Card) -> None:
        """Nothing."""


class NotebookView:
    """One output that updates itself: at once, then at most ten times a second, and at the end.

    Drawing takes at most about an eighth of the time. Without ``stream`` only the end is shown.
    """

    def __init__(self, *, stream: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._handle: Any = None
        self._next = -math.inf
        self._has_text = False

    @cached_property
    def _body(self) -> markup.IncrementalRenderer:
        return markup.IncrementalRenderer()

    @cached_property
    def _reasoning(self) -> markup.IncrementalRenderer:
        return markup.IncrementalRenderer("markdown")

    @property
    def drawn(self) -> int:
        """How many characters were drawn while the answer grew."""
        return self._body.drawn + self._reasoning.drawn

    def push(self, card: Card, so_far: ChunkAccumulator | None = None) -> None:
        """Show a state on the way, unless the last one is too fresh; the first text never waits."""
        if not self._stream or (self._has_text and self._clock() < self._next):
            return
        card = _fill(card, so_far)
        if self._clock() < self._next and not card.text:
            return
        if self._handle is None and card.format != "markdown":
            self._body = markup.IncrementalRenderer("text")
        begun = self._clock()
        self._show(self._draw(card) if card.text or card.reasoning else bundle_card(card), card)
        self._has_text = bool(card.text)
        self._next = self._clock() + min(1.0, max(0.1, 8 * (self._clock() - begun)))

    def _draw(self, card: Card) -> Bundle:
        body = self._body.html(card.text) if card.text else ""
        thought = self._reasoning.html(card.reasoning) if card.reasoning else ""
        return pack(draw_article(card, body, thought), write_card(card))

    def finish(self, card: Card) -> None:
        """Show the last state, highlighted and typeset; a failure of which nothing is to be shown makes no output of its own."""
        if self._handle is not None or not card.says_nothing:
            self._show(bundle_card(card), card)

    def _show(self, data: Bundle, card: Card) -> None:
        metadata = {NAMESPACE: dict(card.metadata) or {"version": 1, "state": card.state}}
        self._handle = show_or_update(self._handle, data, metadata)


class GridView:
    """Several cards in one output, side by side, each grown through its own view; one throttle for all.

    ``look`` is what the cards show before anything arrives.
    """

    def __init__(self, waiting: Sequence[Card], *, stream: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._cards = list(waiting)
        self._articles = [draw_article(c, "", "") for c in waiting]
        self._stream, self._clock = stream, clock
        self._handle: Any = None
        self._next = -math.inf

    def get_view(self, number: int) -> View:
        """The view of one card, counted from 0."""
        return _GridCell(self, number)

    def close(self) -> None:
        """What never began is shown as stopped."""
        if not self._done():
            self._cards = [replace(c, state="stopped") if c.state == "streaming" else c for c in self._cards]
            self._articles = [draw_card(c) for c in self._cards]
            self._draw()

    def is_due(self) -> bool:
        """Whether it is time to draw a state on the way."""
        return self._stream and self._clock() >= self._next

    def update(self, number: int, card: Card, html: str) -> None:
        """Take one card's state; when all are done it is always drawn."""
        self._cards[number], self._articles[number] = card, html
        if self._done() or self.is_due():
            self._draw()

    def _done(self) -> bool:
        return all(c.state != "streaming" for c in self._cards)

    def _draw(self) -> None:
        begun = self._clock()
        answers = [dict(c.metadata) for c in self._cards]
        facts: dict[str, Any] = {"version": 1, "answers": answers} if all(answers) else {"version": 1, "state": "streaming"}
        data = bundle_grid(self._cards, articles=None if self._done() else self._articles)
        self._handle = show_or_update(self._handle, data, {NAMESPACE: facts})
        self._next = self._clock() + min(1.0, max(0.1, 8 * (self._clock() - begun)))


class _GridCell:
    """One card of a grid."""

    def __init__(self, grid: GridView, number: int) -> None:
        self._grid, self._number = grid, number
        self._body: markup.IncrementalRenderer | None = None
        self._reasoning = markup.IncrementalRenderer("markdown")

    def push(self, card: Card, so_far: ChunkAccumulator | None = None) -> None:
        """Show a state on the way, unless the grid was just drawn."""
        if not self._grid.is_due():
            return
        card = _fill(card, so_far)
        self._body = self._body or markup.IncrementalRenderer("markdown" if card.format == "markdown" else "text")
        body = self._body.html(card.text) if card.text else ""
        thought = self._reasoning.html(card.reasoning) if card.reasoning else ""
        self._grid.update(self._number, card, draw_article(card, body, thought))

    def finish(self, card: Card) -> None:
        """Show the last state, highlighted and typeset."""
        self._grid.update(self._number, card, draw_card(card))


class ColumnView:
    """Several cards one below the other in a terminal, or nowhere: each view writes for itself."""

    def __init__(self, waiting: Sequence[Card], make: Callable[[], View]) -> None:
        self._waiting, self._make = waiting, make

    def get_view(self, number: int) -> View:
        """The view of one card, which begins with its title."""
        view = self._make()
        if isinstance(view, TerminalView):
            view.say(f"{self._waiting[number].title}\n")
        return view

    def close(self) -> None:
        """Nothing."""


class TerminalView:
    """Writes the text as it comes, each part once, then one line about it.

    An error's own lines are left to its traceback. ``out`` is ``sys.stdout`` of the moment.
    """

    def __init__(self, *, stream: bool = True, out: TextIO | None = None) -> None:
        self._stream = stream
        self._out = out
        self._text = ""
        self._steps = 0

    def push(self, card: Card, so_far: ChunkAccumulator | None = None) -> None:
        """Write what is new."""
        if self._stream:
            self._write_steps(card)
            self._grow(_fill(card, so_far).text)

    def finish(self, card: Card) -> None:
        """Write the rest and the footer."""
        self._write_steps(card)
        self._grow(card.text)
        lines = [*card.remarks, write_footer(card)]
        lines += [f"[{write_heading(m, n)}]\n{write_message(m)}" for m, n in pair_with_tokens(card.prompt, card.prompt_tokens)]
        start = "\n" if self._text and not self._text.endswith("\n") else ""
        write(start + "\n".join(lines) + "\n", self._out)

    def say(self, text: str) -> None:
        """Write a line before the answer."""
        write(text, self._out)

    def _write_steps(self, card: Card) -> None:
        """Write which tools were called since the last state; what the model said before them stands."""
        new = card.steps[self._steps :]
        self._steps = len(card.steps)
        if any(step.runs for step in new):
            said = [replace(step, text="") for step in new] if self._text else new
            write(("\n" if self._text and not self._text.endswith("\n") else "") + "\n".join(write_steps(said)) + "\n", self._out)
            self._text = ""

    def _grow(self, text: str) -> None:
        if not text.startswith(self._text):
            write("\n-- retrying --\n", self._out)
            self._text = ""
        write(text[len(self._text) :], self._out)
        self._text = text


def choose_view(shell: Any, *, stream: bool = True, quiet: bool = False) -> View:
    """The view for an IPython shell; a terminal's shell, or none, gets text and every other one rich output."""
    if quiet:
        return QuietView()
    return TerminalView(stream=stream) if is_terminal(shell) else NotebookView(stream=stream)


def choose_views(shell: Any, waiting: Sequence[Card], *, stream: bool = True, quiet: bool = False) -> GridView | ColumnView:
    """The views for several cards, where ``choose_view`` would show one."""
    if quiet or is_terminal(shell):
        return ColumnView(waiting, lambda: choose_view(shell, stream=stream, quiet=quiet))
    return GridView(waiting, stream=stream)


class Progress:
    """Shows how far something has come: one updating output, or one line of a terminal.

    Called with what is done, how much of it, and how much there is in all (0: unknown).
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._handle: Any = None

    def __call__(self, message: str, done: int, total: int) -> None:
        """Show a state; the last one (done = total) stays."""
        if is_terminal(self._shell):
            write(f"\r{format_progress(message, done, total)}" + ("\n" if total and done >= total else ""))
            return
        self._handle = show_or_update(self._handle, bundle_progress(message, done, total), build_metadata("progress"))
        if total and done >= total:
            self._handle = None
