"""A stream of cards in, one output that updates itself, or a terminal's lines, out.

Knows the notebook's display, the terminal, and how often to draw.
Does not know how a card looks, where an answer comes from, stores, sessions or settings.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TextIO

from . import markup
from .cards import (
    Bundle,
    Card,
    Entry,
    article,
    bundle,
    counted,
    footer,
    grid_bundle,
    heading,
    history_bundle,
    money,
    pack,
    plain,
    progress_bundle,
    provenance,
    said,
    style,
    table_bundle,
    whole,
)
from .previews import dry_run_bundle

__all__ = [
    "Bundle",
    "Card",
    "Entry",
    "Grid",
    "NotebookView",
    "QuietView",
    "TerminalView",
    "View",
    "bundle",
    "dry_run_bundle",
    "footer",
    "grid_bundle",
    "history_bundle",
    "is_terminal",
    "money",
    "plain",
    "provenance",
    "put",
    "show",
    "show_live",
    "style",
    "table_bundle",
    "view_for",
    "views_for",
    "write",
]

NAMESPACE = "tinyllm_magic"


class View(Protocol):
    """Where a growing answer is shown."""

    def push(self, card: Card | Callable[[], Card]) -> None:
        """Show a state on the way; a function is called only when its card will be shown."""

    def finish(self, card: Card) -> None:
        """Show the last state; called once, whatever happened."""


class QuietView:
    """Shows nothing."""

    def push(self, card: Card | Callable[[], Card]) -> None:
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
        self._body = markup.Growing()
        self._reasoning = markup.Growing("text")

    @property
    def drawn(self) -> int:
        """How many characters were drawn while the answer grew."""
        return self._body.drawn + self._reasoning.drawn

    def push(self, card: Card | Callable[[], Card]) -> None:
        """Show a state on the way, unless the last one is too fresh; the first text never waits."""
        if not self._stream or (self._has_text and self._clock() < self._next):
            return
        card = card() if callable(card) else card
        if self._clock() < self._next and not card.text:
            return
        if self._handle is None and card.format != "markdown":
            self._body = markup.Growing("text")
        begun = self._clock()
        body = self._body.html(card.text) if card.text else ""
        thought = self._reasoning.html(card.reasoning) if card.reasoning else ""
        self._show(pack(style() + article(card, body, thought), plain(card)), card)
        self._has_text = bool(card.text)
        self._next = self._clock() + min(1.0, max(0.1, 8 * (self._clock() - begun)))

    def finish(self, card: Card) -> None:
        """Show the last state, highlighted and typeset."""
        self._show(bundle(card), card)

    def _show(self, data: Bundle, card: Card) -> None:
        metadata = {NAMESPACE: dict(card.metadata) or {"version": 1, "state": card.state}}
        self._handle = put(self._handle, data, metadata)


class Grid:
    """Several cards in one output, side by side, each grown through its own view; one throttle for all.

    ``look`` is what the cards show before anything arrives.
    """

    def __init__(self, waiting: Sequence[Card], *, stream: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._cards = list(waiting)
        self._articles = [article(c, "", "") for c in waiting]
        self._stream, self._clock = stream, clock
        self._handle: Any = None
        self._next = -math.inf

    def at(self, number: int) -> View:
        """The view of one card, counted from 0."""
        return _Slot(self, number)

    def close(self) -> None:
        """What never began is shown as stopped."""
        if not self._done():
            self._cards = [replace(c, state="stopped") if c.state == "streaming" else c for c in self._cards]
            self._articles = [whole(c) for c in self._cards]
            self._draw()

    def wants(self) -> bool:
        """Whether it is time to draw a state on the way."""
        return self._stream and self._clock() >= self._next

    def put(self, number: int, card: Card, html: str) -> None:
        """Take one card's state; when all are done it is always drawn."""
        self._cards[number], self._articles[number] = card, html
        if self._done() or self.wants():
            self._draw()

    def _done(self) -> bool:
        return all(c.state != "streaming" for c in self._cards)

    def _draw(self) -> None:
        begun = self._clock()
        answers = [dict(c.metadata) for c in self._cards]
        facts: dict[str, Any] = {"version": 1, "answers": answers} if all(answers) else {"version": 1, "state": "streaming"}
        self._handle = put(self._handle, grid_bundle(self._cards, articles=self._articles), {NAMESPACE: facts})
        self._next = self._clock() + min(1.0, max(0.1, 8 * (self._clock() - begun)))


class _Slot:
    """One card of a grid."""

    def __init__(self, grid: Grid, number: int) -> None:
        self._grid, self._number = grid, number
        self._body: markup.Growing | None = None
        self._reasoning = markup.Growing("text")

    def push(self, card: Card | Callable[[], Card]) -> None:
        """Show a state on the way, unless the grid was just drawn."""
        if not self._grid.wants():
            return
        card = card() if callable(card) else card
        self._body = self._body or markup.Growing("markdown" if card.format == "markdown" else "text")
        body = self._body.html(card.text) if card.text else ""
        thought = self._reasoning.html(card.reasoning) if card.reasoning else ""
        self._grid.put(self._number, card, article(card, body, thought))

    def finish(self, card: Card) -> None:
        """Show the last state, highlighted and typeset."""
        self._grid.put(self._number, card, whole(card))


