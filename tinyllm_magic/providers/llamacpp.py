"""Answers chat requests with a GGUF model that llama.cpp runs inside this process, and counts its tokens exactly."""

from __future__ import annotations

import codecs
import copy
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import CallTimeoutError, ConnectionFailedError, UnsupportedError
from ..json_schema import find_schema, walk
from ..messages import Message, Request, to_messages
from ..responses import Chunk
from ..settings.paths import cache_folder as default_cache_folder
from . import weights
from .chat_format import to_chunks
from .deadline import MAX_ANSWER_BYTES, Attempt
from .grammar_tools import demands_call, has_results, read_call, spell_tools
from .llamacpp_server import BROKEN, Engine, fingerprint, is_running, require, running

WINDOW = 2048
_CHAT = "/v1/chat/completions"
_FORCED = "`-p tool_choice=required` (in Python tool_choice='required') holds it to a call."
_PLAIN_PATTERN = re.compile(r"\^(?:[^\\(]|\((?!\?))*\$")


class LocalProvider:
    """Answers with a model on this machine: the embedded one, or any GGUF file given by ``path``.

    The engine starts on first use and is shared by all providers of one file; the embedded
    model's weights are fetched then, once, with ``progress(message, bytes done, bytes in all)``.
    ``timeout`` is the time in seconds for one whole call, loading and fetching left out.
    ``window`` is the length of the context in tokens, answer included; ``max_answer_bytes`` bounds the size of one answer.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        timeout: float | None = None,
        cache_folder: Path | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        window: int = WINDOW,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._given = path
        self._timeout, self._max_bytes = timeout, max_answer_bytes
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
        """Whether the first call can start at once: engine and weights are there, nothing to install or to fetch."""
        return importlib.util.find_spec("xllamacpp") is not None and weights.find(self._given, cache_folder=self._folder()) is not None

    @property
    def started(self) -> bool:
        """Whether the engine runs already, so that counting takes no time."""
        found = weights.find(self._given, cache_folder=self._folder())
        return found is not None and is_running(found.resolve(), self._window)

    def send(self, request: Request) -> Iterator[Chunk]:
        """Answer one chat request; closing the iterator makes the engine stop.

        Raises ``ContextLengthError``, ``InvalidRequestError``, ``UnsupportedError``, ``AnswerTooLargeError``,
        ``CallTimeoutError``, and ``LocalModelError`` where the engine does not start.
        """
        if request.kind != "chat":
            raise UnsupportedError(f"{self.model} answers chats only; it makes no embeddings", feature="embeddings")
        if any(part.get("type", "text") != "text" for m in request.messages if isinstance(m.content, tuple) for part in m.content):
            raise UnsupportedError(f"{self.model} reads text only, no images", feature="images")
        engine = self._engine()
        if request.tools and not engine.takes_tools and not demands_call(request):
            raise UnsupportedError(f"{self.model} takes no tools", feature="tools", hint=_FORCED)
        spelt = request if engine.takes_tools else spell_tools(request)
        by_grammar = spelt is not request and demands_call(request) and not has_results(request)
        attempt = Attempt(self._timeout, self._max_bytes)
        chunks = _identified(attempt.run(_ask(engine, _body(spelt))), self.model)
        try:
            yield from read_call(chunks, sum(len(m.tool_calls) for m in request.messages)) if by_grammar else chunks
        except TimeoutError as error:
            raise CallTimeoutError(f"{self.model} gave no complete answer within {self._timeout:g} s", last=error) from error
        except BROKEN as error:
            raise ConnectionFailedError(f"the engine of {self.model} stopped answering", last=error) from error
        finally:
            attempt.close()  # the engine's work ends here, also where it was left in the middle

    def count_text(self, text: str) -> int:
        """Exactly how many tokens the text has for this model, within a prompt."""
        return len(self._tokens(text))

    def count_messages(self, messages: str | Iterable[Message | Mapping[str, Any]]) -> int:
        """Exactly how many prompt tokens a call with these messages has, the template's own included."""
        return self.count_request(Request("local", self.model, to_messages(messages)))

    def count_request(self, request: Request) -> int:
        """Exactly how many prompt tokens a request has; what the engine itself writes of tools is not counted."""
        engine = self._engine()
        told = request if engine.takes_tools else spell_tools(request)
        prompt = engine.ask("/apply-template", {"messages": [m.to_dict() for m in told.messages]})["prompt"]
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
        return self._cache_folder or default_cache_folder()

    def _engine(self) -> Engine:
        require()  # before the weights: without it they would be fetched in vain
        if self._path is None:
            found = weights.find(self._given, cache_folder=self._folder()) or weights.fetch(self._folder(), self._progress)
            self._path = found.resolve()
        return running(self._path, self._window)


def _ask(engine: Engine, body: Mapping[str, Any]) -> Iterator[Chunk]:
    with engine.stream(_CHAT, body) as events:
        yield from to_chunks(events)


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
        body["response_format"] = _without_odd_patterns(request.response_format)
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def _without_odd_patterns(response_format: Mapping[str, Any]) -> dict[str, Any]:
    """A response format without the patterns that the engine's grammar cannot hold, of which it would complain on stderr.

    It would accept any text there; whoever wants an answer of that form checks it.
    """
    form = copy.deepcopy(dict(response_format))
    schema = find_schema(form)
    for node in walk(schema) if isinstance(schema, dict) else ():
        pattern = node.get("pattern")
        if isinstance(pattern, str) and not _PLAIN_PATTERN.fullmatch(pattern):
            del node["pattern"]
    return form


def _identified(chunks: Iterator[Chunk], model: str) -> Iterator[Chunk]:
    """The chunks that say something, under the model's name and the engine's version; an answer of nothing is an empty text.

    The engine's own remarks (how long it took) differ from run to run and are left out.
    """
    engine, said = fingerprint(), False
    for chunk in chunks:
        says = bool(chunk.text or chunk.reasoning or chunk.tool_pieces)
        if not (says or chunk.finish_reason or chunk.usage or chunk.logprobs):
            continue
        said = said or says
        text = chunk.text or (None if said or not chunk.finish_reason else "")
        yield replace(chunk, text=text, model=model, fingerprint=engine, raw=None)


def _bytes(piece: str | list[int]) -> bytes:
    """The bytes of a token; the engine lists them where they are no whole characters."""
    return piece.encode() if isinstance(piece, str) else bytes(piece)
