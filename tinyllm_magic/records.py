"""A ``Record`` in, one line of a store out, and back: the format of recorded answers, read with suspicion.

Knows the header, what a line may hold, conflict markers, and how a secret looks in JSON.
Does not know files, locks, modes or providers.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from .answers import Answer, Record, ToolCall, Usage
from .errors import MessageError
from .messages import KEY_VERSION, Message, key_of

FORMAT = "tinyllm_magic store"
VERSION = 1
LONGEST_LINE = 32 * 2**20
DEEPEST = 200
RECORD_START = b'{"key":"'
HEADER_START = b'{"format":"' + FORMAT.encode() + b'"'
MARKER = re.compile(rb"(<{7}|={7}|>{7}|\|{7})([ \t][^\n]*)?\r?\n?")
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_COMMON = frozenset(
    (
        *("password", "password1", "passw0rd", "changeme", "changeit", "placeholder", "undefined", "disabled", "required", "optional"),
        *("12345678", "123456789", "1234567890", "00000000", "not-needed", "not_needed", "no-key-required", "your-api-key"),
        *("anything", "something", "username", "timestamp", "primary_key"),
    )
)
_GUARDED: dict[str, str] = {}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Damaged(ValueError):
    """A line that is no record: its text says what is wrong with it."""


def _utf8(text: str) -> bytes:
    """UTF-8; halves of a surrogate pair are joined, lone ones become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def dump(value: Mapping[str, Any]) -> bytes:
    """One line of compact JSON with its line feed; raises ``Damaged`` for what JSON cannot hold."""
    try:
        return _utf8(_ENCODER.encode(value)) + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"JSON cannot hold it ({error})") from error


def header_line(facts: Mapping[str, Any]) -> bytes:
    """The first line of a store: format, version and facts such as the model."""
    return dump({"format": FORMAT, "version": VERSION, **{k: facts[k] for k in sorted(facts)}})


def _set_fields(value: Any) -> dict[str, Any]:
    """The fields of a flat dataclass that differ from their defaults."""
    named = {f.name: (getattr(value, f.name), f.default) for f in fields(value)}
    return {name: given for name, (given, default) in named.items() if default is MISSING or given != default}


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
        }
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Damaged("an object names a key twice")
    return found


def _integer(text: str) -> int:
    if len(text) > 20:
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


def _get(source: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """A field of this very type (an integer is no boolean), or the default where it is absent."""
    if name not in source:
        return default
    value = source[name]
    if value is None and default is None:
        return None
    if type(value) is not kind:
        raise Damaged(f"'{name}' is {type(value).__name__} instead of {kind.__name__}")
    return value


def _amount(source: Mapping[str, Any], name: str, default: float | None) -> float | None:
    value = source.get(name, default)
    if value is None and default is None:
        return None
    if type(value) not in (int, float) or value < 0:
        raise Damaged(f"'{name}' is no amount")
    return float(value)


def _items(source: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    values: list[Any] = _get(source, name, list, [])
    for value in values:
        if type(value) is not kind:
            raise Damaged(f"'{name}' holds {type(value).__name__} instead of {kind.__name__}")
    return values


def _usage(source: Mapping[str, Any] | None) -> Usage | None:
    if source is None:
        return None
    names = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    counts = {n: _get(source, n, int, 0) for n in names}
    if min(counts.values()) < 0:
        raise Damaged("a count of tokens below 0")
    return Usage(**counts, estimated=_get(source, "estimated", bool, False))


def _vector(values: list[Any]) -> tuple[float, ...]:
    if not all(type(v) in (float, int) for v in values):
        raise Damaged("an embedding that is not of numbers")
    return tuple(map(float, values))


def _answer(source: Mapping[str, Any]) -> Answer:
    texts = {n: _get(source, n, str, None) for n in ("text", "finish_reason", "model", "fingerprint")}
    calls = [ToolCall(*(_get(c, n, str, "") for n in ("id", "name", "arguments"))) for c in _items(source, "tool_calls", dict)]
    return Answer(
        **texts,
        tool_calls=tuple(calls),
        usage=_usage(_get(source, "usage", dict, None)),
        reasoning=_get(source, "reasoning", str, ""),
        refusal=_get(source, "refusal", str, ""),
        notes=tuple(_items(source, "notes", str)),
        embeddings=tuple(_vector(v) for v in _items(source, "embeddings", list)),
    )


def _request(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request as it is, once the parts that readers lean on have the types they expect."""
    for name in ("kind", "provider", "model"):
        _get(source, name, str, "")
    _get(source, "params", dict, {})
    for message in _items(source, "messages", dict):
        try:
            Message.of({**message, "content": message.get("content") or ""})
        except (MessageError, TypeError) as error:
            raise Damaged("a message that none could have sent") from error
    return source


def decode(line: bytes) -> Record:
    """The record of one line, every field of its type; raises ``Damaged``."""
    value = parse(line)
    for name, kind in (("key", str), ("request", dict), ("answer", dict)):
        if type(value.get(name)) is not kind:
            raise Damaged(f"no '{name}'")
    return Record(
        key=value["key"],
        request=_request(value["request"]),
        answer=_answer(value["answer"]),
        created=_get(value, "created", str, ""),
        duration=_amount(value, "duration", 0.0) or 0.0,
        cost=_amount(value, "cost", None),
        version=_get(value, "version", str, ""),
    )


def parts(line: bytes) -> list[tuple[int, int]]:
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


def guard(name: str, value: str) -> None:
    """Take a value for a secret as long as this process lives: a key in use that no secret-looking variable holds."""
    _GUARDED[name] = value


def secrets(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Names and values of secret-looking environment variables and of keys in use: of 8 characters or more, no everyday word."""
    known, environ = (_GUARDED, os.environ) if environ is None else ({}, environ)
    named = known | {n: environ.get(n, "").strip() for n in environ if n.upper().endswith(_SECRET_NAMES)}
    return {n: v for n, v in named.items() if len(v) >= 8 and v.casefold() not in _COMMON}


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])


def leak(line: bytes, environ: Mapping[str, str] | None = None) -> str | None:
    """The name of the secret whose value stands in a line, in any JSON spelling, also in JSON within JSON."""
    wanted = secrets(environ)
    if not wanted:
        return None
    text = line.decode()
    for _ in range(4):
        for name, value in wanted.items():
            if value in text:
                return name
        if "\\" not in text:
            break
        text = _utf8(_ESCAPE.sub(_unescape, text)).decode()
    return None


def mask(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with the values of secrets replaced by their names."""
    for name, value in secrets(environ).items():
        text = text.replace(value, f"<{name}>")
    return text


def mask_html(page: str) -> str:
    """A page with the values of secrets replaced by their names."""
    for name, value in secrets().items():
        for spelling in {value, html.escape(value), html.escape(value, quote=False)}:
            page = page.replace(spelling, f"&lt;{html.escape(name)}&gt;")
    return page


def hidden(line: bytes) -> bytes:
    """A damaged line without the values of secrets."""
    for name, value in secrets().items():
        line = line.replace(value.encode(), f"<{name}>".encode())
    return line


def tidied(line: bytes) -> bytes:
    """The line of a whole record as it is, but its key first and one line feed behind it."""
    if not line.startswith(RECORD_START):
        value = parse(line)
        line = dump({"key": value.pop("key"), **value})
    return line.rstrip(b"\r\n") + b"\n"
