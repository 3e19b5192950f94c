"""Counts, splits and cuts text in a model's tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..json_schema import find_schema
from ..messages import Message, Request
from ..responses import Usage
from . import tokenizers
from .catalog import facts, untuned_name
from .image_tokens import count_image
from .tokenizers import TokenCount


def _encoding(model: str) -> str | None:
    return facts(model).encoding or tokenizers.encoding_name(untuned_name(model))


def count_text(text: str, model: str) -> TokenCount:
    """Tokens of a text for a model: exact with its vocabulary, else an estimate and marked as one."""
    return tokenizers.count(text, _encoding(model))


def count_request(request: Request) -> TokenCount:
    """Tokens of a request's prompt, tools and schema included; how a vendor writes a schema into it is not known."""
    counted = count_messages(request.messages, request.model, tools=request.tools)
    schema = find_schema(request.response_format)
    return counted if schema is None else TokenCount(counted + count_text(json.dumps(schema), request.model), estimated=True)


def count_messages(messages: Iterable[Message | Mapping[str, Any]], model: str, *, tools: Sequence[Mapping[str, Any]] = ()) -> TokenCount:
    """Tokens of a chat prompt for a model, by OpenAI's formula (``tokens.count_messages``).

    The count is an estimate where the model's vocabulary or its overhead for messages is not
    known, and where the prompt has tools, or images by a formula that is not published.

    >>> int(count_messages([], "gpt-4"))
    3
    """
    known = facts(model)
    counted = tokenizers.count_messages(
        messages,
        _encoding(model),
        per_message=known.tokens_per_message,
        per_name=known.tokens_per_name,
        tools=tools,
        image_tokens=known.image_tokens,
    )
    exact = known.overhead_known and _encoding(model) is not None
    return counted if exact else TokenCount(counted, estimated=True)


def count_images(message: Message, model: str) -> TokenCount:
    """Tokens of the images of a message."""
    images = [part["image_url"] for part in message.content or () if isinstance(part, Mapping) and part.get("type") == "image_url"]
    counted = [count_image(image.get("url"), image.get("detail"), facts(model).image_tokens) for image in images]
    return TokenCount(sum(tokens for tokens, _ in counted), estimated=any(estimated for _, estimated in counted))


def split_tokens(text: str, model: str) -> list[str] | None:
    """A text in pieces of one token each, for display; ``None`` where no exact tokenizer is at hand."""
    return tokenizers.split(text, _encoding(model))


def cut_text(text: str, n: int, model: str) -> str:
    """The longest beginning of a text that has at most ``n`` tokens; for a model of unknown vocabulary, of OpenAI's o200k.

    What is cut becomes part of a request: it must be the same on every machine, whatever tokenizers are at hand.
    """
    return tokenizers.cut(text, n, _encoding(model) or "o200k_base")


def estimate_usage(messages: Iterable[Message | Mapping[str, Any]], text: str, model: str) -> Usage:
    """Usage of an answer for which the provider reported none, marked as an estimate."""
    return Usage(int(count_messages(messages, model)), int(count_text(text, model)), estimated=True)
