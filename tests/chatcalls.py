"""Chat requests for tests, asked of a scripted server, and their answers or errors.

They go through the real SDK, or over the thin transport where the fixture ``transport`` says so.
"""

from __future__ import annotations

import os

import pytest

from tinyllm_magic import errors
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import chat_transport, openai, openai_client
from tinyllm_magic.responses import Answer, ChunkAccumulator

KEY = "my-very-secret-key-123"
CALL = {"id": "call_0", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def ask(text="hi", **params):
    fields = {k: params.pop(k) for k in ("tools", "response_format") if k in params}
    return Request("openai", "gpt-test", (Message("user", text),), params, **fields)


def provider(fake, *, stream=True, timeout=None, extract=None, **options):
    client = openai_client.connect(Endpoint("openai", fake.url), environ={"OPENAI_API_KEY": KEY}, timeout=timeout)
    create = lambda _model, params: client.chat.completions.create(**params)  # noqa: E731
    if os.environ.get("TINYLLM_TRANSPORT") == "auto" and extract is None:
        create = chat_transport.open_transport(Endpoint("openai", fake.url), {"OPENAI_API_KEY": KEY}).create
    return openai.OpenAIProvider(
        create,
        extract,
        stream=stream,
        embed=lambda texts, model, **more: client.embeddings.create(input=texts, model=model, **more),
        timeout=timeout,
        **options,
    )


def fold(chunks) -> Answer:
    folder = ChunkAccumulator()
    for chunk in chunks:
        folder.add(chunk)
    return folder.answer()


def answer(fake, request=None, **options) -> Answer:
    return fold(provider(fake, **options).send(request or ask()))


def fails(fake, kind=errors.ProviderError, request=None, **options):
    with pytest.raises(kind) as caught:
        answer(fake, request, **options)
    return caught.value


both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def complaint(message, **fields):
    return {"error": {"message": message, **fields}}
