"""Finds what makes the same cell ask another request in the next kernel: the order of a set, an address in memory, chance, the clock."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from itertools import islice
from numbers import Number
from types import GeneratorType
from typing import Any


class Cause(StrEnum):
    """Why a text is another in the next kernel."""

    SET = "set"
    ADDRESS = "address"
    CHANCE = "chance"
    CLOCK = "clock"


_NOTES = {
    Cause.SET: "{what} is sent in the order of a set, which is another in each kernel: {advice}",
    Cause.ADDRESS: "{what} is sent with its address in memory, which is another in each kernel: send what it holds",
    Cause.CHANCE: "what is sent is picked by chance, and is another at each run: pick it in Python, with a seed",
    Cause.CLOCK: "the time of the run is sent, so that a later run asks another request: a variable keeps it",
}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,16}\b")
_SET_OF_TEXTS = re.compile(r"""\{(?:'[^'\n{}:]*'|"[^"\n{}:]*")(?:, (?:'[^'\n{}:]*'|"[^"\n{}:]*"))+\}""")
_LAZY = (map, filter, zip, enumerate)
_DEEPEST, _MOST = 5, 1000  # levels, and members of one level, that are looked at


def find_cause(value: Any, text: str) -> Cause | None:
    """Why a value's text is another in the next kernel; ``None`` for a text that stays."""
    if " at 0x" in text and _ADDRESS.search(text):
        return Cause.ADDRESS
    if isinstance(value, str):
        return Cause.SET if _SET_OF_TEXTS.fullmatch(text) else None
    return Cause.SET if any(repr(found) in text for found in _find_sets(value)) else None


def is_unordered(value: Any, depth: int = 0) -> bool:
    """Whether the order in which a value is read is that of a set, also behind a generator or ``map``; nothing of it is read."""
    if isinstance(value, (set, frozenset)):
        return has_random_order(value)
    if depth == _DEEPEST:
        return False
    if isinstance(value, GeneratorType):
        return value.gi_frame is not None and is_unordered(value.gi_frame.f_locals.get(".0"), depth + 1)
    if isinstance(value, _LAZY):
        return any(is_unordered(part, depth + 1) for part in value.__reduce__()[1])
    return type(value).__name__ == "set_iterator" and value.__length_hint__() > 1


def has_random_order(value: set[Any] | frozenset[Any]) -> bool:
    """Whether a set's order depends on the seed of ``hash`` or on addresses: not where it holds numbers alone."""
    return len(value) > 1 and not all(map(_has_fixed_hash, islice(value, _MOST)))


def _has_fixed_hash(member: Any) -> bool:
    if isinstance(member, (tuple, frozenset)):
        return all(map(_has_fixed_hash, member))
    return isinstance(member, Number) and not isinstance(member, Enum)


def _find_sets(value: Any, depth: int = 0) -> Iterator[set[Any] | frozenset[Any]]:
    """The sets of random order that Python would print within a value."""
    if isinstance(value, (set, frozenset)):
        if type(value).__repr__ in (set.__repr__, frozenset.__repr__) and has_random_order(value):
            yield value
    elif depth < _DEEPEST:
        for member in islice(_list_members(value), _MOST):
            yield from _find_sets(member, depth + 1)


def _list_members(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return (member for pair in value.items() for member in pair)
    if isinstance(value, (list, tuple, deque, type({}.values()), type({}.items()), type({}.keys()))):
        return value
    if dataclasses.is_dataclass(value) or hasattr(type(value), "model_fields"):  # pydantic
        return vars(value).values() if hasattr(value, "__dict__") else ()
    return ()


def note_unstable(found: Iterable[tuple[Cause, Any]], variables: Mapping[str, Any]) -> Iterator[str]:
    """A note for each value that is sent with a text that does not stay."""
    for cause, value in found:
        name = next((n for n in variables if variables[n] is value), None) if value is not None else None
        sort = f"`{{{{ {name or 'names'} | sort | join(', ') }}}}` keeps one order"
        advice = sort if is_unordered(value) else "sort it in Python, before it becomes text"
        yield _NOTES[cause].format(what=f"`{name}`" if name else "a value", advice=advice)
