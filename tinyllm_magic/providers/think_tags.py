"""Tells the reasoning that open models write in front of an answer (``<think>…</think>``) from the answer itself."""

from __future__ import annotations

TAGS = ("think", "thought")
"""What DeepSeek, Qwen and their kin write around their reasoning; and Gemini, asked through OpenAI's API to show it."""
_OPENING = tuple(f"<{tag}>" for tag in TAGS)


class ThinkSplitter:
    r"""Splits the pieces of one answer into text and reasoning, wherever a tag is cut.

    Only what stands at the very start is reasoning: a tag further on is text that somebody asked for. Reasoning that never
    ends is all there is (the answer was cut before it began). White space around both is dropped.

    >>> splitter = ThinkSplitter()
    >>> [splitter.feed(piece) for piece in ("<thi", "nk>2 + 2", " = 4</th", "ink>", "\n\nFour", ".")]
    [('', ''), ('', '2 + 2'), ('', ' = 4'), ('', ''), ('Four', ''), ('.', '')]
    """

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""  # the end that is waited for, within reasoning
        self._is_text = False
        self._after = False  # reasoning has come before
        self._began = False  # the block of reasoning under way has said something
        self._thought = False  # any block has

    def feed(self, piece: str) -> tuple[str, str]:
        """Text and reasoning that are sure with the next piece."""
        if self._is_text:
            return piece, ""
        self._held += piece
        thought = ""
        while True:
            if self._closing:
                more, ended = self._read_reasoning()
                thought += more
                if not ended:
                    return "", thought
            text = self._read_start()
            if text is not None:
                return text, thought

    def close(self) -> tuple[str, str]:
        """Text and reasoning that were held back, at the end of the answer."""
        held, self._held = self._held, ""
        if self._closing:
            return "", self._begin(held).rstrip()
        return ("" if self._after and not held.strip() else held), ""

    def _read_start(self) -> str | None:
        """Text, where the answer has begun or may still begin with a tag; ``None`` where reasoning begins."""
        start = self._held.lstrip()
        if not start:
            return ""
        if start[0] == "<":
            tag = next((t for t in _OPENING if start.lower().startswith(t)), None)
            if tag:
                self._held, self._closing, self._began = start[len(tag) :], f"</{tag[1:]}", False
                return None
            if any(t.startswith(start.lower()) for t in _OPENING):
                return ""
        held, self._held, self._is_text = self._held, "", True
        return start if self._after else held

    def _read_reasoning(self) -> tuple[str, bool]:
        """The reasoning that is sure, and whether its end has come; white space and half a tag are held back."""
        at = self._held.lower().find(self._closing)
        if at >= 0:
            thought = self._begin(self._held[:at]).rstrip()
            self._held, self._closing, self._after = self._held[at + len(self._closing) :], "", True
            return thought, True
        sure = _before_half(self._held, self._closing).rstrip()
        self._held = self._held[len(sure) :]
        return self._begin(sure), False

    def _begin(self, thought: str) -> str:
        """Reasoning, without the white space at its start; a further block of it is a paragraph of its own."""
        if self._began or not thought.strip():
            return thought if self._began else ""
        parted, self._began, self._thought = self._thought, True, True
        return ("\n\n" if parted else "") + thought.lstrip()


def _before_half(text: str, tag: str) -> str:
    """The text without the beginning of a tag at its end."""
    longest = next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.lower().endswith(tag[:n])), 0)
    return text[: len(text) - longest]
