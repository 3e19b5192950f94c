"""Reads JSON out of an answer's text, and makes values fit for JSON."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from .errors import NoJSONError
from .json_spans import find_spans

_DEEPEST = 100  # levels of nesting
_CUT_HINT = "Raise max_tokens, or ask for a shorter answer."
_DECODER = json.JSONDecoder(strict=False)


def extract_json(text: str) -> Any:
    """The JSON value of an answer: its whole text, else its last code block of JSON, else its last object or array.

    Reasoning (``<think>``) is skipped, trailing commas are allowed, a citation (``[1]``) is no value where there
    is another. Raises ``NoJSONError`` where there is no value, so that "no JSON" differs from ``{}``, and where
    that value breaks off or cannot be read: no earlier one stands in for it.

    >>> extract_json('As [1] says: {"a": [1, 2,],}')
    {'a': [1, 2]}
    """
    return find_json(text)[1]


def find_json(text: str) -> tuple[str, Any]:
    """The value that ``extract_json`` finds, after the JSON that it was read from; raises ``NoJSONError`` as that does."""
    with contextlib.suppress(ValueError, RecursionError):
        return text, _DECODER.decode(text.strip())
    spans = find_spans(text)
    values = [span for span in spans if not span.is_citation] or spans
    for place in ("json", "text", "code"):
        for span in reversed([v for v in values if v.place == place]):
            if not span.closed:
                raise NoJSONError("the JSON value breaks off before its end", text=text, hint=_CUT_HINT)
            try:
                return span.source, _DECODER.decode(span.source)
            except (ValueError, RecursionError) as error:
                if place == "json" or span.source.startswith("{"):  # a list may be a mark in prose: [2, p. 5]
                    raise NoJSONError(f"the JSON value cannot be read: {error}", text=text) from error
    raise NoJSONError("the text holds no JSON value", text=text)


def plain_value(value: Any) -> Any:
    """The value with what JSON has other names for: numbers of numpy and ``decimal``, members of enums, keys that are numbers, tuples.

    What JSON cannot hold at all stays as it is, for whoever writes it to refuse.

    >>> from decimal import Decimal
    >>> plain_value({"bias": {50256: Decimal("-1.5")}, "stop": ("a", "b")})
    {'bias': {'50256': -1.5}, 'stop': ['a', 'b']}
    """
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, Enum):
        return plain_value(value.value)
    if isinstance(value, Mapping):
        return {str(plain_value(k)) if _is_number(k) else k: plain_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(v) for v in value]
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return plain_value(value.tolist())  # an array of numpy, or one number of it
    return value


def _is_number(key: Any) -> bool:
    return isinstance(key, (int, Decimal)) or hasattr(key, "dtype")


def sanitize_dict(value: Any) -> Any:
    r"""A value as plain JSON data: text without lone surrogates, keys as text, tuples as lists.

    Raises ``NoJSONError`` (a ``ValueError``) for what JSON cannot hold and for more than 100 levels.

    >>> sanitize_dict({"a": ("x\ud800", 1)})
    {'a': ['x', 1]}
    """
    return _sanitized(value, _DEEPEST)


def _sanitized(value: Any, levels: int) -> Any:
    if levels < 0:
        raise NoJSONError(f"the value is nested more than {_DEEPEST} levels deep")
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode("utf-8")
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {_sanitized(k if isinstance(k, str) else json.dumps(k), 0): _sanitized(v, levels - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sanitized(v, levels - 1) for v in value]
    raise NoJSONError(f"JSON cannot hold {value!r:.60} ({type(value).__name__})")
