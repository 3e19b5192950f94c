"""Tells whether this Python runs inside a web page (Pyodide), where there is no other process, no engine and no key."""

from __future__ import annotations

import sys


def runs_in_page() -> bool:
    """Whether this Python was built for the browser."""
    return sys.platform == "emscripten"
