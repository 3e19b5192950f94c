"""The OpenAI provider against a real server on loopback, through the real SDK."""

from __future__ import annotations

import copy
import email.utils
import inspect
import json
import signal
import subprocess
import sys
import threading
import time
import traceback

import pytest
from fakeserver import FakeServer, Turn

from tinyllm_magic import errors
from tinyllm_magic.answers import Answer, Chunk, Folder, ToolCall, Usage
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.models import Endpoint
from tinyllm_magic.providers import failures
from tinyllm_magic.providers import openai as vendor

KEY = "my-very-secret-key-123"
CALL = {"id": "call_0", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def serve():
    servers = []

    def start(*script):
        servers.append(FakeServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(text="hi", **params):
    fields = {k: params.pop(k) for k in ("tools", "response_format") if k in params}
    return Request("openai", "gpt-test", (Message("user", text),), params, **fields)


def provider(fake, *, stream=True, timeout=None, extract=None):
    client = vendor.connect(Endpoint("openai", fake.url), environ={"OPENAI_API_KEY": KEY}, timeout=timeout)
    return vendor.OpenAIProvider(
        lambda _model, params: client.chat.completions.create(**params),
        extract,
        stream=stream,
        embed=lambda texts, model, **more: client.embeddings.create(input=texts, model=model, **more),
        timeout=timeout,
    )


def fold(chunks) -> Answer:
    folder = Folder()
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


# -- answers --------------------------------------------------------------------------------------


@both
def test_text_usage_model_and_fingerprint_arrive(serve, stream):
    got = answer(serve("one two three"), ask("a b"), stream=stream)
    assert got == Answer("one two three", (), "stop", Usage(2, 3), "gpt-test", "fp_fake")


def test_a_stream_arrives_while_the_server_still_writes(serve):
    fake = serve(Turn("one two", hang=2))
    stream = provider(fake).send(ask())
    assert [next(stream).text, next(stream).text] == ["", "one "]
    assert fake.active == 1
    stream.close()
    assert fake.hung_up.wait(5)


@both
def test_tool_calls_are_whole_and_content_is_absent(serve, stream):
    got = answer(serve(Turn(None, tool_calls=[("add", {"a": 1}), ("sub", {"b": 2})])), ask(tools=(TOOL,)), stream=stream)
    assert got.text is None
    assert got.tool_calls == (ToolCall("call_0", "add", '{"a": 1}'), ToolCall("call_1", "sub", '{"b": 2}'))
    assert got.finish_reason == "tool_calls"


@both
def test_reasoning_and_refusal_are_kept_apart_from_the_text(serve, stream):
    got = answer(serve(Turn("42", reasoning_content="six times seven", refusal="no")), stream=stream)
    assert (got.text, got.reasoning, got.refusal) == ("42", "six times seven", "no")


@both
def test_detailed_usage_is_read(serve, stream):
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert answer(serve(Turn(usage=usage)), stream=stream).usage == Usage(9, 5, 4, 3)


@both
def test_no_usage_is_none(serve, stream):
    assert answer(serve(Turn(usage=None)), stream=stream).usage is None


@both
def test_an_empty_stop_is_a_value(serve, stream):
    assert answer(serve(""), stream=stream).text == ""


@both
def test_a_filtered_answer_is_an_answer(serve, stream):
    got = answer(serve(Turn("half", finish_reason="content_filter")), stream=stream)
    assert (got.text, got.finish_reason) == ("half", "content_filter")


def test_one_json_body_for_a_stream_is_read(serve):
    fake = serve(Turn("whole", json_for_stream=True, usage={"prompt_tokens": 1, "completion_tokens": 1}))
    got = answer(fake)
    assert fake.last["stream"] is True
    assert (got.text, got.usage) == ("whole", Usage(1, 1))


def test_a_stream_under_a_wrong_content_type_is_read(serve):
    assert answer(serve(Turn("one two", content_type="text/plain"))).text == "one two"


def test_the_answer_stands_though_its_tail_is_lost(serve):
    got = answer(serve(Turn("one two", cut=4)))  # role, two words, finish; the usage is cut off
    assert (got.text, got.finish_reason, got.usage) == ("one two", "stop", None)


# -- answers that are none ------------------------------------------------------------------------


@both
def test_no_choices_is_a_bad_response(serve, stream):
    assert fails(serve(Turn(no_choices=True)), errors.BadResponseError, stream=stream).retryable


@both
def test_no_finish_reason_is_a_bad_response(serve, stream):
    fails(serve(Turn(finish_reason=None)), errors.BadResponseError, stream=stream)


@both
def test_html_is_a_bad_response_with_an_excerpt(serve, stream):
    error = fails(serve(Turn(garbage="<html><h1>Welcome to the proxy</h1></html>")), errors.BadResponseError, stream=stream)
    assert "Welcome to the proxy" in str(error)


@both
def test_broken_json_is_a_bad_response_with_an_excerpt(serve, stream):
    error = fails(serve(Turn(garbage="{ broken", content_type="application/json")), errors.BadResponseError, stream=stream)
    assert "{ broken" in str(error)


def test_broken_json_inside_a_stream_is_a_bad_response(serve):
    turn = Turn(garbage="data: {oops\n\n", content_type="text/event-stream")
    assert "{oops" in str(fails(serve(turn), errors.BadResponseError))


def test_an_empty_stream_is_a_bad_response(serve):
    fails(serve(Turn(garbage="", content_type="text/event-stream")), errors.BadResponseError)


@both
def test_a_json_value_that_is_no_object_is_a_bad_response(serve, stream):
    fails(serve(Turn(garbage="[1, 2]", content_type="application/json")), errors.BadResponseError, stream=stream)


@both
def test_a_cut_answer_is_a_failed_connection(serve, stream):
    error = fails(serve(Turn("one two three", cut=2)), errors.ConnectionFailedError, stream=stream)
    assert type(error.__cause__).__name__ == "APIConnectionError"
    assert "peer closed connection" in str(error)


def test_an_error_event_inside_a_stream_is_told(serve):
    event = {"error": {"message": "upstream fell over", "code": 502}}
    error = fails(serve(Turn(garbage=f"data: {json.dumps(event)}\n\n", content_type="text/event-stream")), errors.ServerError)
    assert error.status == 502
    assert "upstream fell over" in str(error)


@both
def test_an_error_with_status_200_is_told(serve, stream):
    error = fails(serve(Turn(body={"error": {"message": "no such thing", "code": 404}})), errors.NotFoundError, stream=stream)
    assert "no such thing" in str(error)


# -- time -----------------------------------------------------------------------------------------


def timed(fake, **options):
    began = time.monotonic()
    error = fails(fake, errors.CallTimeoutError, timeout=0.4, **options)
    assert time.monotonic() - began < 3
    return error


@both
@pytest.mark.parametrize(
    "turn",
    [Turn(hang=0), Turn(drip=0.05), Turn("word " * 90, json_for_stream=True, drip=0.05), Turn(delay=20)],
    ids=["silent", "dripping", "dripping json", "slow"],
)
def test_the_whole_call_is_bounded(serve, stream, turn):
    fake = serve(turn)
    assert "0.4 s" in str(timed(fake, stream=stream))
    assert fake.n == 1
    assert fake.hung_up.wait(5)


@pytest.mark.parametrize("turn", [Turn("one two three", hang=2), Turn("word " * 200, chunk_delay=0.05)], ids=["stalled", "slow"])
def test_a_stream_is_bounded_as_a_whole(serve, turn):
    fake = serve(turn)
    timed(fake)
    assert fake.hung_up.wait(5)


def test_dripping_error_bodies_are_bounded(serve):
    error = fails(serve(Turn(status=500, drip=0.05)), timeout=0.4)
    assert isinstance(error, errors.CallTimeoutError)


def test_dripping_keep_alive_comments_are_bounded(serve):
    fake = serve(Turn(garbage=": wait\n\n" * 500, content_type="text/event-stream", drip=0.02))
    timed(fake)


def test_embeddings_are_bounded_too(serve):
    timed(serve(Turn(drip=0.05)), request=Request("openai", "e", (), {"input": ["x"]}, kind="embedding"))


def test_a_reused_connection_is_bounded_too(serve):
    fake = serve("first", Turn(hang=0))
    one = provider(fake, stream=False, timeout=0.4)
    assert fold(one.send(ask())).text == "first"
    with pytest.raises(errors.CallTimeoutError):
        fold(one.send(ask()))


def test_a_slow_answer_within_the_limit_arrives(serve):
    assert answer(serve(Turn("one two", chunk_delay=0.05)), timeout=20).text == "one two"


def test_a_limit_does_not_outlive_its_call_on_the_connection(serve):
    fake = serve("quick", Turn("slow", delay=0.7))
    client = vendor.connect(Endpoint("openai", fake.url), environ={})
    limited, free = (
        vendor.OpenAIProvider(lambda _model, params: client.chat.completions.create(**params), stream=False, timeout=t) for t in (0.5, None)
    )
    held = limited.send(ask())  # not closed yet, as by a reader who takes his time
    assert next(held).text == "quick"
    assert fold(free.send(ask())).text == "slow"
    assert list(held) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a signal cannot be sent to a thread there")
@pytest.mark.parametrize("turn", [Turn("one two", hang=2), Turn(hang=0), Turn(drip=1)], ids=["in a stream", "before headers", "in a body"])
def test_an_interrupt_passes_at_once_and_hangs_up(serve, turn):
    arrived = threading.Event()

    def note(_body):
        arrived.set()
        return turn

    def interrupt():
        if arrived.wait(10):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    fake = serve(note)
    one = provider(fake, timeout=25)
    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fold(one.send(ask()))
    thread.join()
    assert time.monotonic() - began < 5
    assert fake.hung_up.wait(5)


# -- what is sent ---------------------------------------------------------------------------------


def test_parameters_reach_the_wire_under_their_names(serve):
    fake = serve("x")
    answer(fake, ask(temperature=0.7, top_k=5, verbosity="low", extra_body={"min_p": 0.1}, seed=None))
    sent = {k: v for k, v in fake.last.items() if k not in ("messages", "model")}
    options = {"stream": True, "stream_options": {"include_usage": True}}
    assert sent == {"temperature": 0.7, "top_k": 5, "verbosity": "low", "min_p": 0.1, **options}


def test_tools_and_response_format_reach_the_wire(serve):
    fake = serve("{}")
    answer(fake, ask(tools=(TOOL,), response_format={"type": "json_object"}), stream=False)
    assert (fake.last["tools"], fake.last["response_format"]) == ([TOOL], {"type": "json_object"})
    assert "stream" not in fake.last


def test_two_attempts_send_equal_bodies_and_leave_the_request_alone(serve):
    fake = serve(500, "x")
    request = ask(stop=["a"], tools=(TOOL,), extra_body={"k": [1]})
    before, one = copy.deepcopy(request.canonical()), provider(fake)
    with pytest.raises(errors.ServerError):
        fold(one.send(request))
    fold(one.send(request))
    assert fake.bodies[0] == fake.bodies[1]
    assert request.canonical() == before


def test_params_are_fresh_copies():
    request = ask(stop=["a"])
    vendor.chat_params(request, stream=False)["stop"].append("b")
    assert vendor.chat_params(request, stream=False)["stop"] == ["a"]


def test_the_lists_of_parameters_are_those_of_the_sdk():
    from openai.resources.chat.completions import Completions

    structural = {"self", "messages", "model", "stream", "stream_options", "extra_headers", "extra_query", "extra_body", "timeout"}
    assert vendor.known_params() == set(inspect.signature(Completions.create).parameters) - structural
    assert vendor.known_params() | {"extra_body"} == vendor.PARAMETERS


def test_importing_the_room_imports_no_sdk():
    code = "import sys, tinyllm_magic.providers.openai as v; v.known_params(); print([m for m in ('openai', 'httpx2') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("feature", ["stream_options", "stream"])
def test_a_server_that_cannot_stream_so_is_asked_again_without(serve, feature):
    def old(body):
        if feature not in body:
            return "fine"
        return Turn(status=400, body={"error": {"message": f"Unsupported parameter: '{feature}'", "param": feature}})

    fake = serve(old, old, old)
    one = provider(fake)
    assert fold(one.send(ask())).text == "fine"
    assert fold(one.send(ask())).text == "fine"
    assert [feature in b for b in fake.bodies] == [True, False, False]


def test_embeddings_arrive_in_the_order_of_the_texts(serve):
    fake = serve(200)
    got = answer(fake, Request("openai", "embed-test", (), {"input": ["abc", "b"], "dimensions": 3}, kind="embedding"))
    assert got.embeddings == ((3.0, 97.0, 1.0), (1.0, 98.0, 1.0))
    assert (got.usage, got.model, got.text) == (Usage(2, 0), "embed-test", None)
    assert (fake.path, fake.last["input"], fake.last["dimensions"]) == ("/v1/embeddings", ["abc", "b"], 3)


@pytest.mark.parametrize("turn", [Turn(garbage="<html>Sign in</html>"), Turn(body={"data": []})], ids=["html", "empty"])
def test_embeddings_that_are_none_are_a_bad_response(serve, turn):
    fails(serve(turn), errors.BadResponseError, Request("openai", "e", (), {"input": ["x"]}, kind="embedding"))


# -- transports of the user's ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        "ok",
        {"role": "assistant", "content": "ok"},
        {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]},
        iter(["o", "k"]),
        iter([{"choices": [{"delta": {"content": "ok"}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]),
        iter([Chunk(text="ok"), Chunk(finish_reason="stop")]),
    ],
    ids=["text", "message", "completion", "chunk", "texts", "chunk dicts", "chunks"],
)
def test_many_shapes_of_an_answer_are_read(raw):
    got = fold(vendor.OpenAIProvider(lambda _model, _params: raw).send(ask()))
    assert (got.text, got.finish_reason) == ("ok", "stop")


def test_a_message_with_tool_calls_ends_with_tool_calls():
    got = fold(vendor.to_chunks({"role": "assistant", "content": None, "tool_calls": [CALL]}))
    assert (got.text, got.tool_calls, got.finish_reason) == (None, (ToolCall("call_0", "add", '{"a": 1}'),), "tool_calls")


@pytest.mark.parametrize("raw", [{}, {"choices": []}, {"hello": 1}, 7, None, iter([])], ids=str)
def test_shapes_that_are_no_answer_are_refused(raw):
    with pytest.raises(errors.BadResponseError):
        fold(vendor.to_chunks(raw))


def piece(call_id, name, arguments, **index):
    return {**index, "id": call_id, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "deltas",
    [
        [[piece("a", "f", "{}", index=0)], [piece("b", "g", "[]", index=0)]],
        [[piece("a", "f", "{}")], [piece("b", "g", "[]")]],
        [[piece("a", "f", "{", index=0)], [piece("a", "f", "}", index=0)], [piece("b", "g", "[]", index=1)]],
        [[piece("a", "f", "{}"), piece("b", "g", "[]")]],
    ],
    ids=["one index for all", "no index", "name repeated", "no index, one piece"],
)
def test_odd_tool_pieces_are_told_apart(deltas):
    items = [{"choices": [{"delta": {"tool_calls": d}}]} for d in deltas]
    got = fold(vendor.to_chunks(iter([*items, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}])))
    assert got.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[]"))


def test_content_in_parts_is_text_and_reasoning():
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
    got = fold(vendor.to_chunks({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}))
    assert (got.text, got.reasoning) == ("yes", "hm")


def test_an_extractor_sees_the_raw_answer_and_its_facts_are_kept(serve):
    seen = []

    def extract(raw):
        seen.append(type(raw).__name__)
        return {"role": "assistant", "content": raw.choices[0].message.content.upper()}

    fake = serve("shout")
    got = answer(fake, ask("a b"), extract=extract)
    assert (got.text, got.finish_reason, got.usage, got.model) == ("SHOUT", "stop", Usage(2, 1), "gpt-test")
    assert seen == ["ChatCompletion"]
    assert "stream" not in fake.last


def test_a_bug_in_a_transport_is_told_and_not_asked_again():
    def create(_model, _params):
        raise KeyError("oops")

    with pytest.raises(errors.ProviderError, match="KeyError: 'oops'") as caught:
        fold(vendor.OpenAIProvider(create).send(ask()))
    assert not caught.value.retryable
    assert isinstance(caught.value.__cause__, KeyError)


def test_errors_of_this_package_pass_as_they_are():
    mine = errors.NonTerminalError("again")

    def create(_model, _params):
        raise mine

    with pytest.raises(errors.NonTerminalError) as caught:
        fold(vendor.OpenAIProvider(create).send(ask()))
    assert caught.value is mine


def test_a_message_object_is_the_sdks():
    made = vendor.message_object({"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"})
    assert (made.content, made.tool_calls[0].function.name, made.reasoning_content) == (None, "add", "hm")


# -- errors ---------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthError),
        (402, errors.QuotaError),
        (403, errors.AuthError),
        (404, errors.NotFoundError),
        (405, errors.InvalidRequestError),
        (408, errors.ServerError),
        (409, errors.ServerError),
        (422, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_each_status_has_its_class_and_one_request_is_sent(serve, status, kind, stream):
    fake = serve(status)
    error = fails(fake, stream=stream)
    assert type(error) is kind
    assert (error.status, error.request_id, fake.n) == (status, "req_1", 1)
    assert f"({status}, request req_1)" in str(error)
    assert error.__cause__.status_code == status


def complaint(message, **fields):
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, complaint("too long", code="context_length_exceeded"), errors.ContextLengthError),
        (400, complaint("This model's maximum context length is 8192 tokens."), errors.ContextLengthError),
        (400, complaint("the request exceeds the available context size", type="exceed_context_size_error"), errors.ContextLengthError),
        (400, complaint("no", code="content_filter"), errors.ContentFilterError),
        (400, complaint("no", code="x", innererror={"code": "ResponsibleAIPolicyViolation"}), errors.ContentFilterError),
        (400, complaint("Invalid schema for function 'f': 'default' is not supported"), errors.InvalidRequestError),
        (400, complaint("messages with role 'tool' must follow 'tool_calls'"), errors.InvalidRequestError),
        (400, [complaint("in a list")], errors.InvalidRequestError),
        (400, {"error": "just text"}, errors.InvalidRequestError),
        (400, {"detail": "from a framework"}, errors.InvalidRequestError),
        (400, "<html><body>Bad Gateway?</body></html>", errors.InvalidRequestError),
        (429, complaint("You exceeded your current quota", code="insufficient_quota"), errors.QuotaError),
        (429, complaint("You exceeded your current quota", code=429), errors.RateLimitError),
        (500, complaint("boom"), errors.ServerError),
    ],
)
def test_the_providers_words_refine_the_class(serve, status, body, kind):
    assert type(fails(serve(Turn(status=status, body=body)))) is kind


