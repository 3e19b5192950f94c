"""The wire format of chat completions: requests become its parameters, answers of many shapes become chunks.

Reads streams, answers in one piece, plain dicts, odd tool calls and embeddings, without the classes of the SDK.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import BadResponseError
from ..messages import Request
from ..responses import Chunk, ToolPiece, Usage
from .openai_errors import from_body, no_answer, unreadable
from .reasoning_fields import ReasoningReader, get_field, split_content
from .sse import read_events
from .think_tags import ThinkSplitter
from .usage import read_usage
from .vendor_fields import VendorFields

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
_OWN_STREAMS = ("openai", __name__.partition(".")[0])
_DONE: Any = object()
_FIRST = (None, 0, "0")
_VARYING: Mapping[str, Any] = {"choices": None, "obfuscation": None}  # what each piece of a stream has of its own
_TEXT_ALONE = frozenset(("content", "role"))
_PLAIN_CHOICE = frozenset(("index", "delta", "finish_reason", "logprobs"))
_NO_REASON = "the stream ended without a finish reason"


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
    copied: dict[str, Any] = _copy_json(params)
    return copied


def _copy_json(value: Any) -> Any:
    """What ``copy.deepcopy`` makes of plain JSON, in a tenth of the time."""
    kind = type(value)
    if kind is dict:
        return {name: _copy_json(v) for name, v in value.items()}
    if kind is list:
        return list(map(_copy_json, value))
    return value if kind is str or kind is int or kind is float or kind is bool or value is None else copy.deepcopy(value)


def to_chunks(raw: Any) -> Iterator[Chunk]:
    """Chunks of a raw answer as they arrive; closes it at the end, whatever the end is.

    Takes an SDK stream, any other iterator of chunks or texts, a ``ChatCompletion``, an embeddings
    answer, plain dicts in these shapes, a message dict, or text. Raises ``BadResponseError`` where
    there is no choice, or neither a finish reason nor the mark of a stream's end.
    """
    try:
        opened = open_answer(raw)
        if isinstance(opened, str):
            yield _Reader().piece(opened, "stop")
        elif isinstance(opened, Mapping) or any(hasattr(opened, n) for n in ("choices", "data", "role")):
            yield from _whole(opened)
        elif isinstance(opened, Iterable):
            yield from _streamed(opened)
        else:
            raise BadResponseError(f"the transport returned {type(opened).__name__}, which is no answer of a chat API")
    finally:
        close = getattr(raw, "close", None)
        if callable(close):
            close()


def read_text(text: str) -> Any:
    """The answer in a body that came as text: one JSON object, or a stream under a wrong name; raises ``BadResponseError``."""
    bare = text.lstrip("\ufeff \t\r\n")
    if bare.startswith(("{", "[")):
        return _parsed(bare)
    if re.search(r"^(?:data|event):", bare, re.MULTILINE):
        return _events([bare.encode()])
    raise unreadable(text)


def with_facts(message: Any, raw: Any) -> dict[str, Any]:
    """A whole answer from a message that was taken out of ``raw``, with all that ``raw`` tells beside the message."""
    if isinstance(message, str):
        message = {"role": "assistant", "content": message}
    choices = get_field(raw, "choices")
    finish = get_field(choices[0], "finish_reason") if choices else None
    choice = {**(_fields(choices[0]) if choices else {}), "message": message, "finish_reason": finish or _finish_of(message)}
    facts = {name: get_field(raw, name) for name in ("usage", "model", "system_fingerprint")}
    return {**facts, **_fields(raw), "choices": [choice]}


def open_answer(raw: Any) -> Any:
    """The raw answer; of an SDK stream its events or, where a stream was asked for and the body is one JSON value, that value."""
    response = getattr(raw, "response", None)
    headers = getattr(response, "headers", None)
    if response is None or headers is None:
        return raw
    if "event-stream" not in headers.get("content-type", ""):
        response.read()
        return read_text(response.text)
    if type(raw).__module__.partition(".")[0] not in _OWN_STREAMS:  # a tracer's stream sees what it yields
        return raw
    return _events(response.iter_bytes(), getattr(response, "drain", None))


def _events(parts: Iterable[bytes], drain: Callable[[], None] | None = None) -> Iterator[Any]:
    """The chunks of a stream, then ``_DONE`` where it says that it is complete; ``drain`` reads what may follow, so that it can be kept."""
    for name, data in read_events(parts):
        if data.strip() == "[DONE]":
            yield _DONE
            if drain is not None:
                drain()
            return
        if name == "error":
            raise from_body(_parsed(data) if data.lstrip().startswith(("{", "[")) else data)
        yield _parsed(data)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(text) from error
    if isinstance(value, list) and value:  # so some send an error
        value = value[0]
    if not isinstance(value, dict):
        raise unreadable(text)
    return value


def _fields(value: Any) -> Mapping[str, Any]:
    """The fields of a mapping or of an SDK object that were sent; nothing of anything else."""
    if type(value) is dict or isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    fields = dump(exclude_unset=True, by_alias=True, warnings=False) if callable(dump) else None
    return fields if isinstance(fields, Mapping) else {}


def _whole(raw: Any) -> Iterator[Chunk]:
    raw = _fields(raw) or raw
    choices = get_field(raw, "choices")
    if choices:
        reader = _Reader()
        chunk = reader.chunk(raw)
        if chunk.finish_reason is None:
            raise BadResponseError("the answer has no finish reason")
        yield chunk
        yield from reader.rest()
    elif get_field(raw, "error"):
        raise from_body({"error": get_field(raw, "error")})
    elif choices is None and (get_field(raw, "data") or get_field(raw, "object") == "list"):
        yield _embeddings(raw)
    elif choices is None and get_field(raw, "role"):
        yield from _whole({"choices": [{"message": raw, "finish_reason": _finish_of(raw)}]})
    elif choices is not None:
        raise BadResponseError("the answer holds no choice")
    else:
        raise no_answer(raw) if isinstance(raw, Mapping) else unreadable(str(raw))


def _finish_of(message: Any) -> str:
    return "tool_calls" if get_field(message, "tool_calls") else "stop"


def _streamed(items: Iterable[Any]) -> Iterator[Chunk]:
    reader = _Reader()
    met, done, texts_only = False, False, True
    try:
        for item in items:
            if item is _DONE:
                done = True
                continue
            met, texts_only = True, texts_only and isinstance(item, str)
            yield reader.note(item if isinstance(item, Chunk) else reader.piece(item) if isinstance(item, str) else reader.chunk(item))
    except Exception:
        if not reader.finished:
            raise  # else the answer is complete; only its tail (token counts) is lost
    if not reader.finished:
        yield reader.note(reader.piece(None, "stop" if met and texts_only else None, ended=True))
    if not reader.finished:
        if done and reader.says_something:
            yield Chunk(done=True, note=_NO_REASON)
        else:
            if reader.strange:
                raise no_answer(reader.strange)
            raise BadResponseError("the stream ended before the answer was finished" if met else "the stream held no answer")
    yield from reader.rest()


class _Frame(NamedTuple):
    """A piece and its choice without what the next one has of its own, and the chunk that it was read as."""

    item: dict[str, Any]
    choice: dict[str, Any]
    chunk: Chunk


class _Reader:
    """Reads chunks of one answer; remembers tool calls, because servers number and name them differently."""

    def __init__(self) -> None:
        self.finished = self.says_something = False
        self.strange: Mapping[str, Any] = {}
        """An object that came instead of a piece of the answer."""
        self._calls: list[tuple[int, str, str]] = []  # the server's index, id, name
        self._others = VendorFields()
        self._think = ThinkSplitter()
        self._reasoning = ReasoningReader()
        self._frame: _Frame | None = None

    def piece(self, piece: str | None, finish: str | None = None, *, ended: bool = False) -> Chunk:
        """A piece of the answer's text, without the reasoning that stands in front of it."""
        text, thought = self._split(piece, is_last=bool(finish) or ended)
        return Chunk(text=text, reasoning=thought, finish_reason=finish)

    def _split(self, piece: str | None, *, is_last: bool) -> tuple[str | None, str]:
        """Text and reasoning of a piece."""
        text, thought = (None, "") if piece is None else self._think.feed(piece)
        if is_last:
            more, last = self._think.close()
            text, thought = (text or "") + more if more else text, thought + last
        return text, thought

    def note(self, chunk: Chunk) -> Chunk:
        """Remember how far the answer has come."""
        self.finished = self.finished or chunk.is_last
        self.says_something = self.says_something or bool(chunk.text or chunk.reasoning or chunk.refusal or chunk.tool_pieces)
        return chunk

    def chunk(self, item: Any) -> Chunk:
        """One piece (or a whole answer) as a chunk; a piece without choices may carry the usage."""
        if self._frame is not None and (content := _read_text_alone(item, self._frame)) is not None:
            text, thought = self._split(content, is_last=False)
            return Chunk(text=text, reasoning=thought, model=self._frame.chunk.model, fingerprint=self._frame.chunk.fingerprint)
        item = _fields(item) or item
        choice = next((c for c in get_field(item, "choices") or () if get_field(c, "index") in _FIRST), None)
        if error := get_field(item, "error") or get_field(choice, "error"):
            raise from_body({"error": error})
        if choice is None and not get_field(item, "usage"):
            self.strange = self.strange or _fields(item)
        said = get_field(choice, "delta") or get_field(choice, "message")
        content, thought = split_content(get_field(said, "content"))
        finish = str(get_field(choice, "finish_reason") or "") or None
        text, before = self._split(content, is_last=finish is not None)
        self._others.add(_fields(item), _fields(choice), _fields(said))
        chunk = Chunk(
            text=text,
            reasoning=(thought or self._reasoning.read(said)) + before,
            refusal=_text(get_field(said, "refusal")),
            tool_pieces=self._pieces(said),
            finish_reason=finish,
            usage=_usage(item, choice),
            model=_text(get_field(item, "model")) or None,
            fingerprint=_text(get_field(item, "system_fingerprint")) or None,
        )
        self._frame = None if finish or chunk.usage else _keep_frame(item, choice, chunk)
        return chunk

    def rest(self) -> Iterator[Chunk]:
        """What else the vendor has sent, once all pieces are read."""
        logprobs, raw = self._others.logprobs, self._others.raw
        if logprobs or raw:
            yield Chunk(logprobs=logprobs, raw=raw or None)

    def _pieces(self, said: Any) -> tuple[ToolPiece, ...]:
        calls = get_field(said, "tool_calls")
        if not calls:
            legacy = get_field(said, "function_call")
            calls = [{"index": 0, "function": legacy}] if legacy else ()
        return tuple(self._piece(position, call) for position, call in enumerate(calls))

    def _piece(self, position: int, call: Any) -> ToolPiece:
        function = get_field(call, "function") or get_field(call, "custom")
        arguments = get_field(function, "arguments")
        if arguments is None:
            arguments = get_field(function, "input")
        call_id, name = _text(get_field(call, "id")), _text(get_field(function, "name"))
        slot = self._slot(get_field(call, "index"), position, call_id, name)
        index, known_id, known_name = self._calls[slot]
        fresh = "" if name == known_name else name  # some servers repeat the name in every piece
        self._calls[slot] = (index, known_id or call_id, known_name + fresh)
        self._others.add_call(slot, _fields(call))
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


