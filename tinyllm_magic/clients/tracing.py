"""One OpenTelemetry span for each live call, where the user has set a tracer; without one nothing is imported, and nothing done.

Names and attributes are those of the conventions for generative AI (`models/gen_ai.py`). A recorded answer is no call, and has no span.
What was asked and said is told only where ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` asks for it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ..errors import BadResponseError
from ..messages import Request
from ..models.gen_ai import describe_answer, describe_question, describe_request, describe_said
from ..redaction import mask
from ..responses import Chunk, ChunkAccumulator, Provider

CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_API = "opentelemetry.trace"  # who sets a tracer has imported it
_IN_SPANS = ("true", "1", "span_only", "span_and_event")
_PORTS = {"https": 443, "http": 80}


def trace(provider: Provider, version: Callable[[], str], *, stream: bool) -> Provider:
    """The provider itself, or one around it that tells of each call where OpenTelemetry is in use here; ``version`` is this package's."""
    return provider if _API not in sys.modules else Traced(provider, version(), stream=stream)


class Traced:
    """A provider that holds another and tells a span how its call went: retries are parts of the one call."""

    def __init__(self, provider: Provider, version: str, *, stream: bool) -> None:
        self.provider, self._version, self._stream = provider, version, stream

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the chunks of the call, which is not changed in any way."""
        span = _start_span(request, self._version, stream=self._stream)
        if span is None:
            yield from self.provider.send(request)
            return
        began, fold = time.monotonic(), ChunkAccumulator()
        is_first = True
        try:
            for chunk in self.provider.send(request):
                if is_first and self._stream and (chunk.text or chunk.reasoning or chunk.tool_pieces):
                    is_first = False
                    span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - began)
                fold.add(chunk)
                yield chunk
            _describe_end(span, request, fold)
        except BaseException as error:
            _describe_failure(span, error)
            raise
        finally:
            span.end()


def _start_span(request: Request, version: str, *, stream: bool) -> Any:
    """The span of a call; ``None`` where no tracer of the user's records it."""
    api = sys.modules[_API]
    form = request.canonical()
    attributes = {**describe_request(form), **_describe_server(request.provider)}
    if stream:
        attributes["gen_ai.request.stream"] = True
    if captures_content():
        attributes |= {name: _to_text(value) for name, value in describe_question(form).items()}
    name = f"{attributes['gen_ai.operation.name']} {request.model}"
    span = api.get_tracer("tinyllm_magic", version).start_span(name, kind=api.SpanKind.CLIENT, attributes=attributes)
    return span if span.is_recording() else None


def captures_content() -> bool:
    """Whether the user wants prompts and answers in spans."""
    return os.environ.get(CONTENT_VARIABLE, "").strip().lower() in _IN_SPANS


def _describe_server(provider: str) -> dict[str, Any]:
    """Where a provider is asked that is not the vendor's own address."""
    parts = urlsplit(provider.partition(":")[2])
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or _PORTS.get(parts.scheme, 443)}


def _describe_end(span: Any, request: Request, fold: ChunkAccumulator) -> None:
    try:
        answer = fold.answer()
    except BadResponseError:
        return  # who reads the answer says what is wrong with it
    for name, value in describe_answer(answer).items():
        span.set_attribute(name, value)
    if captures_content():
        for name, value in describe_said(answer, request.kind).items():
            span.set_attribute(name, _to_text(value))


def _describe_failure(span: Any, error: BaseException) -> None:
    api = sys.modules[_API]
    span.set_attribute("error.type", type(error).__name__)
    said = mask(str(getattr(error, "message", "") or type(error).__name__))
    span.set_status(api.Status(api.StatusCode.ERROR, said.partition("\n")[0]))


def _to_text(value: Any) -> str:
    """Content as the JSON text that an attribute can hold, without secrets."""
    return mask(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
