"""A stream of cards in, one output that updates itself, or a terminal's lines, out.

Knows the notebook's display, the terminal, and how often to draw.
Does not know how a card looks, where an answer comes from, stores, sessions or settings.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from . import markup
from .cards import (
    Bundle,
    Card,
    Entry,
    article,
    bundle,
    counted,
    dry_run_bundle,
    footer,
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
)

__all__ = [
    "Bundle",
    "Card",
    "Entry",
    "NotebookView",
    "QuietView",
    "TerminalView",
    "View",
    "bundle",
    "dry_run_bundle",
    "footer",
    "history_bundle",
    "is_terminal",
    "money",
    "plain",
    "provenance",
    "show",
    "show_live",
    "style",
    "table_bundle",
    "view_for",
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
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, metadata=metadata, display_id=True)  # type: ignore[no-untyped-call]  # IPython's
        else:
            self._handle.update(data, raw=True, metadata=metadata)


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


def is_terminal(shell: Any) -> bool:
    """Whether a shell shows text only: a terminal's, or no shell at all (``None``)."""
    return shell is None or any(c.__name__ == "TerminalInteractiveShell" for c in type(shell).__mro__)


def show(data: Bundle, shell: Any) -> None:
    """Show a bundle where a view would."""
    if is_terminal(shell):
        write(data["text/plain"] + "\n")
        return
    from IPython.display import display

    display(data, raw=True)  # type: ignore[no-untyped-call]  # IPython's


def show_live(widget: Any, shell: Any) -> None:
    """Show a live widget, or in a terminal its text twin."""
    if is_terminal(shell):
        write(f"{widget!r}\n")
        return
    from IPython.display import display

    display(widget)  # type: ignore[no-untyped-call]  # IPython's


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
        from IPython.display import display

        data = progress_bundle(message, done, total)
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython's
        else:
            self._handle.update(data, raw=True)
        if total and done >= total:
            self._handle = None