@pytest.mark.parametrize(
    ("status", "body", "feature"),
    [
        (400, complaint("'tools' is not supported with this model", code="unsupported_parameter", param="tools"), "tools"),
        (400, {"error": "registry/gemma:latest does not support tools"}, "tools"),
        (404, complaint("No endpoints found that support tool use."), "tools"),
        (500, complaint("tools param requires --jinja flag"), "tools"),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "tools"], "msg": "Extra inputs are not permitted"}]}, "tools"),
        (400, complaint("'response_format' of type 'json_schema' is not supported with this model."), "response_format"),
        (400, complaint("Unsupported parameter: 'max_tokens' is not supported with this model.", param="max_tokens"), "max_tokens"),
        (400, complaint("Unsupported value: 'temperature' does not support 0.2", param="temperature"), "temperature"),
        (400, complaint("Unrecognized request argument supplied: top_k"), "top_k"),
        (400, complaint("unknown field: stream_options"), "stream_options"),
    ],
)
def test_an_unsupported_feature_is_named(serve, status, body, feature):
    fake = serve(*[Turn(status=status, body=body)] * 2)
    error = fails(fake, errors.UnsupportedError)
    assert error.feature == feature


def test_the_servers_default_complaint_about_tools_is_understood(serve):
    assert fails(serve(400), errors.UnsupportedError, ask(tools=(TOOL,))).feature == "tools"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7), ({"retry-after-ms": "1500"}, 1.5), ({}, None)])
