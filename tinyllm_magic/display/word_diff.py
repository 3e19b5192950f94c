"""What differs between answers to one request, word by word, readable without colour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .html_text import NO_MATH, escape

MOST_WORDS = 800
MOST_TEXTS = 12
_LITTLE = 0.4  # of the words in common: less than that reads as a wall of struck-out words
_WORDS = re.compile(r"\s+|\w+\s*|[^\w\s]\s*")


def draw_diff(texts: Sequence[str], names: Sequence[str] = ()) -> str:
    """A fold that shows each text against the first; nothing where there is nothing to compare.

    ``names`` are what the reader knows the texts by. Long and many texts, and those with little in common, are told apart in words.
    """
    if len(texts) < 2 or not all(texts):
        return ""
    known, others = _name_texts(texts, names), _find_differing(texts)
    if not others or not _can_be_shown(texts):
        return f'<p class="tlm-note {NO_MATH}">{escape(_summarize(texts, known[0]))}</p>'
    parts = "".join(
        f'<p class="tlm-role">{escape(known[n])} against {escape(known[0])}</p>'
        f'<div class="tlm-text" dir="auto">{draw_changes(texts[0], texts[n])}</div>'
        for n in others
    )
    same = _list_same(texts, known)
    note = f'<p class="tlm-note">{escape(same)}</p>' if same else ""
    return f'<details class="{NO_MATH}"><summary>{escape(_summarize(texts, known[0]))}</summary>{note}{parts}</details>'


def write_diff(texts: Sequence[str], names: Sequence[str] = ()) -> str:
    """The same in plain text: ``[-gone-]`` and ``[+new+]``."""
    if len(texts) < 2 or not all(texts):
        return ""
    known, others = _name_texts(texts, names), _find_differing(texts)
    lines = [_summarize(texts, known[0])]
    if others and _can_be_shown(texts):
        lines += [_list_same(texts, known), *(f"{known[n]}: {write_changes(texts[0], texts[n])}" for n in others)]
    return "\n".join(filter(None, lines))


def draw_changes(old: str, new: str) -> str:
    """The new text as HTML, with ``<ins>`` around what the old one has not and ``<del>`` around what is gone.

    >>> draw_changes("a red fox", "a quick red dog")
    'a <ins>quick </ins>red <del>fox</del><ins>dog</ins>'
    """
    tags = {"-": "del", "+": "ins"}
    parts = ((tags.get(kind), escape(words)) for kind, words in _find_changes(old, new))
    return "".join(f"<{tag}>{words}</{tag}>" if tag else words for tag, words in parts)


def write_changes(old: str, new: str) -> str:
    """The new text with signs around what is gone and what is new.

    >>> write_changes("a red fox", "a quick red dog")
    'a [+quick+] red [-fox-][+dog+]'
    """
    parts = ((kind, words.rstrip(), words[len(words.rstrip()) :]) for kind, words in _find_changes(old, new))
    return "".join(f"{words}{space}" if kind == "=" else f"[{kind}{words}{kind}]{space}" for kind, words, space in parts)


def _find_changes(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Stretches of words: ``=`` in both, ``-`` only in the old text, ``+`` only in the new one."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = "".join(before[i:j]), "".join(after[k:m])
        if kind == "equal":
            yield "=", come
            continue
        yield from (piece for piece in (("-", gone), ("+", come)) if piece[1])


def _name_texts(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name or f"({n})" for n, name in enumerate([*names, *[""] * len(texts)][: len(texts)], 1)]


def _find_differing(texts: Sequence[str]) -> list[int]:
    return [n for n, text in enumerate(texts) if text != texts[0]]


def _is_too_much(texts: Sequence[str]) -> bool:
    return len(texts) > MOST_TEXTS or max(len(_WORDS.findall(t)) for t in texts) > MOST_WORDS


def _can_be_shown(texts: Sequence[str]) -> bool:
    """Whether differences can be read word by word: texts are few, short, and as much alike as different."""
    if _is_too_much(texts):
        return False
    first, *rest = (_WORDS.findall(text) for text in texts)
    shares = [SequenceMatcher(None, first, other, autojunk=False).ratio() for other in rest if other != first]
    return not shares or sum(shares) / len(shares) >= _LITTLE


def _summarize(texts: Sequence[str], first: str) -> str:
    """How many differ, in one line."""
    count = len(_find_differing(texts))
    if not count:
        return f"all {len(texts)} answers are the same"
    if not _can_be_shown(texts):
        little = "" if _is_too_much(texts) else ", with little in common"
        return f"{count} of {len(texts) - 1} answers differ from {first}{little}"
    return f"what differs: {count} of {len(texts) - 1} from {first}"


def _list_same(texts: Sequence[str], known: Sequence[str]) -> str:
    same = [known[n] for n, text in enumerate(texts[1:], 1) if text == texts[0]]
    return f"the same as {known[0]}: {', '.join(same)}" if same else ""
