"""Turns a ``Record`` into one line of a store and back; what is read is checked, for anybody may have written it."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypedDict

from ..errors import MessageError
from ..interrupts import hold_interrupts
from ..messages import KEY_VERSION, Message, key_of
from ..redaction import secrets, to_utf8
from ..responses import Answer, Record, ToolCall, Usage

FORMAT = "tinyllm_magic store"
VERSION = 1
LONGEST_LINE = 32 * 2**20
DEEPEST = 200
RECORD_START = b'{"key":"'
_REQUEST = b',"request":'
HEADER_START = b'{"format":"' + FORMAT.encode() + b'"'
MARKER = re.compile(rb"(<{7}|={7}|>{7}|\|{7})([ \t][^\n]*)?\r?\n?")
_LONGEST_NUMBER = 20  # digits
_DIGITS, _LONG_NUMBER = bytes.maketrans(b"123456789", b"0" * 9), b"0" * (_LONGEST_NUMBER + 1)
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LOADING = threading.Lock()
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Damaged(ValueError):
    """A line that is no record: its text says what is wrong with it."""


def dump(value: Mapping[str, Any]) -> bytes:
    """One line of compact JSON with its line feed; raises ``Damaged`` for what JSON cannot hold."""
    try:
        return to_utf8(_ENCODER.encode(value)) + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"JSON cannot hold it ({error})") from error


def header_line(facts: Mapping[str, Any]) -> bytes:
    """The first line of a store: format, version and facts such as the model."""
    return dump({"format": FORMAT, "version": VERSION, **{k: facts[k] for k in sorted(facts)}})


_FIELDS = {kind: tuple((f.name, f.default) for f in fields(kind)) for kind in (Answer, ToolCall, Usage)}


def _set_fields(value: Answer | ToolCall | Usage) -> dict[str, Any]:
    """The fields of a value that differ from their defaults."""
    found = {}
    for name, default in _FIELDS[type(value)]:
        given = getattr(value, name)
        if given is not default and given != default:  # what has no default is never equal to its mark
            found[name] = given
    return found


def encode(record: Record) -> bytes:
    """The line of a record, its key first; raises ``Damaged`` for values that JSON cannot hold (NaN)."""
    answer = _set_fields(record.answer)
    if record.answer.tool_calls:
        answer["tool_calls"] = [_set_fields(c) for c in record.answer.tool_calls]
    if record.answer.usage is not None:
        answer["usage"] = _set_fields(record.answer.usage)
    return dump(
        {
            "key": record.key,
            "request": record.request,
            "answer": answer,
            "created": record.created,
            "duration": record.duration,
            "cost": record.cost,
            "version": record.version,
            **({"thumbnails": dict(record.thumbnails)} if record.thumbnails else {}),
        }
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Damaged("an object names a key twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise Damaged(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Damaged("a number that is not finite")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_finite, parse_constant=_finite)


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        level = [c for v in level if isinstance(v, (dict, list)) for c in (v.values() if isinstance(v, dict) else v)]
    return depth


def parse(line: bytes) -> dict[str, Any]:
    """The JSON object of one line; raises ``Damaged``, and nothing else, for all that is not one."""
    if len(line) > LONGEST_LINE:
        raise Damaged(f"longer than {LONGEST_LINE >> 20} MB")
    try:
        text = line.removeprefix(_BOM).decode()
        value = _DECODER.decode(text)
    except Damaged:
        raise
    except UnicodeDecodeError as error:
        raise Damaged("not UTF-8") from error
    except RecursionError as error:
        raise Damaged("nested too deeply") from error
    except ValueError as error:
        raise Damaged("not JSON") from error
    if not isinstance(value, dict):
        raise Damaged(f"not an object but {type(value).__name__}")
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise Damaged("nested too deeply")
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Damaged("half of a surrogate pair") from error
    return value


class _Request(TypedDict, total=False):
    """The parts of a canonical request that readers lean on."""

    kind: str
    provider: str
    model: str
    params: dict[str, Any]
    messages: list[dict[str, Any]]


@cache
def _load_msgspec() -> Any:
    """The library msgspec: its import takes 40 ms, for which loading the extension need not wait.

    What it knows of a class it builds at the first use, and does not lock: an interrupt, or a second thread, that
    comes in between would end the process.
    """
    with hold_interrupts(), _LOADING:
        import msgspec

        for kind in (Record, _Request):
            msgspec.json.Decoder(kind)
        return msgspec


def _parse_own(msgspec: Any, line: bytes) -> dict[str, Any] | None:
    """The object of a line that is spelt as we spell it; ``None`` where ``parse`` has to look at it.

    What comes out of writing it again as it was has no name twice in an object, no float that is not finite, nothing
    escaped that need not be and nothing around it.
    """
    try:
        line.decode()
        value = msgspec.json.decode(line)
        return value if type(value) is dict and msgspec.json.encode(value) == line.removesuffix(b"\n") else None
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _parse_asked(msgspec: Any, line: bytes, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The object of a line of ours that answers just this request, whose text need not be read then; ``None`` for any other line."""
    start = line.find(b'"', len(RECORD_START)) + 1  # behind the key
    try:
        request = _REQUEST + msgspec.json.encode(asked)
    except (ValueError, TypeError, RecursionError):
        return None
    if not (line.startswith(RECORD_START) and line.startswith(request, start)):
        return None
    value = _parse_own(msgspec, line[:start] + line[start + len(request) :])
    return None if value is None or "request" in value else {**value, "request": asked}