def test_the_wait_the_provider_asks_for_is_kept(serve, status, headers, seconds):
    assert fails(serve(Turn(status=status, headers=headers))).retry_after == seconds


def test_the_wait_may_be_a_date(serve):
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 30 < fails(serve(Turn(status=429, headers={"Retry-After": date}))).retry_after <= 61


def test_a_refused_connection_says_so(serve):
    fake = serve()
    fake.close()
    error = fails(fake, errors.ConnectionFailedError)
    assert "refused" in str(error).lower()
    assert type(error.__cause__).__name__ == "APIConnectionError"


def test_a_broken_connection_before_the_answer_is_told(serve):
    assert fails(serve(Turn(cut=0)), errors.ConnectionFailedError).retryable


@pytest.mark.parametrize("echoed", [KEY, "sk-proj-abcdef123456", "sk-abc***xyz"])
def test_no_key_appears_in_an_error_or_its_full_traceback(serve, echoed):
    error = fails(serve(Turn(status=401, body=complaint(f"Incorrect API key provided: {echoed}."))), errors.AuthError)
    everything = str(error) + repr(error) + repr(vars(error)) + "".join(traceback.format_exception(error)) + str(error.__cause__.body)
    assert "Incorrect API key provided: [key]" in str(error)
    assert echoed not in everything


