"""What the three forms of a comparison share: which texts they show and how much of them, and what they say in the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..display.word_diff import find_changes, measure_likeness
from ..redaction import mask
from ..text_format import printable, shorten_line
from .notebook_diff import CellChange, FactChange, NotebookDiff, TextChange

Piece = tuple[str, str]
"""``=``, ``-`` or ``+``, and a stretch of text."""
_LONGEST_FACT = 300
_TOKENS = re.compile(r"\n|[^\S\n]+|\S+")
_LITTLE = 0.3  # of a text in common: less than that reads better one after the other


@dataclass(frozen=True)
class Extent:
    """How much is shown: ``texts`` of a cell's prompts and answers, ``context`` characters beside a change, ``longest`` of a text."""

    texts: int
    context: int
    longest: int


@dataclass(frozen=True)
class Part:
    """One text of a cell under the name of what it is; ``is_minor`` may stay folded."""

    name: str
    pieces: Sequence[Piece]
    is_minor: bool = False


def list_parts(cell: CellChange, extent: Extent) -> Iterator[Part]:
    """The texts of a cell that have changed, as far as they are shown."""
    if cell.source is not None:
        yield Part("the cell", _find_pieces(cell.source, extent))
    prompts_are_minor = cell.source is not None
    for name, changes, is_minor in (("prompt as sent", cell.prompts, prompts_are_minor), ("answer", cell.answers, False)):
        for change in changes[: extent.texts]:
            title = f"{name}: {shorten_line(change.title, 80)}" if change.title else name
            yield Part(title, _find_pieces(change, extent), is_minor)
        rest = len(changes) - extent.texts
        if rest > 0:
            more = f"… and {rest:,} more {'prompts' if name.startswith('prompt') else 'answers'} that have changed"
            yield Part(name, [("=", more)], is_minor)


def _find_pieces(change: TextChange, extent: Extent) -> list[Piece]:
    before, after = (None if text is None else mask(printable(text)) for text in (change.before, change.after))
    if before is None or after is None:
        pieces = [("-", before)] if after is None and before is not None else [("+", after or "")]
    else:
        is_alike = measure_likeness(before, after) >= _LITTLE
        pieces = list(find_changes(before, after, extent.context)) if is_alike else [("-", before), ("=", "\n"), ("+", after)]
    return list(_cut(pieces, extent.longest))


def _cut(pieces: Iterable[Piece], longest: int) -> Iterator[Piece]:
    """The beginning of a long comparison; of each stretch at least a little, so that no change is hidden behind another."""
    left = longest
    for kind, text in pieces:
        if left <= 0:
            yield "=", " … (cut)"
            return
        yield kind, text if len(text) <= left else f"{text[:left]} …"
        left -= len(text)


def wrap_pieces(pieces: Iterable[Piece], width: int) -> Iterator[Piece]:
    r"""The same stretches with line breaks between words where a line would be longer than ``width``, for what wraps no lines itself.

    >>> list(wrap_pieces([("=", "one two "), ("+", "three four")], 9))
    [('=', 'one two '), ('+', '\nthree \nfour')]
    """
    column = 0
    for kind, text in pieces:
        wrapped = []
        for word in _TOKENS.findall(text):
            if column and not word.isspace() and column + len(word) > width:
                wrapped.append("\n")
                column = 0
            wrapped.append(word)
            column = 0 if word == "\n" else column + len(word)
        yield kind, "".join(wrapped)


def summarize(cell: CellChange) -> str:
    """What changed in a cell, in a few words."""
    said = [cell.kind] if cell.kind != "changed" else []
    if cell.kind == "changed":
        said += ["the cell"] if cell.source is not None else []
        said += [f"{_count(cell.prompts, cell.compared, 'prompt')}"] if cell.prompts and cell.source is None else []
        said += ["settings"] if any(f.name not in ("tokens", "cost") for f in cell.facts) else []
        said += [f"{_count(cell.answers, cell.compared, 'answer')}"] if cell.answers else []
        said += ["scores"] if cell.scores else []
    said += [f"{cell.come:,} new"] if cell.come else []
    said += [f"{cell.gone:,} gone"] if cell.gone else []
    return ", ".join(said) or "tokens and cost"


def _count(changed: Sequence[object], compared: int, what: str) -> str:
    return f"the {what}" if compared == 1 else f"{len(changed):,} of {compared:,} {what}s"


def list_facts(cell: CellChange) -> Iterator[tuple[str, str, str]]:
    """Name, old and new value of all that is short: settings, scores, tokens, cost."""
    for fact in (*cell.facts, *cell.scores):
        yield read_fact(fact)


def read_fact(fact: FactChange) -> tuple[str, str, str]:
    """Name, old and new value of a fact, as they may be shown."""
    name = fact.name if fact.count is None else f"{fact.name} ({fact.count:,} answers)"
    before, after = (shorten_line(mask(printable(value)), _LONGEST_FACT) for value in (fact.before, fact.after))
    return shorten_line(mask(printable(name)), _LONGEST_FACT), before, after


def list_notes(diff: NotebookDiff) -> Iterator[str]:
    """What else is to say of a notebook."""
    if diff.kind != "changed":
        yield f"this notebook was {diff.kind}"
    if not diff.is_different:
        yield "nothing that is recorded or asked has changed"
    if diff.others:
        yield f"{diff.others:,} other code {'cell has' if diff.others == 1 else 'cells have'} changed, which ask no model"
    yield from (mask(printable(note)) for note in diff.notes)
