"""The values of an answer (``Chunk``, ``Answer``, ``Record``, ``Response``) and the protocol of those who give it (``Provider``)."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .errors import BadResponseError, NoJSONError
from .json_text import extract_json
from .messages import Request
from .redaction import mask
from .text_format import shorten

TRAINED_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""What IPTC's vocabulary calls content that a trained model made."""
CUT_REASONS = ("length", "content_filter", "stopped")  # finish reasons of an answer that has no end


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

    def read_arguments(self) -> Any:
        """The arguments as data, none as an empty object, and what is no JSON as it is written."""
        try:
            return json.loads(self.arguments) if self.arguments.strip() else {}
        except (ValueError, RecursionError):
            return self.arguments

    def describe(self) -> str:
        """The call as Python would write it.

        >>> ToolCall("1", "weather", '{"city": "Ulm", "days": 2}').describe()
        "weather(city='Ulm', days=2)"
        """
        arguments = self.read_arguments()
        if not isinstance(arguments, dict):
            return f"{self.name}({self.arguments})"
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


@dataclass(frozen=True, slots=True)
class ToolPiece:
    """A piece of a streamed tool call: pieces of one ``index`` are joined."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said, whole: ``text`` is ``None`` where there was no content at all.

    ``finish_reason`` is ``None`` where a stream ended without one; ``logprobs`` and ``raw`` are what else the vendor sent.
    """

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
    logprobs: Any = None
    raw: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One answered request as it is kept in a store, a live answer's only way to a ``Response``.

    ``request`` is the canonical form, ``created`` UTC in ISO 8601, ``duration`` seconds,
    ``cost`` US dollars or ``None``, ``version`` this package's, ``thumbnails`` small pictures of the
    images that were sent, as data URLs by the images' digests.
    """

    key: str
    request: Mapping[str, Any]
    answer: Answer
    created: str = ""
    duration: float = 0.0
    cost: float | None = None
    version: str = ""
    thumbnails: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a streamed answer.

    ``restart`` says that a new attempt begins and all before it is void; ``note`` tells the
    reader something about the way (a fallback taken). ``done`` says that the answer is complete
    though no finish reason came. ``logprobs`` and ``raw`` hold what else the vendor sent, whole.
    The last chunk that leaves the recording provider carries the ``record`` and its ``source``.
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
    logprobs: Any = None
    raw: Mapping[str, Any] | None = None
    done: bool = False
    restart: bool = False
    record: Record | None = None
    source: str = "live"

    @property
    def is_last(self) -> bool:
        """Whether the answer is complete with this piece; only facts (token counts) may follow."""
        return self.done or self.finish_reason is not None


class ChunkAccumulator:
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
        self._complete = False

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
        self._complete = self._complete or chunk.is_last
        for name in ("finish_reason", "usage", "model", "fingerprint", "embeddings", "logprobs", "raw"):
            value = getattr(chunk, name)
            if value:
                self._facts[name] = value

    def answer(self) -> Answer:
        """The whole answer; raises ``BadResponseError`` where its end has not arrived."""
        if not self._complete:
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
class ToolResult:
    """A call of a tool and what came of it, as it is recorded; ``notes`` are for the reader.

    ``source`` is ``"live"`` where the function ran now, ``"recorded"`` where nothing ran.
    """

    call: ToolCall
    record: Record
    source: str = "live"
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.call.name

    @property
    def arguments(self) -> Any:
        """What the model called it with, as plain data."""
        return self.record.request["params"]["arguments"]

    @property
    def text(self) -> str:
        """What the model was told."""
        return f"Refused: {self.refusal}" if self.refusal else self.record.answer.text or ""

    @property
    def error(self) -> str:
        """What went wrong; empty where nothing did."""
        return str((self.record.answer.raw or {}).get("error", ""))

    @property
    def refusal(self) -> str:
        """Why the call was not allowed to run; empty where it was."""
        return self.record.answer.refusal

    @property
    def duration(self) -> float:
        """Seconds that the function ran."""
        return self.record.duration


@dataclass(frozen=True)
class Step:
    """A request on the way to an answer: its response, and the ``fault`` for which it was asked again, or the ``results`` of its calls."""

    response: Response
    fault: str = ""
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True)
class Response:
    """An answered request: what was said, at what price, and where it came from.

    ``str(response)`` is its text. ``source`` is ``"live"`` or ``"recorded"``; ``duration``
    the seconds that the live call took; ``cost`` US dollars, ``None`` when unknown; ``parsed``
    the checked value where a schema was asked for. ``steps`` are the requests that it took before this one, with the
    results of the tools that were called; usage, cost and duration are those of all together. Two responses made from one
    record are equal but for their source.
    """

    request: Request
    record: Record
    source: str = "live"
    parsed: Any = None
    steps: tuple[Step, ...] = ()
    call: Any = field(default=None, repr=False, compare=False)
    schema: Any = field(default=None, repr=False, compare=False)

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
    def logprobs(self) -> Any:
        """Log probabilities in the vendor's shape (OpenAI's: ``["content"]`` lists the tokens); ``None`` where none were asked for."""
        return self.record.answer.logprobs

    @property
    def raw(self) -> dict[str, Any]:
        """Fields of the vendor's answer that have no name of their own here, such as ``annotations``, ``citations``, ``audio``."""
        return dict(self.record.answer.raw or {})

    @property
    def usage(self) -> Usage | None:
        """Tokens in and out."""
        if not self.steps:
            return self.record.answer.usage
        known = [u for u in (*(s.response.usage for s in self.steps), self.record.answer.usage) if u is not None]
        return functools.reduce(operator.add, known) if known else None

    @property
    def cost(self) -> float | None:
        """US dollars that the live call cost; ``None`` when unknown."""
        total = self.record.cost
        for step in self.steps:
            total = None if total is None or step.response.cost is None else total + step.response.cost
        return total

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
        """Why the answer ended: ``stop``, ``length``, ``tool_calls``, ``content_filter``; ``None`` where its stream did not say."""
        return self.record.answer.finish_reason

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know about the way (a fallback taken, a tool whose source has changed)."""
        return (*(note for step in self.steps for result in step.results for note in result.notes), *self.record.answer.notes)

    @property
    def duration(self) -> float:
        """Seconds that the live call took, with the tools that it called."""
        if not self.steps:
            return self.record.duration
        tools = sum(result.duration for step in self.steps for result in step.results)
        return self.record.duration + sum(step.response.duration for step in self.steps) + tools

    @property
    def created(self) -> str:
        """When the live call was answered, UTC in ISO 8601."""
        return self.record.created

    @property
    def key(self) -> str:
        """The key under which the answer is recorded."""
        return self.record.key

    def json(self) -> Any:
        """The JSON value in the text, fenced or bare; raises ``NoJSONError`` where there is none and where the answer was cut."""
        if self.finish_reason in CUT_REASONS:
            hint = "Raise max_tokens." if self.finish_reason == "length" else ""
            raise NoJSONError(f"the answer was cut (finish reason {self.finish_reason})", text=self.text, hint=hint)
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
        return message | {name: self.raw[name] for name in ("annotations", "audio") if name in self.raw}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return mask(f"Response({shorten(mask(self.text), 60)!r}, model={self.model!r}, source={self.source!r})")


class Provider(Protocol):
    """Anything that answers requests; streaming is the only mode."""

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in pieces; one of them is the last (``Chunk.is_last``). Raises ``ProviderError``."""
        ...
