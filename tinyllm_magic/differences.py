"""Two requests in, the difference out: how far they lie apart, what changed, and a guess why.

Knows how a request in canonical form falls into leaves, and what makes prompts change from run to run.
Does not know stores, files, modes or providers.
"""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .messages import Request
from .records import mask

_CONTEXT = 24  # characters shown on each side of a change
_LONGEST_CHANGE = 60
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_UNSTABLE = (
    ("a UUID", re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", re.IGNORECASE)),
    ("a memory address", re.compile(r"\b0x[0-9a-fA-F]{6,}\b")),
    ("a temporary path", re.compile(r"(?:/tmp/|/var/folders/|\\Temp\\|ipykernel_)[^\s'\",;)]+")),
    (
        "a timestamp",
        re.compile(
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
            r"|\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[AP]M)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
            rf"|\b\d{{1,2}}\.? {_MONTH},? \d{{4}}|\b{_MONTH} \d{{1,2}},? (?:\d\d:\d\d:\d\d )?\d{{4}}"
            r"|\b1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?\b"
        ),
    ),
)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """A JSON value as a flat mapping: path to text, number, boolean or ``None``.

    >>> leaves({"params": {"stop": ["a", "b"]}})
    {'params.stop[0]': 'a', 'params.stop[1]': 'b'}
    """
    if path == "params" and not value:
        return {}  # a request always has this mapping: an empty one is no difference
    children: Iterable[tuple[str, Any]]
    if isinstance(value, dict) and value:
        children = ((f"{path}.{k}" if path else k, v) for k, v in value.items())
    elif isinstance(value, list) and value:
        children = ((f"{path}[{i}]", v) for i, v in enumerate(value))
    else:
        return {path: str(value) if isinstance(value, (dict, list)) else value}
    flat: dict[str, Any] = {}
    for where, child in children:
        if isinstance(child, (dict, list)):
            flat.update(leaves(child, where))
        else:
            flat[where] = child
    return flat


def is_prose(path: str) -> bool:
    """Whether a leaf of a request is text that people write, where a small change is a small difference."""
    return path.startswith("messages") and path.rpartition(".")[2] in ("content", "text")


def distance(asked: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    """How far two flat requests lie apart: 1 for each leaf that differs, for prose by the share of other words."""
    total = 0.0
    for path in {p for p, _ in asked.items() ^ found.items()}:
        one, other = asked.get(path), found.get(path)
        if is_prose(path) and isinstance(one, str) and isinstance(other, str):
            words, others = set(one.split()), set(other.split())
            total += 0.1 + 2 * (1 - len(words & others) / max(1, len(words | others)))
        else:
            total += 1
    return total


def likeness(asked: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    """Likeness of the texts that differ, 0 to 1; only their beginnings are looked at."""
    paths = {p for p, _ in asked.items() ^ found.items() if is_prose(p)}
    pairs = [(str(asked.get(p, ""))[:1000], str(found.get(p, ""))[:1000]) for p in paths]
    return min((difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs), default=1.0)


def nearest(asked: Mapping[str, Any], known: Iterable[tuple[str, Any]]) -> list[str]:
    """The keys of the requests that differ least: fewest leaves first, then the likeness of their texts."""
    flat, scores = leaves(dict(asked)), []
    for number, (key, request) in enumerate(known):
        found = leaves(request)
        scores.append((distance(flat, found), number, key, found))
    best = heapq.nsmallest(20, scores, key=lambda s: s[0])
    return [s[2] for s in sorted(best, key=lambda s: s[0] - likeness(flat, s[3]))]


def explain_miss(request: Request, nearest: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between a request and the canonical form of a recorded one, recorded → asked, with a guess why."""
    asked, found = leaves(request.canonical()), leaves(dict(nearest))
    either = (asked.keys() | found.keys()) - {"messages"}  # none at all: the last line says so
    differing = sorted(p for p in either if (p in asked) != (p in found) or asked.get(p) != found.get(p))
    lines: list[str] = []
    gone, extra = _messages(nearest), len(request.messages)
    for path in differing:
        number = _message_number(path)
        if number is not None and not number < min(gone, extra):
            continue
        lines += _change(_name(path, request), found.get(path), asked.get(path), path)
    if gone != extra:
        lines.append(f"messages: {gone} → {extra} in number")
    return tuple(lines)


def _messages(canonical: Mapping[str, Any]) -> int:
    return len(canonical.get("messages") or ())


def _message_number(path: str) -> int | None:
    match = re.match(r"messages\[(\d+)\]", path)
    return int(match[1]) if match else None


def _name(path: str, request: Request) -> str:
    """A path as a person says it: ``temperature``, ``messages[1].content (user)``."""
    number = _message_number(path)
    if number is not None and is_prose(path):
        return f"{path} ({request.messages[number].role})"
    return path.removeprefix("params.")


def _change(name: str, old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, str) and isinstance(new, str) and is_prose(path):
        before, after = _cut(mask(old), mask(new))
        lines = [f"{name}: {before}", f"  → {after}"]
    else:
        before, after = ("(not set)" if v is None else mask(repr(v)) for v in (old, new))
        lines = [f"{name}: {_shortened(before)} → {_shortened(after)}"]
    guess = _guess(path, old, new)
    return [*lines, f"  {guess}"] if guess else lines


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CHANGE else f"{text[: _LONGEST_CHANGE // 2]}…{text[-_LONGEST_CHANGE // 2 :]}"


def _ends(old: str, new: str) -> tuple[int, int]:
    """How many characters at the beginning and at the end two texts share."""
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    return start, next((i for i in range(shorter - start) if old[-1 - i] != new[-1 - i]), shorter - start)


def _cut(old: str, new: str) -> tuple[str, str]:
    """Two texts cut around what differs, which stands in brackets."""
    start, end = _ends(old, new)

    def around(text: str) -> str:
        stop = len(text) - end
        head, tail = text[max(0, start - _CONTEXT) : start], text[stop : stop + _CONTEXT]
        left, right = "…" if start > _CONTEXT else "", "…" if end > _CONTEXT else ""
        return f"{left}{head}[{_shortened(text[start:stop])}]{tail}{right}".replace("\n", "⏎")

    return around(old), around(new)


def _guess(path: str, old: Any, new: Any) -> str:
    """Why it may differ, in one sentence, or nothing."""
    if is_prose(path):
        return _guess_prose(old, new) if isinstance(old, str) and isinstance(new, str) else ""
    if path in ("model", "provider"):
        return f"This is another {path}."
    if path == "sample":
        return "Another draw of the same question: this sample is not recorded."
    if path.startswith("params.") and old is None:
        return "A new parameter."
    return "A parameter that is no longer sent." if path.startswith("params.") and new is None else ""


def _guess_prose(old: str, new: str) -> str:
    if old.split() == new.split():
        return "Only white space differs."
    kinds = []
    for kind, pattern in _UNSTABLE:
        before, after = pattern.sub("§", old), pattern.sub("§", new)
        if old != new and before.count("§") == after.count("§") and _fewer_changes(old, new, before, after):
            kinds.append(kind)
        old, new = before, after
    if old != new or not kinds:
        return ""
    return f"This looks like {' and '.join(kinds)}: pass it as a variable that stays the same on each run."


def _fewer_changes(old: str, new: str, before: str, after: str) -> bool:
    """Whether a pattern took changes away, rather than text that was the same on both sides."""
    return len(_middle(old, new)) > len(_middle(before, after))


def _middle(old: str, new: str) -> str:
    start, end = _ends(old, new)
    return old[start : len(old) - end] + new[start : len(new) - end]
