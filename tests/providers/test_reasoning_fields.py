"""Where vendors put a model's reasoning: a field of the message, blocks with signatures, parts of the content."""

import pytest
from chatcalls import fold

from tinyllm_magic.providers import chat_format
from tinyllm_magic.providers.reasoning_fields import ReasoningReader

# https://api-docs.deepseek.com/guides/thinking_mode, https://docs.x.ai/docs/guides/reasoning, https://docs.vllm.ai (reasoning outputs)
# https://openrouter.ai/docs/use-cases/reasoning-tokens, https://console.groq.com/docs/reasoning (`reasoning_format: parsed`)
# https://docs.litellm.ai/docs/reasoning_content (`thinking_blocks`), https://docs.ollama.com/capabilities/thinking
# https://docs.mistral.ai/capabilities/reasoning, https://ai.google.dev/gemini-api/docs/thinking (parts with `thought`)
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking (content blocks)
MESSAGES = {
    "deepseek": {"content": "Four.", "reasoning_content": "2 + 2"},
    "openrouter": {
        "content": "Four.",
        "reasoning": "2 + 2",
        "reasoning_details": [{"type": "reasoning.text", "text": "2 + 2", "index": 0}],
    },
    "openrouter, details alone": {"content": "Four.", "reasoning_details": [{"type": "reasoning.summary", "summary": "2 + 2", "index": 0}]},
    "litellm": {"content": "Four.", "thinking_blocks": [{"type": "thinking", "thinking": "2 + 2", "signature": "sig"}]},
    "ollama": {"content": "Four.", "thinking": "2 + 2"},
    "mistral": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2 + 2"}]}, {"type": "text", "text": "Four."}]},
    "anthropic": {"content": [{"type": "thinking", "thinking": "2 + 2", "signature": "sig"}, {"type": "text", "text": "Four."}]},
    "gemini": {"content": [{"text": "2 + 2", "thought": True}, {"text": "Four.", "thoughtSignature": "sig"}]},
    "gemini, through OpenAI's API": {"content": "<thought>2 + 2</thought>Four."},
    "open models": {"content": "<think>\n2 + 2\n</think>\n\nFour."},
}
each = pytest.mark.parametrize("name", MESSAGES)


@each
def test_a_whole_message_has_its_reasoning_apart(name):
    got = fold(chat_format.to_chunks({"role": "assistant", **MESSAGES[name]}))
    assert (got.text, got.reasoning) == ("Four.", "2 + 2")


@each
def test_a_stream_has_its_reasoning_apart(name):
    said = MESSAGES[name]
    first = {k: v for k, v in said.items() if k != "content"}
    parts = said["content"] if isinstance(said["content"], list) else list(said["content"])
    deltas = [first, *({"content": [part] if isinstance(part, dict) else part} for part in parts)]
    chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
    got = fold(chat_format.to_chunks(iter([*chunks, {"choices": [{"delta": {}, "finish_reason": "stop"}]}])))
    assert (got.text, got.reasoning) == ("Four.", "2 + 2")


def test_a_signature_is_kept_for_who_wants_it_back():
    got = fold(chat_format.to_chunks({"role": "assistant", **MESSAGES["litellm"]}))
    assert got.raw["thinking_blocks"][0]["signature"] == "sig"


def test_redacted_reasoning_is_no_text():
    blocks = [{"type": "redacted_thinking", "data": "x"}, {"type": "reasoning.encrypted", "data": "y"}]
    assert not ReasoningReader().read({"thinking_blocks": blocks})


def test_an_answer_that_is_cut_while_it_reasons_has_no_text():
    got = fold(chat_format.to_chunks({"choices": [{"message": {"content": "<think>2 +"}, "finish_reason": "length"}]}))
    assert (got.text, got.reasoning, got.finish_reason) == ("", "2 +", "length")


def test_a_stream_of_plain_texts_has_its_reasoning_apart():
    got = fold(chat_format.to_chunks(iter(["<th", "ink>a</think>", "b"])))
    assert (got.text, got.reasoning, got.finish_reason) == ("b", "a", "stop")


def test_a_text_that_ends_in_half_a_tag_is_whole():
    got = fold(
        chat_format.to_chunks(iter([{"choices": [{"delta": {"content": "<thi"}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]))
    )
    assert (got.text, got.reasoning) == ("<thi", "")


def test_reasoning_that_is_told_in_two_fields_is_heard_once():
    deltas = [{"reasoning": "hm"}, {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]}, {"content": "yes"}]
    ends = [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    got = fold(chat_format.to_chunks(iter([*({"choices": [{"delta": delta}]} for delta in deltas), *ends])))
    assert (got.text, got.reasoning) == ("yes", "hm")