def test_no_key_appears_in_an_unreadable_answer(serve):
    assert "sk-proj" not in str(fails(serve(Turn(garbage="your key sk-proj-abcdef123456"))))


def walk(kind):
    for child in kind.__subclasses__():
        yield child
        yield from walk(child)


def test_the_table_covers_every_error_class_of_the_sdk():
    import openai
    import openai.lib.azure

    classes = [c for c in walk(openai.OpenAIError) if not c.__module__.startswith(("openai.lib.beta", "openai._extras"))]
    assert {"BadRequestError", "APITimeoutError", "MutuallyExclusiveAuthError"} <= {c.__name__ for c in classes}
    uncovered = [
        c.__name__ for c in classes if not any(b.__name__ in failures.TABLE for b in c.__mro__[: c.__mro__.index(openai.OpenAIError)])
    ]
    assert uncovered == []
    assert all(isinstance(vendor.translate(c.__new__(c)), errors.ProviderError) for c in classes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ReadTimeout", errors.CallTimeoutError),
        ("ConnectTimeout", errors.CallTimeoutError),
        ("ReadError", errors.ConnectionFailedError),
        ("RemoteProtocolError", errors.ConnectionFailedError),
        ("ProxyError", errors.ConnectionFailedError),
        ("StreamClosed", errors.ConnectionFailedError),
    ],
)
def test_errors_of_the_http_library_are_in_the_table(name, kind):
    import httpx2

    error = getattr(httpx2, name)
    assert type(vendor.translate(error() if name == "StreamClosed" else error("words"))) is kind


