"""The provider that speaks through the SDK, against a real server on loopback."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest
from chatcalls import TOOL, answer, ask, both, fails, fold, provider
from fakeserver import Turn

from tinyllm_magic import errors
from tinyllm_magic.messages import Request
from tinyllm_magic.providers import openai
from tinyllm_magic.responses import Answer, Chunk, ToolCall, Usage

pytestmark = pytest.mark.usefixtures("transport")


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


@both
def test_no_choices_is_a_bad_response(serve, stream):
    assert fails(serve(Turn(no_choices=True)), errors.BadResponseError, stream=stream).retryable


@pytest.mark.parametrize(
    ("turn", "stream"), [(Turn(finish_reason=None), False), (Turn(finish_reason=None, done=False), True)], ids=["whole", "stream"]
)
def test_an_answer_without_any_end_is_a_bad_response(serve, turn, stream):
    fails(serve(turn), errors.BadResponseError, stream=stream)


def test_a_stream_that_says_it_is_done_is_an_answer_with_a_note(serve):
    got = answer(serve(Turn("one two", finish_reason=None)))
    assert (got.text, got.finish_reason, got.notes) == ("one two", None, ("the stream ended without a finish reason",))


def test_a_stream_that_is_done_before_it_said_anything_is_a_bad_response(serve):
    fails(serve(Turn("", finish_reason=None)), errors.BadResponseError)


TWO = [{"choices": [{"delta": {"content": word}}]} for word in ("one ", "two")]
END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def events(*values, between="\n\n", end="\n\n"):
    return between.join(f"data: {v if isinstance(v, str) else json.dumps(v)}" for v in values) + end


def sse(text):
    return Turn(body=text.encode(), content_type="text/event-stream")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + events(*TWO, END, "[DONE]"),
        events(*TWO, END, end=""),
        events(*TWO, END, "[DONE]", end="\n"),
        events(*TWO, END, "[DONE]", between="\r\n\r\n", end="\r\n\r\n"),
        events(*TWO, END, "[DONE]", between="\r\r", end="\r\r"),
        ": ping\n\n" + events(*TWO, END).replace("data: ", "data:"),
        "event: message\nid: 7\nretry: 10\n" + events(*TWO, END),
    ],
    ids=["byte order mark", "no last line feed", "no last blank line", "CRLF", "CR", "comments", "other fields"],
)
@pytest.mark.parametrize("named", [True, False], ids=["named", "named wrongly"])
def test_a_stream_is_read_however_its_lines_are_written(serve, text, named):
    turn = sse(text)
    turn.content_type = turn.content_type if named else "text/plain"
    got = answer(serve(turn))
    assert (got.text, got.finish_reason) == ("one two", "stop")


def test_a_stream_where_one_piece_was_wanted_is_read(serve):
    assert answer(serve(sse(events(*TWO, END, "[DONE]"))), stream=False).text == "one two"


@both
def test_a_byte_order_mark_before_an_answer_in_one_piece_is_no_part_of_it(serve, stream):
    body = "\ufeff" + json.dumps({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]})
    assert answer(serve(Turn(body=body, content_type="application/json")), stream=stream).text == "whole"


@pytest.mark.parametrize("odd", [{"model": 7}, {"system_fingerprint": ["x"]}, {"usage": "none"}, {"usage": [1]}], ids=str)
@both
def test_facts_of_a_strange_type_cost_no_answer(serve, odd, stream):
    got = answer(
        serve(Turn(body={"choices": [{"index": "0", "message": {"content": "ok"}, "finish_reason": "stop"}], **odd})), stream=stream
    )
    assert (got.text, got.model, got.fingerprint, got.usage) == ("ok", None, None, None)


WORDS = "The model is not available in your region; ask your administrator to enable it, under Settings, Models, and try again then."
SAID = [
    {"error": {"message": WORDS, "type": "t", "code": None}},
    {"error": WORDS},
    {"error": {"error": {"message": WORDS}}},
    [{"error": {"message": WORDS}}],
    {"errors": [{"message": WORDS}]},
    {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}},
    {"object": "error", "message": WORDS, "code": 503},
    {"detail": WORDS},
    {"code": 1004, "msg": WORDS},
    {"choices": None, "base_resp": {"status_code": 1004, "status_msg": WORDS}},
    {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"message": WORDS, "code": 502}}]},
]


@pytest.mark.parametrize("said", SAID, ids=lambda b: ", ".join(b) if isinstance(b, dict) else "list")
@pytest.mark.parametrize("way", ["whole", "whole for a stream", "event", "error event"])
def test_a_server_that_says_its_error_in_a_200_keeps_its_words(serve, said, way):
    if way == "error event":
        said = said["choices"][0] if isinstance(said, dict) and said.get("choices") else said
    name = "event: error\n" if way == "error event" else ""
    turn = sse(f"{name}data: {json.dumps(said)}\n\n") if "event" in way else Turn(body=said)
    error = fails(serve(turn), stream=way != "whole")
    assert WORDS in error.message
    assert error.retryable


@both
def test_a_status_in_a_200_decides_the_class(serve, stream):
    said = {"object": "error", "message": WORDS, "code": 404}
    assert WORDS in fails(serve(Turn(body=said)), errors.NotFoundError, stream=stream).message


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
    assert type(error.__cause__).__name__ == ("RemoteProtocolError" if stream else "APIConnectionError")
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


def test_importing_the_provider_imports_no_sdk():
    code = """
import sys, tinyllm_magic.providers.openai
from tinyllm_magic.providers.chat_format import known_params
known_params()
print([m for m in ('openai', 'httpx2') if m in sys.modules])
"""
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


@pytest.mark.parametrize(
    "raw",
    [
        "ok",
        {"role": "assistant", "content": "ok"},
        {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]},
        ["o", "k"],
        [{"choices": [{"delta": {"content": "ok"}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}],
        [Chunk(text="ok"), Chunk(finish_reason="stop")],
    ],
    ids=["text", "message", "completion", "chunk", "texts", "chunk dicts", "chunks"],
)
def test_many_shapes_of_an_answer_are_read(raw):
    got = fold(openai.OpenAIProvider(lambda _model, _params: iter(raw) if isinstance(raw, list) else raw).send(ask()))
    assert (got.text, got.finish_reason) == ("ok", "stop")


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
        fold(openai.OpenAIProvider(create).send(ask()))
    assert not caught.value.retryable
    assert isinstance(caught.value.__cause__, KeyError)


def test_errors_of_this_package_pass_as_they_are():
    mine = errors.NonTerminalError("again")

    def create(_model, _params):
        raise mine

    with pytest.raises(errors.NonTerminalError) as caught:
        fold(openai.OpenAIProvider(create).send(ask()))
    assert caught.value is mine
