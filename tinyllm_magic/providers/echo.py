"""A provider without any model, for tests, docs and classrooms: it repeats the prompt, calls what it spells, or follows a script."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from ..messages import Request
from ..responses import Chunk, ToolPiece, Usage
from .spelt_calls import next_calls, write_results

KEPT = 1000
_WORDS = re.compile(r"\S+\s*|\s+")


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


class EchoProvider:
    """Says back the last user message, or what a script holds, word by word.

    ``script`` is an iterable of answers for one call each: text, a list of ``Chunk``, or an
    exception to raise. When it is used up, the echo goes on. ``requests`` keeps what was asked last
    (at least the last ``KEPT``).

    Where a request has tools, the echo makes the calls that its last question spells as Python would, those of each
    line at once and line after line, and then says what came of them: ``weather(city="Ulm")``.

    >>> from tinyllm_magic import Message, Request
    >>> provider = EchoProvider()
    >>> "".join(c.text or "" for c in provider.send(Request("echo", "echo", (Message("user", "Hi"),))))
    'Hi'
    """

    def __init__(self, script: Iterable[str | list[Chunk] | BaseException] = ()) -> None:
        self._script = iter(script)
        self._lock = threading.Lock()
        self.requests: list[Request] = []

    def send(self, request: Request) -> Iterator[Chunk]:
        """Answer one request; tokens are counted as words."""
        with self._lock:
            self.requests.append(request)
            if len(self.requests) == 2 * KEPT:
                del self.requests[:KEPT]
            turn: Any = next(self._script, None)
        if isinstance(turn, BaseException):
            raise turn
        if isinstance(turn, list):
            yield from turn
            return
        if request.kind == "embedding":
            texts = request.params["input"]
            yield Chunk(embeddings=tuple((float(len(t)), 1.0) for t in texts), finish_reason="stop", model=request.model)
            return
        asked = sum(len(_words(m.text)) for m in request.messages)
        if turn is None and (calls := next_calls(request)):
            yield Chunk(tool_pieces=tuple(ToolPiece(i, c.id, c.name, c.arguments) for i, c in enumerate(calls)))
            said = sum(len(_words(c.arguments)) for c in calls)
            yield Chunk(finish_reason="tool_calls", model=request.model, usage=Usage(asked, said))
            return
        text = turn if turn is not None else write_results(request.messages) or _echo(request)
        words = _words(text)
        for word in words:
            yield Chunk(text=word)
        yield Chunk(text="" if not words else None, finish_reason="stop", model=request.model, usage=Usage(asked, len(words)))


def _echo(request: Request) -> str:
    users = [m.text for m in request.messages if m.role == "user"]
    return users[-1] if users else request.messages[-1].text
