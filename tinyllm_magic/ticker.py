"""A table that grows in, one line of text about it out, again and again.

Knows a terminal's carriage return, and that a log wants few lines.
Does not know how rows are answered, HTML, sessions or the notebook.
"""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from .tables import Table


class Ticker:
    """Writes how far a map has come: one line that is written over in a terminal, else a line every tenth.

    ``out`` is ``sys.stderr`` of the moment.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out
        self._last = -1
        self._width = 0

    def __call__(self, table: Table) -> None:
        """Show a state."""
        self._say(table)

    def close(self, table: Table) -> None:
        """Show the end, and end the line."""
        self._say(table)
        out = self._out or sys.stderr
        if self._width and out.isatty():
            out.write("\n")
            out.flush()
        self._width = 0

    def _say(self, table: Table) -> None:
        out, tally = self._out or sys.stderr, table.tally
        line = str(tally)
        if out.isatty():
            line = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps could not be written over
            out.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            tenth = tally.done * 10 // tally.total if tally.total else tally.done // 1000
            if tenth == self._last:
                return
            self._last = tenth
            out.write(f"{line}\n")
        out.flush()
