"""Keeps what a vendor's answer holds beside the fields that have a name here: log probabilities, citations, sound and the like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .reasoning_fields import REASONING_FIELDS
from .usage import rest_of_usage

_ANSWER = frozenset(("id", "object", "created", "choices", "data", "model", "system_fingerprint", "usage", "obfuscation"))
"""What is read elsewhere, or says nothing: OpenAI pads the pieces of a stream (``obfuscation``), so that their lengths tell nothing."""
_CHOICE = frozenset(("index", "delta", "message", "finish_reason", "logprobs"))
_MESSAGE = frozenset(("role", "content", "refusal", *REASONING_FIELDS, "tool_calls", "function_call", "parsed"))
_CALL = frozenset(("id", "type", "index", "function", "custom"))
_REPEATED = frozenset(("id", "type", "index", "format", "name", "role"))  # said again in each piece, not continued
_DEEPEST = 60  # levels of nesting that are kept


class VendorFields:
    """Joins the fields of all pieces of one answer: ``logprobs`` and ``raw``, as the answer in one piece would hold them.

    A message's texts and lists go on from piece to piece, a choice's lists too; what stands outside the choice is
    told anew each time.
    """

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._message: dict[str, Any] = {}

    def add(self, item: Mapping[str, Any], choice: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """Take one more piece: a whole answer or a chunk, its choice, and that choice's message or delta."""
        if not _ANSWER.issuperset(item):
            self._answer |= _kept(item, _ANSWER)
        if (usage := item.get("usage")) and (rest := rest_of_usage(usage)):
            self._answer |= _kept({"usage": rest}, ())
        if not _CHOICE.issuperset(choice):
            _join(self._choice, _kept(choice, _CHOICE), texts=False)
        if logprobs := choice.get("logprobs"):
            _join(self._choice, {"logprobs": _plain(logprobs)}, texts=False)
        if not _MESSAGE.issuperset(message):
            _join(self._message, _kept(message, _MESSAGE), texts=True)
        if isinstance(parts := message.get("content"), (list, tuple)):
            _join(self._message, _kept({"content": [p for p in parts if not _is_text(p)]}, ()), texts=True)

    def add_call(self, index: int, call: Mapping[str, Any]) -> None:
        """Take what a tool call holds beside its function (a signature that the vendor wants back)."""
        if rest := _kept(call, _CALL):
            _join(self._message, {"tool_calls": [{"index": index, **rest}]}, texts=True)

    @property
    def logprobs(self) -> Any:
        """The log probabilities in the vendor's shape, ``None`` where there are none."""
        return self._choice.get("logprobs")

    @property
    def raw(self) -> dict[str, Any]:
        """All other fields by name."""
        return {**self._answer, **{k: v for k, v in self._choice.items() if k != "logprobs"}, **self._message}


def _kept(fields: Mapping[str, Any], known: frozenset[str] | tuple[()]) -> dict[str, Any]:
    """The fields that say something and have no name here, as plain JSON."""
    return {str(k): plain for k, v in fields.items() if k not in known and not _is_empty(plain := _plain(v))}


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _is_text(part: Any) -> bool:
    known = ("text", "output_text", "thinking")
    return isinstance(part, Mapping) and part.get("type") in known and part.keys() <= {"type", "text", "thinking"}


def _plain(value: Any, levels: int = _DEEPEST) -> Any:
    """A new JSON value that a store can hold: numbers that JSON has no words for are null, other things their text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    if levels == 0:
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v, levels - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, levels - 1) for v in value]
    return str(value)


def _join(held: dict[str, Any], piece: Mapping[str, Any], *, texts: bool) -> None:
    """Let ``held`` go on with the next piece of it; ``texts`` says whether texts go on, too, or are told anew."""
    for name, value in piece.items():
        known = held.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _join(known, value, texts=texts)
        elif isinstance(known, list) and isinstance(value, list):
            _extend(known, value, texts=texts)
        elif texts and isinstance(known, str) and isinstance(value, str) and name not in _REPEATED:
            held[name] = known + value
        elif not _is_empty(value) or name not in held:
            held[name] = value


def _extend(held: list[Any], entries: list[Any], *, texts: bool) -> None:
    """Entries of the same ``index`` are one; they arrive one after the other."""
    for entry in entries:
        last = held[-1] if held else None
        if isinstance(entry, dict) and isinstance(last, dict) and entry.get("index") is not None and entry["index"] == last.get("index"):
            _join(last, entry, texts=texts)
        else:
            held.append(entry)
