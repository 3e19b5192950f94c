"""The embedded model's weights, fetched with a progress line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..text_format import format_progress


def fetch_weights() -> Path:
    """The embedded model's weights, fetched on first use with a progress line on standard error."""
    from ..providers import llamacpp_server, weights
    from ..settings.paths import cache_folder

    llamacpp_server.require()
    found = weights.find(cache_folder=cache_folder())
    if found is not None:
        return found
    try:
        return weights.fetch(cache_folder(), _progress_line)
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)


def _progress_line(message: str, done: int, total: int) -> None:
    end = "\r" if sys.stderr.isatty() else os.linesep
    if sys.stderr.isatty() or done in (0, total):
        print(format_progress(message, done, total), end=end, file=sys.stderr, flush=True)
