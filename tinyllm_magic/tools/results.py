"""Writes what a tool returned as the text that its model reads."""

from __future__ import annotations

import json
from typing import Any

from ..json_text import plain_value
from ..prompts.filters import table
from ..prompts.frames import read_frame

MOST_BYTES = 100_000
"""A longer result is cut, and says so."""
_MOST_ROWS = 1_000  # of a data frame: its last line counts the others


def write_result(value: Any) -> str:
    """The text of a result: a text itself, a data frame as a Markdown table, else JSON, else what ``str`` makes of it.

    >>> write_result({"city": "Ulm", "sizes": (1, 2)}), write_result("as it is"), write_result(None)
    ('{"city": "Ulm", "sizes": [1, 2]}', 'as it is', 'null')
    """
    return _cut(_write(value).encode("utf-8", "replace"))


def _write(value: Any) -> str:
    if isinstance(value, str):
        return value
    if read_frame(value) is not None:
        return table(value, _MOST_ROWS)
    from pydantic import TypeAdapter

    try:
        plain = TypeAdapter(Any).dump_python(value, mode="json", warnings=False, fallback=_to_plain)
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return str(value)


def _to_plain(value: Any) -> Any:
    plain = plain_value(value)
    if plain is value:
        raise TypeError(f"JSON has no word for {type(value).__name__}")
    return plain


def _cut(text: bytes) -> str:
    if len(text) <= MOST_BYTES:
        return text.decode()
    kept = text[:MOST_BYTES].decode(errors="ignore")
    return f"{kept}\n… cut: these are the first {MOST_BYTES // 1000} of {-(-len(text) // 1000):,} KB"