class Column:
    """Several cards one below the other in a terminal, or nowhere: each view writes for itself."""

    def __init__(self, waiting: Sequence[Card], make: Callable[[], View]) -> None:
        self._waiting, self._make = waiting, make

    def at(self, number: int) -> View:
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

    def push(self, card: Card | Callable[[], Card]) -> None:
        """Write what is new."""
        if self._stream:
            self._grow((card() if callable(card) else card).text)

    def finish(self, card: Card) -> None:
        """Write the rest and the footer."""
        self._grow(card.text)
        lines = [*card.remarks, footer(card)]
        lines += [f"[{heading(m, n)}]\n{said(m)}" for m, n in counted(card.prompt, card.prompt_tokens)]
        start = "\n" if self._text and not self._text.endswith("\n") else ""
        write(start + "\n".join(lines) + "\n", self._out)

    def say(self, text: str) -> None:
        """Write a line before the answer."""
        write(text, self._out)

    def _grow(self, text: str) -> None:
        if not text.startswith(self._text):
            write("\n-- asked again --\n", self._out)
            self._text = ""
        write(text[len(self._text) :], self._out)
        self._text = text


def view_for(shell: Any, *, stream: bool = True, quiet: bool = False) -> View:
    """The view for an IPython shell; a terminal's shell, or none, gets text and every other one rich output."""
    if quiet:
        return QuietView()
    return TerminalView(stream=stream) if is_terminal(shell) else NotebookView(stream=stream)


def views_for(shell: Any, waiting: Sequence[Card], *, stream: bool = True, quiet: bool = False) -> Grid | Column:
    """The views for several cards, where ``view_for`` would show one."""
    if quiet or is_terminal(shell):
        return Column(waiting, lambda: view_for(shell, stream=stream, quiet=quiet))
    return Grid(waiting, stream=stream)


def is_terminal(shell: Any) -> bool:
    """Whether a shell shows text only: a terminal's, or no shell at all (``None``)."""
    return shell is None or any(c.__name__ == "TerminalInteractiveShell" for c in type(shell).__mro__)


def show(data: Bundle, shell: Any, *, about: str = "") -> None:
    """Show a bundle where a view would; ``about`` is told in its metadata (``tagged``)."""
    if is_terminal(shell):
        write(data["text/plain"] + "\n")
        return
    from IPython.display import display

    display(data, raw=True, metadata=tagged(about))  # type: ignore[no-untyped-call]  # IPython's


def tagged(what: str) -> dict[str, Any]:
    """The metadata of an output that is no answer: ``session`` and ``progress`` may differ, ``preview`` in its counts."""
    return {NAMESPACE: {"version": 1, "about": what}} if what else {}


def show_live(widget: Any, shell: Any) -> None:
    """Show a live widget, or in a terminal its text twin.

    JupyterLab shows an error in place of a saved widget, so its twin stands below it in an output
    of its own; the widget's style sheet hides that while the widget lives. A page without widgets
    shows both as text, which must not say the same twice.
    """
    if is_terminal(shell):
        write(f"{widget!r}\n")
        return
    from IPython.display import display

    twin = f"{widget!r}, when this was saved; run the cell again for the live panel"
    live, _ = widget._repr_mimebundle_()  # IPython's name for how a value shows itself
    display({**live, "text/plain": "The panel's values:"}, raw=True, metadata=tagged("session"))  # type: ignore[no-untyped-call]  # IPython's
    data = pack(f'<p class="tlm-twin">{markup.escape(twin)}</p>', twin)
    display(data, raw=True, metadata=tagged("session"))  # type: ignore[no-untyped-call]  # IPython's


def put(handle: Any, data: Bundle, metadata: Mapping[str, Any]) -> Any:
    """Show a bundle in a new output, or in the one of this handle; returns the handle."""
    if handle is not None:
        handle.update(data, raw=True, metadata=metadata)
        return handle
    from IPython.display import display

    return display(data, raw=True, metadata=metadata, display_id=True)  # type: ignore[no-untyped-call]  # IPython's


def write(text: str, out: TextIO | None = None) -> None:
    """Write text to a stream (``sys.stdout``) as far as it can show it; control characters are left out."""
    out = out or sys.stdout
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(markup.printable(text).encode(encoding, "replace").decode(encoding))
    out.flush()


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
            write(f"\r{message} {done / total:4.0%}" + ("\n" if done >= total else "") if total else f"\r{message}")
            return
        self._handle = put(self._handle, progress_bundle(message, done, total), tagged("progress"))
        if total and done >= total:
            self._handle = None
