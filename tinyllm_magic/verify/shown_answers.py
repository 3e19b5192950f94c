"""Reads what saved outputs tell of the answers that they show; anybody may have written it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .compare import NAMESPACE


def read_facts(outputs: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The metadata of ours in these outputs, but for what is about a call that was not made: a dry run has a key, and no answer."""
    found = ((output.get("metadata") or {}).get(NAMESPACE) for output in outputs)
    return tuple(facts for facts in found if isinstance(facts, Mapping) and "about" not in facts)


def read_keys(facts: Mapping[str, Any]) -> Iterator[str]:
    """The keys that one output names: of an answer, of several, of a table's first rows, and of the requests on the way to them."""
    for part in (facts, *list_of(facts, "answers"), facts.get("table")):
        if isinstance(part, Mapping):
            named = (*list_of(part, "steps"), part.get("key"), *list_of(part, "keys"))
            yield from (key for key in named if isinstance(key, str) and key)


def list_of(facts: Mapping[str, Any], name: str) -> Sequence[Any]:
    """A list among the facts, empty where there is none."""
    found = facts.get(name)
    return found if isinstance(found, list) else ()
