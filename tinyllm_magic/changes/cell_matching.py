"""Matches the cells of two versions of a notebook: by their ids, then by their text, then by the likeness of their text."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from .recorded_notebook import RecordedCell

_ALIKE = 0.5
"""Likeness of words, 0 to 1, from which two cells count as one."""
_MOST = 300  # cells without a match that are compared with each other
_WORDS = re.compile(r"\w+|[^\w\s]")
_Item = TypeVar("_Item")


def match_cells(before: Sequence[RecordedCell], after: Sequence[RecordedCell]) -> list[tuple[RecordedCell | None, RecordedCell | None]]:
    """Each cell with its other version, in the order of the new notebook; what is gone stands where it stood."""
    known: dict[int, RecordedCell] = {}  # number of the new cell: the old cell
    for name in (_id_of, _source_of):
        _match_by(name, [c for c in before if c not in known.values()], [c for c in after if c.number not in known], known)
    rest = [c for c in before if c not in known.values()]
    for old, new in _match_alike(rest, [c for c in after if c.number not in known]):
        known[new.number] = old
    return list(_order(before, after, known))


def _id_of(cell: RecordedCell) -> str:
    return cell.id


def _source_of(cell: RecordedCell) -> str:
    return cell.source.strip()


def _match_by(
    name: Callable[[RecordedCell], str], before: Sequence[RecordedCell], after: Sequence[RecordedCell], known: dict[int, RecordedCell]
) -> None:
    """Match what has the same name, where it is the only one of its version, or the next of as many."""
    one, other = _group(before, name), _group(after, name)
    for key in one.keys() & other.keys() - {""}:
        if len(one[key]) == len(other[key]):
            known.update({new.number: old for old, new in zip(one[key], other[key], strict=True)})


def _group(items: Sequence[_Item], name: Callable[[_Item], Hashable]) -> dict[Hashable, list[_Item]]:
    grouped: dict[Hashable, list[_Item]] = {}
    for item in items:
        grouped.setdefault(name(item), []).append(item)
    return grouped


def _match_alike(before: Sequence[RecordedCell], after: Sequence[RecordedCell]) -> Iterator[tuple[RecordedCell, RecordedCell]]:
    """The most alike first, each cell once."""
    words, others = ([count_words(cell.source) for cell in cells[:_MOST]] for cells in (before, after))
    pairs = itertools.product(enumerate(words), enumerate(others))
    scored = [(measure_overlap(one, other), o, n) for (o, one), (n, other) in pairs]
    taken: tuple[set[int], set[int]] = set(), set()
    for likeness, o, n in sorted(scored, key=lambda s: (-s[0], abs(s[1] - s[2]), s[1], s[2])):
        if likeness < _ALIKE:
            return
        if o not in taken[0] and n not in taken[1]:
            taken[0].add(o)
            taken[1].add(n)
            yield before[o], after[n]


def count_words(text: str) -> Counter[str]:
    """How often each word of a text comes up."""
    return Counter(_WORDS.findall(text))


def measure_overlap(words: Counter[str], others: Counter[str]) -> float:
    """The share of words that two texts have in common, in whatever order; 0 to 1.

    >>> measure_overlap(count_words("Write about the sea."), count_words("Write about the moon."))
    0.8
    """
    total = words.total() + others.total()
    return 2 * (words & others).total() / total if total else 1.0


def _order(
    before: Sequence[RecordedCell], after: Sequence[RecordedCell], known: dict[int, RecordedCell]
) -> Iterator[tuple[RecordedCell | None, RecordedCell | None]]:
    matched = {old.number for old in known.values()}
    gone = [cell for cell in before if cell.number not in matched]
    for new in after:
        old = known.get(new.number)
        while old is not None and gone and gone[0].number < old.number:
            yield gone.pop(0), None
        yield old, new
    yield from ((cell, None) for cell in gone)
