"""Finds the reasoning in a message: vendors put it into fields of their own, or between the parts of its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import BadResponseError

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Names under which a message holds its reasoning as text (DeepSeek, xAI, vLLM; OpenRouter, Groq; Ollama), the first counts."""
_BLOCKS = (
    "reasoning_details",
    "thinking_blocks",
)  # the same once more, in blocks with signatures: OpenRouter; Anthropic's, through LiteLLM
_THOUGHTS = ("thinking", "reasoning", "summary")  # what a part calls its reasoning: Anthropic, Mistral; LangChain, Cohere; OpenRouter


def read_reasoning(message: Any) -> str:
    """The reasoning in a message's own fields, empty where there is none.

    >>> read_reasoning({"content": "4", "reasoning_content": "2 + 2"}), read_reasoning({"thinking_blocks": [{"thinking": "hm"}]})
    ('2 + 2', 'hm')
    """
    for name in REASONING_FIELDS:
        value = _get(message, name)
        if isinstance(value, str) and value:
            return value
    blocks = next((found for name in _BLOCKS if isinstance(found := _get(message, name), list) and found), [])
    return "".join(_read_thought(block) or _text(_get(block, "text")) for block in blocks)


def split_content(content: Any) -> tuple[str | None, str]:
    """Text and reasoning of a content that is text, nothing, or a list of parts; raises ``BadResponseError`` for any other.

    >>> split_content([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}])
    ('yes', 'hm')
    >>> split_content([{"text": "hm", "thought": True}, {"text": "yes"}])
    ('yes', 'hm')
    """
    if content is None or isinstance(content, str):
        return content, ""
    if not isinstance(content, Iterable):
        raise BadResponseError(f"the answer's content is neither text nor a list of parts, but {type(content).__name__}")
    text, thought = "", ""
    for part in content:
        found = _read_thought(part)
        is_thought = _get(part, "thought") is True or str(_get(part, "type") or "").startswith(("reasoning", "thinking"))
        thought += found or (_text(_get(part, "text")) if is_thought else "")
        text += "" if found or is_thought else _text(_get(part, "text"))
    return text, thought


def _read_thought(part: Any) -> str:
    """What a part says as reasoning, as text or in parts of its own."""
    for name in _THOUGHTS:
        if value := _get(part, name):
            return value if isinstance(value, str) else split_content(value)[0] or ""
    return ""


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
