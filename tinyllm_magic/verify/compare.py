"""Compares a cell's outputs with the saved ones, after taking away what may differ from run to run.

Of this package's own outputs the facts in their metadata count, as far as the saved version has them, and
that the saved output still shows the answers; the words around an answer may change with a version. Of
errors of ours the class counts. Of all other outputs everything counts that is shown.
"""

from __future__ import annotations

import base64
import difflib
import html
import itertools
import json
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import errors
from ..redaction import mask
from ..unstable_text import MEMORY_ADDRESS, TEMPORARY_PATH, UUID

NAMESPACE = "tinyllm_magic"
_FACTS = ("answer", "refusal", "tool_calls", "key", "model_asked", "model", "params", "usage", "finish_reason", "error", "scores")
_TABLE_FACTS = ("kind", "rows", "failed", "keys", "answers", "errors", "tokens", "digest")
_NOT_COMPARED = ("session", "progress")  # what the session has spent and how it is set is no answer
_OUR_ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, BaseException)}
_LONGEST = 110
_LARGEST_EXACT = 2**53
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CELL_FILE = re.compile(r"\(\d+\.py, (?=line)")  # how a syntax error names its cell
_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")
_SOURCE = re.compile(r"\b(?:live|recorded)\b")
_GAPS = re.compile(r"[ \t]+|-{2,}|─{2,}")
_UNSTABLE = (
    # a warning of this package is a note, and names the folder in which the package is installed
    (re.compile(r"^[^\n]*[/\\]tinyllm_magic[/\\][^\n:]*\.py:\d+: \w+: [^\n]*(?:\n  [^\n]*)?(?:\n|\Z)", re.MULTILINE), ""),
    (re.compile(r"^[^\n]*:\d+: (?:Store|Config)Warning: [^\n]*(?:\n  [^\n]*)?(?:\n|\Z)", re.MULTILINE), ""),
    (re.compile(r"(?:[A-Za-z]:)?[\w./\\~-]*ipykernel_\d+[/\\]\d+\.py(?::\d+)?"), "<cell>"),
    (re.compile(r"<ipython-input-[^>]*>"), "<cell>"),
    (re.compile(r'File "[^"\n]*[/\\](?:site|dist)-packages[/\\][^"\n]*", line \d+'), "File <library>"),
    (re.compile(r"\bIn ?\[\d+\]"), "In[ ]"),
    (MEMORY_ADDRESS, "0x…"),
    (TEMPORARY_PATH, "<temporary>"),
    (UUID, "<id>"),
    (re.compile(r"\bT_[0-9a-f]{5}(?=[\s_\"{}#>.])"), "T_<id>"),
    (re.compile(r"^(?:CPU times|Wall time): .*$", re.MULTILINE), "<time>"),
    (re.compile(r"^[\d.]+ [mµun]?s ± .* per loop .*$", re.MULTILINE), "<time>"),
)
_TAG = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
_BREAK = re.compile(r"</(?:p|div|li|tr|t[dh]|h\d|pre|footer|article|summary|caption)>|<br ?/?>")
_DROPPED_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf")


@dataclass(frozen=True)
class _Shown:
    """One shown output or error: its texts by MIME type, and where it is ours the facts of its metadata."""

    texts: Mapping[str, str]
    facts: Mapping[str, Any] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def was_executed(cell: Mapping[str, Any]) -> bool:
    """Whether a code cell was ever run: it has a number or outputs."""
    return cell.get("execution_count") is not None or bool(cell.get("outputs"))


