"""Two lists of a cell's outputs in, what differs out: compared after taking away what may differ from run to run.

Knows the shapes of notebook outputs, and which words in them change although nothing has changed.
Does not know kernels, files, stores or sessions.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NAMESPACE = "tinyllm_magic"
_FACTS = f"metadata {NAMESPACE}"
_LONGEST = 110
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CELL_FILE = re.compile(r"\(\d+\.py, (?=line)")  # how a syntax error names its cell
_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")
_BADGE = re.compile(r'<span class="tlm-badge tlm-badge-(?:live|other)">(?:live|recorded)</span>')
_FOOTER = re.compile(r"^(-- .*?)(?:live|recorded)$", re.MULTILINE)
_PREVIEW = re.compile(r"recorded: answered without a call|not recorded: would be a live call")
_COUNT = re.compile(r"(?:≈ )?[\d,]+(?= tokens?\b| of [\d,]+ tokens| left for the answer)|(?<=\()[\d.]+%(?=\))|≈ \$[\d.,]+")
_SOURCE = re.compile(r"\b(?:live|recorded)\b")
_GAPS = re.compile(r"[ \t]+|-{2,}|─{2,}")
_UNSTABLE = (
    (re.compile(r"(?:[A-Za-z]:)?[\w./\\~-]*ipykernel_\d+[/\\]\d+\.py(?::\d+)?"), "<cell>"),
    (re.compile(r"<ipython-input-[^>]*>"), "<cell>"),
    (re.compile(r"\bIn ?\[\d+\]"), "In[ ]"),
    (re.compile(r"\b0x[0-9a-fA-F]{4,}\b"), "0x…"),
    (re.compile(r"(?:(?:/private)?/var/folders/|/tmp/|[A-Za-z]:\\[^\s'\"<>]*\\Temp\\)[^\s'\"<>),;]+"), "<temporary>"),
    (re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\bT_[0-9a-f]{5}(?=[\s_\"{}#>.])"), "T_<id>"),
    (re.compile(r"\(\d+ recorded answers?, mode replay\)"), "(mode replay)"),  # the store has grown since
    (re.compile(r"^(?:CPU times|Wall time): .*$", re.MULTILINE), "<time>"),
    (re.compile(r"^[\d.]+ [mµun]?s ± .* per loop .*$", re.MULTILINE), "<time>"),
)
_TAG = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
_BREAK = re.compile(r"</(?:p|div|li|tr|h\d|pre|footer|article|summary|caption)>|<br ?/?>")
_OURS = 'class="tlm'
_DROPPED_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf")

Piece = tuple[str, str]
"""What a part of an output is called, and its text."""


def was_executed(cell: Mapping[str, Any]) -> bool:
    """Whether a code cell was ever run: it has a number or outputs."""
    return cell.get("execution_count") is not None or bool(cell.get("outputs"))


def difference(saved: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Lines that show the first difference, saved → now; empty where the outputs are the same."""
    before, after = _pieces(saved), _pieces(now)
    if not any(label == _FACTS for label, _ in before):  # some tools drop the metadata of outputs
        after = [piece for piece in after if piece[0] != _FACTS]
    if before == after:
        return ()
    found = [pair for pair in itertools.zip_longest(before, after) if pair[0] != pair[1]]
    readable = [pair for pair in found if _label(pair) != "text/html"] or found
    one, other = readable[0]
    lines = [f"{_label(readable[0])}:"] if _label(readable[0]) not in ("text/plain", "stdout") else []
    return (*lines, *_lines(one, other))


