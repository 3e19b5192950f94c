"""Reads token counts from an answer under the names that vendors give them; what is no count is nothing, never 0."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ..responses import Usage

# Folded spellings: `prompt_tokens`, `promptTokens` and `PromptTokens` are one name.
_PROMPT = ("prompttokens", "inputtokens", "prompttokencount", "inputtokencount", "prompttokenscount")
_ANSWER = ("completiontokens", "outputtokens", "generatedtokens", "candidatestokencount", "completiontokencount", "outputtokencount")
_CACHED = ("cachedtokens", "prompttokenscached", "promptcachehittokens", "cachereadinputtokens", "cachedcontenttokencount")
_REASONING = ("reasoningtokens", "thoughtstokencount", "thinkingtokens")
_TOTAL = ("totaltokens", "totaltokencount")
_MOST = 2**53 - 1  # what JSON holds exactly
_NAMED = frozenset((*_PROMPT, *_ANSWER, *_CACHED, *_REASONING, *_TOTAL))


def read_usage(value: Any) -> Usage | None:
    """The counts of a vendor's ``usage``; ``None`` where it holds none. A part that is not told is 0.

    >>> read_usage({"inputTokens": 3, "outputTokens": "2"})
    Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=0, reasoning_tokens=0, estimated=False)
    >>> read_usage({"prompt_tokens": 0, "completion_tokens": float("nan")}) is None
    True
    """
    if not isinstance(value, Mapping):
        return None
    counts = _folded(value)
    prompt, answer = _first(counts, _PROMPT), _first(counts, _ANSWER)
    cached, reasoning, total = _first(counts, _CACHED), _first(counts, _REASONING), _first(counts, _TOTAL)
    if "cachereadinputtokens" in counts and "prompttokens" not in counts:  # Anthropic's input leaves out what its cache holds
        prompt += cached + counts.get("cachecreationinputtokens", 0)
    if reasoning and total == prompt + answer + reasoning:  # some count an answer without its reasoning
        answer += reasoning
    if total > prompt + answer and not (prompt and answer):
        prompt, answer = (prompt, total - prompt) if prompt else (total - answer, answer) if answer else (0, 0)
    if not prompt and not answer:
        return None
    return Usage(prompt, answer, min(cached, prompt), min(reasoning, answer))


def rest_of_usage(value: Any) -> dict[str, Any]:
    """What a vendor's ``usage`` holds beside the counts that ``read_usage`` reads (a price, tokens of sound); without zeros.

    >>> rest_of_usage({"prompt_tokens": 3, "cost": 0.1, "prompt_tokens_details": {"audio_tokens": 2, "cached_tokens": 1}})
    {'cost': 0.1, 'prompt_tokens_details': {'audio_tokens': 2}}
    """
    if not isinstance(value, Mapping):
        return {}
    left = {name: rest_of_usage(v) if isinstance(v, Mapping) else v for name, v in value.items() if not _is_read(name, v)}
    return {name: v for name, v in left.items() if v}


def _is_read(name: Any, value: Any) -> bool:
    return _fold(name) in _NAMED and (isinstance(value, (int, float)) or _count(value) is not None)


def _folded(usage: Mapping[str, Any]) -> dict[str, int]:
    """All counts by folded name, those of its details too; of two of one name, that of the usage itself."""
    own: dict[str, int] = {}
    details: dict[str, int] = {}
    for name, value in usage.items():
        if (count := _count(value)) is not None:
            own[_fold(name)] = count
        elif isinstance(value, Mapping):
            details |= {_fold(n): c for n, v in value.items() if (c := _count(v)) is not None}
    return details | own


def _fold(name: Any) -> str:
    return _fold_text(name if type(name) is str else str(name))


@functools.lru_cache(maxsize=1024)
def _fold_text(name: str) -> str:
    return name.replace("_", "").lower()


def _first(counts: Mapping[str, int], names: Iterable[str]) -> int:
    for name in names:
        if count := counts.get(name):
            return count
    return 0


def _count(value: Any) -> int | None:
    """A whole number of tokens, also as text; ``None`` for all else."""
    if type(value) is int:  # as a rule
        return value if 0 <= value <= _MOST else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:  # NaN is nowhere between
        return None
    return int(value) if value == int(value) else None
