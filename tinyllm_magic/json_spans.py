"""Finds where the JSON values of an answer stand: in its text, in its code blocks, outside its reasoning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

REASONING_TAGS = ("think", "thinking", "reasoning")
_TAG = rf"<(?P<slash>/?)(?P<tag>{'|'.join(REASONING_TAGS)})>"
_FENCE = r"^[ \t]*(?P<fence>`{3,}|~{3,})(?P<language>[^\n`\[\]{}\"]*)$"
# Between values: what may open one. A bracket that no JSON could follow belongs to prose or code.
_BETWEEN = re.compile(rf'{_TAG}|{_FENCE}|{{(?=\s*["}}])|\[(?=\s*(?:["\[{{\]\d-]|true|false|null|NaN|Infinity))', re.MULTILINE)
# Within a value: strings are skipped whole, so that nothing in them counts.
_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_WITHIN = re.compile(rf"{_STRING}|{_TAG}|{_FENCE}|[\[\]{{}})]|,(?=\s*[\]}}])", re.MULTILINE | re.DOTALL)
_LINE_OF_FENCE = re.compile(_FENCE, re.MULTILINE)
_LEADING_STRING = re.compile(rf"\s*+{_STRING}", re.DOTALL)
_CITATION = re.compile(r"\[\s*\d+\s*\]")
_PAIRS = {"]": "[", "}": "{", ")": "["}  # a half-open interval, [0, 1), is closed too


@dataclass(frozen=True, slots=True)
class Span:
    """One outermost value: ``source`` without its trailing commas; not ``closed`` where it breaks off.

    ``place`` is ``"json"`` in a code block of JSON, ``"text"`` outside code blocks, ``"code"`` in the others.
    """

    source: str
    place: str
    closed: bool

    @property
    def is_citation(self) -> bool:
        """Whether this may be the mark of a source, such as ``[1]``."""
        return self.closed and _CITATION.fullmatch(self.source) is not None


def find_spans(text: str) -> list[Span]:
    """The values that stand in a text, in order, in one pass; those in code of other languages only where there is no other."""
    scanner = _Scanner(text)
    scanner.run()
    return scanner.spans or [span for body in scanner.code for span in _find_in_code(body)]


def _find_in_code(body: str) -> list[Span]:
    """The values in code of another or of no language; where it has no brackets, all of it may be one scalar."""
    found = [Span(s.source, "code", s.closed) for s in find_spans(body)]
    return found or ([Span(body.strip(), "code", closed=True)] if body.strip() else [])


class _Scanner:
    """One pass over a text, token by token: in or out of a value, in or out of a code block."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: list[Span] = []
        self.code: list[str] = []  # bodies of code blocks that hold no JSON
        self._last = {tag: text.rfind(f"</{tag}>") for tag in REASONING_TAGS}  # so that none is searched for in vain again and again
        self._begin = len(text) - len(text.lstrip())
        self._at = 0
        self._open: list[str] = []  # brackets
        self._start = 0  # of the outermost open bracket
        self._commas: list[int] = []  # trailing ones of the value that is open
        self._block: tuple[str, int, int] | None = None  # of JSON: its fence, where it starts, the spans before it

    def run(self) -> None:
        while found := (_WITHIN if self._open else _BETWEEN).search(self.text, self._at):
            self._at = found.end()
            if found["tag"]:
                self._reasoning(found)
            elif found["fence"]:
                self._fence(found)
            elif self._open:
                self._bracket(found[0], found.start())
            else:
                self._open, self._start, self._commas = [found[0]], found.start(), []
        self._end_block(len(self.text))

    def _bracket(self, sign: str, at: int) -> None:
        if sign == ",":
            self._commas.append(at)
        elif sign in ("[", "{"):
            self._open.append(sign)
        elif _PAIRS.get(sign) == self._open[-1]:
            self._open.pop()
            if not self._open and sign != ")":
                self._add(at + 1, closed=True)

    def _reasoning(self, found: re.Match[str]) -> None:
        """Skip reasoning; where it only ends (its begin was in the prompt), all before is void."""
        if found["slash"]:
            self.spans, self.code, self._open, self._block = [], [], [], None
        elif not self._open:
            end = f"</{found['tag']}>"
            if self._last[found["tag"]] >= self._at:
                self._at = self.text.index(end, self._at) + len(end)
            elif found.start() == self._begin:
                self.spans, self._at = [Span(self.text, "text", closed=False)], len(self.text)

    def _fence(self, line: re.Match[str]) -> None:
        if self._block:
            if _closes(line, self._block[0]):
                self._end_block(line.start())
            return
        self._end_value(line.start())
        language = line["language"].split()[:1]
        body = _first_sign(self.text, line.end())
        if language[0].lower() in ("json", "jsonc", "json5") if language else body in ("[", "{"):
            self._block = (line["fence"], line.end(), len(self.spans))
            if leading := _LEADING_STRING.match(self.text, line.end()):
                self._at = leading.end()
            return
        end = next((f for f in _LINE_OF_FENCE.finditer(self.text, line.end()) if _closes(f, line["fence"])), None)
        self.code.append(self.text[line.end() : end.start() if end else len(self.text)])
        self._at = end.end() if end else len(self.text)

    def _end_block(self, at: int) -> None:
        """A code block ends, or the text: a value that is still open breaks off; a block without brackets is one scalar."""
        self._end_value(at)
        if self._block:
            _, start, before = self._block
            body = self.text[start:at].strip()
            if body and len(self.spans) == before:
                self.spans.append(Span(body, "json", closed=True))
            self._block = None

    def _end_value(self, at: int) -> None:
        if self._open:
            self._open = []
            self._add(at, closed=False)

    def _add(self, end: int, *, closed: bool) -> None:
        cuts = [self._start - 1, *self._commas, end]
        source = "".join(self.text[a + 1 : b] for a, b in pairwise(cuts))
        self.spans.append(Span(source, "json" if self._block else "text", closed))


def _closes(line: re.Match[str], fence: str) -> bool:
    """Whether a line closes the code block that ``fence`` has opened."""
    return line["fence"].startswith(fence) and not line["language"].strip()


def _first_sign(text: str, at: int) -> str:
    found = re.compile(r"\S").search(text, at)
    return found[0] if found else ""
