"""Pieces of an answer in, frozen answers out: ``Chunk``, ``Answer``, ``Record``, ``Response``.

Knows how pieces fold into an answer, what a record holds, and the one seam: ``Provider``.
Does not know files, networks, templates, settings, vendors or the notebook.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .errors import BadResponseError, NoJSONError
from .messages import Request

_DEEPEST = 100  # levels of nesting
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer: in, out, and the parts of them that vendors report apart.

    ``prompt_tokens`` includes ``cached_tokens``; ``completion_tokens`` includes
    ``reasoning_tokens``. ``estimated`` is true where the provider reported nothing.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Tokens in and out together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asks for: ``arguments`` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str

    def to_dict(self) -> dict[str, Any]:
        """The call in the OpenAI chat format."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class ToolPiece:
    """A piece of a streamed tool call: pieces of one ``index`` are joined."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said, whole: ``text`` is ``None`` where there was no content at all."""

    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    fingerprint: str | None = None
    reasoning: str = ""
    refusal: str = ""
    notes: tuple[str, ...] = ()
    embeddings: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One answered request as it is kept in a store, a live answer's only way to a ``Response``.

    ``request`` is the canonical form, ``created`` UTC in ISO 8601, ``duration`` seconds,
    ``cost`` US dollars or ``None``, ``version`` this package's.
    """

    key: str
    request: Mapping[str, Any]
    answer: Answer
    created: str = ""
    duration: float = 0.0
    cost: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a streamed answer.

    ``restart`` says that a new attempt begins and all before it is void; ``note`` tells the
    reader something about the way (a fallback taken). The last chunk that leaves the
    recording provider carries the ``record`` and its ``source``.
    """

    text: str | None = None
    reasoning: str = ""
    refusal: str = ""
    tool_pieces: tuple[ToolPiece, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    fingerprint: str | None = None
    note: str = ""
    embeddings: tuple[tuple[float, ...], ...] = ()
    restart: bool = False
    record: Record | None = None
    source: str = "live"


class Folder:
    """Folds chunks into an ``Answer``; ``text`` can be read at any time while they arrive."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._tools: dict[int, ToolCall] = {}
        self._notes: list[str] = []
        self._facts: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        """The reasoning so far, where the provider shows it."""
        return "".join(self._reasoning)

    def add(self, chunk: Chunk) -> None:
        """Take one more chunk."""
        if chunk.restart:
            self._begin()
        if chunk.text is not None:
            self._texts.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        if chunk.note:
            self._notes.append(chunk.note)
        for piece in chunk.tool_pieces:
            was = self._tools.get(piece.index, ToolCall("", "", ""))
            self._tools[piece.index] = ToolCall(was.id or piece.id, was.name + piece.name, was.arguments + piece.arguments)
        for name in ("finish_reason", "usage", "model", "fingerprint", "embeddings"):
            value = getattr(chunk, name)
            if value:
                self._facts[name] = value

    def answer(self) -> Answer:
        """The whole answer; raises ``BadResponseError`` where no finish reason has arrived."""
        if "finish_reason" not in self._facts:
            raise BadResponseError("the answer ended before it was finished (no finish reason)")
        return Answer(
            text=self.text if self._texts else None,
            tool_calls=tuple(self._tools[i] for i in sorted(self._tools)),
            reasoning=self.reasoning,
            refusal="".join(self._refusal),
            notes=tuple(self._notes),
            **self._facts,
        )


@dataclass(frozen=True)
class Response:
    """An answered request: what was said, at what price, and where it came from.

    ``str(response)`` is its text. ``source`` is ``"live"`` or ``"recorded"``; ``duration``
    the seconds that the live call took; ``cost`` US dollars, ``None`` when unknown; ``parsed``
    the checked value where a schema was asked for. Two responses made from one record are
    equal but for their source.
    """

    request: Request
    record: Record
    source: str = "live"
    parsed: Any = None
    call: Any = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The answer's text, empty where the model only called tools."""
        return self.record.answer.text or ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model asks for."""
        return self.record.answer.tool_calls

    @property
    def reasoning(self) -> str:
        """The model's reasoning, where the provider shows it."""
        return self.record.answer.reasoning

    @property
    def usage(self) -> Usage | None:
        """Tokens in and out."""
        return self.record.answer.usage

    @property
    def cost(self) -> float | None:
        """US dollars that the live call cost; ``None`` when unknown."""
        return self.record.cost

    @property
    def cost_estimated(self) -> bool:
        """Whether ``cost`` is a guess: the tokens were estimated, or the endpoint is not the vendor's own."""
        ours = self.request.provider == "openai" or self.request.provider.startswith("azure:")
        return not ours or (self.usage is not None and self.usage.estimated)

    @property
    def model(self) -> str:
        """The model that answered, as the provider names it."""
        return self.record.answer.model or self.request.model

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended: ``stop``, ``length``, ``tool_calls``, ``content_filter``."""
        return self.record.answer.finish_reason

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know about the way (a fallback taken)."""
        return self.record.answer.notes

    @property
    def duration(self) -> float:
        """Seconds that the live call took."""
        return self.record.duration

    @property
    def created(self) -> str:
        """When the live call was answered, UTC in ISO 8601."""
        return self.record.created

    @property
    def key(self) -> str:
        """The key under which the answer is recorded."""
        return self.record.key

    def json(self) -> Any:
        """The JSON value in the text, fenced or bare; raises ``NoJSONError`` where there is none."""
        return extract_json(self.text)

    def to_dict(self) -> dict[str, Any]:
        """The answer as an assistant message in the OpenAI chat format."""
        answer = self.record.answer
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if answer.tool_calls:
            message["tool_calls"] = [c.to_dict() for c in answer.tool_calls]
        if answer.refusal:
            message["refusal"] = answer.refusal
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        return message

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else f"{self.text[:57]}..."
        return f"Response({text!r}, model={self.model!r}, source={self.source!r})"


class Provider(Protocol):
    """Anything that answers requests; streaming is the only mode."""

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in pieces; one of the last has a finish reason. Raises ``ProviderError``."""
        ...


def extract_json(text: str) -> Any:
    """The first JSON value in a text: in a fence, bare, or between words; trailing commas allowed.

    Raises ``NoJSONError`` where there is none, so that "no JSON" differs from ``{}``.

    >>> extract_json('Sure: {"a": [1, 2,],}')
    {'a': [1, 2]}
    """
    decoder = json.JSONDecoder(strict=False)
    for part in (*_FENCE.findall(text), text):
        for start in (m.start() for m in re.finditer(r"[\[{]", part)):
            for candidate in (part[start:], re.sub(r",(\s*[}\]])", r"\1", part[start:])):
                try:
                    return decoder.raw_decode(candidate)[0]
                except (ValueError, RecursionError):
                    continue
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoJSONError("the text holds no JSON value", text=text) from error


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
