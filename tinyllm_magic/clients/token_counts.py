"""Counts, splits and cuts text in the tokens of a route's model: exact on the embedded model's own tokenizer where it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import TinyLLMError
from ..messages import Message, Request
from ..models import tokens
from ..models.routing import Route
from ..models.tokenizers import TokenCount

if TYPE_CHECKING:
    from ..providers.llamacpp import LocalProvider


def count(messages: str | Iterable[Message | Mapping[str, Any]], route: Route) -> TokenCount:
    """Tokens of a text, or of messages with their overhead; messages that no API would take are counted by what they say."""
    engine = _find_engine(route)
    if isinstance(messages, str):
        return TokenCount(engine.count_text(messages)) if engine else tokens.count_text(messages, route.model)
    given = list(messages)
    if engine and given:
        with suppress(TinyLLMError):  # no content, an unknown role, or a message that the model's own template refuses
            return TokenCount(engine.count_messages(given))
    return tokens.count_messages(given, route.model)


def count_request(request: Request, route: Route) -> TokenCount:
    """Tokens of a request's prompt; what its tools and its schema add is an estimate, and of a schema nothing where a grammar holds it."""
    engine = _find_engine(route)
    return TokenCount(engine.count_request(request)) if engine else tokens.count_request(request)


def split(text: str, route: Route) -> list[str] | None:
    """A text in pieces of one token each, for display; ``None`` where no exact tokenizer is at hand."""
    engine = _find_engine(route)
    return engine.split(text) if engine else tokens.split_tokens(text, route.model)


def is_quick(route: Route) -> bool:
    """Whether an exact count needs no engine to be started."""
    engine = _make_engine(route)
    return engine is None or engine.started


def _find_engine(route: Route) -> LocalProvider | None:
    """The engine of a model that runs here, where it can start at once."""
    engine = _make_engine(route)
    return engine if engine is not None and engine.ready else None


def _make_engine(route: Route) -> LocalProvider | None:
    """The engine of a model that runs here; ``None`` for one that is asked elsewhere."""
    if route.endpoint.api_type != "local":
        return None
    from ..providers.llamacpp import LocalProvider

    return LocalProvider(route.endpoint.path)
