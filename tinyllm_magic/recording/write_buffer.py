"""Keeps lines that threads have recorded until one write takes all of them along.

Taking a file's lock, opening the file and closing it cost eight times what encoding the line does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

_MOST = 16  # lines that wait: so many answers a killed process may lose
_LONGEST = 0.05  # seconds between two writes while lines come in

Write = Callable[[Mapping[str, bytes]], None]


class WriteBuffer:
    """Lines by key that wait to be written; ``write`` gets all of them, and is never called twice at a time."""

    def __init__(self, write: Write) -> None:
        self.waiting: dict[str, bytes] = {}
        self._write = write
        self._writing = threading.Lock()
        self._written = 0.0

    @property
    def are_due(self) -> bool:
        """Whether so many lines wait, or one may wait so long, that they should be written now."""
        return len(self.waiting) >= _MOST or time.monotonic() - self._written > _LONGEST

    def flush(self, *, wait: bool = True) -> None:
        """Write what waits, and return when it is written, whoever does it; raises what ``write`` raises.

        With ``wait=False`` it returns at once where another thread is writing: what waits is due again after that.
        """
        if not wait and self._writing.locked():
            return
        with self._writing:  # and no acquire() of our own: an interrupt between that and its try would leave the lock held
            self._write_all()

    def _write_all(self) -> None:
        lines = self.waiting.copy()
        if not lines:
            return
        self._written = time.monotonic()
        try:
            self._write(lines)
        except Exception:
            self._discard(lines)  # what cannot be written is not tried again with the next line
            raise
        self._discard(lines)  # but an interrupt leaves them waiting: to be written twice does no harm

    def _discard(self, lines: Mapping[str, bytes]) -> None:
        for key, line in lines.items():
            if self.waiting.get(key) is line:
                del self.waiting[key]
