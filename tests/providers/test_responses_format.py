"""Answers of the Responses API: whole and as a stream they are the same, and badly formed ones are errors."""

import pytest
from chatcalls import fold
from responsesformat import call, events, message, reasoning, whole

from tinyllm_magic.errors import BadResponseError, ProviderError, RateLimitError, ServerError
from tinyllm_magic.providers.responses_format import read_answer
from tinyllm_magic.responses import ToolCall, Usage

SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "tea"}}
CITED = {"annotations": [{"type": "url_citation", "url": "https://example.org", "title": "Tea", "start_index": 0, "end_index": 5}]}
PROBABLE = {"logprobs": [{"token": "Hello", "logprob": -0.1, "bytes": [72], "top_logprobs": []}]}
CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
ANSWERS = {
    "text": whole(message()),
    "reasoning": whole(reasoning("First **this**.", "Then that."), message()),
    "reasoning twice": whole(reasoning("One."), call("add", {"a": 1}), reasoning("Two."), call("add", {"a": 2}, "call_2")),
    "reasoning in full": whole(reasoning(content=[{"type": "reasoning_text", "text": "hm"}]), message()),
    "reasoning in full, and its summary": whole(reasoning("short", content=[{"type": "reasoning_text", "text": "long"}]), message()),
    "reasoning that is not shown": whole(reasoning(encrypted_content="gAAA"), message()),
    "a call": whole(reasoning(encrypted_content="gAAA"), call("add", {"a": 1})),
    "text and calls": whole(message("Let me see."), call("add", {"a": 1}), call("add", {"a": 2}, "call_2")),
    "a call without arguments": whole(call("now", {})),
    "a refusal": whole(message(refusal="No.")),
    "a search": whole(SEARCH, message(**CITED)),
    "log probabilities": whole(message(**PROBABLE)),
    "two parts": whole({**message(), "content": [*message("a")["content"], *message("b")["content"]]}),
    "cut": whole(reasoning("hm"), message("Hel"), **CUT),
    "cut before it began": whole(reasoning("hm"), **CUT),
    "no text": whole(message("")),
    "nothing": whole(),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same_whole_and_as_a_stream(name):
    answer = fold(read_answer(ANSWERS[name]))
    assert fold(read_answer(iter(events(ANSWERS[name])))) == answer
    assert answer.usage == Usage(36, 87, 12, 64)
    assert answer.model == "o3-2025-04-16"


def read(name):
    return fold(read_answer(ANSWERS[name]))


def test_text_reasoning_and_the_end_are_read():
    got = read("reasoning")
    assert (got.text, got.reasoning, got.finish_reason) == ("Hello, world", "First **this**.\n\nThen that.", "stop")
    assert got.raw == {"service_tier": "default"}


def test_calls_of_tools_are_read_by_their_own_ids():
    got = read("text and calls")
    assert got.tool_calls == (ToolCall("call_1", "add", '{"a": 1}'), ToolCall("call_2", "add", '{"a": 2}'))
    assert (got.text, got.finish_reason) == ("Let me see.", "tool_calls")
    assert "output" not in got.raw


def test_encrypted_reasoning_is_kept_with_the_calls_that_follow_it_alone():
    assert read("a call").raw["output"] == [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "index": 0},
    ]
    assert "output" not in read("reasoning that is not shown").raw


def test_what_has_no_name_here_is_kept():
    got = read("a search")
    assert got.raw["annotations"][0]["title"] == "Tea"
    assert got.raw["output"] == [SEARCH, {"type": "message"}]
    assert read("log probabilities").logprobs == {"content": PROBABLE["logprobs"]}


def test_a_summary_comes_before_reasoning_in_full():
    assert (read("reasoning in full").reasoning, read("reasoning in full, and its summary").reasoning) == ("hm", "short")


