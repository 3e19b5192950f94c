"""Requests in, parameters of the chat API out; whatever a server answered in, chunks out.

Knows the wire's many dialects: streams, whole answers, plain dicts, odd tool calls, embeddings.
Does not know clients, keys, time limits or the SDK's classes.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..answers import Chunk, ToolPiece, Usage
from ..errors import BadResponseError
from ..messages import Request
from .failures import from_body, unreadable

# Parameters that every supported version of the SDK takes by name; a test compares both lists with the SDK.
_NAMED = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "store",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    ]
)
# Later ones travel in the body, so that an older SDK does not refuse them.
_LATER = frozenset(
    [
        "moderation",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "verbosity",
        "web_search_options",
    ]
)
_TRANSPORT = frozenset(("extra_headers", "extra_query"))
PARAMETERS = _NAMED | _LATER | {"extra_body"}


def known_params() -> frozenset[str]:
    """Names of the chat parameters that the SDK knows (without importing it); others are sent as they are."""
    return _NAMED | _LATER


def chat_params(request: Request, *, stream: bool) -> dict[str, Any]:
    """Keyword arguments for ``client.chat.completions.create``, fresh copies for each call.

    Parameters that the SDK does not know go into ``extra_body``, and so to the server as they are.
    """
    params: dict[str, Any] = {"model": request.model, "messages": [m.to_dict() for m in request.messages]}
    extra: dict[str, Any] = {}
    for name, value in request.params.items():
        if value is None or name in ("stream", "stream_options", "extra_body"):
            continue
        (params if name in _NAMED or name in _TRANSPORT else extra)[name] = value
    extra |= request.params.get("extra_body") or {}
    if request.tools:
        params["tools"] = list(request.tools)
    if request.response_format is not None:
        params["response_format"] = request.response_format
    if stream:
        params["stream"] = True
        params["stream_options"] = {**(request.params.get("stream_options") or {}), "include_usage": True}
    if extra:
        params["extra_body"] = extra
    return copy.deepcopy(params)


def to_chunks(raw: Any) -> Iterator[Chunk]:
    """Chunks of a raw answer as they arrive; closes it at the end, whatever the end is.

    Takes an SDK stream, any other iterator of chunks or texts, a ``ChatCompletion``, an embeddings
    answer, plain dicts in these shapes, a message dict, or text. Raises ``BadResponseError`` where
    there is no choice or no finish reason.
    """
    try:
        opened = _opened(raw)
        if isinstance(opened, str):
            yield Chunk(text=opened, finish_reason="stop")
        elif isinstance(opened, Mapping) or any(hasattr(opened, n) for n in ("choices", "data", "role")):
            yield _whole(opened)
        elif isinstance(opened, Iterable):
            yield from _streamed(opened)
        else:
            raise BadResponseError(f"the transport returned {type(opened).__name__}, which is no answer of a chat API")
    finally:
        close = getattr(raw, "close", None)
        if callable(close):
            close()


def with_facts(message: Any, raw: Any) -> dict[str, Any]:
    """A whole answer from a message that was taken out of ``raw``, with the facts that ``raw`` tells."""
    if isinstance(message, str):
        message = {"role": "assistant", "content": message}
    choices = _get(raw, "choices")
    finish = _get(choices[0], "finish_reason") if choices else None
    facts = {name: _get(raw, name) for name in ("usage", "model", "system_fingerprint")}
    return {"choices": [{"message": message, "finish_reason": finish or _finish_of(message)}], **facts}


def _opened(raw: Any) -> Any:
    """The raw answer; where a stream was asked for and the body is one JSON value, that value."""
    response = getattr(raw, "response", None)
    headers = getattr(response, "headers", None)
    if response is None or headers is None or "event-stream" in headers.get("content-type", ""):
        return raw
    response.read()
    text = response.text
    if text.lstrip()[:1] == "{":
        return json.loads(text)
    if re.search(r"^data:", text, re.MULTILINE):  # a stream under a wrong name: the SDK reads it from memory
        return raw
    raise unreadable(text)


def _get(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    extra = getattr(value, "__pydantic_extra__", None)  # a missing attribute of an SDK object costs ten times as much
    if extra is None:
        return getattr(value, name, None)
    return vars(value).get(name, extra.get(name))


def _whole(raw: Any) -> Chunk:
    choices = _get(raw, "choices")
    if choices:
        chunk = _Reader().chunk(raw)
        if chunk.finish_reason is None:
            raise BadResponseError("the answer has no finish reason")
        return chunk
    if _get(raw, "error"):
        raise from_body({"error": _get(raw, "error")})
    if choices is None and (_get(raw, "data") or _get(raw, "object") == "list"):
        return _embeddings(raw)
    if choices is None and _get(raw, "role"):
        return _Reader().chunk({"choices": [{"message": raw, "finish_reason": _finish_of(raw)}]})
    if choices is not None:
        raise BadResponseError("the answer holds no choice")
    plain = raw if isinstance(raw, Mapping) else raw.to_dict() if hasattr(raw, "to_dict") else str(raw)  # the body, not the SDK's repr
    raise unreadable(json.dumps(plain, default=str))


def _finish_of(message: Any) -> str:
    return "tool_calls" if _get(message, "tool_calls") else "stop"


def _streamed(items: Iterable[Any]) -> Iterator[Chunk]:
    reader = _Reader()
    for item in items:
        if isinstance(item, (Chunk, str)):
            chunk = Chunk(text=item) if isinstance(item, str) else item
            reader.texts_only = reader.texts_only and isinstance(item, str)
        else:
            reader.texts_only = False
            chunk = reader.chunk(item)
        reader.met = True
        reader.finished = reader.finished or chunk.finish_reason is not None
        yield chunk
    if reader.finished:
        return
    if not (reader.met and reader.texts_only):
        raise BadResponseError("the stream ended before the answer was finished" if reader.met else "the stream held no answer")
    yield Chunk(finish_reason="stop")


class _Reader:
    """Reads chunks of one answer; remembers tool calls, because servers number and name them differently."""

    def __init__(self) -> None:
        self.met = self.finished = False
        self.texts_only = True
        self._calls: list[tuple[int, str, str]] = []  # the server's index, id, name

    def chunk(self, item: Any) -> Chunk:
        """One piece (or a whole answer) as a chunk; a piece without choices may carry the usage."""
        if _get(item, "error"):
            raise from_body({"error": _get(item, "error")})
        choice = next((c for c in _get(item, "choices") or () if not _get(c, "index")), None)
        said = _get(choice, "delta") or _get(choice, "message")
        text, thought = _content(_get(said, "content"))
        return Chunk(
            text=text,
            reasoning=thought or _text(_get(said, "reasoning_content")) or _text(_get(said, "reasoning")),
            refusal=_text(_get(said, "refusal")),
            tool_pieces=self._pieces(said),
            finish_reason=_get(choice, "finish_reason") or None,
            usage=_usage(_get(item, "usage")),
            model=_get(item, "model") or None,
            fingerprint=_get(item, "system_fingerprint") or None,
        )

    def _pieces(self, said: Any) -> tuple[ToolPiece, ...]:
        calls = _get(said, "tool_calls")
        if not calls:
            legacy = _get(said, "function_call")
            calls = [{"index": 0, "function": legacy}] if legacy else ()
        return tuple(self._piece(position, call) for position, call in enumerate(calls))

    def _piece(self, position: int, call: Any) -> ToolPiece:
        function = _get(call, "function") or _get(call, "custom")
        arguments = _get(function, "arguments")
        if arguments is None:
            arguments = _get(function, "input")
        call_id, name = _text(_get(call, "id")), _text(_get(function, "name"))
        slot = self._slot(_get(call, "index"), position, call_id, name)
        index, known_id, known_name = self._calls[slot]
        fresh = "" if name == known_name else name  # some servers repeat the name in every piece
        self._calls[slot] = (index, known_id or call_id, known_name + fresh)
        text = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
        return ToolPiece(slot, call_id, fresh, text)

    def _slot(self, index: int | None, position: int, call_id: str, name: str) -> int:
        """The place of a piece's call; a new one where the id changes under one index, or no index tells them apart."""
        number = position if index is None else index
        for slot in range(len(self._calls) - 1, -1, -1):
            known, known_id, known_name = self._calls[slot]
            other = (call_id and known_id and call_id != known_id) or (index is None and name and known_name and not call_id)
            if known == number and not other:
                return slot
        self._calls.append((number, "", ""))
        return len(self._calls) - 1


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _content(content: Any) -> tuple[str | None, str]:
    """Text and reasoning of a content that is text, nothing, or a list of parts."""
    if content is None or isinstance(content, str):
        return content, ""
    if not isinstance(content, Iterable):
        raise unreadable(repr(content))
    text, thought = "", ""
    for part in content:
        thinking = _get(part, "thinking")
        if thinking:
            thought += thinking if isinstance(thinking, str) else _content(thinking)[0] or ""
        else:
            text += _text(_get(part, "text"))
    return text, thought


def _usage(usage: Any) -> Usage | None:
    if not usage:
        return None

    def count(holder: Any, name: str) -> int:
        value = _get(holder, name)
        return int(value) if isinstance(value, (int, float)) else 0

    cached = count(_get(usage, "prompt_tokens_details"), "cached_tokens") or count(usage, "prompt_cache_hit_tokens")
    reasoning = count(_get(usage, "completion_tokens_details"), "reasoning_tokens")
    return Usage(count(usage, "prompt_tokens"), count(usage, "completion_tokens"), cached, reasoning)


def _embeddings(raw: Any) -> Chunk:
    rows = sorted(_get(raw, "data") or (), key=lambda row: _get(row, "index") or 0)
    vectors = [_get(row, "embedding") for row in rows]
    if not vectors or not all(isinstance(v, (list, tuple)) for v in vectors):
        raise BadResponseError("the answer holds no embeddings")
    model = _get(raw, "model") or None
    return Chunk(
        embeddings=tuple(tuple(map(float, v)) for v in vectors), finish_reason="stop", usage=_usage(_get(raw, "usage")), model=model
    )
