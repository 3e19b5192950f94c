"""What the text of a code cell tells: whether it asks a model, and by which line a reader knows it."""

from __future__ import annotations

import re

from ..redaction import mask
from ..text_format import shorten

_PROMPT = re.compile(r"^\s*(?:%%llm(?:\s|\Z)|(?:[\w.\[\]]+\s*=\s*)?%llm\s)", re.MULTILINE)


def is_prompt(source: str) -> bool:
    """Whether a cell asks a model by a magic."""
    return bool(_PROMPT.search(source))


def title_of(source: str) -> str:
    """The first line of a cell, and for a prompt cell the first of its prompt."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    title = " ⏎ ".join(lines[:2] if lines and lines[0].startswith("%%") else lines[:1])
    return shorten(mask(title), 80)  # a cut would leave a part of a secret
