"""Prints in any encoding, in lines that no name can break, and progress beside them."""

from __future__ import annotations

import codecs
import shutil
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from ..errors import TinyLLMError
from ..text_format import printable

_PLAIN_SIGNS = {
    "✓": "ok",
    "✗": "FAILED",
    "●": "*",
    "–": "-",
    "→": "->",
    "≈": "~",
    "…": "...",
    "─": "-",
    "·": "-",
    "⏎": "|",
    "█": "#",
    "░": ".",
}


def print_in_any_encoding() -> None:
    """Let what a stream cannot encode be written otherwise: no command fails because a sign is not in the code page."""
    codecs.register_error("tinyllm_magic.plain", _write_plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="tinyllm_magic.plain")


def _write_plain(error: UnicodeError) -> tuple[str, int]:
    """Our own signs in ASCII, a question mark for every other one."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN_SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def plain_line(text: str) -> str:
    """One line, whatever names it holds: they can neither command a terminal nor feign a line of ours."""
    return " ".join(printable(text).splitlines())


def print_lines(lines: Iterable[str]) -> None:
    """Print these, each as one line."""
    print("\n".join(map(plain_line, lines)), flush=True)


class ProgressLine:
    """Progress lines: one that overwrites itself in a terminal, else one for each notebook."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._seen = out, set[str]()
        self._lock = threading.Lock()

    def show(self, line: str) -> None:
        """Show how far a notebook has come."""
        with self._lock:
            line = plain_line(line)
            name = line.rpartition(":")[0]
            if self._out.isatty():
                self._out.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            elif name not in self._seen:
                self._seen.add(name)
                self._out.write(f"running {name} …\n")
            self._out.flush()

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._out.isatty():
            self._out.write("\r\x1b[K")
            self._out.flush()


def write_file(path: Path, content: bytes) -> None:
    """Write a file and the folders above it; raises :class:`TinyLLMError` where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise TinyLLMError(f"{path} cannot be written: {error.strerror}") from error
