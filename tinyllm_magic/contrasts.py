"""Answers to one request in, what differs between them out, word by word.

Knows how to compare texts and to mark what is new and what is gone, readable without colour.
Does not know cards, grids, answers' other facts, the notebook or where a text comes from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from .markup import QUIET, escape

MOST_WORDS = 800
MOST_TEXTS = 12
_WORDS = re.compile(r"\s+|\w+\s*|[^\w\s]\s*")


def contrast_html(texts: Sequence[str], names: Sequence[str] = ()) -> str:
    """A fold that shows each text against the first; nothing where there is nothing to compare.

    ``names`` are what the reader knows the texts by. Long and many texts are told apart in words only.
    """
    if len(texts) < 2 or not all(texts):
        return ""
    known = [name or f"({n})" for n, name in enumerate([*names, *[""] * len(texts)][: len(texts)], 1)]
    first, others = known[0], [n for n, text in enumerate(texts) if text != texts[0]]
    if not others:
        return f'<p class="tlm-note {QUIET}">all {len(texts)} answers are the same</p>'
    if len(texts) > MOST_TEXTS or max(len(_WORDS.findall(t)) for t in texts) > MOST_WORDS:
        return f'<p class="tlm-note {QUIET}">{len(others)} of {len(texts) - 1} answers differ from {escape(first)}</p>'
    parts = "".join(
        f'<p class="tlm-role">{escape(known[n])} against {escape(first)}</p>'
        f'<div class="tlm-text" dir="auto">{marked(texts[0], texts[n])}</div>'
        for n in others
    )
    same = [known[n] for n, text in enumerate(texts[1:], 1) if text == texts[0]]
    note = f'<p class="tlm-note">the same as {escape(first)}: {escape(", ".join(same))}</p>' if same else ""
    summary = f"what differs: {len(others)} of {len(texts) - 1} from {first}"
    return f'<details class="{QUIET}"><summary>{escape(summary)}</summary>{note}{parts}</details>'


def marked(old: str, new: str) -> str:
    """The new text as HTML, with ``<ins>`` around what the old one has not and ``<del>`` around what is gone.

    >>> marked("a red fox", "a quick red dog")
    'a <ins>quick </ins>red <del>fox</del><ins>dog</ins>'
    """
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    parts = []
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = escape("".join(before[i:j])), escape("".join(after[k:m]))
        if kind == "equal":
            parts.append(come)
            continue
        parts.append(f"<del>{gone}</del>" if gone else "")
        parts.append(f"<ins>{come}</ins>" if come else "")
    return "".join(parts)