def was_live(outputs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the answers shown was made by a call rather than found in a store."""
    return any(answer.get("source") == "live" for answer in _answers(outputs))


def shows_answer(outputs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the outputs is an answer of ours."""
    return any("key" in answer for answer in _answers(outputs))


def _answers(outputs: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for output in outputs:
        facts = (output.get("metadata") or {}).get(NAMESPACE)
        if isinstance(facts, Mapping):
            yield facts
            yield from (answer for answer in facts.get("answers") or () if isinstance(answer, Mapping))


def error_of(outputs: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Name and text of the error that a cell ended with."""
    for output in outputs:
        if output.get("output_type") == "error":
            return str(output.get("ename", "")), _CELL_FILE.sub("(", _ANSI.sub("", str(output.get("evalue", ""))))
    return None


def _label(pair: tuple[Piece | None, Piece | None]) -> str:
    return (pair[0] or pair[1] or ("", ""))[0]


def _lines(one: Piece | None, other: Piece | None) -> Iterator[str]:
    """The first line of two pieces that is not the same."""
    if one is None or other is None:
        there = one or other or ("", "")
        first = next((line for line in _readable(there) if line.strip()), "")
        yield f"{'gone now' if other is None else 'new now'}: {_shortened(first)}"
        return
    for before, after in itertools.zip_longest(_readable(one), _readable(other), fillvalue=""):
        if before != after:
            start = _common(before, after)
            yield f"saved  {_shortened(before, start)}"
            yield f"now    {_shortened(after, start)}"
            return
    yield "the markup differs, the text is the same"


def _readable(piece: Piece) -> list[str]:
    label, text = piece
    if label == "text/html":
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    return [line for line in (part.strip() for part in text.splitlines()) if line]


def _common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shortened(text: str, start: int = 0) -> str:
    """A line cut to what differs, which begins at ``start``."""
    first = max(0, start - 30) if len(text) > _LONGEST else 0
    part = text[first : first + _LONGEST]
    return f"{'…' if first else ''}{part}{'…' if first + _LONGEST < len(text) else ''}" or "(nothing)"


def _pieces(outputs: Iterable[Mapping[str, Any]]) -> list[Piece]:
    """All that counts of a cell's outputs: its streams joined, then everything shown, in order."""
    streams: dict[str, str] = {}
    shown: list[Piece] = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name", "stdout"))
            streams[name] = streams.get(name, "") + _text(output.get("text", ""))
        elif kind == "error":
            shown.append(("error", f"{output.get('ename')}: {_settled(str(output.get('evalue', '')))}"))
        elif kind in ("display_data", "execute_result"):
            shown += _shown(output)
    said = [(name, _settled(_OVERWRITTEN.sub("", text))) for name, text in sorted(streams.items(), reverse=True)]
    return [piece for piece in (*said, *shown) if piece[1].strip()]


def _shown(output: Mapping[str, Any]) -> Iterator[Piece]:
    ours = (output.get("metadata") or {}).get(NAMESPACE)
    ours = ours if isinstance(ours, Mapping) else {}
    if ours.get("about") in ("session", "progress"):
        return  # what the session has spent and how it is set is no answer
    if ours.get("about") == "preview":  # how exactly tokens are counted depends on the tokenizers at hand
        yield "text/plain", _COUNT.sub("…", _settled(_text((output.get("data") or {}).get("text/plain", ""))))
        return
    is_answer = "key" in ours or "answers" in ours
    for mime, value in sorted((output.get("data") or {}).items()):
        if mime == "application/vnd.jupyter.widget-view+json":
            yield mime, "a widget"
        elif is_answer:  # an answer comes from its record: every letter counts
            yield mime, _FOOTER.sub(r"\1…", _bare(_BADGE.sub("…", _text(value))))
        elif mime == "image/png":
            yield mime, _pixels(_text(value))
        elif mime.endswith("json"):
            yield mime, _settled(json.dumps(value, sort_keys=True, ensure_ascii=False))
        else:
            yield mime, _settled(_bare(_text(value)))
    if ours:
        yield _FACTS, json.dumps(_without_source(ours), sort_keys=True, ensure_ascii=False, default=str)


def _bare(text: str) -> str:
    """The words of our own HTML: a later version of this package may draw the same answer otherwise."""
    if _OURS not in text:
        return text
    words = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    return "\n".join(line for line in (part.strip() for part in words.splitlines()) if line)


def _without_source(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_source(v) for k, v in value.items() if k not in ("source", "recorded")}
    return [_without_source(v) for v in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _settled(text: str) -> str:
    """Text without what changes from run to run."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    for pattern, word in _UNSTABLE:
        text = pattern.sub(word, text)
    marked = _SOURCE.sub("…", _BADGE.sub("…", _PREVIEW.sub("…", text)))
    return text if marked == text else _GAPS.sub(" ", marked)  # columns are as wide as their words


def _pixels(encoded: str) -> str:
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
