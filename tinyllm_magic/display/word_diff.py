"""What differs between answers to one request, word by word, readable without colour."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from .html_text import NO_MATH, escape

MOST_WORDS = 800
MOST_TEXTS = 12
_MOST_PAIRS, _MOST_RARE_PAIRS = 20_000, 60_000  # of equal words: more take seconds to match
_WORTH_A_CUT = 40  # characters
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
    return draw_pieces(find_changes(old, new))


def draw_pieces(changes: Iterable[tuple[str, str]]) -> str:
    """What ``find_changes`` found, as HTML."""
    tags = {"-": "del", "+": "ins"}
    parts = ((tags.get(kind), escape(words)) for kind, words in changes)
    return "".join(f"<{tag}>{words}</{tag}>" if tag else words for tag, words in parts)


def write_changes(old: str, new: str) -> str:
    """The new text with signs around what is gone and what is new.

    >>> write_changes("a red fox", "a quick red dog")
    'a [+quick+] red [-fox-][+dog+]'
    """
    return write_pieces(find_changes(old, new))


def write_pieces(changes: Iterable[tuple[str, str]]) -> str:
    """What ``find_changes`` found, in plain text."""
    parts = ((kind, words.rstrip(), words[len(words.rstrip()) :]) for kind, words in changes)
    return "".join(f"{words}{space}" if kind == "=" else f"[{kind}{words}{kind}]{space}" for kind, words, space in parts)


def find_changes(old: str, new: str, context: int | None = None) -> Iterator[tuple[str, str]]:
    """Stretches of words: ``=`` in both, ``-`` only in the old text, ``+`` only in the new one.

    With ``context``, so many characters of what both have in common are left beside a change. Texts that are long, or repeat
    themselves, are compared by their lines, and by words where lines differ.
    """
    changes = list(_merge(_compare(old, new)))
    for number, (kind, text) in enumerate(changes):
        ends = (number == 0, number == len(changes) - 1)
        yield kind, text if kind != "=" or context is None else _shorten_between(text, context, *ends)


def _compare(old: str, new: str) -> Iterator[tuple[str, str]]:
    matched = _match(_WORDS.findall(old), _WORDS.findall(new))
    by_lines = matched is None
    if matched is None:
        matched = _match(old.splitlines(keepends=True), new.splitlines(keepends=True))
    for kind, gone, come in matched or [("!", old, new)]:
        if kind == "=":
            yield "=", come
        elif by_lines and (gone, come) != (old, new):
            yield from _compare(gone, come)
        else:
            yield from _replace(gone, come)


def _match(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str, str]] | None:
    """Stretches that are the same (``=``) or not (``!``); ``None`` where it would take long to find them.

    What both begin and end with is the same in any case. The time that the rest takes grows with the pairs of equal pieces in it,
    which are many where a text repeats itself.
    """
    shortest = min(len(before), len(after))
    start = next((n for n in range(shortest) if before[n] != after[n]), shortest)
    end = next((n for n in range(shortest - start) if before[-1 - n] != after[-1 - n]), shortest - start)
    one, other = before[start : len(before) - end], after[start : len(after) - end]
    pairs, rare = _count_pairs(one, other)
    if pairs > _MOST_PAIRS and (len(other) < 200 or rare > _MOST_RARE_PAIRS):
        return None
    found: list[tuple[str, str, str]] = []
    if start:
        found.append(("=", "".join(before[:start]), "".join(after[:start])))
    for kind, i, j, k, m in SequenceMatcher(None, one, other, autojunk=pairs > _MOST_PAIRS).get_opcodes():
        found.append(("=" if kind == "equal" else "!", "".join(one[i:j]), "".join(other[k:m])))
    if end:
        found.append(("=", "".join(before[len(before) - end :]), "".join(after[len(after) - end :])))
    return found


def _count_pairs(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Pairs of equal pieces, and those without the pieces that difflib leaves out as popular: more than a hundredth of the new text."""
    counts, others = Counter(before), Counter(after)
    popular = len(after) // 100 + 1
    products = [(count * others[piece], others[piece] > popular) for piece, count in counts.items() if piece in others]
    return sum(n for n, _ in products), sum(n for n, is_popular in products if not is_popular)


def measure_likeness(old: str, new: str) -> float:
    """The share of two texts that they have in common, by their words and in their order; 0 to 1.

    >>> measure_likeness("Write about the sea.", "Write about the moon.")
    0.8
    """
    total = len(_WORDS.findall(old)) + len(_WORDS.findall(new))
    same = sum(len(_WORDS.findall(text)) for kind, text in _compare(old, new) if kind == "=")
    return 2 * same / total if total else 1.0


def _replace(gone: str, come: str) -> Iterator[tuple[str, str]]:
    yield from (piece for piece in (("-", gone), ("+", come)) if piece[1])


def _merge(changes: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Neighbours of one kind as one."""
    for kind, group in itertools.groupby(changes, key=lambda change: change[0]):
        yield kind, "".join(text for _, text in group)


def _shorten_between(text: str, context: int, is_first: bool, is_last: bool) -> str:
    """What both texts have in common, cut to what stands beside a change."""
    head, tail = 0 if is_first else context, 0 if is_last else context
    if len(text) <= head + tail + _WORTH_A_CUT:
        return text
    first, last = text[:head], text[len(text) - tail :]
    if not is_first:
        first = first[: first.rfind(" ") + 1] or first  # whole words
    if not is_last:
        last = last[last.find(" ") + 1 :]
    return f"{first}… {last}"


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
    first, *rest = texts
    shares = [measure_likeness(first, other) for other in rest if other != first]
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
