"""The values of a question, ``Message`` and ``Request``, and the canonical JSON from which a request's key is made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from json.encoder import encode_basestring
from typing import Any

import rfc8785

from .errors import MessageError, near, suggest
from .file_text import FileText
from .frozen import copy_with

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
KEY_VERSION = "k1"
CONVERSATIONS = ("chat", "responses")
"""Kinds of requests that are the same question, asked through another API of the vendor's."""
_LARGEST_EXACT_INTEGER = 2**53 - 1  # RFC 8785, section 3.2.2.3: beyond it a double is not exact
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_BLOB = re.compile(r"^data:([\w.+/-]*);base64,")
_MESSAGES = b'"messages":['  # in canonical JSON only `kind` stands before it


@dataclass(frozen=True)
class Message:
    """One message of a chat: a role and its content.

    ``content`` is text, a tuple of parts in the OpenAI format (text and images), or ``None``
    where an assistant only called tools. ``reasoning_content`` and ``output_items`` are what some vendors want back of an
    assistant's reasoning together with the results of the tools that it called.

    >>> Message("user", "Hello").to_dict()
    {'role': 'user', 'content': 'Hello'}
    """

    role: str
    content: str | tuple[Mapping[str, Any], ...] | None
    name: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    output_items: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The text of this message; parts that are no text are left out."""
        if isinstance(self.content, tuple):
            return "\n".join(str(p["text"]) for p in self.content if "text" in p)
        return self.content or ""

    @property
    def is_system(self) -> bool:
        """Whether this message says how to answer, under the name that its model has for it."""
        return self.role in ("system", "developer")

    def to_dict(self) -> dict[str, Any]:
        """The message in the OpenAI chat format, as a new dict."""
        content = [dict(p) for p in self.content] if isinstance(self.content, tuple) else self.content
        message: dict[str, Any] = {"role": self.role, "content": content}
        if self.name:
            message["name"] = self.name
        if self.tool_calls:
            message["tool_calls"] = [dict(c) for c in self.tool_calls]
        if self.tool_call_id:
            message["tool_call_id"] = self.tool_call_id
        if self.reasoning_content is not None:
            message["reasoning_content"] = self.reasoning_content
        if self.output_items:
            message["output_items"] = [dict(item) for item in self.output_items]
        return message

    @classmethod
    def of(cls, value: Message | Mapping[str, Any]) -> Message:
        """A message from a message or a dict; raises ``MessageError`` where no API would take it."""
        if isinstance(value, Message):
            return value
        if not isinstance(value, Mapping):
            raise MessageError(f"a message is a dict with 'role' and 'content', not {type(value).__name__}")
        role, content = value.get("role"), value.get("content")
        if role not in ROLES:
            raise MessageError(
                f"unknown role {role!r} in a message",
                hint=suggest(near(str(role), ROLES)) or f"Roles are {', '.join(ROLES)}.",
            )
        calls = tuple(value.get("tool_calls") or ())
        if content is None and not calls and not value.get("function_call"):
            raise MessageError(f"the {role} message has no content")
        if isinstance(content, (list, tuple)) and all(isinstance(p, Mapping) for p in content):
            content = tuple(content)
        elif not (content is None or isinstance(content, str)):
            raise MessageError(f"the content of the {role} message is {type(content).__name__}; it must be text or a list of parts")
        return cls(role, content, value.get("name"), calls, value.get("tool_call_id"))


def to_messages(values: str | Iterable[Message | Mapping[str, Any]]) -> tuple[Message, ...]:
    """Messages from text (one user message) or any iterable of messages and dicts.

    Raises ``MessageError`` (a ``ValueError``) for unknown roles, missing content or no message.
    """
    if isinstance(values, str):
        return (Message("user", values),)
    messages = tuple(Message.of(v) for v in values)
    if not messages:
        raise MessageError("there is no message to send")
    return messages


def follow(history: tuple[Message, ...], messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Messages as the next turn of a conversation: its system message stands first, or the one that they bring themselves.

    >>> [m.text for m in follow((Message("system", "Be brief."), Message("user", "1?")), (Message("user", "2?"),))]
    ['Be brief.', '1?', '2?']
    """
    if not history:
        return messages
    own = tuple(m for m in messages if m.is_system)
    held = tuple(m for m in history if m.is_system)
    return (*(own or held), *(m for m in history if not m.is_system), *(m for m in messages if not m.is_system))


