"""Explains why a replay misses: which recorded request is nearest, what differs, and a guess why."""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import ReplayMiss
from ..messages import CONVERSATIONS, Request
from ..redaction import excerpt, mask
from ..responses import Record
from ..text_format import shorten_middle
from ..unstable_text import MEMORY_ADDRESS, TEMPORARY_PATH, UUID
from ..web_page import ANSWERS_RECORDED
from .file_diff import explain_file_changes
from .schema_diff import explain_schema_change

_LIST = "`%llm_cache list` shows what is recorded."
SESSION = f"Record it: `%llm_cache mode auto`, then run the cell again. {_LIST}"
CALL = f"This call itself asks for the mode replay: run it without `--mode replay` (or `mode=`) to record an answer. {_LIST}"
OVERRIDE = f"An override(mode='replay') is in force: leave it, then run the cell again to record an answer. {_LIST}"
ENVIRONMENT = f"TINYLLM_MODE=replay was set from outside: start without it, or run `tinyllm-magic verify --record NOTEBOOK`. {_LIST}"
ENVIRONMENT_AND_CALL = f"TINYLLM_MODE=replay was set from outside, and this call itself asks for the mode replay: take both out. {_LIST}"
FILE = f"MODE = replay stands in config.ini: change it there, or `%llm_cache mode auto` for this session, then run the cell again. {_LIST}"
PAGE = (
    f"Change back what differs, or choose values that were recorded. {_LIST} To ask anything else, run the notebook on your own computer."
)
ADVICE = frozenset({SESSION, CALL, OVERRIDE, ENVIRONMENT, ENVIRONMENT_AND_CALL, FILE, PAGE})
"""What the last line of a miss may be."""
_SORT = "a set's order changes from kernel to kernel; sort it: `{{ names | sort | join(', ') }}`"
_FORMAT = "response_format"
_PIECE = re.compile(r"\w+")
_CONTEXT = 24  # characters shown on each side of a change
_LONGEST_CHANGE = 60
NEAREST_OF = 20_000  # the latest records that a search for the nearest looks at, so that it takes about a second at most
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_UNSTABLE = (
    ("a UUID", UUID),
    ("a memory address", MEMORY_ADDRESS),
    ("a temporary path", TEMPORARY_PATH),
    ("a temporary path", re.compile(r"ipykernel_[^\s'\",;)]+")),
    (
        "a timestamp",
        re.compile(
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
            r"|\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[AP]M)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
            rf"|\b\d{{1,2}}\.? {_MONTH},? \d{{4}}|\b{_MONTH} \d{{1,2}},? (?:\d\d:\d\d:\d\d )?\d{{4}}"
            r"|\b1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?\b"
        ),
    ),
    ("a hash() or a random number", re.compile(r"-?\b\d{15,}\b|-?\b\d+\.\d{9,}(?:e-?\d+)?\b")),
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
    paths = {p for p, _ in asked.items() ^ found.items()}
    total += 1 if any(p.startswith(_FORMAT) for p in paths) else 0  # a schema is one difference, however many parts it has
    for path in (p for p in paths if not p.startswith(_FORMAT)):
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
        kinds = {found.get("kind", "chat"), flat.get("kind", "chat")}
        if len(kinds) > 1 and not kinds <= set(CONVERSATIONS):
            continue
        scores.append((distance(flat, found), number, key, found))
    best = heapq.nsmallest(20, scores, key=lambda s: s[0])
    return [s[2] for s in sorted(best, key=lambda s: s[0] - likeness(flat, s[3]))]


class Searchable(Protocol):
    """What a miss tells of a store."""

    path: Path

    def __len__(self) -> int:
        """How many answers it holds."""
        ...

    def nearest(self, request: Mapping[str, Any], among: int = ...) -> Record | None:
        """The record whose request differs least, of the latest ones."""
        ...


def build_miss(request: Request, stores: Sequence[Searchable], advice: str) -> ReplayMiss:
    """The error of a strict replay that finds no answer in these stores, of which the first is the notebook's own.

    ``advice`` says what to do where the mode was chosen; ``PAGE`` is the advice for the reader of a published page.
    """
    if not stores:
        return ReplayMiss("strict replay was asked for, but no store is in use", request=request, hint=advice)
    own, *siblings = stores
    siblings = [store for store in siblings if len(store)]
    found = _find_nearest(request, (own, *siblings))
    lines = explain_miss(request, found[0].request) if found is not None else ()
    is_page = advice == PAGE
    text = [_describe_page(stores)] if is_page else [_describe_stores(own, siblings), f"Its key is {request.key}"]
    if not len(own) and not siblings and not is_page:
        text.append(f"Put {own.path.name} beside the notebook, if it is elsewhere.")
    if found is not None:
        record, store = found
        place = "" if store is own else f", in {store.path.name}"
        text.append(f"The nearest recorded request is {record.key[:15]}… ({_title(record)}){place}:")
        if not lines:
            text.append("  It is stored under a key that does not match its request; `tinyllm-magic cache check` says more.")
    return ReplayMiss(
        "\n".join([*text, *(f"  {line}" for line in lines)]),
        hint=advice,
        request=request,
        nearest=found[0].request if found is not None else None,
        difference=lines,
        path=str(own.path),
    )


def _describe_stores(own: Searchable, siblings: Sequence[Searchable]) -> str:
    """Where no answer was found."""
    name, count = own.path.name, len(own)
    state = "" if count else "is empty" if own.path.exists() else "is missing"
    if state and not siblings:
        return f"strict replay was asked for, but the store {name} {state}: there is no recorded answer"
    others = siblings[0].path.name if len(siblings) == 1 else f"the {len(siblings)} stores beside it" if siblings else ""
    if state:
        return f"no recorded answer for this request in {others} (mode replay; the store {name} {state})"
    answers = "1 recorded answer" if count == 1 else f"{count} recorded answers"
    return f"no recorded answer for this request in {name} ({answers}, mode replay){f', nor in {others}' if others else ''}"


def _describe_page(stores: Iterable[Searchable]) -> str:
    """What a published page says, whose reader knows of no store."""
    count = sum(len(store) for store in stores)
    answers = "1 answer is" if count == 1 else f"{count} answers are"
    return f"{ANSWERS_RECORDED}, and this was not ({answers} recorded)"


def _find_nearest(request: Request, stores: Iterable[Searchable]) -> tuple[Record, Searchable] | None:
    """The record whose request differs least, and its store; of records as near, that of the first store."""
    found: dict[str, tuple[Record, Searchable]] = {}
    left = NEAREST_OF
    for store in stores:
        record = store.nearest(request.canonical(), left) if left > 0 else None
        if record is not None:
            found.setdefault(record.key, (record, store))
        left -= len(store)
    best = nearest(request.canonical(), ((key, record.request) for key, (record, _) in found.items()))
    return found[best[0]] if best else None


def _title(record: Record) -> str:
    texts = [str(v) for k, v in leaves(dict(record.request)).items() if is_prose(k)]
    return f"{record.request.get('model')}: {excerpt(texts[-1], 40) if texts else ''}"


def explain_miss(request: Request, nearest: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between a request and the canonical form of a recorded one, recorded → asked, with a guess why."""
    asked, found = leaves(request.canonical()), leaves(dict(nearest))
    either = (asked.keys() | found.keys()) - {"messages"}  # none at all: the last line says so
    differing = sorted(p for p in either if (p in asked) != (p in found) or asked.get(p) != found.get(p))
    formats = explain_schema_change(nearest.get("response_format"), request.response_format)
    differing = [p for p in differing if not (formats and p.startswith(_FORMAT))]
    lines, explained = explain_file_changes(found, asked, differing)
    differing = [p for p in differing if p not in explained]
    gone, extra = _messages(nearest), len(request.messages)
    for path in differing:
        number = _message_number(path)
        if number is not None and not number < min(gone, extra):
            continue
        lines += _change(_name(path, request), found.get(path), asked.get(path), path)
    if gone != extra:
        lines.append(f"messages: {gone} → {extra} in number")
    return (*lines, *formats)


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
        lines = [f"{name}: {shorten_middle(before, _LONGEST_CHANGE)} → {shorten_middle(after, _LONGEST_CHANGE)}"]
    guess = _guess(path, old, new)
    return [*lines, f"  {guess}"] if guess else lines


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
        return f"{left}{head}[{shorten_middle(text[start:stop], _LONGEST_CHANGE)}]{tail}{right}".replace("\n", "⏎")

    return around(old), around(new)


def _guess(path: str, old: Any, new: Any) -> str:
    """Why it may differ, in one sentence, or nothing."""
    if is_prose(path):
        return _guess_prose(old, new) if isinstance(old, str) and isinstance(new, str) else ""
    if path == "provider" and str(old).partition(":")[0] == str(new).partition(":")[0]:
        return "Another address: set the one that it was recorded at (BASE_URL, OPENAI_BASE_URL, or base_url of the model's table)."
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
    if sorted(_PIECE.findall(old)) == sorted(_PIECE.findall(new)):
        return f"The same pieces in another order: {_SORT}. A shuffle or random.sample() needs a seed."
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
