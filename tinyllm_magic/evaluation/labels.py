"""What counts as the same answer: labels of answers and of what was expected, as text, normalised."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable
from typing import Any

Normaliser = Callable[[str], str]
_QUOTES = "\"'`“”‘’«»„*_"
_END = ".!,;:"


def normalise_text(text: str) -> str:
    """Text as it is compared: case, white space, quotes and marks around it, and a full stop at its end do not count.

    >>> normalise_text(' "Very   good." ')
    'very good'
    """
    found, before = re.sub(r"\s+", " ", text).strip().casefold(), ""
    while found != before:
        before, found = found, found.strip(_QUOTES).rstrip(_END).strip()
    return found


def write_label(value: Any, normalise: Normaliser | None = normalise_text) -> str | None:
    """A value as the text that is compared; ``None`` where there is none (also NaN). Whole numbers are the same as text and as number.

    >>> write_label(2.0), write_label("2"), write_label(True), write_label(float("nan"))
    ('2', '2', 'true', None)
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return str(bool(value)).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text if normalise is None else normalise(text)


def spell_label(value: Any) -> str:
    """A value as it is shown to people.

    >>> spell_label(" Europe"), spell_label(2.0)
    ('Europe', '2')
    """
    return (write_label(value, None) or "").strip()
