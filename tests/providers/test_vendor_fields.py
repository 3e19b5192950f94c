"""What a vendor sends beside the fields that have a name here."""

import json

import pytest
from chatcalls import CALL, answer, both
from fakeserver import Turn

LOGPROBS = [{"token": t, "logprob": -0.5, "bytes": [104], "top_logprobs": []} for t in ("one", " two")]
CITATION = {"type": "url_citation", "url_citation": {"url": "https://example.org", "start_index": 0, "end_index": 3}}


def streamed(*items):
    text = "".join(f"data: {json.dumps(i)}\n\n" for i in (*items, {"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    return Turn(body=text, content_type="text/event-stream")


def delta(said=None, **choice):
    return {"choices": [{"delta": said or {}, **choice}]}


def whole(said=None, **choice):
    return {"choices": [{"message": {"content": "one two", **(said or {})}, "finish_reason": "stop", **choice}]}


def test_log_probabilities_of_a_stream_are_those_of_the_answer_in_one_piece(serve):
    pieces = [delta({"content": p["token"]}, logprobs={"content": [p], "refusal": None}) for p in LOGPROBS]
    fake = serve(streamed(*pieces), Turn(body=whole(logprobs={"content": LOGPROBS, "refusal": None})))
    one, other = answer(fake), answer(fake, stream=False)
    assert one.logprobs == other.logprobs == {"content": LOGPROBS, "refusal": None}
    assert (one.text, one.raw) == ("one two", None)


def test_annotations_and_sound_of_a_stream_are_those_of_the_answer_in_one_piece(serve):
    pieces = [
        delta({"content": "one two", "audio": {"id": "a1", "data": "QUJD", "transcript": "one"}}),
        delta({"audio": {"id": "a1", "data": "REVG", "transcript": " two"}, "annotations": [CITATION]}),
        delta({"audio": {"id": "a1", "expires_at": 9}}),
    ]
    sound = {"id": "a1", "data": "QUJDREVG", "transcript": "one two", "expires_at": 9}
    fake = serve(streamed(*pieces), Turn(body=whole({"audio": sound, "annotations": [CITATION]})))
    one, other = answer(fake), answer(fake, stream=False)
    assert one.raw == other.raw == {"audio": sound, "annotations": [CITATION]}


def test_what_each_chunk_repeats_is_kept_once(serve):
    facts = {"citations": ["https://example.org"], "service_tier": "flex"}
    got = answer(serve(streamed({**delta({"content": "one"}), **facts}, {**delta({"content": " two"}), **facts, "citations": []})))
    assert got.raw == facts


def test_pieces_of_one_index_are_one(serve):
    pieces = [delta({"content": "x", "reasoning_details": [{"type": "t", "index": 0, "text": text}]}) for text in ("so ", "that")]
    assert answer(serve(streamed(*pieces))).raw == {"reasoning_details": [{"type": "t", "index": 0, "text": "so that"}]}


@both
def test_fields_of_a_choice_a_usage_a_tool_call_and_a_part_are_kept(serve, stream):
    choice = {
        "message": {
            "content": [{"type": "text", "text": "see"}, {"type": "reference", "reference_ids": [3]}],
            "tool_calls": [{**CALL, "extra_content": {"signature": "s"}}],
        },
        "finish_reason": "stop",
        "content_filter_results": {"hate": {"filtered": False}},
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25, "completion_tokens_details": {"audio_tokens": 0}}
    got = answer(serve(Turn(body={"choices": [choice], "usage": usage})), stream=stream)
    assert got.raw == {
        "content": [{"type": "reference", "reference_ids": [3]}],
        "tool_calls": [{"index": 0, "extra_content": {"signature": "s"}}],
        "content_filter_results": {"hate": {"filtered": False}},
        "usage": {"cost": 0.25},
    }


@both
def test_a_plain_answer_has_none(serve, stream):
    got = answer(serve(Turn("plain", refusal=None)), stream=stream)
    assert (got.raw, got.logprobs) == (None, None)


@pytest.mark.parametrize("odd", ["NaN", "-Infinity", "1e999", "1" + "0" * 300, "[" * 90 + "]" * 90])
@both
def test_numbers_and_depths_that_no_store_holds_cost_no_answer(serve, stream, odd):
    text = json.dumps({**whole(), "x": "?"}).replace('"?"', f'{{"value": {odd}, "other": 1}}')
    got = answer(serve(Turn(body=text, content_type="application/json")), stream=stream)
    assert (got.text, got.raw["x"]["other"]) == ("one two", 1)
    json.dumps(got.raw, allow_nan=False)


def test_the_tail_that_is_lost_costs_only_what_it_held(serve):
    text = "".join(
        f"data: {json.dumps(i)}\n\n" for i in (delta({"content": "x"}, logprobs={"content": LOGPROBS}), delta(finish_reason="stop"))
    )
    got = answer(serve(Turn(body=text + "data: {torn", content_type="text/event-stream")))
    assert (got.text, got.logprobs) == ("x", {"content": LOGPROBS})