# -- clients and keys -----------------------------------------------------------------------------


def test_the_key_goes_where_it_belongs_and_into_no_repr(serve):
    fake = serve("x")
    client = vendor.connect(Endpoint("openai", fake.url), environ={"OPENAI_API_KEY": f" {KEY}\n"}, timeout=5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(client) + repr(Endpoint("openai", fake.url, api_key=KEY))
    assert client.max_retries == 0


@pytest.mark.parametrize(
    ("endpoint", "environ", "key"),
    [
        ({}, {}, "no-key"),
        ({"api_key": "given"}, {"OPENAI_API_KEY": "env"}, "given"),
        ({"api_key": lambda: "called"}, {"OPENAI_API_KEY": "env"}, "called"),
        ({"api_key_env": "MINE"}, {"OPENAI_API_KEY": "env", "MINE": "mine"}, "mine"),
        ({"trusted": False}, {"OPENAI_API_KEY": "env"}, "env"),
    ],
    ids=["loopback needs none", "given", "callable", "named variable", "loopback is trusted"],
)
def test_keys_are_found_in_order(serve, endpoint, environ, key):
    fake = serve("x")
    client = vendor.connect(Endpoint("openai", fake.url, **endpoint), environ=environ, timeout=5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.headers["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    ("endpoint", "environ", "words"),
    [
        (Endpoint("openai"), {}, "OPENAI_API_KEY is not set"),
        (Endpoint("openai"), {"OPENAI_API_KEY": "  "}, "OPENAI_API_KEY is not set"),
        (Endpoint("openai", "https://user:pw@example.org/v1"), {}, "for https://example.org/v1: OPENAI_API_KEY is not set"),
        (Endpoint("openai", "https://example.org/v1", api_key_env="MINE"), {"OPENAI_API_KEY": KEY}, "MINE is not set"),
        (Endpoint("openai", "https://example.org/v1", trusted=False), {"OPENAI_API_KEY": KEY}, "llm_config trust"),
        (Endpoint("openai"), {"OPENAI_API_KEY": "two\nlines"}, "characters"),
        (Endpoint("azure", "https://x.openai.azure.com", api_version="1"), {}, "AZURE_OPENAI_API_KEY and AZURE_OPENAI_KEY are not set"),
    ],
)
def test_a_missing_key_is_an_auth_error_that_says_what_to_do(endpoint, environ, words):
    with pytest.raises(errors.AuthError, match=words.replace("(", r"\(")) as caught:
        vendor.connect(endpoint, environ=environ, timeout=5)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (Endpoint("azure", api_version="2024-10-21"), "AZURE_OPENAI_ENDPOINT"),
        (Endpoint("azure", "https://x.openai.azure.com"), "AZURE_API_VERSION"),
        (Endpoint("openai", "example.org/v1"), "BASE_URL"),
    ],
)
def test_a_missing_address_or_version_is_a_config_error_that_names_it(endpoint, name):
    with pytest.raises(errors.ConfigError) as caught:
        vendor.connect(endpoint, environ={"AZURE_OPENAI_API_KEY": KEY, "OPENAI_API_KEY": KEY}, timeout=5)
    assert caught.value.key == name


