"""Text as HTML: escaped, and marked so that no formula is looked for in it."""

from __future__ import annotations

import html
import re

NO_MATH = "tex2jax_ignore mathjax_ignore"  # MathJax 2, and 3 with 4: "$5 or $10" is no formula


def escape(value: object) -> str:
    """Any value as HTML text that is safe between tags and inside quoted attributes."""
    return html.escape(str(value), quote=True)


def mark_code(line: str) -> str:
    """A sentence of ours as HTML: escaped, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line))


def replace_surrogates(text: str) -> str:
    """Text without lone surrogates, which no notebook file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
