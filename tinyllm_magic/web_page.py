"""Tells whether this Python runs inside a web page (Pyodide), where there is no other process, no engine and no key."""

from __future__ import annotations

import sys
import time

THREAD_CLOCK = getattr(time, "thread_time", time.process_time)
"""The processor's time of this thread, in seconds; in a page there is one thread, and one clock for it."""


ANSWERS_RECORDED = "this page answers only what was recorded"
"""What a reader is told where somebody who has a kernel of their own would be told of modes, keys and engines."""


def runs_in_page() -> bool:
    """Whether this Python was built for the browser."""
    return sys.platform == "emscripten"
