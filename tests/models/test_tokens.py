"""Counting, splitting and cutting text in a model's tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelmaker import REF

from tinyllm_magic.messages import Message
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.models.tokens import count_messages, count_text, cut_text, estimate_usage, split_tokens
from tinyllm_magic.responses import Usage


@pytest.mark.parametrize(
    "model", ["gpt-4-0613", "gpt-4", "gpt-3.5-turbo", "gpt-3.5-turbo-0301", "gpt-4o", "gpt-35-turbo", "ft:gpt-4o-mini:o::1"]
)
def test_the_reference_messages_count_nineteen_exactly(model):
    counted = count_messages(REF, model)
    assert (counted, counted.estimated, str(counted)) == (19, False, "19")


def test_messages_and_dicts_count_alike():
    assert count_messages(map(Message.of, REF), "gpt-4") == count_messages(iter(REF), "gpt-4") == 19


def test_no_message_counts_three():
    assert count_messages([], "gpt-4") == 3


def test_the_oldest_model_has_four_tokens_a_message_and_one_less_a_name():
    assert count_messages([{"role": "user", "content": ""}], "gpt-3.5-turbo-0301") == 3 + 4 + 1
    assert count_messages([{"role": "user", "name": "bob", "content": ""}], "gpt-3.5-turbo-0301") == 3 + 4 + 1 + 1 - 1


@pytest.mark.parametrize("model", ["llama3", EMBEDDED, "gpt-6", ""])
def test_an_unknown_model_gets_an_estimate_that_says_so(model):
    counted = count_messages(REF, model)
    assert isinstance(counted, int)
    assert counted.estimated
    assert f"{counted}" == f"≈ {int(counted)}"
    assert 14 <= counted <= 26


@pytest.mark.parametrize("model", ["gpt-5", "o3-mini"])
def test_a_known_vocabulary_with_an_unpublished_overhead_counts_text_exactly_and_messages_about(model):
    assert not count_text("hello world", model).estimated
    assert count_messages(REF, model).estimated


def test_a_special_token_in_a_text_is_counted_as_text():
    assert count_text("<|endoftext|>", "gpt-4") > 1


def test_fine_tuned_gpt_41_has_its_own_vocabulary_and_not_that_of_gpt_4():
    text = "こんにちは世界、元気ですか"
    assert count_text(text, "ft:gpt-4.1-mini:o::1") == count_text(text, "gpt-4.1") != count_text(text, "gpt-4")


def test_a_megabyte_of_spaces_is_counted_split_and_cut_without_a_panic():
    blank = " " * 1_000_000
    assert count_text(blank, "gpt-4").estimated
    assert split_tokens(blank, "gpt-4") is None
    assert blank.startswith(cut_text(blank, 5, "gpt-4"))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "user", "content": [{"type": "hologram", "depth": 3}]},
        {"role": "user", "content": [None, 5]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ],
)
def test_messages_of_every_kind_are_counted(message):
    assert count_messages([message], "gpt-4") > 3


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}]])
def test_empty_content_counts_its_frame_alone(content):
    assert count_messages([{"role": "user", "content": content}], "gpt-4") == 3 + 3 + 1


def test_text_parts_count_exactly():
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": " world"}]
    counted = count_messages([{"role": "user", "content": parts}], "gpt-4")
    assert (counted, counted.estimated) == (3 + 3 + 1 + 2, False)


@pytest.mark.parametrize(("detail", "tokens_of_it"), [("low", 85), ("high", 765), ("auto", 765)])
def test_an_image_is_counted_by_its_detail_and_marked(detail, tokens_of_it):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": detail}}
    counted = count_messages([{"role": "user", "content": [image]}], "gpt-4o")
    assert (counted, counted.estimated) == (3 + 3 + 1 + tokens_of_it, True)


def test_tools_and_tool_calls_add_tokens_and_mark_the_count():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    with_tool, with_call = count_messages(REF, "gpt-4", tools=[tool]), count_messages([asked], "gpt-4")
    assert with_tool > 19
    assert with_tool.estimated
    assert with_call > 7
    assert with_call.estimated


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("敏捷的棕色狐狸跳过了那只懒狗", 14),
        ("Съешь ещё этих мягких французских булок", 18),
    ],
)
def test_an_estimate_is_of_the_right_size_in_several_scripts(text, real):
    assert real * 0.5 <= count_text(text, "llama3") <= real * 1.6


def test_an_estimate_of_any_text_is_at_least_one():
    assert count_text("a", "llama3") == 1
    assert count_text("", "llama3") == 0


@given(st.text(max_size=60))
def test_the_pieces_are_as_many_as_the_tokens_and_join_to_the_text(text):
    pieces = split_tokens(text, "gpt-4")
    assert "".join(pieces) == text
    assert len(pieces) == count_text(text, "gpt-4")


def test_without_an_exact_tokenizer_there_are_no_pieces():
    assert split_tokens("hello", "llama3") is None


@given(st.text(max_size=60), st.integers(-1, 12), st.sampled_from(["gpt-4o", "llama3"]))
def test_a_cut_text_is_a_beginning_within_the_limit(text, limit, model):
    cut = cut_text(text, limit, model)
    assert text.startswith(cut)
    assert count_text(cut, "gpt-4o") <= max(limit, 0)  # whose vocabulary stands in for an unknown one


def test_a_text_within_the_limit_is_not_cut():
    assert cut_text("hello big world", 3, "gpt-4") == "hello big world"
    assert cut_text("hello big world", 2, "gpt-4") == "hello big"


def test_usage_without_a_report_is_an_estimate():
    assert estimate_usage(REF, "hello world", "gpt-4") == Usage(19, 2, estimated=True)