def _is_usual(line: bytes) -> bool:
    """Whether a line is no longer, no deeper and has no more digits in a row than readers take."""
    return len(line) <= LONGEST_LINE and line.count(b"{") + line.count(b"[") <= DEEPEST and _LONG_NUMBER not in line.translate(_DIGITS)


def decode(line: bytes, asked: Mapping[str, Any] | None = None) -> Record:
    """The record of one line, every field of its type; raises ``Damaged``.

    ``asked`` is a whole canonical request: a record of just that one need not be looked at any closer.
    """
    msgspec = _load_msgspec()
    value = None
    if _is_usual(line):
        value = (None if asked is None else _parse_asked(msgspec, line, asked)) or _parse_own(msgspec, line)
    value = value or parse(line)
    try:
        record: Record = msgspec.convert(value, Record)
        if asked is not None and (value["request"] is asked or record.request == asked):
            return _demand_counts(record)
        request = msgspec.convert(record.request, _Request)
    except msgspec.ValidationError as error:
        raise Damaged(str(error)) from error
    for message in request.get("messages", ()):
        try:
            Message.of({**message, "content": message.get("content") or ""})
        except (MessageError, TypeError) as error:
            raise Damaged("a message that none could have sent") from error
    return _demand_counts(record)


def _demand_counts(record: Record) -> Record:
    """The record; raises ``Damaged`` where it counts what there cannot be."""
    usage = record.answer.usage or Usage()
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)
    if min(record.duration, record.cost or 0, *counts) < 0:
        raise Damaged("a duration, cost or count of tokens below 0")
    return record


def find_objects(line: bytes) -> list[tuple[int, int]]:
    """Offset and length of the whole objects in a line that has lost a line feed to damage."""
    starts = [0, *(m.start() for m in re.finditer(re.escape(RECORD_START), line) if m.start())]
    found = []
    for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
        for length in (end - start, end - start - 1):  # the last byte is what the line feed has become
            try:
                parse(line[start : start + length])
            except Damaged:
                continue
            found.append((start, length))
            break
    return found


def is_genuine(record: Record) -> bool:
    """Whether the key is the digest of the request; keys of another version cannot be told, and pass."""
    if not record.key.startswith(f"{KEY_VERSION}:"):
        return True
    try:
        return key_of(record.request) == record.key
    except (MessageError, RecursionError):
        return False


def mask_secrets(line: bytes) -> bytes:
    """A damaged line without the values of secrets."""
    for value, name in secrets().items():
        line = line.replace(value.encode(), f"<{name}>".encode())
    return line


def normalize(line: bytes) -> bytes:
    """The line of a whole record as it is, but its key first and one line feed behind it."""
    if not line.startswith(RECORD_START):
        value = parse(line)
        line = dump({"key": value.pop("key"), **value})
    return line.rstrip(b"\r\n") + b"\n"