def difference(saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Lines that show the first difference, saved → now; empty where the outputs are the same."""
    before, after = _read_streams(saved), _read_streams(now)
    for name in ("stdout", "stderr"):
        one, other = before.get(name, ""), after.get(name, "")
        if one != other:
            return _describe(name, one, other)
    for pair in itertools.zip_longest(_read_shown(saved, _borrow_facts(saved, now)), _read_shown(now, map(_facts_of, now))):
        if lines := _compare(*pair):
            return lines
    return ()


def was_live(outputs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the answers shown was made by a call rather than found in a store."""
    return any("live" in (facts.get("source"), *facts.get("sources", ())) for facts in _answers(outputs))


def shows_answer(outputs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the outputs is an answer of ours."""
    return any("key" in facts or "keys" in facts for facts in _answers(outputs))


def error_of(outputs: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Name and text of the error that a cell ended with."""
    for output in outputs:
        if output.get("output_type") == "error":
            return str(output.get("ename", "")), _CELL_FILE.sub("(", _ANSI.sub("", str(output.get("evalue", ""))))
    return None


def shows_error(outputs: Sequence[Mapping[str, Any]], error: tuple[str, str]) -> bool:
    """Whether an output shows this error, as IPython does, or as text: so it prints exception groups, and others their own errors."""
    first = next(iter(error[1].splitlines()), "")
    return error_of(outputs) is not None or any(f"{error[0]}: {first}" in text for text in _read_streams(outputs).values())


def _answers(outputs: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The facts of every answer and every table of answers that is shown; of a dry run, none."""
    for facts in filter(None, map(_facts_of, outputs)):
        if "about" not in facts:
            parts = (facts, *(facts.get("answers") or ()), facts.get("table"))
            yield from (part for part in parts if isinstance(part, Mapping))


def _facts_of(output: Mapping[str, Any]) -> Mapping[str, Any] | None:
    facts = (output.get("metadata") or {}).get(NAMESPACE)
    return facts if isinstance(facts, Mapping) else None


# ---- what is read from the outputs


def _read_streams(outputs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    streams: dict[str, str] = {}
    for output in outputs:
        if output.get("output_type") == "stream":
            name = str(output.get("name", "stdout"))
            streams[name] = streams.get(name, "") + _join(output.get("text", ""))
    settled = {name: _settle(_OVERWRITTEN.sub("", text)) for name, text in streams.items()}
    return {name: text for name, text in settled.items() if text.strip()}


def _borrow_facts(saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any] | None]:
    """The facts of each saved output; some tools drop the metadata of outputs, then the new ones say which outputs are ours."""
    own = [_facts_of(o) for o in saved]
    fresh = [_facts_of(o) for o in now if "data" in o]
    if any(facts is not None for facts in own) or len(fresh) != sum("data" in o for o in saved):
        yield from own
        return
    rest = iter(fresh)
    for output in saved:
        facts = next(rest) if "data" in output else None
        yield None if facts is None else {name: facts[name] for name in ("about", "state") if name in facts}


def _read_shown(outputs: Iterable[Mapping[str, Any]], facts_of_each: Iterable[Mapping[str, Any] | None]) -> Iterator[_Shown]:
    """All that is shown and counts, in order."""
    for output, facts in zip(outputs, facts_of_each, strict=True):
        if output.get("output_type") == "error":
            name = str(output.get("ename", ""))
            yield _Shown({"error": name if name in _OUR_ERRORS else f"{name}: {_settle(str(output.get('evalue', '')))}"})
        elif output.get("output_type") in ("display_data", "execute_result"):
            data = output.get("data") or {}
            if facts is not None:
                if facts.get("about") not in _NOT_COMPARED and "state" not in facts:  # a card that only has a state shows no answer
                    yield _Shown({}, facts, data)
            elif texts := {mime: text for mime, value in sorted(data.items()) if (text := _settle_data(mime, value)).strip()}:
                yield _Shown(texts, None, data)


def _settle_data(mime: str, value: Any) -> str:
    """What an output of somebody else's shows, without what changes from run to run."""
    if mime == "application/vnd.jupyter.widget-view+json":
        return "a widget"
    if mime == "image/png":
        return _read_pixels(_join(value))
    if mime.endswith("json"):
        return _settle(json.dumps(as_browser_saves(value), sort_keys=True, ensure_ascii=False, default=str))
    return _settle(_join(value))


def as_browser_saves(value: Any) -> Any:
    """A JSON value with its numbers as a browser saves them: ``0.0`` as ``0``, 53 bits of a whole number, NaN as null.

    >>> as_browser_saves({"temperature": 0.0, "seed": 2**63, "rest": [1.5, True]})
    {'temperature': 0, 'seed': 9223372036854775808, 'rest': [1.5, True]}
    """
    if isinstance(value, Mapping):
        return {str(name): as_browser_saves(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_browser_saves(inner) for inner in value]
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT and math.log10(abs(value)) < 308:
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def _join(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _settle(text: str) -> str:
    """Text without what changes from run to run."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    for pattern, word in _UNSTABLE:
        text = pattern.sub(word, text)
    marked = _SOURCE.sub("…", text)
    return text if marked == text else _GAPS.sub(" ", marked)  # columns are as wide as their words


def _read_pixels(encoded: str) -> str:
    """A PNG without the chunks that name dates and programs; anything else as it is."""
    try:
        data = base64.b64decode(encoded)
    except ValueError:
        return encoded
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return encoded.strip()
    at, kept = 8, [data[:8]]
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] not in _DROPPED_CHUNKS:
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    return base64.b64encode(b"".join(kept)).decode()


# ---- one output against another


def _compare(saved: _Shown | None, now: _Shown | None) -> tuple[str, ...]:
    if saved is None or now is None:
        there = saved or now or _Shown({})
        first = next(iter(_lines_of("text/plain", _plain(there))), "")
        return (f"{'gone now' if now is None else 'new now'}: {_shorten(first)}",)
    if saved.facts is not None and now.facts is not None:
        return _compare_facts(saved.facts, now.facts) or _compare_answers_shown(saved, now)
    before, after = (shown.texts or {"text/plain": _plain(shown)} for shown in (saved, now))
    changed = [mime for mime in sorted({*before, *after}) if before.get(mime) != after.get(mime)]
    if not changed:
        return ()
    mime = next((m for m in changed if m != "text/html"), changed[0])
    return _describe(mime, before.get(mime, ""), after.get(mime, ""))


def _compare_facts(saved: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """The first fact of the saved version that is another now; what it lacks is not asked for."""
    one, other = as_browser_saves(_pick(saved)), as_browser_saves(_pick(now))
    change = _first_change(one, other, "")
    if change is None:
        return ()
    name, before, after = change
    if name.rpartition(".")[2] == "answer" and isinstance(before, str) and isinstance(after, str):
        return _describe("answer", before, after)
    return f"saved  {name.replace('_', ' ')}: {_shorten(_say(before))}", f"now    {name.replace('_', ' ')}: {_shorten(_say(after))}"


def _pick(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared of the facts of one output."""
    picked = {name: facts[name] for name in _FACTS if name in facts}
    if isinstance(facts.get("answers"), list):
        picked["answers"] = [_pick(a) if isinstance(a, Mapping) else a for a in facts["answers"]]
    if isinstance(facts.get("table"), Mapping):
        picked["table"] = {name: facts["table"][name] for name in _TABLE_FACTS if name in facts["table"]}
    return picked


def _first_change(saved: Any, now: Any, name: str) -> tuple[str, Any, Any] | None:
    """Where two values differ first: a dotted name, and both values there."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        names = {**saved, **now} if name.rpartition(".")[2] == "params" else saved  # parameters are one value; other facts grow in number
        steps: Iterable[tuple[str, Any, Any]] = ((n, saved.get(n), now.get(n)) for n in names)
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        steps = ((str(i), a, b) for i, (a, b) in enumerate(zip(saved, now, strict=True), 1))
    else:
        return None if saved == now and isinstance(saved, bool) == isinstance(now, bool) else (name, saved, now)
    found = (_first_change(a, b, f"{name}.{n}".lstrip(".")) for n, a, b in steps)
    return next((change for change in found if change is not None), None)


def _say(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _compare_answers_shown(saved: _Shown, now: _Shown) -> tuple[str, ...]:
    """Whether the saved output shows the answers, as far as the new one does: each whole in plain text, its words in HTML."""
    answers = list(_texts_of(now.facts or {}))
    before, after = (" ".join(_plain(shown).split()) for shown in (saved, now))
    for answer in answers:
        text = " ".join(answer.split())
        if text in after and text not in before:
            return _describe("answer", _nearest(answer, _plain(saved)), _nearest(answer, _plain(now)))
    for mime in ("text/html", "text/plain"):
        if mime in saved.data and mime in now.data:
            one, other = (_count_words("\n".join(_lines_of(mime, _join(shown.data[mime])))) for shown in (saved, now))
            if missing := (_count_words("\n".join(answers)) & other) - one:
                return f"saved  the {mime} lacks words of the answer", f"now    {_shorten(' '.join(missing))}"
    return ()


def _texts_of(facts: Mapping[str, Any]) -> Iterator[str]:
    """The texts of the answers of an output, as far as its metadata has them; of a table, their beginnings."""
    if isinstance(facts.get("answer"), str):
        yield facts["answer"]
    for answer in facts.get("answers") or ():
        if isinstance(answer, Mapping) and isinstance(answer.get("answer"), str):
            yield answer["answer"]
    for text in (facts.get("table") or {}).get("answers") or ():
        if isinstance(text, str):
            beginning, cut, _ = text.partition("… sha256:")
            yield beginning.rpartition(" ")[0] if cut else text


def _count_words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def _nearest(answer: str, shown: str) -> str:
    """The lines of a text that come nearest to those of an answer."""
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    wanted = [line.strip() for line in answer.splitlines() if line.strip()]
    return "\n".join(next(iter(difflib.get_close_matches(line, lines, 1, 0.0)), "") for line in wanted)


def _plain(shown: _Shown) -> str:
    data = shown.data or shown.texts
    return _join(data.get("text/plain") or data.get("text/html") or next(iter(data.values()), ""))


# ---- how a difference reads


def _describe(label: str, saved: str, now: str) -> tuple[str, ...]:
    """The first line of two texts that is not the same, under the name of what they are."""
    head = () if label in ("text/plain", "stdout", "answer") else (f"{label}:",)
    if not saved or not now:
        first = next(iter(_lines_of(label, saved or now)), "")
        return (*head, f"{'new now' if not saved else 'gone now'}: {_shorten(first)}")
    for before, after in itertools.zip_longest(_lines_of(label, saved), _lines_of(label, now), fillvalue=""):
        if before != after:
            start = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
            return (*head, f"saved  {_shorten(before, start)}", f"now    {_shorten(after, start)}")
    return (*head, "the markup differs, the text is the same")


def _lines_of(label: str, text: str) -> list[str]:
    if label == "text/html":
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    return [line for line in (part.strip() for part in text.splitlines()) if line]


def _shorten(text: str, start: int = 0) -> str:
    """A line cut to what differs, which begins at ``start``; secrets are taken out before the cut, which would leave a part of one."""
    start, text = len(mask(text[:start])), mask(text)
    first = max(0, start - 30) if len(text) > _LONGEST else 0
    part = text[first : first + _LONGEST]
    return f"{'…' if first else ''}{part}{'…' if first + _LONGEST < len(text) else ''}" or "(nothing)"
