"""Parameters of the chat API, and the many shapes of its answers."""

from __future__ import annotations

import inspect

import pytest
from chatcalls import CALL, ask, fold
from hypothesis import given
from hypothesis import strategies as st

from tinyllm_magic import errors
from tinyllm_magic.providers import chat_format
from tinyllm_magic.responses import ToolCall


def test_params_are_fresh_copies():
    request = ask(stop=["a"])
    chat_format.chat_params(request, stream=False)["stop"].append("b")
    assert chat_format.chat_params(request, stream=False)["stop"] == ["a"]


def test_the_lists_of_parameters_are_those_of_the_sdk():
    from openai.resources.chat.completions import Completions

    structural = {"self", "messages", "model", "stream", "stream_options", "extra_headers", "extra_query", "extra_body", "timeout"}
    assert chat_format.known_params() == set(inspect.signature(Completions.create).parameters) - structural
    assert chat_format.known_params() | {"extra_body"} == chat_format.PARAMETERS


def test_a_message_with_tool_calls_ends_with_tool_calls():
    got = fold(chat_format.to_chunks({"role": "assistant", "content": None, "tool_calls": [CALL]}))
    assert (got.text, got.tool_calls, got.finish_reason) == (None, (ToolCall("call_0", "add", '{"a": 1}'),), "tool_calls")


@pytest.mark.parametrize(
    "raw",
    [{}, {"choices": []}, {"hello": 1}, 7, None, iter([])],
    ids=["empty", "no choices", "other fields", "number", "null", "empty stream"],
)
def test_shapes_that_are_no_answer_are_refused(raw):
    with pytest.raises(errors.BadResponseError):
        fold(chat_format.to_chunks(raw))


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
    got = fold(chat_format.to_chunks(iter([*items, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}])))
    assert got.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[]"))


def test_content_in_parts_is_text_and_reasoning():
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
    got = fold(chat_format.to_chunks({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}))
    assert (got.text, got.reasoning) == ("yes", "hm")


def stream_of(items):
    return iter([*items, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}])


def some(**fields):
    """Any choice of these fields, each with any of its values."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in fields.items()})


DELTAS = some(
    content=["Tea", " ", "", None, "<think>", "</think>", [{"type": "text", "text": "a part"}]],
    role=["assistant", None],
    reasoning_content=[None, "hm"],
    refusal=[None, "no"],
    annotations=[[{"url": "http://a.test"}]],
)
CHOICES = some(index=[0, 1, None], finish_reason=[None], logprobs=[None, {"content": [{"token": "a"}]}], grade=["a", ["b"]])
PIECES = some(
    model=["m", "n"], system_fingerprint=[None, "f"], tier=["x", "y"], usage=[None, {"prompt_tokens": 2}], obfuscation=["q", "rst"]
)


@given(st.lists(st.tuples(PIECES, CHOICES, DELTAS, st.integers(1, 3)), max_size=8))
def test_a_piece_that_is_all_but_the_one_before_is_read_as_any_other(pieces):
    items = [{**piece, "choices": [{**choice, "delta": delta}]} for piece, choice, delta, times in pieces for _ in range(times)]
    read = fold(chat_format.to_chunks(stream_of(items)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat_format, "_read_text_alone", lambda *_: None)
        assert repr(fold(chat_format.to_chunks(stream_of(items)))) == repr(read)


def test_pieces_that_bring_text_alone_are_told_from_others(monkeypatch):
    texts = []
    real = chat_format._read_text_alone
    monkeypatch.setattr(chat_format, "_read_text_alone", lambda *given: texts.append(real(*given)) or texts[-1])
    frame = {"id": "1", "model": "m", "usage": None}
    pieces = [
        {"role": "assistant", "content": ""},
        {"content": "a"},
        {"content": "b", "refusal": None},
        {"reasoning": "c"},
        {"content": "d"},
    ]
    items = [
        {**frame, "choices": [{"index": 0, "delta": delta, "logprobs": None}], "obfuscation": f"{n}"} for n, delta in enumerate(pieces)
    ]
    items.append({**items[-1], "model": "other"})
    assert fold(chat_format.to_chunks(stream_of(items))).text == "abdd"
    assert texts == ["a", "b", None, "d", None, None]


def test_what_openai_pads_a_stream_with_is_no_part_of_the_answer():
    items = [{"choices": [{"index": 0, "delta": {"content": "Tea"}}], "obfuscation": "qwerty", "service_tier": "default"}]
    assert fold(chat_format.to_chunks(stream_of(items))).raw == {"service_tier": "default"}
