"""Counts the tokens of an image by the formulas that vendors publish; which one is a fact of the model."""

from __future__ import annotations

import math
from typing import Any

from ..file_text import FileText

# OpenAI's guide to images and vision for gpt-4o and its like, for an image whose size is not known: 85
# tokens at low detail; at high detail 85 + 170 for each of 4 tiles, which is a square of 1024 pixels.
_LOW, _HIGH = 85, 765


def count_image(image: Any, detail: str | None, formula: str) -> tuple[int, bool]:
    """The tokens of an image, and whether they are an estimate: its size or the model's formula is not known.

    ``formula`` is a name and its numbers: ``tiles BASE TILE`` (OpenAI: within 2048 × 2048, then the shorter side 768, tiles of 512),
    ``patches FACTOR`` (OpenAI: squares of 32, at most 1536, times a factor), ``area PIXELS`` (Anthropic: an approximation of its
    own), ``crops TOKENS`` (Gemini: one for a small image, for others by tiles of 768, whose cut is not published in full).
    """
    name, *numbers = formula.split() or [""]
    if not isinstance(image, FileText) or not image.facts.width or not numbers:
        return (_LOW if detail == "low" else _HIGH), True
    width, height, given = image.facts.width, image.facts.height, [float(n) for n in numbers]
    if name == "tiles":
        return int(given[0] + (0 if detail == "low" else given[1] * _count_tiles(width, height))), False
    if name == "patches":
        return math.ceil(_count_patches(width, height) * given[0]), False
    if name == "crops":
        small = max(width, height) <= 384
        return int(given[0]) * (1 if small else math.ceil(width / 768) * math.ceil(height / 768)), not small
    return math.ceil(width * height / given[0]), True


def _count_tiles(width: float, height: float) -> int:
    """Squares of 512 pixels, after OpenAI's two steps of scaling down.

    >>> _count_tiles(1024, 1024), _count_tiles(2048, 4096)
    (4, 6)
    """
    fitting = min(1, 2048 / max(width, height))
    scale = fitting * min(1, 768 / (min(width, height) * fitting))
    return math.ceil(round(width * scale / 512, 6)) * math.ceil(round(height * scale / 512, 6))


_PATCH, _MOST_PATCHES = 32, 1536


def _count_patches(width: float, height: float) -> int:
    """Squares of 32 pixels, after scaling down to at most 1536 of them as OpenAI describes it.

    >>> _count_patches(1024, 1024), _count_patches(1800, 2400)
    (1024, 1452)
    """
    whole = math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    if whole <= _MOST_PATCHES:
        return whole
    shrink = math.sqrt(_MOST_PATCHES * _PATCH**2 / (width * height))
    across, down = width * shrink / _PATCH, height * shrink / _PATCH
    shrink *= min(math.floor(across) / across, math.floor(down) / down)
    return math.ceil(round(width * shrink / _PATCH, 6)) * math.ceil(round(height * shrink / _PATCH, 6))