def _plain(value: Any, where: str) -> Any:
    """A JSON value that RFC 8785 can write: blobs by digest, large integers as text."""
    if isinstance(value, FileText):
        return value.canonical()
    if isinstance(value, str):
        blob = _BLOB.match(value)
        if blob and len(value) > 256:
            digest = hashlib.sha256(value.encode()).hexdigest()
            return {"$sha256": digest, "type": blob[1], "len": len(value)}
        return value
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_EXACT_INTEGER else {"$int": str(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) for k in value):
            raise MessageError(f"{where} has a key that is not text; JSON cannot hold it")
        return {k: v if _is_plain(v) else _plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    raise MessageError(
        f"{where} is of type {type(value).__name__}, which JSON cannot hold",
        hint="Pass text, numbers, booleans, None, lists or dicts.",
    )


def _is_plain(value: Any) -> bool:
    """Whether ``_plain`` would leave a value as it is; most of them are, and the place of each need not be spelt out."""
    kind = type(value)
    return not value.startswith("data:") if kind is str else value is None or kind is float or kind is bool


@dataclass(frozen=True)
class Request:
    """All that decides an answer, and nothing else.

    ``provider`` is the provider's identity (``"openai"``, ``"azure:https://…"``, ``"local"``),
    ``params`` every parameter under the name in which it is sent, ``sample`` which of several
    answers to the same question is meant (0 unless more are drawn), ``kind`` ``"chat"``, ``"responses"`` (asked through the
    Responses API; parameters, tools and format stand here under their names in chat) or ``"embedding"``. The key stays the
    same over versions of this package: ``k1:`` and the sha256 of the canonical form in RFC 8785 JSON.
    """

    provider: str
    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    response_format: Mapping[str, Any] | None = None
    sample: int = 0
    kind: str = "chat"

    def canonical(self) -> dict[str, Any]:
        """What the key is made of, as plain JSON; images and other blobs stand by their digest."""
        body: dict[str, Any] = {
            "kind": self.kind,
            "provider": self.provider,
            "model": self.model,
            "messages": [_plain(m.to_dict(), f"messages[{i}]") for i, m in enumerate(self.messages)],
            "params": _plain({k: v for k, v in self.params.items() if v is not None}, "params"),
        }
        if self.tools:
            body["tools"] = _plain(list(self.tools), "tools")
        if self.response_format is not None:
            body["response_format"] = _plain(self.response_format, "response_format")
        if self.sample:
            body["sample"] = self.sample
        return body

    @property
    def is_conversation(self) -> bool:
        """Whether messages are asked and answered, through whichever API."""
        return self.kind in CONVERSATIONS

    @cached_property
    def key(self) -> str:
        """The digest under which the answer is recorded; raises ``MessageError`` for NaN and the like."""
        return key_of(self.form)

    @cached_property
    def form(self) -> dict[str, Any]:
        """The canonical form made once, for who only reads it."""
        return self.canonical()

    @cached_property
    def _frame(self) -> _Frame:
        return _Frame(replace(self, messages=()))

    def with_messages(self, messages: tuple[Message, ...]) -> Request:
        """The same request of other messages; of texts alone form and key are made at once, what both have in common only once."""
        frame = self._frame
        other = copy_with(frame.request, messages=messages)
        vars(other).update(frame.fill(messages), _frame=frame)
        return other

    def __getstate__(self) -> dict[str, Any]:
        """What was computed of it stays behind."""
        return {name: vars(self)[name] for name in self.__dataclass_fields__}

    def with_sample(self, sample: int) -> Request:
        """The same question, another draw."""
        return replace(self, sample=sample)


class _Frame:
    """What requests have in common that differ in nothing but their messages: their canonical form, and its bytes around these."""

    def __init__(self, request: Request) -> None:
        self.request = request
        """Such a request without messages, of which nothing was computed: it is copied at once."""
        self._form = form = request.canonical()
        try:
            text = _dump_plainly(form) if _is_written_plainly(form) else b""
        except UnicodeEncodeError:  # whoever wants the key is told
            text = b""
        start, mark, self._after = text.partition(_MESSAGES)
        self._before = start + mark

    def fill(self, messages: Iterable[Message]) -> dict[str, Any]:
        """Form and key of the request with these messages; nothing where it takes more than putting texts between these bytes."""
        said, written = [], []
        for message in messages:
            text = _lone_text(message)
            if text is None or not self._before:
                return {}
            said.append({"role": message.role, "content": text})
            written.append(f'{{"content":{encode_basestring(text)},"role":{encode_basestring(message.role)}}}')
        try:
            key = _digest(b"".join((self._before, ",".join(written).encode(), self._after)))
        except UnicodeEncodeError:
            return {}
        return {"form": {**self._form, "messages": said}, "key": key}


def _lone_text(message: Message) -> str | None:
    """The text of a message that is nothing else, and which stands as it is in the canonical form."""
    text = message.content
    if type(text) is not str or text.startswith("data:") or message.tool_calls or message.output_items:
        return None
    has_more = message.name or message.tool_call_id or message.reasoning_content is not None or type(message.role) is not str
    return None if has_more else text


def key_of(canonical: Mapping[str, Any]) -> str:
    """The key of a canonical request (RFC 8785 JSON, sha256, all 64 digits)."""
    try:
        text = _dump_plainly(canonical) if _is_written_plainly(canonical) else rfc8785.dumps(canonical)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise MessageError(
            f"the request cannot be written as JSON: {error}",
            hint="NaN, infinity and lone surrogates have no place in a request.",
        ) from error
    return _digest(text)


def _digest(text: bytes) -> str:
    return f"{KEY_VERSION}:{hashlib.sha256(text).hexdigest()}"


def _dump_plainly(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()


def _is_written_plainly(value: Any) -> bool:
    """Whether Python's own JSON, a tenth of the work, writes a value exactly as RFC 8785 has it.

    Numbers and the order of keys are where they differ: ``1.0`` is 1 there, 1e-7 has its own spelling, and keys beyond ASCII
    are sorted by their UTF-16.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is dict:
        return all(type(k) is str and k.isascii() and _is_written_plainly(v) for k, v in value.items())
    if kind is list:
        return all(map(_is_written_plainly, value))
    if kind is int:
        return bool(abs(value) <= _LARGEST_EXACT_INTEGER)
    return kind is float and bool(1e-4 <= abs(value) < 1e15 and not value.is_integer())


def read_request(canonical: Mapping[str, Any]) -> Request:
    """The request of its canonical form, with the same key; images and files stand by their digest."""
    return Request(
        canonical["provider"],
        canonical["model"],
        tuple(map(_read_message, canonical["messages"])),
        canonical.get("params", {}),
        tuple(canonical.get("tools", ())),
        canonical.get("response_format"),
        canonical.get("sample", 0),
        canonical.get("kind", "chat"),
    )


def _read_message(said: Mapping[str, Any]) -> Message:
    """A message of a canonical form, with what a vendor wanted back of its reasoning."""
    return replace(Message.of(said), reasoning_content=said.get("reasoning_content"), output_items=tuple(said.get("output_items", ())))


def begins_key(beginning: str, key: str) -> bool:
    """Whether a key begins with these digits, written with or without its version, and as lists cut it; no digits begin none.

    >>> begins_key("3f", "k1:3fa0"), begins_key("k1:3f", "k1:3fa0"), begins_key("k1:", "k1:3fa0")
    (True, True, False)
    >>> begins_key("k1:3f…", "k1:3fa0")
    True
    """
    version = f"{KEY_VERSION}:"
    digits = beginning.removesuffix("…").removeprefix(version)
    return bool(digits) and key.removeprefix(version).startswith(digits)


def last_prompt(canonical: Mapping[str, Any]) -> str:
    """What a canonical request asked last: the last message that is no system message, a tool's call, an address, a text to embed.

    >>> last_prompt({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]})
    'Why?'
    >>> last_prompt({"messages": [{"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "Why?"}]}]})
    '[image] Why?'
    """
    if canonical.get("kind") == "tool":
        arguments = (canonical.get("params") or {}).get("arguments")
        return f"{canonical.get('model')}({json.dumps(arguments, ensure_ascii=False)})"
    messages = [m for m in canonical.get("messages", ()) if m.get("role") != "system"]
    if messages:
        content = messages[-1].get("content")
        if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
            return " ".join(_name_part(part) for part in content)
    else:
        params = canonical.get("params") or {}
        content = params.get("url" if canonical.get("kind") == "file" else "input", "")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _name_part(part: Mapping[str, Any]) -> str:
    """A part of a canonical message in a word or two, a text as it is."""
    text = part.get("text")
    return text if isinstance(text, str) else f"[{'file' if text is not None else str(part.get('type', 'part')).removesuffix('_url')}]"
