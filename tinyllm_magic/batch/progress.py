"""Writes how far a run has come as one line of text, in a terminal or in a log."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from .table import Table


class ProgressLine:
    """Writes how far a map has come: one line that is written over in a terminal, else a line every tenth.

    ``out`` is ``sys.stderr`` of the moment.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out
        self._last = -1
        self._width = 0

    def __call__(self, table: Table) -> None:
        """Show a state."""
        self._write(table)

    def close(self, table: Table) -> None:
        """Show the end, and end the line."""
        self._write(table)
        out = self._out or sys.stderr
        if self._width and out.isatty():
            out.write("\n")
            out.flush()
        self._width = 0

    def _write(self, table: Table) -> None:
        out, progress = self._out or sys.stderr, table.progress
        line = str(progress)
        if out.isatty():
            line = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps could not be written over
            out.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            tenth = progress.done * 10 // progress.total if progress.total else progress.done // 1000
            if tenth == self._last:
                return
            self._last = tenth
            out.write(f"{line}\n")
        out.flush()
