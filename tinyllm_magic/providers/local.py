"""Requests in, chunks out: a GGUF model that runs inside this process.

Knows how a chat is put to the engine, how its events become chunks, and its exact token counts.
Does not know how the engine runs, stores, retries, settings beyond the cache folder, or the notebook.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..answers import Chunk, ToolPiece, Usage
from ..errors import BadResponseError, CallTimeoutError, ConnectionFailedError, UnsupportedError
from ..files import cache_folder as settled_cache_folder
from ..messages import Message, Request, to_messages
from . import weights
from .engine import BROKEN, Engine, fingerprint, is_running, refused, require, running

WINDOW = 2048
_CHAT = "/v1/chat/completions"


class LocalProvider:
    """Answers with a model on this machine: the embedded one, or any GGUF file given by ``path``.

    The engine starts on first use and is shared by all providers of one file; the embedded
    model's weights are fetched then, once, with ``progress(message, bytes done, bytes in all)``.
    ``timeout`` is the time in seconds for one whole call, loading and fetching left out.
    ``window`` is the length of the context in tokens, answer included.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        timeout: float | None = None,
        cache_folder: Path | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        window: int = WINDOW,
    ) -> None:
        self._given = path
        self._timeout = timeout
        self._cache_folder = cache_folder
        self._progress = progress
        self._window = window
        self._path: Path | None = None

    @property
    def model(self) -> str:
        """The name under which answers are recorded: the file's, without folder and suffix."""
        return Path(self._given or weights.NAME).stem

    @property
    def ready(self) -> bool:
        """Whether the first call can start at once: the weights are there, nothing to fetch."""
        return weights.find(self._given, cache_folder=self._folder()) is not None

    @property
    def started(self) -> bool:
        """Whether the engine runs already, so that counting takes no time."""
        found = weights.find(self._given, cache_folder=self._folder())
        return found is not None and is_running(found.resolve(), self._window)

    def send(self, request: Request) -> Iterator[Chunk]:
        """Answer one chat request; closing the iterator makes the engine stop.

        Raises ``ContextLengthError``, ``InvalidRequestError``, ``UnsupportedError``,
        ``CallTimeoutError``, and ``LocalModelError`` where the engine does not start.
        """
        if request.kind != "chat":
            raise UnsupportedError(f"{self.model} answers chats only; it makes no embeddings", feature="embeddings")
        if any(part.get("type", "text") != "text" for m in request.messages if isinstance(m.content, tuple) for part in m.content):
            raise UnsupportedError(f"{self.model} reads text only, no images", feature="images")
        engine = self._engine()
        if request.tools and not engine.takes_tools:
            raise UnsupportedError(f"{self.model} takes no tools", feature="tools")
        ends = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            with engine.stream(_CHAT, _body(request), ends) as events:
                yield from _chunks(events, self.model)
        except TimeoutError as error:
            raise CallTimeoutError(f"{self.model} gave no complete answer within {self._timeout:g} s", last=error) from error
        except BROKEN as error:
            raise ConnectionFailedError(f"the engine of {self.model} stopped answering", last=error) from error

    def count_text(self, text: str) -> int:
        """Exactly how many tokens the text has for this model, within a prompt."""
        return len(self._tokens(text))

    def count_messages(self, messages: str | Iterable[Message | Mapping[str, Any]]) -> int:
        """Exactly how many prompt tokens a call with these messages has, the template's own included."""
        plain = [m.to_dict() for m in to_messages(messages)]
        engine = self._engine()
        prompt = engine.ask("/apply-template", {"messages": plain})["prompt"]
        return len(engine.ask("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"])

    def split(self, text: str) -> list[str]:
        """The text in its tokens, one piece for each; joined, they are the text.

        Where a character takes several tokens, the last of them carries it and the others are empty.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = [decoder.decode(_bytes(token["piece"])) for token in self._tokens(text)]
        if pieces and not text.startswith(pieces[0]):
            pieces[0] = pieces[0].removeprefix(" ")  # some tokenizers put a space before the text
        return pieces

    def _tokens(self, text: str) -> list[dict[str, Any]]:
        body = {"content": text, "with_pieces": True, "add_special": False, "parse_special": True}
        tokens: list[dict[str, Any]] = self._engine().ask("/tokenize", body)["tokens"]
        return tokens

    def _folder(self) -> Path:
        return self._cache_folder or settled_cache_folder()

    def _engine(self) -> Engine:
        require()  # before the weights: without it they would be fetched in vain
        if self._path is None:
            found = weights.find(self._given, cache_folder=self._folder()) or weights.fetch(self._folder(), self._progress)
            self._path = found.resolve()
        return running(self._path, self._window)


def _body(request: Request) -> dict[str, Any]:
    """The request as the engine takes it; what we do not know goes along as it is."""
    # without the cache of prompts, a seeded answer does not depend on what was asked before
    body: dict[str, Any] = {"cache_prompt": False, **{k: v for k, v in request.params.items() if v is not None}}
    if "max_completion_tokens" in body:
        body.setdefault("max_tokens", body.pop("max_completion_tokens"))
    body["messages"] = [m.to_dict() for m in request.messages]
    if request.tools:
        body["tools"] = [dict(t) for t in request.tools]
    if request.response_format is not None:
        body["response_format"] = dict(request.response_format)
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def _chunks(events: Iterable[Mapping[str, Any]], model: str) -> Iterator[Chunk]:
    """The engine's events as chunks; the last one has finish reason, usage and the model's name."""
    finish = usage = None
    said = False
    for event in events:
        if "error" in event:
            raise refused(event["error"], model)
        usage = event.get("usage") or usage
        for choice in event.get("choices") or ():
            finish = choice.get("finish_reason") or finish
            chunk = _chunk(choice.get("delta") or {})
            if chunk.text or chunk.reasoning or chunk.tool_pieces:
                said = True
                yield chunk
    if finish is None:
        raise BadResponseError("the embedded model's answer ended before it was finished")
    yield Chunk(text=None if said else "", finish_reason=finish, usage=_usage(usage), model=model, fingerprint=fingerprint())


def _usage(counts: Mapping[str, Any] | None) -> Usage | None:
    if not counts:
        return None
    details = counts.get("prompt_tokens_details") or {}
    return Usage(counts["prompt_tokens"], counts["completion_tokens"], details.get("cached_tokens") or 0)


def _chunk(delta: Mapping[str, Any]) -> Chunk:
    calls = [(c.get("index", 0), c.get("id") or "", c.get("function") or {}) for c in delta.get("tool_calls") or ()]
    pieces = tuple(ToolPiece(index, name, f.get("name") or "", f.get("arguments") or "") for index, name, f in calls)
    return Chunk(text=delta.get("content") or None, reasoning=delta.get("reasoning_content") or "", tool_pieces=pieces)


def _bytes(piece: str | list[int]) -> bytes:
    """The bytes of a token; the engine lists them where they are no whole characters."""
    return piece.encode() if isinstance(piece, str) else bytes(piece)
