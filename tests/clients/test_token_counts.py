"""Counting never fails: what no API would take, and no template shows, is counted by what it says."""

import pytest

from tinyllm_magic import count_tokens

CALL = {"id": "1", "type": "function", "function": {"name": "lookup", "arguments": '{"word": "fox"}'}}
ODD = {
    "no content": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}],
    "tool messages": [{"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "1", "content": "a fox"}],
    "an unknown role": [{"role": "critic", "content": "Hi"}],
    "no role": [{"content": "Hi"}],
    "a part of an unknown kind": [{"role": "user", "content": [{"type": "hologram", "hologram": "x"}, {"type": "text", "text": "Hi"}]}],
    "a part without its text": [{"role": "user", "content": [{"type": "text", "text": None}]}],
    "a number": [{"role": "user", "content": 42}],
    "text among messages": ["Hi", {"role": "user", "content": "Hi"}],
    "a lone surrogate": [{"role": "user", "content": "\ud83d"}],
}


@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
@pytest.mark.parametrize("model", ["gpt-4o", "anthropic:claude-sonnet-4-5", "a-name-that-nobody-knows"])
def test_messages_that_no_api_would_take_are_counted(messages, model):
    assert count_tokens(messages, model) > 3


@pytest.mark.model
@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
def test_the_embedded_model_counts_them_too(messages, weights_folder, monkeypatch):
    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(weights_folder))
    assert count_tokens(messages, "tiny") > 3
    assert not count_tokens([{"role": "user", "content": "Hi"}], "tiny").estimated


def test_a_part_without_its_text_counts_nothing():
    nothing = count_tokens([{"role": "user", "content": []}], "gpt-4o")
    assert count_tokens([{"role": "user", "content": [{"type": "text", "text": None}]}], "gpt-4o") == nothing
