"""Sends bundles to IPython's display system, or text to a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from ..redaction import mask_data
from ..text_format import printable
from .bundle import SKELETON, Bundle, pack
from .html_text import NO_MATH, escape

NAMESPACE = "tinyllm_magic"

# Of a panel's live half and its saved twin below it the one is shown which works.
_ONE_OF_TWO = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .tlm-twin):not(:has(.tlm-panel)),"
    ".jp-OutputArea-child:has(.tlm-panel) + .jp-OutputArea-child:has(.tlm-twin){display:none}</style>"
)


def is_terminal(shell: Any) -> bool:
    """Whether what a shell shows is text only: no shell at all (``None``), or a front end that cannot update what it has displayed.

    A shell whose publisher only prints cannot. A kernel is told by the request it answers: notebooks name the
    cell, and programs that run notebooks allow no input; who does neither is a console.
    """
    if shell is None:
        return True
    from IPython.core.displaypub import DisplayPublisher

    if type(shell.display_pub).publish is DisplayPublisher.publish:
        return True
    return _serves_console(shell)


def _serves_console(shell: Any) -> bool:
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    allows_input = bool((request.get("content") or {}).get("allow_stdin"))
    return allows_input and "cellId" not in (request.get("metadata") or {})


def measure_width() -> int | None:
    """How many characters a line of plain text may have: as many as the terminal has columns; ``None`` where there is none.

    A kernel cannot see the terminal of the console that it serves: ``COLUMNS`` tells, or it counts as 80 wide.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    console = shell is not None and _serves_console(shell)
    return shutil.get_terminal_size().columns if console or sys.stdout.isatty() else None


def show(data: Bundle, shell: Any, *, about: str = "", facts: Mapping[str, Any] | None = None) -> None:
    """Show a bundle where a view would; ``about`` and ``facts`` are told in its metadata (``build_metadata``)."""
    if is_terminal(shell):
        write(data["text/plain"] + "\n")
        return
    from IPython.display import display

    display(data, raw=True, metadata=build_metadata(about, facts))  # type: ignore[no-untyped-call]  # IPython's


def build_metadata(what: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The metadata of an output that is no answer: ``session`` and ``progress`` may differ, of a ``preview`` its ``facts`` count."""
    return {NAMESPACE: {"version": 1, "about": what, **mask_data(facts or {})}} if what else {}


class LiveWidget(Protocol):
    """A widget that can say in words what it shows."""

    def describe(self) -> tuple[str, str]:
        """A title, and a line of what it shows."""


def show_live(widget: LiveWidget, shell: Any) -> None:
    """Show a live widget, or in a terminal its twin in words.

    JupyterLab shows an error in place of a saved widget, so its twin stands below it in an output of its own: a style sheet
    shows that one of the two which works. The live one's text is empty: a page without widgets shows the twin alone.
    """
    title, line = widget.describe()
    if is_terminal(shell):
        write(f"{title}: {line}\n")
        return
    from IPython.display import display

    show_widget(widget, "")
    note = "As it was when this was saved; run the cell again for the live panel."
    said = f'<p class="tlm-title">{escape(title)}</p><p>{escape(line)}</p><p class="tlm-note">{note}</p>'
    twin = f'<div class="tlm tlm-twin {NO_MATH}" style="{SKELETON}" dir="auto">{said}</div>'
    data = pack(_ONE_OF_TWO + twin, f"{title}: {line}. {note}")
    display(data, raw=True, metadata=build_metadata("session"))  # type: ignore[no-untyped-call]  # IPython's


def show_widget(widget: Any, text: str) -> None:
    """Show a live widget in an output of its own; ``text`` stands there where a page knows no widgets."""
    from IPython.display import display

    live, _ = widget._repr_mimebundle_()  # IPython's name for how a value shows itself
    display({**live, "text/plain": text}, raw=True, metadata=build_metadata("session"))  # type: ignore[no-untyped-call]  # IPython's


def show_or_update(handle: Any, data: Bundle, metadata: Mapping[str, Any]) -> Any:
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
    out.write(printable(text).encode(encoding, "replace").decode(encoding))
    out.flush()
