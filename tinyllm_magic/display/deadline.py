"""How much work drawing one text may be: rendering looks at its ``Deadline`` after every step and gives up when it has passed.

The clock counts the processor's time of this thread, so that the same text is drawn alike on a busy machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..web_page import THREAD_CLOCK, runs_in_page

SECONDS = 2.5 if runs_in_page() else 0.5  # Python in a page takes some five times as long

Clock = Callable[[], float]


class TookTooLong(Exception):
    """A text could not be drawn in time, or not as a whole; it is shown as it was written."""


class Deadline:
    """A moment after which ``check`` raises ``TookTooLong``; ``clock`` tells seconds."""

    def __init__(self, clock: Clock = THREAD_CLOCK) -> None:
        self._clock = clock
        self._end = clock() + SECONDS
        self._earliest = time.monotonic() + SECONDS if clock is THREAD_CLOCK else -math.inf  # no thread has worked longer than it has lived

    @property
    def has_passed(self) -> bool:
        """Whether the moment is over."""
        return time.monotonic() > self._earliest and self._clock() > self._end  # the first look costs a tenth of the second

    def check(self) -> None:
        """Go on, or raise ``TookTooLong``."""
        if self.has_passed:
            raise TookTooLong
