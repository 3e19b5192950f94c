"""Lets a client whose class has its own ``send_message`` answer calls, cells and maps through it (``OwnSendMessage``).

What it answers is recorded as any other answer. Where it asks the ``send_message`` that it overrides, that call is a
part of the one under way: it is repeated after failures there, and neither recorded nor counted once more.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ..errors import InvalidRequestError
from ..providers.chat_format import to_chunks
from ..responses import Chunk, Response, Usage


@dataclass
class Inner:
    """What the ``send_message`` of one client that is under way in this context has asked of the one it overrides."""

    client: Any
    responses: list[Response] = field(default_factory=list)


_under_way: ContextVar[Inner | None] = ContextVar("tinyllm_magic_own_send_message", default=None)


def inner_of(client: Any) -> Inner | None:
    """The call under way that this client's own ``send_message`` answers, if it is what is running now."""
    inner = _under_way.get()
    return inner if inner is not None and inner.client is client else None


class OwnSendMessage:
    """A transport (as ``call=`` takes one) that asks a client's own ``send_message`` with what its caller would pass."""

    bounds_itself = True
    """TIMEOUT bounds each attempt of the calls that it makes, not all of them together."""

    def __init__(self, client: Any, model: str | None, params: Mapping[str, Any]) -> None:
        self.__qualname__ = f"{type(client).__qualname__}.send_message"  # names what answers, in the request
        self._client = client
        self._params = {k: v for k, v in {"model": model, **params}.items() if v is not None}

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which has a client of its own to ``bind``."""
        return {**vars(self), "_client": None}

    def bind(self, client: Any) -> OwnSendMessage:
        """The same transport through this client, where it came without one from another process."""
        if self._client is not None:
            return self
        return OwnSendMessage(client, None, self._params)

    def __call__(self, *, messages: list[dict[str, Any]], **request: Any) -> Any:
        """The answer to these messages, as chunks where anything is known of it beside the message."""
        client = self._client
        inner = Inner(client)
        token = _under_way.set(inner)
        try:
            said = client.send_message(messages, **(_find_required(client.send_message, request) | self._params))
        finally:
            _under_way.reset(token)
        if said is None:
            raise InvalidRequestError(f"{self.__qualname__} returned no message")
        return _add_facts(said, inner.responses) if inner.responses else said


def _find_required(send: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """What of a request a ``send_message`` without defaults of its own requires beside the messages."""
    _, *others = inspect.signature(send).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: request.get(p.name) for p in others if p.kind in named and p.default is p.empty}


def _add_facts(said: Any, responses: list[Response]) -> Iterator[Chunk]:
    """The message with what was told of the answers behind it: the end of the last one, the tokens of all."""
    answer = responses[-1].record.answer
    message = said if isinstance(said, Mapping) else {"role": "assistant", "content": str(said)}
    choice = {"message": message, "finish_reason": answer.finish_reason or "stop", "logprobs": answer.logprobs}
    facts = {"model": answer.model, "system_fingerprint": answer.fingerprint, **(answer.raw or {})}
    usage = sum((r.usage for r in responses if r.usage), Usage())
    counted = Chunk(usage=None if usage.estimated else usage)
    notes = (Chunk(note=note) for note in dict.fromkeys(n for r in responses for n in r.notes))
    return chain(notes, to_chunks({**facts, "choices": [choice]}), (counted,))
