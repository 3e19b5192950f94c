"""Token counts under the names and in the shapes that vendors send."""

import json

import pytest
from chatcalls import answer, both
from fakeserver import Turn

from tinyllm_magic.providers.usage import read_usage
from tinyllm_magic.responses import Usage


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}, Usage(5, 3)),
        ({"prompt_tokens": 5.0, "completion_tokens": "3"}, Usage(5, 3)),
        ({"input_tokens": 5, "output_tokens": 3}, Usage(5, 3)),
        ({"promptTokens": 5, "completionTokens": 3}, Usage(5, 3)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}, Usage(5, 3)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(5, 3, 4)),
        ({"input_tokens": 5, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}, Usage(5, 3, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}, Usage(5, 3, 4)),
        ({"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}, Usage(11, 3, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 2}}, Usage(5, 3, 0, 2)),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 17, "completion_tokens_details": {"reasoning_tokens": 9}},
            Usage(5, 12, 0, 9),
        ),
        ({"prompt_tokens": 5, "total_tokens": 8}, Usage(5, 3)),
        ({"completion_tokens": 3, "total_tokens": 8}, Usage(5, 3)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 99}}, Usage(5, 3, 5)),
        ({"prompt_tokens": 5, "completion_tokens": None}, Usage(5, 0)),
        ({"prompt_tokens": -5, "completion_tokens": 3}, Usage(0, 3)),
    ],
    ids=str,
)
def test_counts_are_read_under_the_names_of_many_vendors(sent, read):
    assert read_usage(sent) == read


NOT_COUNTS = [None, {}, [], "", "n/a", 7, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}] + [
    {"prompt_tokens": odd, "completion_tokens": odd, "prompt_tokens_details": odd}
    for odd in (None, -1, 1.5, float("nan"), float("inf"), 10**400, "many", "", True, [3], {"n": 3})
]


@pytest.mark.parametrize("sent", NOT_COUNTS, ids=lambda v: str(v)[:60])
def test_what_is_no_count_is_nothing(sent):
    assert read_usage(sent) is None


@pytest.mark.parametrize("sent", ["NaN", "Infinity", "1e400", "-3", '"x"', "null", "{}", "[]", "1" + "0" * 400], ids=lambda t: t[:12])
@pytest.mark.parametrize("field", ["usage", "prompt_tokens"])
@both
def test_an_odd_usage_costs_no_answer(serve, stream, sent, field):
    usage = sent if field == "usage" else f'{{"prompt_tokens": {sent}, "completion_tokens": {sent}}}'
    choice = {"delta" if stream else "message": {"content": "the answer"}, "finish_reason": "stop"}
    text = json.dumps({"choices": [choice]})[:-1] + f', "usage": {usage}}}'
    turn = Turn(body=f"data: {text}\n\n", content_type="text/event-stream") if stream else Turn(body=text, content_type="application/json")
    got = answer(serve(turn), stream=stream)
    assert (got.text, got.usage) == ("the answer", None)


@pytest.mark.parametrize("place", ["usage", "choice", "x_groq", "usageMetadata"])
def test_counts_are_found_where_vendors_put_them(serve, place):
    counts = {"prompt_tokens": 5, "completion_tokens": 3}
    body = {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    if place == "choice":
        body["choices"][0]["usage"] = counts
    else:
        body[place] = {"usage": counts} if place == "x_groq" else counts
    assert answer(serve(Turn(body=body))).usage == Usage(5, 3)
