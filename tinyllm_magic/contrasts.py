"""Answers to one request in, what differs between them out, word by word.

Knows how to compare texts and to mark what is new and what is gone, readable without colour.
Does not know cards, grids, answers' other facts, the notebook or where a text comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .markup import QUIET, escape

MOST_WORDS = 800
MOST_TEXTS = 12
_OPEN_WORDS = 400  # in all; more than that is folded
_WORDS = re.compile(r"\s+|\w+\s*|[^\w\s]\s*")


def contrast_html(texts: Sequence[str], names: Sequence[str] = ()) -> str:
    """A fold that shows each text against the first, open where it is short; nothing where there is nothing to compare.

    ``names`` are what the reader knows the texts by. Long and many texts are told apart in words only.
    """
    if len(texts) < 2 or not all(texts):
        return ""
    known, others, sizes = _known(texts, names), _others(texts), _sizes(texts)
    if not others or _too_much(sizes):
        return f'<p class="tlm-note {QUIET}">{escape(_told(texts, known[0]))}</p>'
    parts = "".join(
        f'<p class="tlm-role">{escape(known[n])} against {escape(known[0])}</p>'
        f'<div class="tlm-text" dir="auto">{marked(texts[0], texts[n])}</div>'
        for n in others
    )
    same = _same(texts, known)
    note = f'<p class="tlm-note">{escape(same)}</p>' if same else ""
    opened = " open" if sum(sizes) <= _OPEN_WORDS else ""
    return f'<details class="{QUIET}"{opened}><summary>{escape(_told(texts, known[0]))}</summary>{note}{parts}</details>'


def contrast_text(texts: Sequence[str], names: Sequence[str] = ()) -> str:
    """The same in plain text: ``[-gone-]`` and ``[+new+]``."""
    if len(texts) < 2 or not all(texts):
        return ""
    known, others = _known(texts, names), _others(texts)
    lines = [_told(texts, known[0])]
    if others and not _too_much(_sizes(texts)):
        lines += [_same(texts, known), *(f"{known[n]}: {written(texts[0], texts[n])}" for n in others)]
    return "\n".join(filter(None, lines))


def marked(old: str, new: str) -> str:
    """The new text as HTML, with ``<ins>`` around what the old one has not and ``<del>`` around what is gone.

    >>> marked("a red fox", "a quick red dog")
    'a <ins>quick </ins>red <del>fox</del><ins>dog</ins>'
    """
    tags = {"-": "del", "+": "ins"}
    parts = ((tags.get(kind), escape(words)) for kind, words in _changes(old, new))
    return "".join(f"<{tag}>{words}</{tag}>" if tag else words for tag, words in parts)


def written(old: str, new: str) -> str:
    """The new text with signs around what is gone and what is new.

    >>> written("a red fox", "a quick red dog")
    'a [+quick+] red [-fox-][+dog+]'
    """
    parts = ((kind, words.rstrip(), words[len(words.rstrip()) :]) for kind, words in _changes(old, new))
    return "".join(f"{words}{space}" if kind == "=" else f"[{kind}{words}{kind}]{space}" for kind, words, space in parts)


def _changes(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Stretches of words: ``=`` in both, ``-`` only in the old text, ``+`` only in the new one."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = "".join(before[i:j]), "".join(after[k:m])
        if kind == "equal":
            yield "=", come
            continue
        yield from (piece for piece in (("-", gone), ("+", come)) if piece[1])


def _known(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name or f"({n})" for n, name in enumerate([*names, *[""] * len(texts)][: len(texts)], 1)]


def _others(texts: Sequence[str]) -> list[int]:
    return [n for n, text in enumerate(texts) if text != texts[0]]


def _sizes(texts: Sequence[str]) -> list[int]:
    return [len(_WORDS.findall(t)) for t in texts]


def _too_much(sizes: Sequence[int]) -> bool:
    return len(sizes) > MOST_TEXTS or max(sizes) > MOST_WORDS


def _told(texts: Sequence[str], first: str) -> str:
    """How many differ, in one line."""
    count = len(_others(texts))
    if not count:
        return f"all {len(texts)} answers are the same"
    if _too_much(_sizes(texts)):
        return f"{count} of {len(texts) - 1} answers differ from {first}"
    return f"what differs: {count} of {len(texts) - 1} from {first}"


def _same(texts: Sequence[str], known: Sequence[str]) -> str:
    same = [known[n] for n, text in enumerate(texts[1:], 1) if text == texts[0]]
    return f"the same as {known[0]}: {', '.join(same)}" if same else ""
