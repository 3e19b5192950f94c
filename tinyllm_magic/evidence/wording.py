"""Facts as words, in the one way in which all forms of a report say them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..text_format import format_money, shorten
from .summary import ModelUse, ParameterSet, Samples, Totals

_MOST = 6  # of a kind that a sentence names
_SAMPLING = ("temperature", "top_p", "seed", "max_tokens")


def count(number: int, word: str, words: str = "") -> str:
    """A number with its noun.

    >>> count(1, "answer"), count(2000, "answer"), count(2, "query", "queries")
    ('1 answer', '2,000 answers', '2 queries')
    """
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def join(parts: Sequence[str]) -> str:
    """Parts as people list them.

    >>> join(["a"]), join(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def capitalize(text: str) -> str:
    """A text as the beginning of a sentence."""
    return f"{text[:1].upper()}{text[1:]}"


def day(moment: str) -> str:
    """The day of a moment in ISO 8601."""
    return moment.partition("T")[0]


def period(totals: Totals) -> str:
    """The days between which answers were recorded (UTC)."""
    first, last = day(totals.first), day(totals.last)
    return "on no recorded day" if not first else f"on {first}" if first == last else f"from {first} to {last}"


def name_model(use: ModelUse) -> str:
    """A model as it was asked, and as it answered where that is another name."""
    return use.asked if use.answered in ("", use.asked) else f"{use.asked} (answered as {use.answered})"


def describe_tokens(totals: Totals) -> str:
    """Tokens in and out, with the parts that vendors report apart, and whether they are estimates."""
    usage = totals.usage
    apart = [f"{n:,} {word}" for n, word in ((usage.cached_tokens, "cached"), (usage.reasoning_tokens, "reasoning")) if n]
    parts = [f"{usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out{f' ({chr(44).join(apart)})' if apart else ''}"]
    parts += [f"{totals.estimated:,} estimated"] if totals.estimated else []
    parts += [f"{totals.untold:,} without a count"] if totals.untold else []
    return "; ".join(parts)


def describe_cost(totals: Totals) -> str:
    """What was paid: the sum of known prices, and how many answers were free or have no known price."""
    parts = [format_money(totals.cost)] if totals.cost is not None else []
    if totals.free:
        parts.append(
            "nothing (it ran on this machine)"
            if totals.free == totals.answers
            else f"nothing for {count(totals.free, 'answer')} of this machine"
        )
    if totals.unpriced:
        parts.append(f"an unknown amount for {count(totals.unpriced, 'answer')}")
    return join(parts) or "nothing was asked"


def describe_value(value: Any) -> str:
    """A parameter's value: whole numbers without a point, text as it is, the rest as JSON."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else shorten(json.dumps(value, ensure_ascii=False, default=str), 80)


def describe_sent(params: Mapping[str, Any]) -> str:
    """Parameters as they were sent.

    >>> describe_sent({"temperature": 0.0, "seed": 1}), describe_sent({})
    ('temperature 0, seed 1', 'none sent')
    """
    return ", ".join(f"{name} {describe_value(value)}" for name, value in params.items()) or "none sent"


def describe_parameters(params: Mapping[str, Any]) -> str:
    """Parameters as they were sent; those that were not sent are the provider's own defaults, and are named where they matter."""
    sent = describe_sent(params)
    names = {"max_tokens" if name.startswith("max_") else name for name in params}
    unsent = [name for name in _SAMPLING if name not in names]
    return "; ".join(filter(None, (sent, f"not sent: {', '.join(unsent)}" if unsent else "")))


def describe_demands(group: ParameterSet) -> str:
    """What else of an answer was demanded: its form, and the tools that were offered."""
    form = f"format {group.form}" if group.form else ""
    tools = f"tools {', '.join(group.tools)}" if group.tools else ""
    return "; ".join(filter(None, (form, tools)))


def describe_samples(samples: Samples) -> str:
    """How often questions were asked."""
    parts = [f"{count(questions, 'question')} {_times(number)}" for number, questions in samples.counts.items()]
    return join(parts) or "no question"


def _times(number: int) -> str:
    return {1: "asked once", 2: "asked twice"}.get(number, f"asked {number} times")


def describe_seconds(seconds: float) -> str:
    """A duration with as many digits as it needs.

    >>> describe_seconds(0.034), describe_seconds(7.21), describe_seconds(6120)
    ('0.03 s', '7.2 s', '1 h 42 min')
    """
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 0.1 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def some(words: Iterable[str]) -> str:
    """The first of many, each once, and how many there are besides."""
    found = list(dict.fromkeys(words))
    return join(found) if len(found) <= _MOST else f"{', '.join(found[:_MOST])} and {len(found) - _MOST} more"


def name_cells(numbers: Iterable[int]) -> str:
    """Cells by their numbers.

    >>> name_cells([3]), name_cells([4, 2, 4])
    ('cell 3', 'cells 2 and 4')
    """
    found = sorted(set(numbers))
    return f"cell {found[0]}" if len(found) == 1 else f"cells {some(map(str, found))}"
