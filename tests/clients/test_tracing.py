"""One span for each live call where a tracer is set: its names are the conventions', its content only what was asked for."""

import json
import sys
from types import SimpleNamespace

import pytest
from records import python

from tinyllm_magic import client
from tinyllm_magic.clients.tracing import CONTENT_VARIABLE
from tinyllm_magic.errors import AuthError

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


@pytest.fixture
def spans(monkeypatch):
    """The spans of a tracer of the user's: OpenTelemetry's own SDK, set for this test alone."""
    trace = pytest.importorskip("opentelemetry.trace")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    known = {name: getattr(trace, name) for name in ("SpanKind", "Status", "StatusCode")}
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_tracer=provider.get_tracer, **known))
    return exporter.get_finished_spans


def test_a_live_call_is_one_span_with_the_conventions_names(start, spans):
    server = start("Hi there")
    client().send_message(QUESTION, model="gpt-4o-mini", temperature=0.5, max_tokens=20, seed=7, stop=["END"])
    (span,) = spans()
    assert (span.name, span.kind.name, span.status.status_code.name) == ("chat gpt-4o-mini", "CLIENT", "UNSET")
    attributes = dict(span.attributes)
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert attributes["gen_ai.request.max_tokens"] == 20
    assert attributes["gen_ai.request.seed"] == 7
    assert attributes["gen_ai.request.stop_sequences"] == ("END",)
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.usage.input_tokens"] > 0
    assert attributes["gen_ai.usage.output_tokens"] > 0
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["server.port"] == int(server.url.rpartition(":")[2].partition("/")[0])


def test_what_was_asked_and_said_is_told_only_where_its_variable_asks_for_it(start, spans, monkeypatch):
    start("Hi there", "Hi there")
    client().send_message(QUESTION, model="m")
    monkeypatch.setenv(CONTENT_VARIABLE, "true")
    client().send_message([*QUESTION[:1], {"role": "user", "content": "Hello, you"}], model="m")
    silent, telling = spans()
    assert not [value for value in silent.attributes.values() if "Hello" in str(value) or "Hi there" in str(value)]
    assert json.loads(telling.attributes["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(telling.attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello, you"}]}
    ]
    said = json.loads(telling.attributes["gen_ai.output.messages"])
    assert said == [{"role": "assistant", "parts": [{"type": "text", "content": "Hi there"}], "finish_reason": "stop"}]


def test_a_recorded_answer_is_no_call_and_has_no_span(start, spans):
    start("Hi there")
    for _ in range(3):
        client().send_message(QUESTION, model="m", mode="auto")
    assert len(spans()) == 1


def test_retries_are_parts_of_one_call(start, spans, sleeps):
    start(500, 429, "Hi there")
    client().send_message(QUESTION, model="m")
    assert [span.status.status_code.name for span in spans()] == ["UNSET"]


def test_a_call_that_fails_is_a_span_that_says_so(start, spans):
    start({"status": 401, "body": {"error": {"message": "bad key", "code": "invalid_api_key"}}})
    with pytest.raises(AuthError):
        client().send_message(QUESTION, model="m")
    (span,) = spans()
    assert (span.attributes["error.type"], span.status.status_code.name) == ("AuthError", "ERROR")


def test_a_stream_that_is_hung_up_ends_its_span(start, spans):
    start("Hi there")
    stream = client().prepare(QUESTION, "m").stream()
    next(stream)
    stream.close()
    (span,) = spans()
    assert span.attributes["gen_ai.request.stream"] is True
    assert span.attributes["error.type"] == "GeneratorExit"


def test_without_a_tracer_nothing_is_imported_and_with_one_its_spans_are_children_of_the_users():
    said = python(
        """
        import sys
        from tinyllm_magic import client, force_api_type

        with force_api_type("echo"):
            client().send_message("One")
            assert "opentelemetry" not in sys.modules
            from opentelemetry import trace
            client().send_message("Two")  # the API alone: nobody records

            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor
            from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

            exporter, provider = InMemorySpanExporter(), TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            trace.set_tracer_provider(provider)
            with trace.get_tracer("mine").start_as_current_span("a cell"):
                client().send_message("Three")
            inner, outer = exporter.get_finished_spans()
            print(inner.name, outer.name, inner.parent.span_id == outer.context.span_id)
        """
    )
    assert said.split("\n")[0] == "chat echo a cell True"