def _keep_frame(item: Any, choice: Any, chunk: Chunk) -> _Frame | None:
    """What further pieces are compared with; ``None`` after one that says more than others may say again."""
    if type(item) is not dict or type(choice) is not dict or choice.get("logprobs") or not _PLAIN_CHOICE.issuperset(choice):
        return None
    return _Frame({**item, **_VARYING}, {**choice, "delta": None}, chunk)


def _read_text_alone(item: Any, frame: _Frame) -> str | None:
    """The text of a piece that brings nothing else and is in all else as the last one was, as most of a stream are; of others ``None``."""
    choices = item.get("choices") if type(item) is dict else None
    if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict:
        return None
    delta = choices[0].get("delta")
    if type(delta) is not dict or any(delta[name] is not None for name in delta.keys() - _TEXT_ALONE):
        return None
    content = delta.get("content")
    is_alike = {**choices[0], "delta": None} == frame.choice and {**item, **_VARYING} == frame.item
    return content if type(content) is str and is_alike else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usage(item: Any, choice: Any = None) -> Usage | None:
    """The token counts, wherever they stand: at the answer, as a rule."""
    found = read_usage(_fields(get_field(item, "usage")))
    if found is not None:
        return found
    elsewhere = (get_field(choice, "usage"), get_field(get_field(item, "x_groq"), "usage"), get_field(item, "usageMetadata"))
    return next((found for place in elsewhere if place and (found := read_usage(_fields(place))) is not None), None)


def _embeddings(raw: Any) -> Chunk:
    rows = sorted(get_field(raw, "data") or (), key=lambda row: get_field(row, "index") or 0)
    vectors = [get_field(row, "embedding") for row in rows]
    if not vectors or not all(isinstance(v, (list, tuple)) for v in vectors):
        raise BadResponseError("the answer holds no embeddings")
    model = _text(get_field(raw, "model")) or None
    return Chunk(embeddings=tuple(tuple(map(float, v)) for v in vectors), finish_reason="stop", usage=_usage(raw), model=model)
