"""MIME bundles: HTML and text of one output, masked, with the style sheet where it is needed."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..redaction import mask, mask_data, mask_html
from ..text_format import name_sample, printable, shorten
from .html_text import replace_surrogates

Bundle = dict[str, str]  # MIME type -> text

# An untrusted notebook drops style sheets, and styles with var(): this much of a card stays.
SKELETON = "border-left:3px solid;padding:.5em .9em;margin:.3em 0"


@functools.cache
def load_style() -> str:
    """The ``<style>`` element that every output carries."""
    sheet = (Path(__file__).parent / "static" / "card.css").read_text(encoding="utf-8")
    short = re.sub(r"/[*].*?[*]/|(?<=[{;:,}])\s+|\s+(?=[{}])", "", sheet, flags=re.DOTALL)
    return f"<style>{short.strip()}</style>"


def pack(html: str, text: str) -> Bundle:
    """HTML, with its style sheet, and plain text: a notebook file can hold both, neither holds a secret, a terminal can print the text."""
    return {"text/html": load_style() + _clean_html(html), "text/plain": _clean_text(text)}


def append(bundle: Bundle, html: str, text: str) -> Bundle:
    """A bundle with more HTML behind its own, and more text on the lines below."""
    return {"text/html": bundle["text/html"] + _clean_html(html), "text/plain": f"{bundle['text/plain']}\n{_clean_text(text)}".rstrip()}


def _clean_html(page: str) -> str:
    return mask_html(replace_surrogates(page))


def _clean_text(text: str) -> str:
    return mask(printable(replace_surrogates(text)))


def format_value(value: object) -> str:
    """A parameter's value in few characters; 0.0 and 0 ask for the same and look the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    value = mask_data(value)  # before the cut, which would leave a part of a secret
    return shorten(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False), 40)


def describe_combination(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A combination in the words in which a card says what was sent."""
    return tuple(_describe_choice(name, value) for name, value in row.items())


def _describe_choice(name: str, value: Any) -> str:
    if name == "sample" and isinstance(value, int):
        return name_sample(value)
    return str(value) if name == "model" else f"{name} {format_value(value)}"