@pytest.mark.parametrize("name", ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"])
def test_azure_speaks_to_the_deployment(serve, name):
    fake = serve("from azure")
    environ = {"AZURE_OPENAI_ENDPOINT": fake.root, "OPENAI_API_VERSION": "2024-10-21", name: KEY}
    client = vendor.connect(Endpoint("azure"), environ=environ, timeout=5)
    one = vendor.OpenAIProvider(lambda _model, params: client.chat.completions.create(**params), timeout=5)
    assert fold(one.send(ask())).text == "from azure"
    assert fake.path == "/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21"
    assert fake.headers["api-key"] == KEY


def test_an_azure_token_comes_from_a_callable(serve):
    fake = serve("x")
    endpoint = Endpoint("azure", fake.root, api_key=lambda: "entra-token", api_version="1")
    client = vendor.connect(endpoint, environ={}, timeout=5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.headers["authorization"] == "Bearer entra-token"


def test_azures_key_is_taken_out_of_errors_too(serve):
    fake = serve(Turn(status=401, body=complaint(f"Access denied for {KEY}")))
    client = vendor.connect(Endpoint("azure", fake.root, api_key=KEY, api_version="1"), environ={}, timeout=5)
    with pytest.raises(errors.AuthError) as caught:
        fold(vendor.OpenAIProvider(lambda _model, params: client.chat.completions.create(**params)).send(ask()))
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_the_mark_of_a_key_changes_with_it_and_does_not_tell_it():
    one, two = (vendor.key_mark(Endpoint("openai"), {"OPENAI_API_KEY": k}) for k in (KEY, "other"))
    assert one != two
    assert one == vendor.key_mark(Endpoint("openai"), {"OPENAI_API_KEY": KEY})
    assert KEY not in one


# -- the server itself ----------------------------------------------------------------------------


def test_the_server_counts_requests_that_run_at_one_time(serve):
    gate = threading.Barrier(3)

    def together(_body):
        gate.wait(10)
        return "x"

    fake = serve(together, together, together)
    one = provider(fake)
    threads = [threading.Thread(target=lambda: fold(one.send(ask()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (fake.n, fake.most_active, fake.active) == (3, 3, 0)


def test_the_server_lists_models_and_uses_no_turn_for_it(serve):
    fake = serve("kept")
    client = vendor.connect(Endpoint("openai", fake.url), environ={}, timeout=5)
    assert [m.id for m in client.models.list()] == ["fake-model"]
    assert (fake.n, answer(fake).text) == (0, "kept")


def test_the_server_answers_ok_when_its_script_is_used_up_and_echoes_on_demand(serve):
    fake = serve({"echo": True})
    assert [answer(fake, ask("say this")).text, answer(fake).text] == ["say this", "ok"]


# -- connections ----------------------------------------------------------------------------------------------------


def test_a_thread_keeps_its_connection_from_call_to_call(serve):
    fake = serve()
    asked = provider(fake, stream=False)

    for _ in range(5):
        fold(asked.send(ask()))

    assert fake.connections == 1


def test_64_threads_open_as_many_connections_and_no_more(serve):
    fake = serve(*[Turn(delay=0.1)] * 64)
    asked = provider(fake, stream=False)
    meet = threading.Barrier(64)

    def work():
        for _ in range(4):
            meet.wait()
            fold(asked.send(ask()))

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert fake.n == 256
    assert fake.most_active > 32
    assert fake.connections <= 64


def test_a_proxy_of_the_environment_is_used(serve, monkeypatch):
    proxy = serve(Turn(text="through the proxy"))
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    client = vendor.connect(Endpoint("openai", "http://models.invalid/v1"), environ={"OPENAI_API_KEY": KEY})

    said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])

    assert said.choices[0].message.content == "through the proxy"
    assert proxy.path == "http://models.invalid/v1/chat/completions"


def test_closing_the_client_closes_every_connection(serve):
    fake = serve()
    client = vendor.connect(Endpoint("openai", fake.url), environ={"OPENAI_API_KEY": KEY})
    threads = [threading.Thread(target=client.models.list) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    client.close()

    end = time.monotonic() + 10
    while fake._sockets and time.monotonic() < end:
        time.sleep(0.01)
    assert not fake._sockets
