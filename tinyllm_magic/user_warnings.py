"""Warnings that point at the user's own line, however deep in this package they arise."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from .redaction import clean_message

_MACHINERY = frozenset(("IPython", "ipykernel", "asyncio", "concurrent", "contextlib", "functools", "stamina", "tenacity", "threading"))
_OURS = __name__.partition(".")[0]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the user's line that led here: a cell must not show, and a notebook not save, where this package is installed.

    What the message quotes loses its secrets and control characters.
    """
    warnings.warn(clean_message(message), category, stacklevel=_level_of_user(sys._getframe()))  # noqa: SLF001  # Python has no other way to the callers


def _level_of_user(frame: FrameType | None) -> int:
    """Which frame, counted from 1, is the first of the user's; one beyond the last where there is none, as in a thread of ours."""
    level = 1
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in (_OURS, *_MACHINERY):
        frame, level = frame.f_back, level + 1
    return level
