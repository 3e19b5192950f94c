"""Parameters of the chat API, and the many shapes of its answers."""

from __future__ import annotations

import inspect

import pytest
from chatcalls import CALL, ask, fold

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
