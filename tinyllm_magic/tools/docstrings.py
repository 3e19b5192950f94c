"""Reads docstrings in the styles of Google, NumPy and Sphinx, or plain; the library that does it is imported on first use."""

from __future__ import annotations

import inspect
import re
from typing import Any


def read_docstring(function: Any) -> tuple[str, dict[str, str]]:
    """What a function does, and what its parameters mean, each on one line; empty where its docstring says nothing."""
    from docstring_parser import ParseError, parse

    text = inspect.getdoc(function) or ""
    try:
        found = parse(text)
    except ParseError:
        return text, {}
    return found.description or "", {p.arg_name: re.sub(r"\s+", " ", p.description) for p in found.params if p.description}
