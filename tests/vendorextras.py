"""What vendors answer beside text, copied in shape from their documentation: calls of tools, reasoning.

A name is that of ``vendorformats.FORMATS``; the function is ``weather`` with the argument ``city``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vendorformats import FORMATS, whole

ARGUMENTS = '{"city": "Ulm"}'
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def _call(call_id: str, **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}, **more}


CALLS: Mapping[str, dict[str, Any]] = {
    # https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk
    "anthropic": _call("toolu_01A09q90qw90lq917835lq9"),
    # https://ai.google.dev/gemini-api/docs/thought-signatures: what Gemini wants back
    "gemini": _call("function-call-1", extra_content={"google": {"thought_signature": "c2ln"}}),
    # https://docs.mistral.ai/capabilities/function_calling: no type, a place among its neighbours
    "mistral": {"id": "D681PevKs", "index": 0, "function": {"name": "weather", "arguments": ARGUMENTS}},
    "groq": _call("call_d5wg"),  # https://console.groq.com/docs/tool-use
    "deepseek": _call("call_0_6b1c", index=0),  # https://api-docs.deepseek.com/guides/thinking_mode
    "xai": _call("call_20132427"),  # https://docs.x.ai/docs/guides/function-calling
    "together": _call("call_9uxwtnjwg", index=0),  # https://docs.together.ai/docs/function-calling
    "openrouter": _call("call_abc123"),  # https://openrouter.ai/docs/features/tool-calling
    "ollama": _call("call_f3n5x", index=0),  # https://docs.ollama.com/capabilities/tool-calling
    "lmstudio": _call("365174485"),  # https://lmstudio.ai/docs/developer/openai-compat/tools
    "vllm": _call("chatcmpl-tool-5c1e"),  # https://docs.vllm.ai/en/latest/features/tool_calling.html
    "llamacpp": _call("Lz1q"),  # https://github.com/ggml-org/llama.cpp/blob/master/docs/function-calling.md
}
IN_ONE_PIECE = ("gemini", "mistral", "ollama", "lmstudio")
"""Who sends a call in one piece of a stream."""

REASONING: Mapping[str, dict[str, Any]] = {
    "gemini": {"content": "<thought>It is sunny.</thought>Hello, world"},
    "mistral": {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "It is sunny."}]}, {"type": "text", "text": "Hello, world"}]
    },
    "groq": {"reasoning": "It is sunny.", "content": "Hello, world"},
    "deepseek": {"reasoning_content": "It is sunny.", "content": "Hello, world"},
    "xai": {"reasoning_content": "It is sunny.", "content": "Hello, world"},
    "together": {"content": "<think>\nIt is sunny.\n</think>\n\nHello, world"},
    "openrouter": {
        "reasoning": "It is sunny.",
        "reasoning_details": [{"type": "reasoning.text", "text": "It is sunny.", "format": "unknown", "index": 0}],
        "content": "Hello, world",
    },
    "ollama": {"reasoning": "It is sunny.", "content": "Hello, world"},
    "lmstudio": {"content": "<think>\nIt is sunny.\n</think>\n\nHello, world"},
    "vllm": {"reasoning_content": "It is sunny.", "content": "Hello, world"},
    "llamacpp": {"reasoning_content": "It is sunny.", "content": "Hello, world"},
}
"""Messages in which the reasoning is "It is sunny."; Anthropic's API for OpenAI's SDK tells none."""


def answer(name: str, message: Mapping[str, Any], finish: str = "stop") -> Any:
    """A turn of a scripted server that answers with this message of a vendor's, whole or as a stream, as it is asked."""

    def turn(asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked.get("stream"):
            return {"body": _stream(name, message, finish), "content_type": "text/event-stream"}
        said = {"role": "assistant", "content": None, **message}
        return {"body": whole(FORMATS[name].model, USAGE, finish=finish, choice={"message": said})}

    return turn


def call(name: str, **beside: Any) -> Any:
    """A turn in which a vendor's model calls the function."""
    return answer(name, {**beside, "tool_calls": [CALLS[name]]}, "tool_calls")


def _stream(name: str, message: Mapping[str, Any], finish: str) -> str:
    facts = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": FORMATS[name].model}
    deltas = [{"role": "assistant"}, *_deltas(name, message)]
    chunks = [{**facts, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks += [{**facts, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": USAGE}]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def _deltas(name: str, message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message in the pieces of a stream: texts in pieces of five characters, the parts of a content one by one."""
    deltas: list[dict[str, Any]] = []
    for field, value in message.items():
        if isinstance(value, str):
            deltas += [{field: value[at : at + 5]} for at in range(0, len(value), 5)]
        elif field == "tool_calls":
            deltas += _call_deltas(name, value[0])
        else:
            deltas += [{field: [entry]} for entry in value]
    return deltas


def _call_deltas(name: str, call: Mapping[str, Any]) -> list[dict[str, Any]]:
    if name in IN_ONE_PIECE:
        return [{"tool_calls": [{"index": 0, **call}]}]
    begin = {"index": 0, **call, "function": {"name": "weather", "arguments": ""}}
    pieces = [ARGUMENTS[:6], ARGUMENTS[6:]]
    return [{"tool_calls": [begin]}, *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces)]
