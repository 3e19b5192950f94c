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


class ReasoningReader:
    """Reads the reasoning in the own fields of one answer's messages or deltas; who says it twice is heard once.

    >>> reader = ReasoningReader()
    >>> reader.read({"content": "4", "reasoning_content": "2 + 2"}), ReasoningReader().read({"thinking_blocks": [{"thinking": "hm"}]})
    ('2 + 2', 'hm')
    """

    def __init__(self) -> None:
        self._field = ""  # where this answer has its reasoning

    def read(self, message: Any) -> str:
        """The reasoning in a message, empty where there is none."""
        for name in (self._field,) if self._field else (*REASONING_FIELDS, *_BLOCKS):
            value = get_field(message, name)
            text = _join_blocks(value) if name in _BLOCKS else _text(value)
            if text:
                self._field = name
                return text
        return ""


def _join_blocks(blocks: Any) -> str:
    return "".join(_read_thought(b) or _text(get_field(b, "text")) for b in blocks) if isinstance(blocks, (list, tuple)) else ""


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
        is_thought = get_field(part, "thought") is True or str(get_field(part, "type") or "").startswith(("reasoning", "thinking"))
        thought += found or (_text(get_field(part, "text")) if is_thought else "")
        text += "" if found or is_thought else _text(get_field(part, "text"))
    return text, thought


def _read_thought(part: Any) -> str:
    """What a part says as reasoning, as text or in parts of its own."""
    for name in _THOUGHTS:
        if value := get_field(part, name):
            return value if isinstance(value, str) else split_content(value)[0] or ""
    return ""


def get_field(value: Any, name: str) -> Any:
    """A field of a mapping or of an SDK object; ``None`` where there is none."""
    if type(value) is dict or isinstance(value, Mapping):  # the first is what it is as a rule, and told in a tenth of the time
        return value.get(name)
    return getattr(value, name, None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