def test_an_answer_that_was_cut_says_so():
    assert (read("cut").text, read("cut").finish_reason) == ("Hel", "length")
    assert (read("cut before it began").text, read("cut before it began").reasoning) == (None, "hm")
    filtered = fold(read_answer(whole(message("x"), status="incomplete", incomplete_details={"reason": "content_filter"})))
    assert filtered.finish_reason == "content_filter"


def test_a_refusal_is_no_text():
    assert (read("a refusal").text, read("a refusal").refusal) == (None, "No.")


def test_text_comes_piece_by_piece():
    chunks = list(read_answer(iter(events(ANSWERS["reasoning"]))))
    assert [c.reasoning for c in chunks if c.reasoning] == ["First ", "**this**.", "\n\nThen ", "that."]
    assert [c.text for c in chunks if c.text] == ["Hello, ", "world"]


def test_a_stream_whose_pieces_are_missing_is_read_from_its_items():
    told = [e for e in events(ANSWERS["reasoning twice"]) if "delta" not in e]
    assert fold(read_answer(iter(told))) == read("reasoning twice")
    alone = [e for e in told if e["type"] == "response.completed"]
    assert fold(read_answer(iter(alone))) == read("reasoning twice")


def test_a_stream_whose_end_holds_no_output_is_read_from_its_pieces():
    told = events(ANSWERS["text and calls"])
    told[-1]["response"]["output"] = []
    assert fold(read_answer(iter(told))) == read("text and calls")


def test_events_that_name_their_item_alone_are_told_apart():
    told = [{k: v for k, v in e.items() if k != "output_index"} for e in events(ANSWERS["a call"])]
    assert fold(read_answer(iter(told))).tool_calls == read("a call").tool_calls


def test_events_of_a_kind_that_is_not_known_are_passed_over():
    told = [{"type": "response.something.new", "delta": "x"}, *events(ANSWERS["text"])]
    assert fold(read_answer(iter(told))).text == "Hello, world"


def test_an_error_after_the_end_is_none():
    def told():
        yield from events(ANSWERS["text"])
        raise OSError("gone")

    assert fold(read_answer(told())).text == "Hello, world"


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (whole(status="failed", error={"code": "server_error", "message": "The model failed."}), ServerError, "The model failed"),
        (whole(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."}), RateLimitError, "Slow down"),
        (whole(status="failed"), ProviderError, "failed"),
        (whole(status="queued"), BadResponseError, "'queued'"),
        (whole(status="cancelled"), BadResponseError, "'cancelled'"),
        ({}, BadResponseError, "empty"),
        ({"detail": "Not Found"}, BadResponseError, "Not Found"),
        ({"error": {"message": "Bad.", "type": "invalid_request_error"}}, ProviderError, "Bad"),
        (7, BadResponseError, "int"),
        (iter([]), BadResponseError, "no answer"),
        (iter(events(ANSWERS["text"])[:-1]), BadResponseError, "before the answer was finished"),
        (iter([{"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}]), RateLimitError, "Slow down"),
        (iter([{"choices": [], "message": "another API"}]), BadResponseError, "another API"),
    ],
    ids=[
        "failed", "rate limit", "failed without words", "queued", "cancelled", "empty", "not found", "error", "number", "empty stream",
        "stream without end", "error event", "another API",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error(raw, kind, words):
    with pytest.raises(kind, match=words):
        fold(read_answer(raw))


def test_a_failed_stream_is_the_vendors_error():
    failed = whole(status="failed", error={"code": "server_error", "message": "The model failed."})
    with pytest.raises(ServerError, match="The model failed"):
        fold(read_answer(iter(events(failed))))


def test_a_stream_that_is_marked_as_done_without_an_end_counts_as_finished():
    told = [*events(ANSWERS["text"])[:-1], object()]
    got = fold(read_answer(iter(told)))
    assert (got.text, got.finish_reason) == ("Hello, world", None)
    assert got.notes == ("the stream ended without saying how",)
